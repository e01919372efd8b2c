"""Constrained MDPs: the program's policy and prices, against brute force over deterministic policies.

A randomised policy can reach exactly the convex hull of what deterministic ones reach, so with one
constraint the optimum is the best mixture of two points (value, constraint value).
"""

import itertools

import numpy as np
import pytest

from tests.exact import all_deterministic_policies, stationary_deterministic_policies
from tests.generators import random_discounted, random_mdp
from theoryrl.models import ConstrainedMDP, DeterministicPolicy, EpisodicMDP
from theoryrl.solvers import InfeasibleError, constrained_linear_program, discounted, policy_value, solve

SOLVER = 1e-6
"""Feasibility and optimality tolerance of HiGHS (10^-7), times the few steps of these models."""


def reached_episodic(mdp, rewards):
    other = EpisodicMDP(mdp.P, rewards, mdp.rho)
    return [(policy_value(mdp, p), policy_value(other, p)) for p in all_deterministic_policies(mdp)]


def reached_discounted(mdp, rewards, rho):
    points = []
    for actions in stationary_deterministic_policies(mdp):
        d = discounted.occupancy_measure(mdp, DeterministicPolicy(actions, mdp.n_actions), rho).measure
        points.append(((d * mdp.r).sum(), (d * rewards).sum()))
    return points


def best_mixture(points, threshold):
    feasible = [value for value, earned in points if earned >= threshold]
    for (v, e), (w, f) in itertools.permutations(points, 2):
        if e > threshold > f:
            share = (threshold - f) / (e - f)
            feasible.append(share * v + (1 - share) * w)
    return max(feasible)


def problems():
    for seed in range(6):
        mdp = random_mdp(seed, H=2, S=2, A=2)
        rewards = np.random.default_rng(seed + 100).random(mdp.r.shape)
        yield mdp, rewards, None, reached_episodic(mdp, rewards)
        chain = random_discounted(seed, S=3, A=2, gamma=0.8, csr=seed % 2 == 1, masked=seed % 3 == 2)
        rewards = np.random.default_rng(seed + 200).random(chain.r.shape)
        rho = np.array([0.5, 0.25, 0.25])
        yield chain, rewards, rho, reached_discounted(chain, rewards, rho)


@pytest.mark.parametrize("strictness", [0.0, 0.5, 0.9])
def test_the_optimum_is_the_best_mixture_of_two_deterministic_policies(strictness):
    for mdp, rewards, rho, points in problems():
        earned = [e for _, e in points]
        threshold = min(earned) + strictness * (max(earned) - min(earned))
        answer = constrained_linear_program(ConstrainedMDP(mdp, rewards[None], [threshold], rho))
        best = best_mixture(points, threshold)
        assert answer.lower <= answer.value <= answer.upper
        assert answer.upper >= best - 1e-9
        assert abs(float(answer.value) - best) <= SOLVER * (1 + answer.prices.sum())
        assert answer.upper - answer.lower <= 10 * SOLVER
        assert answer.violation <= SOLVER
        assert answer.constraint_values[0] >= threshold - answer.violation


def test_prices_are_the_slope_of_the_optimum():
    """Raising a threshold by epsilon costs price times epsilon, exactly so between two kinks."""
    for mdp, rewards, rho, points in problems():
        earned = [e for _, e in points]
        threshold = min(earned) + 0.8 * (max(earned) - min(earned))
        step = 1e-4
        here = constrained_linear_program(ConstrainedMDP(mdp, rewards[None], [threshold], rho))
        there = constrained_linear_program(ConstrainedMDP(mdp, rewards[None], [threshold + step], rho))
        fall = float(here.value - there.value)
        # Concavity: the slope lies between the prices at the two ends.
        low, high = sorted([here.prices[0], there.prices[0]])
        assert step * low - 2 * SOLVER <= fall <= step * high + 2 * SOLVER


def test_slack_constraints_cost_nothing():
    mdp = random_discounted(3, S=4, A=3, gamma=0.9)
    rho = np.full(4, 0.25)
    answer = solve(ConstrainedMDP(mdp, np.zeros((2, 4, 3)), [-1.0, -2.0], rho))
    free = solve(mdp, tol=1e-9)
    assert abs(float(answer.value) - float(rho @ free.value)) <= 1e-6
    np.testing.assert_array_equal(answer.prices, 0)
    assert answer.violation == 0


