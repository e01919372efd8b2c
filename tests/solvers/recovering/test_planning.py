"""Exact optimum, relaxation and periodic planners, each against an independent answer."""

import math
from fractions import Fraction
from itertools import product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from tests.bandits import random_bandit
from tests.generators import seeds
from theoryrl.models import RecoveringBandit
from theoryrl.solvers import (
    METHODS,
    best_classes,
    correlation_gap,
    finite_horizon_value,
    fluid_bound,
    idle_time_graph,
    optimal_cycle,
    pack,
    periodic_value,
    planner_ratio,
    ppp_guarantee,
    pulls_over_time,
    purely_periodic,
    random_offsets,
    rewards_over_time,
    round_up,
    solve,
    structured_periods,
)
from theoryrl.solvers.recovering.offsets import candidates, expected_top_k

ROUNDING = 1e-12
"""Sums of at most a few hundred numbers of size one, in another order."""

HIGHS = 1e-7
"""Feasibility and optimality tolerance of HiGHS."""

small_seeds = st.integers(0, 2000)


def relaxation_by_linear_program(bandit):
    """UB as a linear program over rates of pulls z[i, d] at each idle time."""
    N, D = bandit.R.shape
    A = np.zeros((N + 1, N * D))
    for i in range(N):
        A[i, i * D : (i + 1) * D] = np.arange(1, D + 1)
    A[N] = 1
    return -linprog(-bandit.R.ravel(), A_ub=A, b_ub=np.r_[np.ones(N), bandit.K], method="highs").fun


def karp(graph):
    """Largest cycle mean of the idle-time graph by Karp's theorem (every state leads to the rested one)."""
    S = len(graph.successors)
    best = np.full((S + 1, S), -np.inf)
    best[0, graph.rested] = 0.0
    for k in range(S):
        reached = best[k][:, None] + graph.rewards
        np.maximum.at(best[k + 1], graph.successors.ravel(), reached.ravel())
    with np.errstate(invalid="ignore"):
        means = (best[S] - best[:S]) / (S - np.arange(S))[:, None]
    means[~np.isfinite(best[:S])] = np.inf
    return np.where(np.isfinite(best[S]), means.min(axis=0), -np.inf).max()


@given(seed=small_seeds)
def test_the_relaxation_equals_its_linear_program(seed):
    bandit = random_bandit(seed)
    fluid = fluid_bound(bandit)
    assert fluid.value == pytest.approx(relaxation_by_linear_program(bandit), abs=HIGHS)
    assert fluid.lower <= fluid.value <= fluid.upper
    assert fluid.gap <= 2 * ROUNDING
    x = fluid.policy
    assert x.min() >= 0
    assert x.max() <= 1 + ROUNDING
    assert x.sum() <= bandit.K + ROUNDING


@given(seed=small_seeds)
def test_at_most_one_arm_is_between_two_corners(seed):
    fluid = fluid_bound(random_bandit(seed))
    between = np.flatnonzero(fluid.below != fluid.above)
    assert between.tolist() == ([] if fluid.fractional is None else [fluid.fractional])
    assert 0 <= fluid.share < 1


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0])
def test_the_relaxation_scales_with_the_rewards(scale):
    """Collinear points are dropped relative to the largest reward, so tiny rewards lose nothing."""
    for seed in range(50):
        value = float(fluid_bound(random_bandit(seed)).value)
        scaled = float(fluid_bound(random_bandit(seed, scale=scale)).value)
        assert scaled == pytest.approx(scale * value, rel=ROUNDING)


def test_an_arm_whose_envelope_falls_is_pulled_less_often():
    """Pulling in every period would earn 0; every second period earns half of 1."""
    fluid = fluid_bound(RecoveringBandit([[0.0, 1.0]]))
    assert (fluid.value, fluid.policy[0], fluid.price) == (0.5, 0.5, 0.0)
    assert fluid_bound(RecoveringBandit([[0.0, 0.0]])).value == 0


