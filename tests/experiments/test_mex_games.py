"""What the page on MEX for games says of its figures holds of the published numbers."""

import json
import math

import numpy as np
import pytest
from _parts import FIGURES

from theoryrl.theory import clopper_pearson
from theoryrl.theory.evidence.game_lemmas import lock_in_law

FALSE_ALARM = 1e-6


@pytest.fixture(scope="module")
def numbers():
    return json.loads((FIGURES / "mex" / "numbers.json").read_text())


def test_away_from_lock_ins_mex_pays_five_and_posterior_sampling_five_times_that(numbers):
    medians = {name: np.median(final) for name, final in numbers["games"].items()}
    assert 3 <= medians["MEX, η = 1/√K"] <= 8
    assert medians["posterior sampling"] >= 4 * medians["MEX, η = 1/√K"]
    for name in ("Nash-VI, c = 0.003", "VI-ULCB, c = 0.03"):
        assert medians[name] >= 5 * medians["MEX, η = 1/√K"]


def test_ten_seeds_are_within_the_spread_of_the_reference(numbers):
    """Reference: medians 5.3 and 5.3 at 1/√K and 4/√K, 131 at eta = 1e4; a locked seed loses .13 K."""
    found = {name: np.array(final[:10]) for name, final in numbers["games"].items()}
    assert np.median(found["MEX, η = 1/√K"]) <= 10
    assert np.median(found["MEX, η = 4/√K"]) <= 10
    assert np.median(found["greedy (η = ∞)"]) == pytest.approx(131, abs=5)
    for name in ("MEX, η = 4/√K", "greedy (η = ∞)"):
        locked = found[name] > 100
        assert (found[name][locked] <= 160).all()
        assert (found[name][~locked] <= 40).all()


def test_the_share_of_lock_ins_follows_the_exact_law(numbers):
    for eta, cell in numbers["games_lock_in"].items():
        share = clopper_pearson(cell["locked"], cell["runs"], FALSE_ALARM)
        assert share.low <= lock_in_law(float(eta)) <= share.high
        assert lock_in_law(float(eta)) <= math.exp(-0.13 / float(eta))


def test_the_eta_of_the_theory_locks_in_as_often_as_greed(numbers):
    cells = numbers["games_lock_in"]
    assert lock_in_law(0.241) == lock_in_law(1.0) == pytest.approx(3 / 7)
    assert abs(cells["0.241"]["locked"] - cells["1"]["locked"]) <= 0.1 * cells["1"]["runs"]


def test_weak_opponents_make_the_regret_negative_and_best_responses_do_not(numbers):
    online = {name: np.median(cell["online"]) for name, cell in numbers["games_online"].items()}
    assert online["uniform"] < 0
    assert online["grudge"] < 0
    assert online["best response"] > 0


def test_the_terms_of_the_run_add_up_and_the_bound_is_vacuous(numbers):
    audit = dict(numbers["games_audit"])
    regret, bound, trivial = (audit.pop(name) for name in ("regret", "bound", "trivial"))
    assert sum(audit.values()) == pytest.approx(regret, abs=1e-9)
    assert regret < trivial < bound
