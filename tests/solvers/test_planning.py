"""Optimal values and values of policies are the exact ones, up to a certificate that is kept."""

import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exact import (
    all_deterministic_policies,
    exact_optimal_values,
    exact_policy_values,
    path_return,
    paths,
    rational,
    rounding,
)
from tests.generators import random_mdp, random_mixture, random_policy, recipes, seeds
from theoryrl.models import ConservativeMDP, DeterministicPolicy, EpisodicMDP, MixturePolicy, Policy
from theoryrl.solvers import (
    backward_induction,
    linear_program,
    markov_value,
    policy_evaluation,
    policy_value,
    solve,
    suboptimality_gaps,
)

PROGRAM_MODULE = sys.modules["theoryrl.solvers.episodic.linear_program"]
"""The module, which the function of the same name hides."""

LINEAR_PROGRAM = 1e-6
"""HiGHS stops at primal and dual infeasibilities of 1e-7; a tiny model adds up a few of them."""


def value_rounding(mdp):
    """Twice the rounding of H sums with S + A + 2 operations each, on values of at most H."""
    return 2 * rounding(mdp.horizon, mdp.n_states + mdp.n_actions + 2, scale=mdp.horizon)


def assert_contains(solution, exact):
    """The certificate contains the exact values, entry by entry, in rational arithmetic."""
    assert (rational(solution.lower) <= exact).all()
    assert (rational(solution.upper) >= exact).all()


def start(mdp, values):
    return rational(mdp.rho) @ values[0]


@given(recipe=recipes())
def test_the_certificate_of_backward_induction_contains_the_exact_optimum(recipe):
    mdp = random_mdp(**recipe)
    solution = backward_induction(mdp)
    exact = exact_optimal_values(mdp)
    assert_contains(solution, exact)
    low, high = solution.start_bounds
    assert Fraction(low) <= start(mdp, exact) <= Fraction(high)
    assert solution.gap <= 100 * value_rounding(mdp)


@given(recipe=recipes(), seed=seeds)
def test_the_certificate_of_policy_evaluation_contains_the_exact_value(recipe, seed):
    mdp = random_mdp(**recipe)
    policy = random_policy(np.random.default_rng(seed), *mdp.r.shape)
    solution = policy_evaluation(mdp, policy)
    exact = exact_policy_values(mdp, policy)
    assert_contains(solution, exact)
    low, high = solution.start_bounds
    assert Fraction(low) <= start(mdp, exact) <= Fraction(high)


@given(recipe=recipes(), seed=seeds)
def test_the_certificate_of_a_mixture_contains_the_weighted_average(recipe, seed):
    mdp = random_mdp(**recipe)
    mixture = random_mixture(np.random.default_rng(seed), *mdp.r.shape)
    exact = sum(
        w * exact_policy_values(mdp, policy)
        for w, policy in zip(rational(mixture.weights), mixture.policies, strict=True)
    )
    assert_contains(policy_evaluation(mdp, mixture), exact)


def test_the_certificate_of_a_mixture_survives_cancellation():
    """Values of 20 and -6.7 average to zero; their rounding does not."""
    H = 200
    mdp = EpisodicMDP(np.ones((H, 1, 2, 1)), np.tile([0.1, -0.1], (H, 1, 1)), [1.0], reward_range=(-1.0, 1.0))
    policies = [DeterministicPolicy([0], 2), Policy([[1 / 3, 2 / 3]])]
    mixture = MixturePolicy([0.25, 0.75], policies)
    first, second = (exact_policy_values(mdp, policy) for policy in policies)
    solution = policy_evaluation(mdp, mixture)
    assert np.abs(solution.value).max() < 1e-9
    assert_contains(solution, (first + 3 * second) / 4)