@given(seed=small_seeds)
@settings(max_examples=60)
def test_policy_iteration_equals_karp_and_its_interval_holds_both(seed):
    bandit = random_bandit(seed)
    if np.prod(bandit.memory) > 400:
        return
    solution = optimal_cycle(bandit)
    exact = karp(idle_time_graph(bandit))
    # Karp divides differences of path rewards of size S by numbers down to 1.
    slack = 4 * 400**2 * bandit.K * 2.0**-53
    assert solution.lower - slack <= exact <= solution.upper + slack
    assert solution.gap <= 1e-11


@pytest.mark.parametrize("seed", range(6))
def test_no_cycle_beats_the_optimum_and_one_comes_close(seed):
    """networkx finds a cycle with r > lambda on average exactly for lambda below the optimum."""
    bandit = random_bandit(seed, N=3, D=3)
    solution = optimal_cycle(bandit)
    for shift, better in ((1e-6, False), (-1e-6, True)):
        graph = idle_time_graph(bandit).to_networkx()
        target = float(solution.value) + shift
        for _, _, edge in graph.edges(data=True):
            edge["weight"] = target - edge["reward"]
        assert nx.negative_edge_cycle(graph) is better


def test_the_optimum_equals_enumeration_in_rational_arithmetic():
    """All cyclic sequences up to length 6 of two arms with K = 1; the optimum has a cycle that short."""
    curves = [[Fraction(1, 8), Fraction(5, 8), Fraction(3, 4)], [Fraction(1, 4), Fraction(3, 8), Fraction(1)]]
    best = Fraction(0)
    for length in range(1, 7):
        for sequence in product((-1, 0, 1), repeat=length):
            total = Fraction(0)
            for t, arm in enumerate(sequence):
                if arm >= 0:
                    gap = next(g for g in range(1, length + 1) if sequence[t - g] == arm)
                    total += curves[arm][min(gap, 3) - 1]
            best = max(best, total / length)
    solution = optimal_cycle(RecoveringBandit(np.array(curves, dtype=float)))
    assert len(solution.policy.sets) <= 6
    assert solution.lower <= float(best) <= solution.upper


@given(seed=small_seeds)
@settings(max_examples=40)
def test_the_optimal_cycle_earns_its_value(seed):
    bandit = random_bandit(seed)
    solution = optimal_cycle(bandit)
    length = len(solution.policy.sets)
    passes = 2 + bandit.R.shape[1]
    earned = rewards_over_time(bandit, solution.policy, passes * length)[-length:].mean()
    assert earned == pytest.approx(float(solution.value), abs=ROUNDING)


@given(seed=small_seeds)
@settings(max_examples=40)
def test_finite_horizons_approach_the_optimum_from_above(seed):
    """From rest T periods earn at least T OPT minus one cycle's rewards, and at most T UB + rested means."""
    bandit = random_bandit(seed)
    optimum, fluid = optimal_cycle(bandit), fluid_bound(bandit)
    for T in (1, 7, 40):
        total = finite_horizon_value(bandit, T)
        assert total <= T * float(fluid.upper) + bandit.R.max(axis=1).sum() + ROUNDING * T
        floor = rewards_over_time(bandit, optimum.policy, T).sum()
        assert total >= floor - ROUNDING * T


def test_pulling_nothing_can_be_optimal():
    bandit = RecoveringBandit([[0.0, 0.0, 1.0]])
    solution = optimal_cycle(bandit)
    assert solution.value == pytest.approx(1 / 3)
    assert sorted(solution.policy.sets.ravel().tolist()) == [-1, -1, 0]


def test_a_graph_that_is_too_large_is_refused_with_a_way_out():
    bandit = random_bandit(2, "monotone", N=4, D=6)
    with pytest.raises(ValueError, match=r"1296 states, more than max_states = 1000; method='periodic'"):
        optimal_cycle(bandit, max_states=1000)
    assert solve(bandit, "periodic").upper >= solve(bandit).lower


def test_solve_knows_both_methods():
    assert list(METHODS[RecoveringBandit]) == ["policy-iteration", "periodic"]
    assert solve(random_bandit(0)).method == "policy iteration"


