"""What MEX says when its class does not fit the truth, and prices that change along a run."""

from dataclasses import dataclass

import numpy as np
import pytest

from theoryrl.instances import (
    nearby_models,
    perturbed_values,
    random_linear,
    risky_arms,
    risky_arms_class,
    sparse_rewards,
)
from theoryrl.learners import MEX, LevelSetOFU, ProductGOLF
from theoryrl.learners.mex import play_whole
from theoryrl.models import FiniteModelClass, LinearMDP, LinearQClass, ProductQClass, TabularModelClass
from theoryrl.protocol import EpisodicProblem, play

RISKY, ARMS = risky_arms(), risky_arms_class()
SPARSE = sparse_rewards()
FUNCTIONS = perturbed_values(SPARSE, size=6)
INCOMPLETE = ProductQClass(FUNCTIONS.F)
UNREALIZABLE = FiniteModelClass(ARMS.P[:-1], ARMS.r[:-1], ARMS.rho)


@pytest.mark.parametrize("learner", [MEX(hypotheses=INCOMPLETE), ProductGOLF(hypotheses=INCOMPLETE)])
def test_an_incomplete_class_is_played_with_a_warning_and_without_a_guarantee(learner):
    with pytest.warns(UserWarning, match=r"no theorem applies: G\[0\] must hold the backup .* not complete"):
        trace = play(SPARSE, learner, 3)
    assert learner.guaranteed
    assert not trace.guaranteed


@pytest.mark.parametrize("learner", [MEX(hypotheses=UNREALIZABLE), LevelSetOFU(hypotheses=UNREALIZABLE)])
def test_an_unrealizable_class_is_played_with_a_warning_and_without_a_guarantee(learner):
    with pytest.warns(UserWarning, match="no theorem applies: the true model is not in hypotheses"):
        assert not play(RISKY, learner, 3).guaranteed


def test_the_compiled_run_warns_too():
    with pytest.warns(UserWarning, match="the true model is not in hypotheses"):
        trace = play_whole(EpisodicProblem(RISKY), MEX(hypotheses=UNREALIZABLE), 3)
    assert not trace.guaranteed


def test_a_product_class_without_the_optimal_values_says_so():
    without = ProductQClass(FUNCTIONS.F[:, :-1], FUNCTIONS.G)
    with pytest.warns(UserWarning, match=r"Q\* is not in hypotheses"):
        assert not play(SPARSE, MEX(hypotheses=without), 3).guaranteed


def test_a_class_that_fits_is_played_without_a_warning():
    assert play(RISKY, MEX(hypotheses=ARMS), 3).guaranteed
    assert play(SPARSE, MEX(hypotheses=FUNCTIONS), 3).guaranteed


def test_a_class_around_another_truth_is_not_realizable():
    other = nearby_models(SPARSE, size=3)
    assert MEX(hypotheses=other).broken_assumptions(EpisodicProblem(SPARSE)) == ()
    moved = sparse_rewards(seed=1)
    assert MEX(hypotheses=other).broken_assumptions(EpisodicProblem(moved))


@dataclass(frozen=True)
class InverseRoot:
    """eta_k = scale / sqrt k."""

    scale: float

    def __call__(self, k):
        return self.scale / np.sqrt(k)


def test_eta_may_be_a_function_of_the_episode():
    learner = MEX(hypotheses=ARMS, eta=InverseRoot(2.0))
    trace = play(RISKY, learner, 50, seed=1)
    np.testing.assert_allclose(trace.diagnostics["eta"], 2.0 / np.sqrt(np.arange(1, 51)), rtol=1e-15)
    assert trace.same_as(play_whole(EpisodicProblem(RISKY, trace.problem), learner, 50, 1))
    assert not trace.guaranteed


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_a_function_that_returns_no_positive_number_is_refused_where_it_does(value):
    with pytest.raises(ValueError, match="eta must be"):
        play(RISKY, MEX(hypotheses=ARMS, eta=lambda k: 1.0 if k < 3 else value), 5)


def test_over_aggregated_features_the_gap_is_certified_and_over_others_none_is_claimed():
    rng = np.random.default_rng(0)
    phi = np.eye(4)[rng.permutation(8) % 4].reshape(4, 2, 4)
    model = LinearMDP(phi, rng.random((3, 4)), rng.dirichlet(np.ones(4), size=(3, 4)), np.eye(4)[0])
    learner = MEX(hypotheses=LinearQClass(), eta=0.3)
    trace = play(model, learner, 60, seed=0)
    assert trace.diagnostics["gap"].min() >= 0
    assert trace.diagnostics["gap"][-1] < trace.diagnostics["upper"][-1] / 2
    assert trace.same_as(play(model, learner, 60, seed=0, stepwise=True))
    assert "gap" not in play(random_linear(), learner, 3).diagnostics


def test_restarts_never_lower_the_objective_and_are_for_kernels():
    with pytest.raises(ValueError, match="restarts are for a TabularModelClass"):
        MEX(restarts=1)
    with pytest.raises(ValueError, match="restarts must be"):
        MEX(hypotheses=TabularModelClass(), restarts=-1)
    trace = play(SPARSE, MEX(hypotheses=TabularModelClass(), eta=0.1, restarts=2), 40, seed=0)
    assert trace.diagnostics["gap"].min() >= 0
    assert trace.same_as(
        play(SPARSE, MEX(hypotheses=TabularModelClass(), eta=0.1, restarts=2), 40, seed=0, stepwise=True)
    )