@settings(max_examples=25)
@given(recipe=recipes(max_horizon=3, max_states=2, max_actions=2))
def test_backward_induction_beats_every_deterministic_policy_and_is_one_of_them(recipe):
    mdp = random_mdp(**recipe)
    best = max(start(mdp, exact_policy_values(mdp, policy)) for policy in all_deterministic_policies(mdp))
    solution = backward_induction(mdp)
    assert abs(Fraction(solution.start_value) - best) <= value_rounding(mdp)
    own = start(mdp, exact_policy_values(mdp, solution.policy))
    assert best - value_rounding(mdp) <= own <= best


@settings(max_examples=40)
@given(recipe=recipes(max_horizon=3, max_states=3, max_actions=2), seed=seeds)
def test_the_value_of_a_policy_is_the_average_return_over_all_paths(recipe, seed):
    mdp = random_mdp(**recipe)
    policy = random_policy(np.random.default_rng(seed), *mdp.r.shape, sparse=True)
    average = sum(p * path_return(mdp, path) for path, p in paths(mdp, policy.probabilities))
    assert abs(Fraction(policy_evaluation(mdp, policy).start_value) - average) <= value_rounding(mdp)
    assert abs(Fraction(policy_value(mdp, policy)) - average) <= value_rounding(mdp)


@given(recipe=recipes(), seed=seeds)
def test_the_fast_path_returns_the_same_start_value_for_every_kind_of_policy(recipe, seed):
    mdp = random_mdp(**recipe)
    mixture = random_mixture(np.random.default_rng(seed), *mdp.r.shape, size=4)
    for policy in (*mixture.policies, DeterministicPolicy([0] * mdp.n_states, mdp.n_actions)):
        full = policy_evaluation(mdp, policy).start_value
        assert abs(markov_value(mdp, policy) - full) <= value_rounding(mdp)
    assert abs(policy_value(mdp, mixture) - policy_evaluation(mdp, mixture).start_value) <= value_rounding(
        mdp
    )


@given(recipe=recipes())
def test_the_solution_satisfies_bellmans_equations(recipe):
    mdp = random_mdp(**recipe)
    solution = backward_induction(mdp)
    following = np.vstack([solution.value[1:], np.zeros(mdp.n_states)])
    Q = mdp.r + np.einsum("hsat,ht->hsa", mdp.P, following)
    np.testing.assert_allclose(solution.action_values, Q, rtol=0, atol=value_rounding(mdp))
    np.testing.assert_array_equal(solution.value, solution.action_values.max(axis=-1))
    np.testing.assert_array_equal(solution.policy.actions, solution.action_values.argmax(axis=-1))
    assert solution.iterations == mdp.horizon


def test_ties_go_to_the_lowest_index():
    mdp = EpisodicMDP(np.ones((2, 1, 3, 1)), [[[0.0, 0.5, 0.5]], [[1.0, 1.0, 1.0]]], [1.0])
    np.testing.assert_array_equal(backward_induction(mdp).policy.actions, [[1], [0]])


@settings(max_examples=40)
@given(recipe=recipes())
def test_the_linear_program_agrees_and_its_bounds_contain_the_exact_optimum(recipe):
    mdp = random_mdp(**recipe)
    program, induction = linear_program(mdp), backward_induction(mdp)
    assert_contains(program, exact_optimal_values(mdp))
    np.testing.assert_allclose(program.value, induction.value, rtol=0, atol=LINEAR_PROGRAM)
    assert program.gap <= LINEAR_PROGRAM
    # The program's policy is good from every state, not only on the way from rho.
    own = policy_evaluation(mdp, program.policy).value
    np.testing.assert_allclose(own, induction.value, rtol=0, atol=LINEAR_PROGRAM)


@given(recipe=recipes(), seed=seeds)
def test_the_bounds_of_the_linear_program_hold_whatever_its_solver_returns(recipe, seed):
    """Weak duality needs no optimality: any mass gives a policy, and any prices an upper bound."""
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)

    def careless(cost, A_eq, b_eq, method):
        prices = SimpleNamespace(marginals=rng.normal(size=len(b_eq)))
        return SimpleNamespace(status=0, nit=0, x=rng.random(len(cost)), eqlin=prices)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PROGRAM_MODULE, "linprog", careless)
        assert_contains(linear_program(mdp), exact_optimal_values(mdp))


