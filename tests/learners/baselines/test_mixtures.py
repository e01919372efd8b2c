"""The baseline alone, and the whole-episode mixtures with UCBVI."""

import numpy as np
import pytest

from tests.learners.baselines.models import ROUNDING, conservative, episodes, hazard, illustrative, random_mdp
from theoryrl.learners.baselines import UCBVI, AlwaysBaseline, FixedMixture, OracleMixture
from theoryrl.models import MixturePolicy
from theoryrl.protocol import EpisodicProblem, play
from theoryrl.solvers.episodic import policy_value

BOLD = illustrative(UCBVI, bonus_scale=0.01)


def test_always_baseline_has_the_linear_regret_of_the_baseline():
    problem = hazard()
    trace = play(problem, AlwaysBaseline(), 50_000)
    assert trace.values == pytest.approx(2.5, abs=ROUNDING)
    assert trace.final_regret == pytest.approx(50_000 * (problem.benchmark - 2.5), rel=1e-12)
    assert len(trace.lengths) == 1


def test_a_fixed_mixture_is_worth_the_weighted_average():
    problem = hazard()
    for state, decision, _ in episodes(problem, FixedMixture(epsilon=0.3, optimist=BOLD), 200, seed=0):
        bold = policy_value(problem.mdp, state.optimist.policy)
        assert problem.value(decision) == pytest.approx(0.3 * bold + 0.7 * 2.5, abs=ROUNDING)


def test_without_weight_a_fixed_mixture_is_ucbvi_itself():
    """Bit for bit, the coin being a stream of its own."""
    problem = hazard()
    mixed = play(problem, FixedMixture(epsilon=1.0, optimist=BOLD), 500, 3)
    np.testing.assert_array_equal(mixed.values, play(problem, BOLD, 500, 3).values)


def test_the_oracle_mixture_is_worth_exactly_the_threshold_whenever_it_mixes():
    for problem in (hazard(), conservative(1, kappa=0.1), conservative(2, kappa=0.1)):
        mixed = pure = 0
        for _, decision, _ in episodes(problem, OracleMixture(mdp=problem.mdp, optimist=BOLD), 300, seed=0):
            value = problem.value(decision)
            if isinstance(decision.policy, MixturePolicy):
                assert value == pytest.approx(problem.threshold, abs=ROUNDING)
                mixed += 1
            else:
                assert value >= problem.threshold
                pure += 1
        assert mixed + pure == 300
        if problem.key == "hazard":
            assert mixed > 0


def test_the_oracle_mixture_loses_less_than_always_playing_the_baseline():
    """With the trap on the way the baseline is optimal on hazard; a random model is not so."""
    problem = conservative(1, kappa=0.1)
    oracle = play(problem, OracleMixture(mdp=problem.mdp, optimist=BOLD), 5000)
    assert oracle.values.min() >= problem.threshold - ROUNDING
    assert oracle.final_regret < 0.5 * play(problem, AlwaysBaseline(), 5000).final_regret


@pytest.mark.parametrize(
    "learner",
    [AlwaysBaseline(), FixedMixture(optimist=illustrative(UCBVI, bonus_scale=0.01, refresh_growth=0.3))],
)
def test_held_and_stepwise_runs_agree(learner):
    problem = hazard()
    whole = play(problem, learner, 300, 5)
    assert whole.same_as(play(problem, learner, 300, 5, stepwise=True))


def test_guarantee_follows_the_optimistic_part():
    assert FixedMixture().guaranteed
    assert not FixedMixture(optimist=BOLD).guaranteed


def test_what_is_missing_is_named():
    plain = EpisodicProblem(random_mdp(0))
    with pytest.raises(ValueError, match=r"always-baseline needs .*spec\.baseline is None"):
        play(plain, AlwaysBaseline(), 5)
    with pytest.raises(ValueError, match=r"oracle-mixture needs .*spec\.threshold is None"):
        play(plain, OracleMixture(mdp=plain.mdp), 5)
    with pytest.raises(ValueError, match=r"mdp must have \(H, S, A\) = \(5, 2, 2\)"):
        play(hazard(), OracleMixture(mdp=plain.mdp), 5)
    with pytest.raises(ValueError, match="epsilon"):
        FixedMixture(epsilon=1.5)
    with pytest.raises(ValueError, match="optimist must be a UCBVI; got int"):
        FixedMixture(optimist=3)
