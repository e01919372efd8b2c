"""Gain, bias, stationary laws, mixing and hitting times, against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from tests.exact import rational
from tests.exact_chains import (
    best_hitting_times,
    chain_of,
    closed_sets,
    end_components,
    gain_and_bias_of_chain,
    normalised,
    stationary_law,
)
from tests.generators import seeds
from tests.generators_stationary import average_mdp, stationary_recipes
from theoryrl.instances import average_riverswim, islands
from theoryrl.models import AverageRewardMDP, DeterministicPolicy, Policy
from theoryrl.solvers import (
    bias_span,
    communicating_classes,
    diameter,
    gain_and_bias,
    hitting_times,
    mixing_time,
    recurrent_classes,
    stationary_distributions,
)


def contains(lower, exact, upper):
    """Whether exact numbers, perhaps infinite, lie between floats."""
    return all(low <= x <= high for low, x, high in zip(lower, exact, upper, strict=True))


def some_policy(mdp, rng, stochastic):
    """A policy of available actions, and its exact chain."""
    if not stochastic:
        actions = np.array([rng.choice(np.flatnonzero(row)) for row in mdp.mask])
        return DeterministicPolicy(actions, mdp.n_actions), chain_of(mdp, actions)
    pi = (rng.random(mdp.r.shape) * (rng.random(mdp.r.shape) < 0.7) + 0.1) * mdp.mask
    pi /= pi.sum(axis=1, keepdims=True)
    p = normalised(pi)
    rows = np.where(mdp.mask[..., None], normalised(mdp.dense_P()), Fraction(0))
    return Policy(pi), (np.einsum("sa,sat->st", p, rows), (p * rational(mdp.r)).sum(axis=1))


@pytest.mark.parametrize("stochastic", [False, True])
@settings(max_examples=25)
@given(recipe=stationary_recipes(), seed=seeds)
def test_gain_bias_and_its_span_lie_within_their_bounds(stochastic, recipe, seed):
    mdp = average_mdp(**recipe)
    policy, (P, r) = some_policy(mdp, np.random.default_rng(seed), stochastic)
    found = gain_and_bias(mdp, policy)
    g, h = gain_and_bias_of_chain(P, r)
    assert contains(found.lower, g, found.upper)
    assert contains(found.bias_lower, h, found.bias_upper)
    low, high = found.span
    assert low <= max(h) - min(h) <= high
    if recipe["kind"] != "nearly-decomposable":
        assert found.gap <= 1e-10
        assert (found.bias_upper - found.bias_lower).max() <= 1e-8


@settings(max_examples=25)
@given(recipe=stationary_recipes(), seed=seeds)
def test_stationary_laws_are_within_their_error_of_the_exact_ones(recipe, seed):
    mdp = average_mdp(**recipe)
    policy, (P, _) = some_policy(mdp, np.random.default_rng(seed), True)
    laws = stationary_distributions(mdp, policy)
    classes = closed_sets(P)
    assert len(classes) == len(laws.distributions)
    np.testing.assert_array_equal(laws.classes, recurrent_classes(mdp, policy))
    for members in classes:
        k = laws.classes[members[0]]
        exact = np.array([Fraction(0)] * mdp.n_states)
        exact[members] = stationary_law(P, members)
        assert np.abs(rational(laws.distributions[k]) - exact).sum() <= laws.errors[k]


@settings(max_examples=25)
@given(recipe=stationary_recipes())
def test_communicating_classes_are_those_that_enumeration_finds(recipe):
    mdp = average_mdp(**recipe)
    parts = communicating_classes(mdp)
    assert sorted(parts.states(k).tolist() for k in range(parts.n)) == end_components(mdp)


def test_repeated_successors_do_not_confuse_the_search_for_classes():
    """An edge that occurs several times in a row of the graph made SciPy's search run for ever."""
    mdp = average_mdp(
        seed=1630040365, S=3, A=3, kind="nearly-decomposable", sign=1, stored="sparse", masked=True
    )
    assert communicating_classes(mdp).is_communicating


@settings(max_examples=25)
@given(recipe=stationary_recipes(max_actions=2), seed=seeds)
def test_hitting_times_and_the_diameter_lie_within_their_bounds(recipe, seed):
    mdp = average_mdp(**recipe)
    target = int(np.random.default_rng(seed).integers(mdp.n_states))
    exact = [best_hitting_times(mdp, [t]) for t in range(mdp.n_states)]
    found = hitting_times(mdp, target)
    assert contains(found.lower, exact[target], found.upper)
    D = diameter(mdp)
    assert D.lower <= max(map(max, exact)) <= D.upper
    assert contains([D.lower], [exact[D.target][D.source]], [D.upper * (1 + 1e-6)])
    if recipe["kind"] != "nearly-decomposable":
        assert found.gap <= 1e-8 * max(1.0, found.value[np.isfinite(found.value)].max())


