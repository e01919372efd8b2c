"""The bandit setting: exact values, the best arm, and errors that name what is wrong."""

import numpy as np
import pytest

from theoryrl import LossTable, RewardNoise, StochasticBandit, Study, play
from theoryrl.instances import bernoulli_bandit, shifting_levels
from theoryrl.learners import UCB1, TsallisINF
from theoryrl.models import load, save
from theoryrl.protocol import ArmDecision, BanditProblem, BlockDecision, Streams

TABLE = LossTable(
    np.array([[1.0, 3.0], [4.0, 2.0], [1.0, 3.0]]), (1.0, 5.0), np.array([0.0, 1.0, 0.5]), (0.0, 1.0)
)


def test_the_value_of_a_round_is_the_mean_of_the_arm_that_was_pulled():
    model = StochasticBandit(np.array([0.3, 0.6]))
    trace = play(model, UCB1(), 50, 0)
    np.testing.assert_array_equal(trace.values, model.means[trace.diagnostics["arm"].astype(int)])
    assert trace.benchmark == 0.6


def test_the_benchmark_of_a_table_is_its_best_column_in_hindsight():
    trace = play(TABLE, TsallisINF(), 3, 0)
    np.testing.assert_array_equal(trace.benchmarks, [-1, -4, -1])
    arms = trace.diagnostics["arm"].astype(int)
    np.testing.assert_array_equal(trace.values, -TABLE.losses[np.arange(3), arms])


def test_a_table_is_played_to_its_end():
    with pytest.raises(ValueError, match="rounds must be 3, the length of the loss table; got 2"):
        play(TABLE, TsallisINF(), 2, 0)


def test_contexts_come_before_their_round():
    environment = BanditProblem(TABLE).environment(Streams.from_seed(0))
    assert BanditProblem(TABLE).spec(3).context == 0.0
    seen = [environment.interact(ArmDecision(0), 1).observation.context for _ in range(3)]
    assert seen == [1.0, 0.5, None]


def test_rewards_do_not_depend_on_the_arms_or_on_the_blocks():
    model = StochasticBandit(np.array([0.3, 0.6, 0.5]), RewardNoise("gaussian", 1.0))
    whole = BanditProblem(model).environment(Streams.from_seed(5))._rows(7)[0]
    parts = BanditProblem(model).environment(Streams.from_seed(5))
    np.testing.assert_array_equal(whole, np.vstack([parts._rows(3)[0], parts._rows(4)[0]]))


def test_an_arm_that_does_not_exist_is_refused():
    environment = BanditProblem(TABLE).environment(Streams.from_seed(0))
    with pytest.raises(ValueError, match=r"arm must be in \[0, 2\); got 2"):
        environment.interact(ArmDecision(2), 1)


def test_a_study_runs_bandits_that_are_named_by_text():
    study = Study(
        ["bernoulli-bandit:n_arms=3", "shifting-levels:rounds=200,n_arms=3"], ["ucb1", "tsallis-inf"], 200, 2
    )
    dataset = study.run(progress=False)
    assert (dataset["final_regret"].sel(instance="bernoulli-bandit:n_arms=3") > 0).all()
    assert "arm" in dataset


def test_the_last_arm_of_shifting_levels_is_better_by_the_gap_at_every_level():
    """The means of 1000s of rounds, to 6 standard errors: false alarm below 1e-7."""
    model = shifting_levels(n_arms=3, rounds=5000, gap=0.25)
    assert BanditProblem(model).best_arm == 2
    late = model.losses[1000:]
    high = np.floor(np.log1p(np.arange(1000, 5000)) / np.log(1.6)) % 2 == 1
    for part, low in ((late[~high], 0.0), (late[high], 0.75)):
        error = 6 * 0.5 / np.sqrt(len(part))
        np.testing.assert_allclose(part.mean(axis=0), [low + 0.25, low + 0.25, low], atol=error)


@pytest.mark.parametrize("model", [TABLE, bernoulli_bandit(), LossTable(np.ones((2, 2)))])
def test_a_bandit_survives_a_file(model, tmp_path):
    save(model, tmp_path / "m.npz")
    again = load(tmp_path / "m.npz")
    assert repr(again) == repr(model)
    for name, value in vars(model).items():
        np.testing.assert_array_equal(getattr(again, name), value) if isinstance(value, np.ndarray) else None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StochasticBandit([0.5, 1.5]), r"means .*\[1\] must be in \[0, 1\]; got 1\.5"),
        (lambda: StochasticBandit([0.5, float("nan")]), r"means\[1\] must be finite"),
        (lambda: LossTable([[0.5, 2.0]]), r"losses\[0, 1\] must be in \[0, 1\]; got 2\.0"),
        (lambda: LossTable([[0.5]], (1.0, 0.0)), "loss_range must be increasing"),
        (lambda: LossTable([[0.5]], contexts=[1.0]), "contexts need context_range"),
        (lambda: LossTable([[0.5]], context_range=(0.0, 1.0)), "context_range is used only together"),
        (lambda: LossTable([[0.5]], contexts=[2.0], context_range=(0.0, 1.0)), r"contexts\[0\] must be in"),
        (
            lambda: LossTable([[0.5]], contexts=[2.0, 1.0], context_range=(0.0, 1.0)),
            "contexts must have shape",
        ),
    ],
)
def test_bad_models_are_refused_with_the_entry_that_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("arms", "message"), [([0, -1, 1], r"arms\[1\] = -1"), ([0], "must be 3 in .* got 1")]
)
def test_arms_of_a_block_are_checked_like_that_of_a_round(arms, message):
    class Careless:
        def play(self, rewards, contexts):
            return np.array(arms), {}

    environment = BanditProblem(TABLE).environment(Streams.from_seed(0))
    with pytest.raises(ValueError, match=message):
        environment.interact(BlockDecision(Careless()), 3)
