"""Rows are left unread only where they cannot matter."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from tests.generators import discounted_recipes, random_discounted
from theoryrl.models import DiscountedMDP
from theoryrl.solvers.discounted import value_iteration
from theoryrl.solvers.discounted._operators import Tabular


def exact_backup(mdp, h):
    """max_a r + gamma P h over the available actions, in rational arithmetic."""
    gamma, values = Fraction(mdp.gamma), [Fraction(float(x)) for x in h]
    P, best = mdp.dense_P(), []
    for s in range(mdp.n_states):
        options = [
            Fraction(float(mdp.r[s, a]))
            + gamma * sum(Fraction(float(p)) * v for p, v in zip(P[s, a], values, strict=True))
            for a in np.flatnonzero(mdp.mask[s])
        ]
        best.append(max(options))
    return best


@given(recipe=discounted_recipes())
@settings(max_examples=40)
def test_sweeps_over_any_iterates_are_exact_up_to_their_error(recipe):
    """Whatever the iterates, in whatever order: large, small, near the last one, the same again."""
    mdp = random_discounted(**recipe)
    operator, rng = Tabular.of(mdp), np.random.default_rng(recipe["seed"])
    W, actions = np.empty(mdp.n_states), np.empty(mdp.n_states, dtype=np.int64)
    h = np.zeros(mdp.n_states)
    for size in (0.0, 1.0, 0.1, 1e-6, 0.0, 1e-9, 100.0, 1e-3, 0.5):
        h = h + size * rng.normal(size=mdp.n_states)
        error = Fraction(operator.backup_error(h))
        operator.bellman(h, np.inf, W, actions)
        exact = exact_backup(mdp, h)
        assert all(abs(Fraction(float(w)) - x) <= error for w, x in zip(W, exact, strict=True))


@pytest.mark.parametrize("csr", [False, True])
def test_most_rows_are_left_unread(csr):
    """Rows that are spoilt after the first sweeps are not missed where bounds rule them out."""
    mdp = random_discounted(4, S=60, A=8, gamma=0.9, csr=csr)
    operator = Tabular.of(mdp)
    h, W, actions = np.zeros(60), np.empty(60), np.empty(60, dtype=np.int64)
    for _ in range(30):
        operator.bellman(h, np.inf, W, actions)
        h[:] = W
    operator.bellman(h, np.inf, W, actions)
    ruled_out = operator.ceilings.values < W[:, None]
    assert ruled_out.mean() > 0.8
    spoilt = operator.r.copy()
    spoilt[ruled_out] = np.nan
    operator.r = spoilt
    again, same = np.empty(60), np.empty(60, dtype=np.int64)
    operator.bellman(h, np.inf, again, same)
    np.testing.assert_array_equal(again, W)
    np.testing.assert_array_equal(same, actions)


def test_ties_are_broken_as_by_a_sweep_that_reads_everything():
    P = np.full((3, 4, 3), 1 / 3)
    mdp = DiscountedMDP(P, np.array([[0.0, 1.0, 1.0, 0.0]] * 3), 0.9)
    for eliminate in (False, True):
        assert (value_iteration(mdp, eliminate=eliminate).policy.actions == 1).all()
