"""What the docs show of recovering bandits is what the page claims."""

import json

import numpy as np
from _parts import FIGURES

from theoryrl.solvers import ppp_guarantee

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