def test_rounding_up_stays_within_its_factor_and_the_factor_is_tight():
    for a in range(1, 13):
        members = set(structured_periods(a, 40_000).tolist())
        for d in range(1, 2001):
            rounded = round_up(d, a)
            assert rounded in members
            assert d <= rounded <= d * (a + 1) / a
        assert members == {d for d in range(1, 40_001) if (d >> ((d & -d).bit_length() - 1)) <= 2 * a - 1}
        d = a * 2**14 + 1
        assert round_up(d, a) / d == pytest.approx((a + 1) / a, rel=1e-3)


@given(seed=seeds)
def test_packing_uses_as_few_machines_as_the_density_of_each_odd_part_allows(seed):
    """The constructor of the schedule checks every pair; here are the counts, and the pulls themselves."""
    rng = np.random.default_rng(seed)
    periods = np.array([int(rng.choice([1, 3, 5, 7])) << int(rng.integers(0, 5)) for _ in range(20)])
    periods[rng.random(20) < 0.2] = 0
    if not periods.any():
        periods[0] = 3
    schedule = pack(periods)
    odd = [d >> ((d & -d).bit_length() - 1) if d else 0 for d in periods.tolist()]
    wanted = 0
    for j in {1, 3, 5, 7} & set(odd):
        density = sum(Fraction(1, d) for d, o in zip(periods.tolist(), odd, strict=True) if o == j)
        wanted += math.ceil(density)
    assert schedule.K == wanted
    for machine in range(schedule.K):
        assert len({o for o, m in zip(odd, schedule.machines, strict=True) if m == machine}) == 1


def test_packing_refuses_what_it_cannot_pack():
    with pytest.raises(ValueError, match=r"periods\[1\] must be in \[0, 2147483648\); got 2147483648"):
        pack(np.array([1, 2**31]))
    with pytest.raises(ValueError, match="periods must have a positive entry"):
        pack(np.array([0, 0]))


@given(seed=small_seeds, a=st.integers(1, 4), method=st.sampled_from(["grid", "round"]))
def test_a_plan_is_between_its_guarantee_and_the_optimum_and_earns_what_it_says(seed, a, method):
    bandit = random_bandit(seed, ("concave", "blocking", "monotone", "ties")[seed % 4])
    plan = purely_periodic(bandit, a, method)
    assert plan.value >= plan.guarantee - ROUNDING
    assert plan.value >= planner_ratio(bandit.K, a) * relaxation_by_linear_program(bandit) - HIGHS
    assert plan.value <= optimal_cycle(bandit).upper + ROUNDING
    assert plan.value == pytest.approx(periodic_value(bandit, plan.policy), abs=ROUNDING)
    cycle = plan.policy.cycle_length
    T = -(-(bandit.R.shape[1] + cycle) // cycle) * cycle + cycle
    earned = rewards_over_time(bandit, plan.policy, T)[-cycle:].mean()
    assert earned == pytest.approx(float(plan.value), abs=ROUNDING)
    assert pulls_over_time(bandit, plan.policy, T).max(initial=0) <= bandit.K


def test_the_best_plan_is_the_best_of_all():
    for seed in range(30):
        bandit = random_bandit(seed, "monotone")
        best = purely_periodic(bandit)
        for a in range(1, 4 * math.isqrt(bandit.K) + 5):
            for method in ("grid", "round"):
                assert best.value >= purely_periodic(bandit, a, method, "up").value


def test_curves_that_fall_are_refused_where_the_proof_needs_them_to_rise():
    bandit = RecoveringBandit([[0.5, 0.4]])
    for planner in (purely_periodic, random_offsets):
        with pytest.raises(ValueError, match=r"needs non-decreasing curves: R\[0, 1\] = 0\.4 is below"):
            planner(bandit)
    assert optimal_cycle(bandit).value == 0.5
    assert fluid_bound(bandit).value == 0.5


def test_the_guarantee_is_the_best_of_its_ratios():
    table = {1: 1 / 4, 2: 1 / 3, 3: 2 / 5, 4: 4 / 9, 5: 10 / 21, 6: 1 / 2, 9: 0.5625, 16: 0.64, 100: 0.8264}
    for K, value in table.items():
        assert ppp_guarantee(K) == pytest.approx(value, abs=5e-5)
    for K in range(1, 300):
        assert ppp_guarantee(K) == max(planner_ratio(K, a) for a in range(1, 40))
    assert (best_classes(2), best_classes(6)) == (1, 2)
    for root in range(1, 30):
        assert ppp_guarantee(root**2) == pytest.approx(1 / (1 + 1 / root) ** 2, rel=ROUNDING)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: purely_periodic(b, 0), "a must be at least 1; got 0"),
        (lambda b: purely_periodic(b, method="best-of-all"), "method must be one of grid, round, best"),
        (lambda b: purely_periodic(b, fractional="down"), "fractional must be one of up, best"),
        (lambda b: ppp_guarantee(0), "K must be at least 1; got 0"),
        (lambda b: round_up(0, 1), "d must be at least 1"),
        (lambda b: finite_horizon_value(b, 0), "T must be at least 1; got 0"),
    ],
)
def test_a_bad_argument_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_bandit(0, "concave"))


