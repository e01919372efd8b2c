"""What every discounted solver proves is true, compared with rational arithmetic.

A float64 is a rational number, so policy iteration over fractions gives *the* optimal values of the model
that the arrays describe: bounds are compared with them exactly, without a tolerance.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.sparse import csr_array

from tests.exact import (
    exact_discounted_policy_values,
    exact_discounted_values,
    one_hot,
    stationary_deterministic_policies,
)
from tests.generators import discounted_recipes, random_discounted
from theoryrl.models import DeterministicPolicy, DiscountedMDP, Policy
from theoryrl.solvers import METHODS, NotConvergedError, discounted, solve

ITERATIVE = [key for key in METHODS[DiscountedMDP] if key != "linear-program"]
EVALUATIONS = ("lu", "krylov")
TOL = 1e-6

every_method = pytest.mark.parametrize("method", METHODS[DiscountedMDP])


def assert_true(solution, mdp, tol, exact=None):
    """Bounds contain the optimum and the value of the policy; the error is at most the tolerance."""
    exact = exact_discounted_values(mdp) if exact is None else exact
    achieved = exact_discounted_policy_values(mdp, one_hot(solution.policy.actions, mdp.n_actions))
    assert mdp.mask[np.arange(mdp.n_states), solution.policy.actions].all()
    for s in range(mdp.n_states):
        lower, upper = Fraction(float(solution.lower[s])), Fraction(float(solution.upper[s]))
        assert lower <= exact[s] <= upper
        assert lower <= achieved[s] <= exact[s]
        assert abs(Fraction(float(solution.value[s])) - exact[s]) <= Fraction(tol)
    assert solution.gap <= 2 * tol


@given(recipe=discounted_recipes())
@settings(max_examples=40)
def test_bounds_hold_for_every_method_and_kind_of_model(recipe):
    mdp = random_discounted(**recipe)
    exact = exact_discounted_values(mdp)
    slow = mdp.gamma > 0.999
    for method in METHODS[DiscountedMDP]:
        if slow and method in ("modified-policy-iteration", "value-iteration", "gauss-seidel", "anderson"):
            continue  # their sweeps are many; the next test bounds them
        assert_true(solve(mdp, method, tol=TOL), mdp, TOL, exact)
    for evaluation in EVALUATIONS:
        answer = discounted.policy_iteration(mdp, TOL, evaluation=evaluation)
        assert_true(answer, mdp, TOL, exact)
    assert_true(discounted.linear_program(mdp, TOL, formulation="primal"), mdp, TOL, exact)


@given(recipe=discounted_recipes(gammas=(0.9, 0.9999)))
@settings(max_examples=25)
def test_bounds_hold_after_any_number_of_sweeps(recipe):
    """What is attached to `NotConvergedError` is proven as well, from the first sweep on."""
    mdp = random_discounted(**recipe)
    exact = exact_discounted_values(mdp)
    for method in ITERATIVE:
        for sweeps in (1, 2, 5):
            try:
                answer = solve(mdp, method, tol=1e-9, max_sweeps=sweeps)
            except NotConvergedError as stopped:
                answer = stopped.solution
                assert answer.gap > 2e-9
            lower, upper = answer.lower.tolist(), answer.upper.tolist()
            assert all(Fraction(a) <= v <= Fraction(b) for a, v, b in zip(lower, exact, upper, strict=True))


def test_the_optimum_is_the_best_of_all_policies():
    """Brute force; 27 policies of three states."""
    for seed in range(4):
        mdp = random_discounted(seed, S=3, A=3, gamma=0.95, signed=True, csr=seed % 2 == 1)
        every = [
            exact_discounted_policy_values(mdp, one_hot(actions, 3))
            for actions in stationary_deterministic_policies(mdp)
        ]
        assert_true(solve(mdp, tol=1e-9), mdp, 1e-9, np.max(every, axis=0))


def nearly_decomposable():
    """Two halves that exchange one visit in 10^8 steps."""
    P = np.zeros((4, 2, 4))
    for s in range(4):
        half = s // 2
        P[s, 0, 2 * half : 2 * half + 2] = (0.5, 0.5)
        P[s, 1, 2 * half : 2 * half + 2] = (0.75, 0.25)
        P[s, :, (s + 2) % 4] += 2.0**-27
        P[s, :, s] -= 2.0**-27
    return P, np.array([[0.0, 0.1], [0.2, 0.0], [1.0, 0.9], [0.3, 0.8]])


def absorbing():
    """A state that keeps, one that leads there, one that may wait."""
    P = np.zeros((3, 2, 3))
    P[0, :, 0] = 1
    P[1, 0, 0], P[1, 1, 1] = 1, 1
    P[2, 0, 1], P[2, 1, 2] = 1, 1
    return P, np.array([[0.0, 0.0], [1.0, 0.5], [0.0, 0.499]])


def cycle():
    """A periodic chain of three states, with a way to stand still."""
    P = np.zeros((3, 2, 3))
    for s in range(3):
        P[s, 0, (s + 1) % 3], P[s, 1, s] = 1, 1
    return P, np.array([[0.0, 0.3], [1.0, 0.0], [0.0, 0.5]])


ILL_CONDITIONED = {
    "nearly decomposable": nearly_decomposable(),
    "absorbing": absorbing(),
    "cycle": cycle(),
    "zero rewards": (cycle()[0], np.zeros((3, 2))),
    "constant rewards": (nearly_decomposable()[0], np.full((4, 2), 0.7)),
    "ties": (np.repeat(cycle()[0][:, :1], 2, axis=1), np.repeat(cycle()[1][:, :1], 2, axis=1)),
    "one state": (np.ones((1, 2, 1)), np.array([[0.25, 0.75]])),
    "large rewards": (nearly_decomposable()[0], 1e3 * nearly_decomposable()[1]),
}


@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("key", ILL_CONDITIONED)
def test_ill_conditioned_models_with_gamma_near_one(key, csr):
    """1 / (1 - gamma) is 10^4: a residual of 10^-10 is an error of 10^-6.

    Without the methods whose sweeps are proportional to 1 / (1 - gamma) on chains that do not mix.
    """
    P, r = ILL_CONDITIONED[key]
    mdp = DiscountedMDP(csr_array(P.reshape(-1, P.shape[2])) if csr else P, r, 0.9999)
    exact = exact_discounted_values(mdp)
    for method in ("auto", "policy-iteration", "linear-program", "anderson"):
        tol = TOL * max(1.0, float(r.max()))
        assert_true(solve(mdp, method, tol=tol), mdp, tol, exact)


@given(recipe=discounted_recipes(gammas=(0.9, 0.999)))
@settings(max_examples=25)
def test_a_given_policy_is_evaluated_within_its_bounds(recipe):
    mdp = random_discounted(**recipe)
    rng = np.random.default_rng(recipe["seed"])
    weights = (rng.random(mdp.r.shape) + 0.01) * mdp.mask
    for policy in (
        Policy(weights / weights.sum(axis=1, keepdims=True)),
        DeterministicPolicy(mdp.mask.argmax(axis=1), mdp.n_actions),
    ):
        answer = discounted.policy_evaluation(mdp, policy, 1e-8)
        exact = exact_discounted_policy_values(mdp, policy.probabilities)
        for value, lower, v, upper in zip(answer.value, answer.lower, exact, answer.upper, strict=True):
            assert Fraction(float(lower)) <= v <= Fraction(float(upper))
            assert abs(Fraction(float(value)) - v) <= Fraction(1e-8)
        rho = np.full(mdp.n_states, 1 / mdp.n_states)
        occupancy = discounted.occupancy_measure(mdp, policy, rho)
        pairs = zip(occupancy.measure.flat, mdp.r.flat, strict=True)
        earned = sum(Fraction(float(d)) * Fraction(float(x)) for d, x in pairs)
        start = sum(Fraction(float(p)) * v for p, v in zip(rho, exact, strict=True))
        assert abs(earned - start) <= Fraction(occupancy.error) * Fraction(float(np.abs(mdp.r).max()))
        assert occupancy.error <= 1e-7


def test_a_larger_chain_is_evaluated_without_a_factorisation(monkeypatch):
    """The iterative path of `policy_evaluation`, against the direct one."""
    from theoryrl.solvers.discounted import evaluation

    mdp = random_discounted(3, S=40, A=3, gamma=0.99, csr=True)
    policy = DeterministicPolicy(np.zeros(40, dtype=np.int64), 3)
    direct = discounted.policy_evaluation(mdp, policy, 1e-9)
    monkeypatch.setattr(evaluation, "SMALL", 0)
    iterated = discounted.policy_evaluation(mdp, policy, 1e-9)
    assert (iterated.lower <= direct.upper).all()
    assert (direct.lower <= iterated.upper).all()


def test_rows_that_do_not_quite_sum_to_one_are_covered():
    """gamma (1 + tau) instead of gamma moves values by about tau gamma / (1 - gamma)^2 = 10^-3 here."""
    P, r = nearly_decomposable()
    P = P * (1 + 9e-11)
    mdp = DiscountedMDP(P, r, 0.9999)
    assert 8.9e-11 < mdp.row_sum_error < 9.2e-11
    answer = solve(mdp, tol=1e-1)
    assert_true(answer, mdp, 1e-1)
    with pytest.raises(NotConvergedError, match="rounding in float64 prevents"):
        solve(mdp, tol=1e-6)