@pytest.mark.parametrize("stored", ["dense", "sparse"])
def test_the_compiled_diameter_is_that_of_the_general_path(stored, monkeypatch):
    from theoryrl.solvers.average import times

    for seed in range(3):
        mdp = average_mdp(seed=seed, S=12, A=3, kind="dense", sign=1, stored=stored, masked=False)
        fast = diameter(mdp)
        monkeypatch.setattr(times, "SMALL", 0)
        slow = diameter(mdp)
        monkeypatch.undo()
        assert (fast.source, fast.target) == (slow.source, slow.target)
        assert fast.lower <= slow.upper
        assert slow.lower <= fast.upper
        assert fast.upper - fast.lower <= 1e-10 * fast.value


def test_known_diameters():
    cycle = AverageRewardMDP(np.roll(np.eye(7), 1, axis=1)[:, None, :], np.zeros((7, 1)))
    assert diameter(cycle).value == pytest.approx(6.0, rel=1e-12)
    p = 0.2
    pair = AverageRewardMDP([[[1 - p, p]], [[p, 1 - p]]], np.zeros((2, 1)))
    assert diameter(pair).value == pytest.approx(1 / p, rel=1e-12)
    assert diameter(AverageRewardMDP(np.ones((1, 1, 1)), np.ones((1, 1)))).value == 0
    assert diameter(islands()).lower == np.inf
    # RiverSwim with four states: 8.061 steps to swim upstream.
    river = diameter(average_riverswim(4))
    assert (river.source, river.target) == (0, 3)
    assert river.value == pytest.approx(8.061, abs=5e-4)


def test_the_span_of_an_optimal_bias_is_at_most_the_diameter():
    for mdp in (average_riverswim(4), average_riverswim(12)):
        assert bias_span(mdp)[0] <= diameter(mdp).upper


@settings(max_examples=20)
@given(recipe=stationary_recipes(kinds=("mixed", "dense", "deterministic")), seed=seeds)
def test_the_mixing_time_is_the_first_exact_power_that_is_close(recipe, seed):
    mdp = average_mdp(**recipe)
    policy, (P, _) = some_policy(mdp, np.random.default_rng(seed), True)
    found = mixing_time(mdp, policy)
    classes = closed_sets(P)
    if len(classes) > 1:
        assert found.lower == np.inf
        return
    law = np.array([Fraction(0)] * mdp.n_states)
    law[classes[0]] = stationary_law(P, classes[0])
    floats, power, first = P.astype(float), np.eye(mdp.n_states), None
    for t in range(200):
        if 0.5 * np.abs(power - law.astype(float)).sum(axis=1).max() <= 0.25:
            first = t
            break
        power = power @ floats
    if found.upper == np.inf:
        assert first is None
    elif first is not None:
        assert found.lower <= first <= found.upper
        assert found.upper - found.lower <= 1


def test_a_periodic_chain_never_mixes_but_has_a_law():
    P = np.roll(np.eye(4), 1, axis=1)[:, None, :]
    mdp, policy = AverageRewardMDP(P, np.zeros((4, 1))), DeterministicPolicy([0] * 4, 1)
    laws = stationary_distributions(mdp, policy)
    np.testing.assert_allclose(laws.distributions, 0.25, rtol=0, atol=laws.errors[0])
    assert laws.periods.tolist() == [4]
    assert mixing_time(mdp, policy).lower == np.inf


def test_a_policy_that_does_not_fit_is_refused():
    mdp = AverageRewardMDP(np.ones((1, 2, 1)), np.zeros((1, 2)), allowed=[[True, False]])
    with pytest.raises(ValueError, match="policy takes action 1 in state 0, where it is not available"):
        gain_and_bias(mdp, DeterministicPolicy([1], 2))
    with pytest.raises(ValueError, match=r"policy has \(S, A\) = \(2, 2\)"):
        gain_and_bias(mdp, DeterministicPolicy([0, 0], 2))
    with pytest.raises(ValueError, match="policy must be stationary; it has 3 stages"):
        gain_and_bias(mdp, DeterministicPolicy(np.zeros((3, 1), int), 2))
    with pytest.raises(ValueError, match=r"target\[0\] must be in \[0, 1\)"):
        hitting_times(mdp, 4)
