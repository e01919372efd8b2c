"""What the docs show of Nash-MP is what an independent implementation found, and what the page claims."""

import json

import numpy as np
import pytest
from _parts import FIGURES

NUMBERS = json.loads((FIGURES / "nash-mp" / "numbers.json").read_text())

QUERIES = {  # median, least, most over ten games; inf where a cap was reached
    ("Nash-MP", 0.1): (66, 62, 70),
    ("Nash-MP", 0.01): (594, 456, 676),
    ("Nash-MP", 0.001): (3872, 340, 6550),
    ("Nash-MP, γ = 1/L(P)", 0.1): (52, 48, 62),
    ("Nash-MP, γ = 1/L(P)", 0.01): (459, 362, 542),
    ("Nash-MP, γ = 1/L(P)", 0.001): (2490, 218, 5734),
    ("EGPO", 0.1): (252, 238, 270),
    ("EGPO", 0.01): (2433, 1898, 2772),
    ("EGPO", 0.001): (np.inf, 4662, np.inf),
    ("OMWU", 0.1): (132, 125, 142),
    ("OMWU", 0.01): (1224, 953, 1393),
    ("OMWU", 0.001): (10596, 2316, np.inf),
    ("MMD", 0.1): (161, 153, 174),
    ("MMD", 0.01): (np.inf, np.inf, np.inf),
    ("MMD", 0.001): (np.inf, np.inf, np.inf),
    ("Online IPO, INPO", 0.1): (124, 117, 135),
    ("Online IPO, INPO", 0.01): (2222, 1379, np.inf),
    ("Online IPO, INPO", 0.001): (np.inf, np.inf, np.inf),
    ("Nash-MD", 0.1): (628, 379, 1148),
    ("Nash-MD", 0.01): (np.inf, 2526, np.inf),
    ("Nash-MD", 0.001): (np.inf, np.inf, np.inf),
}


@pytest.mark.parametrize(("method", "beta"), QUERIES)
def test_the_published_numbers_of_queries_are_the_reference_figures(method, beta):
    """Medians of an even number of games are halves; OMWU's first query is not counted there: one apart."""
    found = [np.inf if q is None else q for q in NUMBERS["queries"][f"{method}, beta = {beta:g}"]]
    low, high = np.sort(found)[[4, 5]]
    middle = np.inf if np.isinf(high) else (low + high) / 2
    for mine, theirs in zip((middle, min(found), max(found)), QUERIES[method, beta], strict=True):
        assert mine == theirs or abs(mine - theirs) <= 1


def test_the_published_run_in_many_contexts_is_the_reference_run():
    kl, gap = NUMBERS["contexts"]["kl"], NUMBERS["contexts"]["gap"]
    assert (kl[0], kl[-1], gap[-1]) == pytest.approx((0.379, 4.5e-10, 2.9e-11), rel=0.02)


def test_the_published_cycles_are_the_reference_ones():
    """The last divergence of Nash-MP is 1e-27, where rounding shows in the first digit."""
    cells = NUMBERS["cycle"]
    assert cells["Nash-MP"]["last"] == pytest.approx(2.5e-27, rel=0.3)
    assert cells["Nash-MP"]["bound"] == pytest.approx(2.3e-3, rel=0.02)
    assert cells["no half step"]["last"] == pytest.approx(1.87, abs=0.01)
    assert cells["γ = 8"]["last"] == pytest.approx(0.85, abs=0.01)
    assert cells["Nash-Prox"]["steps"] == 20
    assert cells["Nash-Prox"]["last"] < 1e-30


@pytest.mark.parametrize(
    ("batch", "mean", "spread", "seeds"),
    [(16, 2.9e-2, 1.3e-2, 5), (256, 9.3e-4, 3.5e-4, 5), (4096, 1.1e-4, 3e-5, 2)],
)
def test_the_published_runs_with_duels_end_where_the_reference_runs_do(batch, mean, spread, seeds):
    """Within three reference spreads; both are means over a few seeds of different streams."""
    assert np.mean(NUMBERS["gradients"][str(batch)]) == pytest.approx(mean, abs=3 * spread)
    assert len(NUMBERS["gradients"][str(batch)]) == seeds


def test_the_published_errors_scale_with_their_square_below_the_bound():
    """Reference, on another game: 1.4e-3, 1.4e-5, 1.4e-7; the bounds depend on beta and gamma only."""
    for d in (0.1, 0.01, 0.001):
        cell = NUMBERS["errors"][f"d = {d:g}"]
        assert cell["bound"] == pytest.approx(27 * d**2)
        assert 0.5 < cell["worst"] / (0.14 * d**2) < 2


def test_the_published_divergences_of_nash_md_are_the_reference_figures():
    assert NUMBERS["errors"]["Nash-MD, η_t = 2/(β(t+2))"] == pytest.approx(
        [9.7e-6, 8.5e-7, 9.8e-8, 8.9e-9, 2.2e-9], rel=0.03
    )
    assert NUMBERS["errors"]["Nash-MD slope"] == pytest.approx(-1.99, abs=0.01)
    assert NUMBERS["errors"]["Nash-MD, η = 0.5"][-1] == pytest.approx(5.1e-4, rel=0.01)
