"""Density ratios, concentrability and its clipped form, against enumeration and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exact import all_deterministic_policies, exact_occupancy, rational
from tests.generators import random_mdp, random_policy, random_rows, recipes, seeds
from theoryrl.models import DeterministicPolicy, EpisodicMDP, MixturePolicy
from theoryrl.solvers import (
    clipped_concentrability,
    concentrability,
    coverability,
    density_ratio,
    largest_ratio,
    mean_clipped_ratio,
    occupancy_measure,
    occupancy_measures,
)

ROUNDING = 1e-12
"""Relative; sums of at most 4 * 3 products, with occupancies of four stages: a few hundred units."""

SMALL = recipes(max_horizon=3, max_states=2, max_actions=2)
LEVELS = st.floats(0.05, 20.0)


def random_law(mdp, seed, sparse=False):
    H, S, A = mdp.r.shape
    return random_rows(np.random.default_rng(seed), (H, S * A), sparse).reshape(H, S, A)


def exact_ratio(d, mu):
    """max d / mu of each stage in rational arithmetic; infinite where mu vanishes and d does not."""
    stages = []
    for x, y in zip(d.reshape(len(d), -1), rational(mu).reshape(len(mu), -1), strict=True):
        pairs = [(p, q) for p, q in zip(x, y, strict=True) if p > 0]
        stages.append(np.inf if any(q == 0 for _, q in pairs) else max(p / q for p, q in pairs))
    return stages


def exact_clipped(d, mu, c):
    """sum d min(d / mu, c) of each stage in rational arithmetic."""
    c = rational(c)[()]
    return [
        sum(p * (min(p / q, c) if q > 0 else c) for p, q in zip(x, y, strict=True) if p > 0)
        for x, y in zip(d.reshape(len(d), -1), rational(mu).reshape(len(mu), -1), strict=True)
    ]


def test_nothing_over_nothing_is_zero_and_something_over_nothing_infinite():
    np.testing.assert_array_equal(
        density_ratio([0.0, 0.5, 0.0, 0.5], [0.0, 0.0, 0.5, 0.25]), [0, np.inf, 0, 2]
    )


def test_a_ratio_beyond_all_numbers_is_infinite_without_a_warning():
    np.testing.assert_array_equal(density_ratio([1.0], [1e-310]), [np.inf])


def test_arrays_that_are_no_measures_are_refused():
    with pytest.raises(ValueError, match=r"d\[1\] must not be negative; got -0.5"):
        density_ratio([0.5, -0.5], [1.0, 1.0])
    with pytest.raises(ValueError, match=r"mu\[0\] must be finite; got nan"):
        density_ratio([0.5, 0.5], [np.nan, 1.0])
    with pytest.raises(ValueError, match=r"shapes that broadcast; got \(2,\) and \(3,\)"):
        density_ratio([0.5, 0.5], [0.2, 0.2, 0.6])
    for clip in (0.0, -1.0, np.inf):
        with pytest.raises(ValueError, match="clip must be"):
            mean_clipped_ratio(np.ones((1, 1)), np.ones((1, 1)), clip)


@settings(max_examples=25)
@given(recipe=SMALL, seed=seeds, sparse=st.booleans())
def test_over_all_policies_it_is_the_enumeration_in_rational_arithmetic(recipe, seed, sparse):
    mdp = random_mdp(**recipe)
    mu = random_law(mdp, seed, sparse)
    every = [exact_ratio(exact_occupancy(mdp, policy), mu) for policy in all_deterministic_policies(mdp)]
    exact = [max(stage) for stage in zip(*every, strict=True)]
    C = concentrability(mdp, mu)
    for low, true, high in zip(C.stage_lower, exact, C.stage_upper, strict=True):
        assert low <= true <= high
    assert C.lower <= max(exact) <= C.upper
    assert C.gap <= ROUNDING * C.lower


@given(recipe=recipes(), seed=seeds, c=LEVELS, sparse=st.booleans())
def test_of_a_finite_set_both_are_what_rational_arithmetic_says(recipe, seed, c, sparse):
    mdp = random_mdp(**recipe)
    mu = random_law(mdp, seed, sparse)
    rng = np.random.default_rng(seed)
    policies = [random_policy(rng, *mdp.r.shape, sparse=True) for _ in range(2)]
    d = [exact_occupancy(mdp, policy) for policy in policies]
    plain, clipped = concentrability(mdp, mu, policies), clipped_concentrability(mdp, mu, c, policies)
    for C, each in (
        (plain, [exact_ratio(x, mu) for x in d]),
        (clipped, [exact_clipped(x, mu, c) for x in d]),
    ):
        exact = [max(stage) for stage in zip(*each, strict=True)]
        for low, true, high in zip(C.stage_lower, exact, C.stage_upper, strict=True):
            assert low <= true <= high
        assert C.gap <= ROUNDING * C.lower


@given(recipe=recipes(), seed=seeds)
def test_concentrability_is_at_least_coverability(recipe, seed):
    mdp = random_mdp(**recipe)
    mu = random_law(mdp, seed)
    assert (concentrability(mdp, mu).stage_upper >= coverability(mdp).stage_lower).all()


@given(recipe=recipes(), seed=seeds, c=LEVELS, factor=st.floats(1.0, 5.0))
def test_the_clipped_form_grows_with_the_level_and_is_at_most_level_and_ratio(recipe, seed, c, factor):
    mdp = random_mdp(**recipe)
    mu = random_law(mdp, seed)
    d = occupancy_measure(mdp, random_policy(np.random.default_rng(seed), *mdp.r.shape))
    clipped = mean_clipped_ratio(d, mu, c)
    assert (clipped <= mean_clipped_ratio(d, mu, factor * c) * (1 + ROUNDING)).all()
    assert (clipped <= np.minimum(c, largest_ratio(d, mu)) * (1 + ROUNDING)).all()
    # What clipping costs: the squared norm, and the mass beyond the level.
    w = density_ratio(d, mu)
    assert (np.sum(mu * np.minimum(w, c) ** 2, axis=(1, 2)) <= clipped * (1 + ROUNDING)).all()
    assert (c * np.sum(d * (w > c), axis=(1, 2)) <= clipped * (1 + ROUNDING)).all()


@given(recipe=recipes(), seed=seeds, c=LEVELS)
def test_of_a_policy_on_its_own_data_it_is_one_or_the_level(recipe, seed, c):
    mdp = random_mdp(**recipe)
    d = occupancy_measure(mdp, random_policy(np.random.default_rng(seed), *mdp.r.shape, sparse=True))
    np.testing.assert_allclose(mean_clipped_ratio(d, d, c), min(1.0, c), rtol=ROUNDING)
    np.testing.assert_allclose(largest_ratio(d, d), 1.0, rtol=ROUNDING)


def test_without_clipping_it_is_the_squared_norm_of_the_ratio():
    mdp = random_mdp(1)
    mu = random_law(mdp, 2)
    d = occupancy_measures(mdp, [random_policy(np.random.default_rng(i), *mdp.r.shape) for i in range(3)])
    np.testing.assert_allclose(
        mean_clipped_ratio(d, mu), np.sum(mu * (d / mu) ** 2, axis=(2, 3)), rtol=ROUNDING
    )
    missing = np.zeros_like(mu)
    missing[:, 0, 0] = 1
    assert np.isinf(mean_clipped_ratio(d, missing)).all()
    assert (mean_clipped_ratio(d, missing, 3.0) <= 3 * (1 + ROUNDING)).all()


@settings(max_examples=25)
@given(recipe=SMALL, seed=seeds, c=LEVELS, sparse=st.booleans())
def test_the_enclosure_over_all_policies_contains_every_policy(recipe, seed, c, sparse):
    mdp = random_mdp(**recipe)
    mu = random_law(mdp, seed, sparse)
    C = clipped_concentrability(mdp, mu, c)
    deterministic = list(all_deterministic_policies(mdp))
    rng = np.random.default_rng(seed)
    randomised = [random_policy(rng, *mdp.r.shape) for _ in range(20)]
    some = clipped_concentrability(mdp, mu, c, [*deterministic, *randomised])
    assert (some.stage_lower <= C.stage_upper).all()
    assert (C.stage_lower <= C.stage_upper).all()
    assert C.upper <= min(c, concentrability(mdp, mu).upper) * (1 + ROUNDING)


@given(recipe=recipes(), seed=seeds)
def test_the_enclosure_is_tight_at_a_small_level(recipe, seed):
    """Pairs with d < c mu have mass at most c in all, so c (1 - c) <= CC <= c for every policy."""
    c = 1e-9
    C = clipped_concentrability(mdp := random_mdp(**recipe), random_law(mdp, seed), c)
    assert C.upper <= c * (1 + ROUNDING)
    assert C.stage_lower.min() >= c * (1 - c - ROUNDING)


def split_model():
    """Two actions that lead to two states with probabilities (.6, .4) and (.4, .6)."""
    P = np.zeros((2, 3, 2, 3))
    P[0, 0, 0], P[0, 0, 1] = [0.0, 0.6, 0.4], [0.0, 0.4, 0.6]
    P[0, 1:, :, 0] = P[1, :, :, 0] = 1.0
    return EpisodicMDP(P, np.zeros((2, 3, 2)), [1.0, 0.0, 0.0])


def test_a_randomised_policy_can_beat_every_deterministic_one_and_is_found():
    """Data spread evenly over the two states and their actions, level 2: the even split has ratio 2 in
    both states, and each deterministic policy 2.4 in one (clipped to 2) and 1.6 in the other."""
    mdp = split_model()
    mu = np.zeros((2, 3, 2))
    mu[0, 0], mu[1, 1:] = 0.5, 0.25
    deterministic = clipped_concentrability(mdp, mu, 2.0, list(all_deterministic_policies(mdp)))
    assert deterministic.stages[1] == pytest.approx(0.6 * 2 + 0.4 * 1.6, rel=ROUNDING)
    first, second = (DeterministicPolicy([[a, 0, 0], [0, 0, 0]], 2) for a in range(2))
    even = MixturePolicy([0.5, 0.5], [first, second])
    assert clipped_concentrability(mdp, mu, 2.0, [even]).stages[1] == pytest.approx(2, rel=ROUNDING)
    C = clipped_concentrability(mdp, mu, 2.0)
    assert C.stages[1] == pytest.approx(2, rel=ROUNDING)
    assert C.stage_upper[1] == pytest.approx(2, rel=ROUNDING)


def test_laws_and_levels_that_are_none_are_refused():
    mdp = random_mdp(0)
    mu = random_law(mdp, 0)
    with pytest.raises(ValueError, match=r"mu\[1, :\] must sum to 1; it sums to 2.0"):
        concentrability(mdp, mu * np.array([1.0, 2.0, 1.0])[:, None, None])
    with pytest.raises(ValueError, match=r"mu must have shape \(3, 3, 2\); got shape \(2, 3, 2\)"):
        clipped_concentrability(mdp, mu[:2], 1.0)
    with pytest.raises(ValueError, match=r"clip must be positive; got 0"):
        clipped_concentrability(mdp, mu, 0)
    with pytest.raises(ValueError, match="policies must not be empty"):
        concentrability(mdp, mu, [])
