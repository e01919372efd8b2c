"""Playing an average-reward MDP: stretches and single steps agree, and values are exact."""

import numpy as np
import pytest
from scipy.optimize import linprog

from theoryrl import Study, play
from theoryrl.instances import average_riverswim, flipping_riverswim, switching_random, unseen_change
from theoryrl.learners import (
    BORL,
    KLUCRL,
    RBOCPDUCRL2,
    SWUCRL,
    SWUCRL2CW,
    UCRL2,
    UCRL2B,
    AveragePSRL,
    OracleRestarts,
    UCRL2Restarts,
)
from theoryrl.models import AverageRewardMDP, PiecewiseStationaryMDP, RewardNoise
from theoryrl.protocol import AverageDecision, AverageProblem, Run, Streams, as_problem

pytestmark = pytest.mark.filterwarnings("ignore:.*the guarantee is void")
MODEL = flipping_riverswim(3, 1500, 2)
LEARNERS = {
    "ucrl2": (UCRL2, {}),
    "laplace": (UCRL2, {"radius": "laplace"}),
    "bernstein": (UCRL2B, {}),
    "kl": (KLUCRL, {}),
    "psrl": (AveragePSRL, {}),
    "oracle": (OracleRestarts, {"change_points": (500, 1000)}),
    "schedule": (UCRL2Restarts, {"changes": 2}),
    "window": (SWUCRL, {"window": 200}),
    "widened": (SWUCRL2CW, {"window": 150}),
    "borl": (BORL, {}),
    "global": (RBOCPDUCRL2, {"bonus_scale": 0.2}),
    "local": (RBOCPDUCRL2, {"bonus_scale": 0.2, "reset": "local", "exploration": 0.1, "eta": "universal"}),
    "exact": (RBOCPDUCRL2, {"detect_rewards": False, "eta": "safe_horizon", "prune": 0.0}),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_single_steps_leave_the_trace_of_whole_stretches(name):
    kind, choices = LEARNERS[name]
    learner = kind(**choices)
    assert play(MODEL, learner, 1500, 3).same_as(play(MODEL, learner, 1500, 3, stepwise=True))


@pytest.mark.parametrize("choices", [{}, {"reset": "local", "exploration": 0.05}])
def test_runs_longer_than_every_buffer_are_the_same_stepwise_whole_and_resumed(tmp_path, choices):
    """Blocks of 8192 steps, and of 4096 random numbers for the symbols of rewards between 0 and 1."""
    model = switching_random(3, 2, rounds=10_000, changes=2)
    model = PiecewiseStationaryMDP(
        model.P, 0.2 + 0.6 * model.r, model.change_points, RewardNoise("uniform", 0.2)
    )
    learner = RBOCPDUCRL2(bonus_scale=0.3, **choices)
    whole = play(model, learner, 10_000, 1)
    assert whole.diagnostics["restarts"][-1] > 0
    assert whole.same_as(play(model, learner, 10_000, 1, stepwise=True))
    run = Run(as_problem(model), learner, 10_000, 1).advance(4500)
    run.save(tmp_path / "run")
    assert Run.load(tmp_path / "run").advance().trace.same_as(whole)


def test_regret_is_counted_against_gains_of_a_linear_program():
    """max over stationary distributions of pairs, segment by segment; gains of 1e-9 times 10,000 steps."""
    model = switching_random(3, 2, rounds=10_000, changes=2)
    trace = play(model, UCRL2(), 10_000, 0)
    s, a = (trace.diagnostics[name].astype(int) for name in ("state", "action"))
    segment = model.segment_of(np.arange(10_000))
    flows = [np.eye(3)[:, None, :] - P for P in model.P]
    gains = [
        -linprog(
            -r.ravel(),
            A_eq=np.vstack([F.reshape(6, 3).T, np.ones(6)]),
            b_eq=[0, 0, 0, 1],
            method="highs",
        ).fun
        for F, r in zip(flows, model.r, strict=True)
    ]
    regret = float((np.array(gains)[segment] - model.r[segment, s, a]).sum())
    assert trace.final_regret == pytest.approx(regret, abs=1e-9 * 10_000 + 1e-6)


def test_a_run_can_be_saved_in_the_middle(tmp_path):
    learner = RBOCPDUCRL2(bonus_scale=0.2)
    whole = play(MODEL, learner, 1500, 5)
    run = Run(as_problem(MODEL), learner, 1500, 5).advance(777)
    run.save(tmp_path / "run")
    assert Run.load(tmp_path / "run").advance().trace.same_as(whole)


def test_values_are_mean_rewards_and_benchmarks_the_gains_of_the_segments():
    model = unseen_change(1000)
    trace = play(model, UCRL2(), 1000, 0)
    actions = trace.diagnostics["action"].astype(int)
    np.testing.assert_array_equal(trace.values[:500], model.r[0, 0, actions[:500]])
    np.testing.assert_array_equal(trace.values[500:], model.r[1, 0, actions[500:]])
    np.testing.assert_allclose(trace.benchmarks, np.repeat([0.6, 0.95], 500), rtol=0, atol=2e-9)


def test_states_follow_the_kernel_of_their_segment():
    """A cycle that turns round at step 7, by hand."""
    forth = np.roll(np.eye(3), 1, axis=1)[:, None]
    back = np.roll(np.eye(3), -1, axis=1)[:, None]
    model = PiecewiseStationaryMDP(np.stack([forth, back]), np.zeros((2, 3, 1)), np.array([7]))
    trace = play(model, UCRL2(), 12, 0)
    assert trace.diagnostics["state"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 0, 2, 1, 0]


def environment(model, seed=0):
    return AverageProblem(model).environment(Streams.from_seed(seed))


def test_a_decision_ends_when_the_next_pair_has_no_visits_left():
    forth = np.roll(np.eye(3), 1, axis=1)[None, :, None]
    process = environment(PiecewiseStationaryMDP(forth, np.zeros((1, 3, 1))))
    decision = AverageDecision(np.zeros(3, dtype=np.int64), np.array([[3], [2], [5]]))
    process.begin(decision)
    outcome = process.interact(decision, 100)
    assert outcome.finished
    assert outcome.observation.states.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_a_decision_ends_after_its_rounds():
    process = environment(flipping_riverswim(3, 100, 1))
    decision = AverageDecision(np.ones(3, dtype=np.int64), rounds=7)
    process.begin(decision)
    first, second = process.interact(decision, 4), process.interact(decision, 10)
    assert (first.rounds, first.finished, second.rounds, second.finished) == (4, False, 3, True)


class Caller:
    """Calls at the tenth step."""

    def __init__(self):
        self.seen = 0

    def watch(self, steps):
        first = self.seen
        self.seen += steps.rounds
        return 10 - first if first < 10 <= self.seen else -1


def test_what_lies_behind_a_monitors_call_has_never_happened():
    after = []
    for size in (1000, 1):
        process = environment(flipping_riverswim(4, 100, 1), seed=2)
        decision = AverageDecision(np.ones(4, dtype=np.int64), monitor=Caller())
        process.begin(decision)
        finished = False
        while not finished:
            *_, finished, _, _, _ = process.interact(decision, size)
        plain = AverageDecision(np.ones(4, dtype=np.int64))
        process.begin(plain)
        after.append(process.interact(plain, 50).observation.states.tolist())
    assert after[0] == after[1]


def test_exploration_plays_every_action():
    process = environment(flipping_riverswim(3, 10_000, 1))
    decision = AverageDecision(np.ones(3, dtype=np.int64), exploration=0.5)
    process.begin(decision)
    actions = process.interact(decision, 4000).observation.actions
    share = float((actions == 0).mean())
    assert abs(share - 0.25) < 0.04  # five standard deviations of 4000 draws: 0.034


def test_a_stationary_model_without_noise_gets_bernoulli_rewards():
    trace = play(average_riverswim(3), UCRL2(), 300, 0)
    assert set(trace.diagnostics["reward"]) <= {0.0, 1.0}
    assert trace.benchmark == pytest.approx(0.446809, abs=1e-6)


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        (AverageDecision(np.zeros(2, dtype=np.int64)), "decision.policy must have shape"),
        (AverageDecision(np.full(3, 2)), r"decision.policy\[0\] must be in"),
        (AverageDecision(np.zeros(3, dtype=np.int64), exploration=2.0), "decision.exploration"),
        (AverageDecision(np.zeros(3, dtype=np.int64), rounds=0), "decision.rounds"),
    ],
)
def test_decisions_that_do_not_fit_are_refused(decision, text):
    with pytest.raises(ValueError, match=text):
        environment(flipping_riverswim(3, 100, 1)).begin(decision)


def test_a_model_with_an_infinite_diameter_is_refused():
    with pytest.raises(ValueError, match=r"P\[0\] must be communicating"):
        as_problem(AverageRewardMDP(np.eye(2)[:, None], np.zeros((2, 1))))


def test_a_study_of_runs_on_a_changing_model(tmp_path):
    learners = {"ucrl": UCRL2(), "restarts": RBOCPDUCRL2()}
    data = Study({"flip": as_problem(MODEL)}, learners, 300, 2).run(store=tmp_path / "store", workers=1)
    final = play(MODEL, UCRL2(), 300, 1).final_regret
    assert float(data.regret.sel(learner="ucrl", seed=1).isel(round=-1, instance=0)) == pytest.approx(final)
