"""The penalised row problem against 60-digit arithmetic, a conic solver, and its limits."""

from decimal import Decimal, getcontext

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoryrl.solvers import kl_penalised_row

ROUNDING = 1e-12
"""Sums of at most six terms below ten, relative to max(1, c)."""

rows = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def random_row(rng):
    S = int(rng.integers(2, 7))
    counts = np.floor(rng.exponential(4, size=S)) * (rng.random(S) < 0.7)
    counts[rng.integers(S)] += 1.0
    return counts, np.round(rng.random(S) * 4, int(rng.integers(1, 6)))


def reference(counts, c, V):
    """The value by bisection for lambda in 60 digits."""
    getcontext().prec = 60
    n = Decimal(int(counts.sum()))
    seen = [(Decimal(int(k)) / n, Decimal(float(v))) for k, v in zip(counts, V, strict=True) if k > 0]
    price, top, best = Decimal(c), max(v for _, v in seen), Decimal(float(V.max()))

    def g(lam):
        return sum(price * p / (lam - v) for p, v in seen)

    if best > top and g(best) <= 1:
        lam = best
    else:
        low, high = top, top + price
        for _ in range(190):
            middle = (low + high) / 2
            low, high = (middle, high) if g(middle) > 1 else (low, middle)
        lam = high
    return float(lam - price - price * sum(p * ((lam - v) / price).ln() for p, v in seen))


@given(rng=rows, exponent=st.floats(-8, 10))
def test_the_value_agrees_with_sixty_digits_for_every_price(rng, exponent):
    counts, V = random_row(rng)
    c = 10.0**exponent
    assert abs(kl_penalised_row(counts, c, V).value - reference(counts, c, V)) <= ROUNDING * 10


@pytest.mark.parametrize("seed", range(8))
def test_the_row_is_the_optimum_of_the_conic_program(seed):
    rng = np.random.default_rng(seed)
    counts, V = random_row(rng)
    c, phat = float(10 ** rng.uniform(-1, 1)), counts / counts.sum()
    p = cp.Variable(len(V), nonneg=True)
    entropy = sum(w * (cp.log(p[i]) - np.log(w)) for i, w in enumerate(phat) if w > 0)
    best = cp.Problem(cp.Maximize(V @ p + c * entropy), [cp.sum(p) == 1]).solve(solver=cp.CLARABEL)
    row = kl_penalised_row(counts, c, V)
    assert abs(row.value - best) <= 1e-6  # interior-point gap of 1e-8 times a few constraints
    np.testing.assert_allclose(row.p, p.value, atol=1e-3)


def test_a_free_lunch_and_an_infinite_price():
    counts, V = np.array([3.0, 1.0, 0.0]), np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(kl_penalised_row(counts, 1e-18, V).p, [0, 0, 1], atol=1e-15)
    np.testing.assert_allclose(kl_penalised_row(counts, 1e12, V).p, [0.75, 0.25, 0], atol=1e-11)
    assert kl_penalised_row(counts, 0.0, V).value == 2.0
    assert kl_penalised_row(np.zeros(3), 1.0, V).value == 2.0


def test_a_known_support_keeps_mass_away():
    counts, V = np.array([3.0, 1.0, 0.0]), np.array([0.0, 1.0, 2.0])
    row = kl_penalised_row(counts, 1e-9, V, np.array([True, True, False]))
    assert row.p[2] == 0
    assert row.value == pytest.approx(1.0, abs=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"counts\[1\] must be in \[0, inf\]; got -1"):
        kl_penalised_row(np.array([1.0, -1.0]), 1.0, np.zeros(2))
    with pytest.raises(ValueError, match="c must be a finite number"):
        kl_penalised_row(np.ones(2), -1.0, np.zeros(2))
    with pytest.raises(ValueError, match=r"support\[1\] must be true, because counts\[1\] = 1.0"):
        kl_penalised_row(np.ones(2), 1.0, np.zeros(2), np.array([True, False]))
