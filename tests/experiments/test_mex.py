"""What the docs show of MEX is what its page claims."""

import json
import math

import numpy as np
from _parts import FIGURES

from theoryrl.theory import clopper_pearson
from theoryrl.theory.evidence.finite_classes import lock_in_probability

NUMBERS = json.loads((FIGURES / "mex" / "numbers.json").read_text())


def test_the_published_shares_of_locked_runs_are_those_of_the_law():
    """Exact binomial limits; false alarm 1e-4 for each of the twelve shares (they were published once)."""
    horizons = [500, 2000, 8000, 32000]
    etas = {"eta = 20 / sqrt K": [20 / math.sqrt(K) for K in horizons], "eta = 0.894": [0.894] * 4}
    etas["greedy (eta = 10,000)"] = [1e4] * 4
    for name, numbers in NUMBERS["schedule"].items():
        for locked, eta, law in zip(numbers["locked"], etas[name], numbers["law"], strict=True):
            low, high = lock_in_probability(eta)
            assert low - 1e-9 <= law <= high + 1e-9
            fit = clopper_pearson(int(locked), numbers["seeds"], 5e-5)
            assert fit.low <= high
            assert fit.high >= low


def test_an_eta_that_does_not_shrink_has_a_slope_of_one_and_a_scaled_one_does_not():
    slopes = {name: numbers["slope"] for name, numbers in NUMBERS["schedule"].items()}
    assert slopes["eta = 20 / sqrt K"] < 0.4
    assert slopes["eta = 0.894"] > 0.85
    assert slopes["greedy (eta = 10,000)"] > 0.85


def test_away_from_lock_ins_mex_is_an_order_below_level_sets_and_far_below_the_posterior():
    median = {name: np.median(regret) for name, regret in NUMBERS["arms"].items()}
    for name in ("MEX, eta 0.0632", "MEX, theory", "MEX, eta 0.253"):
        assert median[name] < median["level-set OFU"] / 8
        assert median[name] < median["posterior sampling"] / 4


def test_the_published_run_is_within_the_spread_of_the_reference():
    """16.6 +- 0.8 (standard error) for eta = 0.0632 over 400 seeds; six standard errors."""
    regret = np.array(NUMBERS["arms"]["MEX, eta 0.0632"])
    assert abs(regret.mean() - 16.6) < 6 * math.hypot(0.8, regret.std() / math.sqrt(len(regret)))


def test_on_riverswim_both_forms_beat_undirected_exploration_and_tables_beat_the_posterior():
    mean = {name: np.mean(numbers["regret"]) for name, numbers in NUMBERS["river"].items()}
    assert mean["MEX, tables, eta 1"] < mean["PSRL"] / 3
    for kind in ("tables, eta 1", "kernels, eta 0.3"):
        assert mean[f"MEX, {kind}"] < mean["epsilon-greedy 0.1"] / 2
        assert mean[f"MEX, {kind}"] < mean["greedy"] / 2


def test_every_planner_was_above_the_truth_in_every_published_episode():
    for name, numbers in NUMBERS["river"].items():
        if "least_margin" in numbers:
            assert numbers["least_margin"] >= -1e-9, name


def test_branch_and_bound_met_its_tolerance():
    assert max(NUMBERS["gaps"]["kernels, branch and bound"]) <= 5e-3 + 1e-9
    assert max(NUMBERS["gaps"]["tables, relaxation"]) < 0.1


def test_the_theorem_on_the_regret_is_vacuous_in_the_published_run():
    audit = NUMBERS["audit"]
    assert audit["T-MB"] > audit["trivial, H K"] > 100 * audit["regret"]
    exact, approximate = audit["slacks"]
    assert exact >= -1e-9
    assert -0.2 - 1e-9 <= approximate < -0.05