@given(seed=small_seeds)
@settings(max_examples=40)
def test_the_expected_top_k_equals_enumeration(seed):
    """All outcomes of the independent arms, each of which is absent or present in one of two ways."""
    bandit = random_bandit(seed, "monotone")
    fluid = fluid_bound(bandit)
    rates, worth = candidates(bandit, fluid)
    exact = 0.0
    for outcome in product((0, 1, 2), repeat=bandit.n_arms):
        probability = math.prod(1 - rates[i].sum() if o == 2 else rates[i, o] for i, o in enumerate(outcome))
        present = sorted((worth[i, o] for i, o in enumerate(outcome) if o < 2), reverse=True)
        exact += probability * sum(present[: bandit.K])
    assert expected_top_k(rates, worth, bandit.K) == pytest.approx(exact, abs=ROUNDING)
    offsets = random_offsets(bandit)
    assert offsets.guarantee - ROUNDING <= offsets.expected <= fluid.upper + ROUNDING


def test_the_correlation_gap_is_that_of_a_poisson_number():
    for K in (1, 2, 4, 9, 100):
        law = [math.exp(k * math.log(K) - K - math.lgamma(k + 1)) for k in range(K)]
        missing = sum((K - k) * p for k, p in enumerate(law))
        assert correlation_gap(K) == pytest.approx(1 - missing / K, abs=1e-10)
    assert correlation_gap(1) == pytest.approx(1 - math.exp(-1))


@given(seed=small_seeds)
@settings(max_examples=40)
def test_neither_optimum_nor_bound_depends_on_the_order_of_the_arms_or_on_arms_that_pay_nothing(seed):
    bandit = random_bandit(seed, N=3, D=4)
    order = np.random.default_rng(seed).permutation(3)
    idle = np.vstack([bandit.R, np.zeros((1, 4))])
    for other in (RecoveringBandit(bandit.R[order], bandit.K), RecoveringBandit(idle, bandit.K)):
        assert optimal_cycle(other).value == pytest.approx(float(optimal_cycle(bandit).value), abs=ROUNDING)
        assert fluid_bound(other).value == pytest.approx(float(fluid_bound(bandit).value), abs=ROUNDING)


@given(seed=small_seeds)
@settings(max_examples=40)
def test_more_pulls_and_better_curves_help(seed):
    bandit = random_bandit(seed, N=3, D=4, K=1)
    better = RecoveringBandit(bandit.R + (1 - bandit.R) * 0.3, 1)
    wider = RecoveringBandit(bandit.R, 2)
    for other in (better, wider):
        assert optimal_cycle(other).upper >= optimal_cycle(bandit).lower
        assert fluid_bound(other).upper >= fluid_bound(bandit).lower


def test_too_many_sets_are_refused_before_they_are_listed():
    bandit = RecoveringBandit(np.full((40, 1), 0.5), 20)
    with pytest.raises(ValueError, match=r"40 arms with K = 20 have .* sets, more than 1000000"):
        optimal_cycle(bandit)
