"""Problems without a horizon are what their closed forms and relatives say."""

import numpy as np

from theoryrl.instances import average_riverswim, islands, path_grid, queue, riverswim
from theoryrl.solvers import communicating_classes


def test_the_endless_river_has_the_rows_of_the_episodic_one():
    for n_states in (2, 3, 6):
        endless, episodic = average_riverswim(n_states), riverswim(n_states)
        np.testing.assert_array_equal(endless.dense_P(), episodic.P[0])
        np.testing.assert_array_equal(endless.r, episodic.r[0])


def test_a_queue_moves_by_one_and_pays_between_zero_and_one():
    mdp = queue(capacity=5, speeds=3, arrival=0.3, service=0.6)
    P = mdp.dense_P()
    assert mdp.has_unit_rewards
    assert communicating_classes(mdp).is_communicating
    assert (np.triu(P.max(axis=1), 2) == 0).all()
    assert (np.tril(P.max(axis=1), -2) == 0).all()
    np.testing.assert_allclose(P[2, 2 * 1 + 1, 1:4], [0.4, 0.3, 0.3], rtol=1e-12)
    assert (P[2, 0::2, 3] == 0).all(), "nobody is admitted"
    assert (P[5, :, 5] > 0).all()


def test_islands_are_closed_cycles():
    mdp = islands(n_islands=3, length=4)
    parts = communicating_classes(mdp)
    assert parts.labels.tolist() == [-1] + [0] * 4 + [1] * 4 + [2] * 4
    assert mdp.dense_P()[0, 2, [1, 9]].tolist() == [1 - 0.9**2, 0.9**2]


def test_the_goal_of_a_grid_keeps_itself_for_free_and_a_pit_at_a_cost():
    mdp = path_grid(width=3, height=2, pit=True)
    P = mdp.dense_P()
    np.testing.assert_allclose(P[5, :, 5], 1.0, rtol=1e-15)
    np.testing.assert_allclose(P[3, :, 3], 1.0, rtol=1e-15)
    assert mdp.r[5].tolist() == [0.0] * 4
    assert (mdp.r[:5] == -1).all()
