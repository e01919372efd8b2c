"""What the docs show of recovering bandits is what the page claims."""

import json

import numpy as np
from _parts import FIGURES

from theoryrl.instances import recovering
from theoryrl.solvers import correlation_gap, fluid_bound, planner_ratio, ppp_guarantee
from theoryrl.theory.evidence.phases import regret_bound

NUMBERS = json.loads((FIGURES / "recovering" / "numbers.json").read_text())


def test_every_published_plan_keeps_its_guarantee():
    for method in ("plan, grid", "plan, round"):
        for K, shares in NUMBERS["ratio"][method].items():
            assert min(shares) >= ppp_guarantee(int(K))


def test_the_published_gap_of_the_plan_shrinks_with_K_and_that_of_greedy_does_not():
    sizes = sorted(map(int, NUMBERS["ratio"]["greedy"]))
    plan, greedy = (
        np.array([np.mean(NUMBERS["ratio"][name][str(K)]) for K in sizes])
        for name in ("plan, grid", "greedy")
    )
    assert (np.diff(plan) > 0).all()
    assert 1 - plan[-1] < 0.02 < 0.05 < 1 - greedy[-1]


def test_the_published_slopes_are_near_one_half_and_the_bound_bites_in_the_long_run():
    learning = NUMBERS["learning"]
    assert 0.2 <= learning["PeriodicUCB"]["slope"][0] <= 0.65
    assert (
        learning["bound"]["regret against rho UB"] < learning["bound"]["bound"] < learning["bound"]["trivial"]
    )


def test_nothing_published_beats_the_exact_optimum():
    """Up to rounding of an average."""
    for cells in NUMBERS["exact"].values():
        assert all(max(ratios) <= 1 + 1e-9 for ratios in cells.values())


def test_the_published_factors_over_the_guarantee_and_the_rivals_are_those_of_the_page():
    plan, offsets, greedy = (
        {int(K): min(shares) for K, shares in NUMBERS["ratio"][name].items()}
        for name in ("plan, grid", "random offsets (bound)", "greedy")
    )
    assert {K: round(plan[K] / ppp_guarantee(K), 1) for K in (1, 9, 100)} == {1: 2.5, 9: 1.7, 100: 1.2}
    assert {K for K in plan if plan[K] < offsets[K]} == {1, 2, 4}
    assert 1 - max(greedy.values()) >= 0.21
    assert 1 - min(greedy.values()) <= 0.545
    assert all(correlation_gap(K) > ppp_guarantee(K) for K in range(1, 10_000))


def test_the_bound_begins_to_bite_where_the_page_says():
    bandit = recovering()
    share = planner_ratio(bandit.K, 1) * float(fluid_bound(bandit).value)
    for T, delta, spare in ((425_000, None, bandit.K), (310_000, 0.05, 0)):
        before, after = (
            regret_bound(6, 2, horizon, delta) + spare < share * horizon for horizon in (T, T + 10_000)
        )
        assert (before, after) == (False, True)