def test_a_linear_program_without_an_answer_is_an_error(monkeypatch):
    failed = SimpleNamespace(status=4, message="numerical trouble")
    monkeypatch.setattr(PROGRAM_MODULE, "linprog", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match="the occupancy program was not solved: numerical trouble"):
        linear_program(random_mdp(0))


@given(recipe=recipes())
def test_gaps_are_zero_on_the_best_action_and_nowhere_negative(recipe):
    mdp = random_mdp(**recipe)
    gaps = suboptimality_gaps(mdp)
    assert gaps.min() >= 0
    np.testing.assert_array_equal(gaps.min(axis=-1), 0)
    best = backward_induction(mdp).policy.probabilities > 0
    np.testing.assert_array_equal(gaps[best], 0)


@given(recipe=recipes(), shift=st.floats(-1, 1))
def test_a_constant_added_to_every_reward_is_earned_at_every_stage(recipe, shift):
    mdp = random_mdp(**recipe)
    shifted = EpisodicMDP(mdp.P, mdp.r + shift, mdp.rho, reward_range=(-3.0, 3.0))
    stages_left = np.arange(mdp.horizon, 0, -1)[:, None]
    np.testing.assert_allclose(
        backward_induction(shifted).value,
        backward_induction(mdp).value + shift * stages_left,
        rtol=0,
        atol=4 * value_rounding(mdp),
    )


@given(recipe=recipes(), seed=seeds)
def test_relabelling_states_and_actions_changes_nothing(recipe, seed):
    mdp = random_mdp(**recipe)
    rng = np.random.default_rng(seed)
    s, a = rng.permutation(mdp.n_states), rng.permutation(mdp.n_actions)
    relabelled = EpisodicMDP(
        mdp.P[:, s][:, :, a][:, :, :, s], mdp.r[:, s][:, :, a], mdp.rho[s], mdp.reward_range
    )
    np.testing.assert_allclose(
        backward_induction(relabelled).value,
        backward_induction(mdp).value[:, s],
        rtol=0,
        atol=2 * value_rounding(mdp),
    )


@pytest.mark.parametrize("evaluate", [policy_evaluation, policy_value])
def test_policies_of_other_sizes_are_refused(evaluate):
    mdp = random_mdp(0, H=3, S=3, A=2)
    with pytest.raises(
        ValueError, match=r"policy has \(S, A\) = \(2, 2\); the model has \(S, A\) = \(3, 2\)"
    ):
        evaluate(mdp, Policy.uniform(2, 2))
    with pytest.raises(ValueError, match="policy has 4 stages; the model has 3"):
        evaluate(mdp, DeterministicPolicy(np.zeros((4, 3), int), 2))
    with pytest.raises(ValueError, match="policy has 4 stages; the model has 3"):
        evaluate(mdp, MixturePolicy([0.5, 0.5], [Policy.uniform(3, 2), Policy(np.full((4, 3, 2), 0.5))]))


def test_solve_chooses_by_name():
    mdp = random_mdp(0)
    assert solve(mdp).method == "backward induction"
    assert solve(mdp, "backward-induction").method == "backward induction"
    assert solve(mdp, "linear-program").method == "linear program"
    conservative = ConservativeMDP(mdp, Policy.uniform(3, 2), 0.0)
    assert solve(conservative).start_value == solve(mdp).start_value
    with pytest.raises(KeyError, match=r"unknown method 'linear-programm'; did you mean linear-program\?"):
        solve(mdp, "linear-programm")
    with pytest.raises(TypeError, match=r"solve takes a model of theoryrl\.models; got int"):
        solve(3)
