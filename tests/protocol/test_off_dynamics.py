"""Off-dynamics learning: what a learner is told, and how it is scored."""

import numpy as np
import pytest

from theoryrl.instances import five_state, random_robust_linear
from theoryrl.learners import DRRPO
from theoryrl.models import MixturePolicy, Policy
from theoryrl.protocol import EpisodicDecision, OffDynamicsProblem, as_problem, play
from theoryrl.solvers import robust_policy_evaluation, robust_value_iteration


def test_a_robust_linear_model_poses_an_off_dynamics_problem():
    problem = as_problem(five_state(), "five")
    assert isinstance(problem, OffDynamicsProblem)
    assert problem.key == "five"
    assert problem.benchmark == pytest.approx(robust_value_iteration(five_state()).start_value)


def test_the_spec_tells_all_but_the_factors():
    model = five_state(radius=0.6, temperature=0.1)
    spec = OffDynamicsProblem(model).spec(7)
    assert (spec.rounds, spec.fail_state, spec.temperature, spec.shape) == (7, 3, 0.1, (3, 5, 16, 4))
    np.testing.assert_array_equal(spec.theta, model.nominal.theta)
    np.testing.assert_array_equal(spec.caps, [3, 2, 1, 0])
    assert not hasattr(spec, "mu")


def test_a_policy_is_scored_by_its_worst_kernel_and_never_above_the_benchmark():
    model = random_robust_linear(seed=11)
    problem, rng = OffDynamicsProblem(model), np.random.default_rng(0)
    for _ in range(10):
        policy = Policy(rng.dirichlet(np.ones(4), size=(4, 8)))
        value = problem.value(EpisodicDecision(policy))
        assert value == pytest.approx(robust_policy_evaluation(model, policy).start_value, abs=1e-10)
        assert value <= problem.benchmark + 1e-10
        assert problem.value(EpisodicDecision(policy)) == value


def test_a_mixture_has_no_robust_value_that_is_an_average():
    mixture = MixturePolicy(np.array([0.5, 0.5]), [Policy.uniform(5, 16), Policy.uniform(5, 16)])
    with pytest.raises(ValueError, match="robust value of a mixture"):
        OffDynamicsProblem(five_state()).value(EpisodicDecision(mixture))


def test_one_episode_at_a_time_is_the_same_run():
    model = five_state(radius=0.6, temperature=0.1)
    assert play(model, DRRPO(), 15, 2).same_as(play(model, DRRPO(), 15, 2, stepwise=True))
