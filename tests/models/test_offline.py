"""Counts, subsets and folds of offline data."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generators import seeds
from theoryrl.models import OfflineDataset

sizes = {"seed": seeds, "N": st.integers(0, 9), "H": st.integers(1, 4), "S": st.integers(1, 3)}


def dataset(seed, N, H, S, A=2):
    rng = np.random.default_rng(seed)
    return OfflineDataset(
        rng.integers(S, size=(N, H + 1)), rng.integers(A, size=(N, H)), rng.random((N, H)), S, A
    )


@given(**sizes)
def test_transitions_are_counted_one_by_one(seed, N, H, S):
    data = dataset(seed, N, H, S)
    expected = np.zeros((H, S, 2, S), dtype=int)
    for i, h in itertools.product(range(N), range(H)):
        expected[h, data.states[i, h], data.actions[i, h], data.states[i, h + 1]] += 1
    np.testing.assert_array_equal(data.transition_counts, expected)
    assert data.transition_counts.sum() == N * H
    assert len(data) == N
    assert data.horizon == H


@given(**sizes, n_folds=st.integers(1, 12))
def test_folds_are_a_partition_with_sizes_that_differ_by_one_at_most(seed, N, H, S, n_folds):
    data = dataset(seed, N, H, S)
    folds = data.folds(n_folds)
    assert len(folds) == n_folds
    assert sorted(r for fold in folds for r in fold.rewards[:, 0]) == sorted(data.rewards[:, 0])
    lengths = [len(fold) for fold in folds]
    assert max(lengths) - min(lengths) <= 1
    counts = sum(fold.transition_counts for fold in folds)
    np.testing.assert_array_equal(counts, data.transition_counts)


def test_fold_i_takes_every_nth_episode_from_the_ith():
    data = dataset(0, 7, 2, 3)
    np.testing.assert_array_equal(data.folds(3)[1].rewards, data.rewards[[1, 4]])
    np.testing.assert_array_equal(data.folds(3)[1].states, data.states[[1, 4]])
    np.testing.assert_array_equal(data.folds(3)[1].actions, data.actions[[1, 4]])


def test_a_subset_remembers_whether_the_episodes_are_independent():
    data = dataset(0, 4, 2, 3)
    dependent = OfflineDataset(data.states, data.actions, data.rewards, 3, 2, independent=False)
    assert data.subset([0, 2]).independent
    assert not dependent.subset([0, 2]).independent
    assert not dependent.folds(2)[0].independent


def test_counts_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        dataset(0, 4, 2, 3).transition_counts[0] = 1


def test_an_episode_has_at_least_one_stage():
    with pytest.raises(ValueError, match="actions must have at least one stage"):
        OfflineDataset(np.zeros((2, 1), int), np.zeros((2, 0), int), np.zeros((2, 0)), 1, 1)