def test_two_constraints_that_cannot_both_hold_are_reported():
    mdp = random_discounted(3, S=4, A=3, gamma=0.9)
    problem = ConstrainedMDP(mdp, np.stack([mdp.r, -mdp.r]), [5.0, -1.0], np.full(4, 0.25))
    with pytest.raises(InfeasibleError, match="thresholds cannot all be reached"):
        solve(problem)


def test_a_randomised_policy_is_needed_where_the_threshold_lies_between_two_actions():
    """One state, two actions: earn 1, or satisfy the constraint. Closed form: half of each."""
    from theoryrl.models import DiscountedMDP

    mdp = DiscountedMDP(np.ones((1, 2, 1)), [[1.0, 0.0]], 0.5)
    answer = solve(ConstrainedMDP(mdp, [[[0.0, 1.0]]], [1.0], [1.0]))
    np.testing.assert_allclose(answer.policy.probabilities, [[0.5, 0.5]], atol=1e-9)
    assert float(answer.lower) <= 1.0 <= float(answer.upper) + 1e-12
    np.testing.assert_allclose(answer.prices, [1.0], atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_the_optimum_follows_shift_scale_relabelling_copies_and_shaping(seed):
    """Each change has a known effect on returns; thresholds move with what they bound."""
    from theoryrl.models import DiscountedMDP

    rng = np.random.default_rng(seed)
    mdp = random_discounted(seed, S=3, A=2, gamma=0.8)
    P, r, rewards, rho = mdp.P, mdp.r, rng.random((3, 2)), np.array([0.5, 0.25, 0.25])
    earned = [e for _, e in reached_discounted(mdp, rewards, rho)]
    threshold = min(earned) + 0.7 * (max(earned) - min(earned))

    def optimum(P, r, rewards, threshold, rho):
        model = ConstrainedMDP(DiscountedMDP(P, r, 0.8), rewards[None], [threshold], rho)
        answer = constrained_linear_program(model)
        return float(answer.value), SOLVER * (1 + answer.prices.sum())

    value, near = optimum(P, r, rewards, threshold, rho)

    def follows(expected, scale, *arguments):
        found, error = optimum(*arguments)
        assert abs(found - expected) <= scale * near + error

    follows(3 * value + 5 * 0.5, 3, P, 3 * r + 0.5, rewards, threshold, rho)
    follows(value, 1, P, r, 2 * rewards + 0.25, 2 * threshold + 5 * 0.25, rho)
    order = rng.permutation(3)
    follows(value, 1, P[order][:, :, order], r[order], rewards[order], threshold, rho[order])
    follows(value, 1, P[:, [0, 1, 0]], r[:, [0, 1, 0]], rewards[:, [0, 1, 0]], threshold, rho)
    split = np.concatenate([P, 0.75 * P[..., 2:]], axis=2)
    split[..., 2] *= 0.25
    twice = [np.concatenate([x, x[2:]]) for x in (split, r, rewards)]
    follows(value, 1, *twice, threshold, np.append(rho[:2], [rho[2] / 2, rho[2] / 2]))
    potential = rng.normal(size=3)
    shaped = r + 0.8 * P @ potential - potential[:, None]
    follows(value - rho @ potential, 1, P, shaped, rewards, threshold, rho)


@pytest.mark.parametrize("gamma", [0.99, 0.999])
def test_nearly_decomposable_models_with_gamma_near_one_are_certified(gamma):
    """The bounds are proven whatever HiGHS returns: they contain the best mixture of two policies."""
    from theoryrl.models import DiscountedMDP

    P = np.zeros((4, 2, 4))
    for s in range(4):
        half = s // 2
        P[s, 0, 2 * half : 2 * half + 2] = (0.5, 0.5)
        P[s, 1, 2 * half : 2 * half + 2] = (0.75, 0.25)
        P[s, :, (s + 2) % 4] += 2.0**-27
        P[s, :, s] -= 2.0**-27
    rng = np.random.default_rng(0)
    mdp, rewards, rho = DiscountedMDP(P, rng.random((4, 2)), gamma), rng.random((4, 2)), np.full(4, 0.25)
    points = reached_discounted(mdp, rewards, rho)
    earned = [e for _, e in points]
    threshold = 0.5 * (min(earned) + max(earned))
    answer = constrained_linear_program(ConstrainedMDP(mdp, rewards[None], [threshold], rho), tol=1e-2)
    best = best_mixture(points, threshold)
    slack = SOLVER / (1 - gamma) * (1 + answer.prices.sum())
    assert answer.lower <= best + slack
    assert answer.upper >= best - 1e-9
    assert answer.violation <= SOLVER / (1 - gamma)
