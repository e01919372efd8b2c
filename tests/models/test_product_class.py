"""Classes of hypotheses hold what they were given, and refuse what they cannot be."""

import numpy as np
import pytest

from theoryrl.instances import perturbed_values, random_dirichlet, sparse_rewards
from theoryrl.models import (
    LinearMixtureClass,
    LinearQClass,
    ProductQClass,
    TabularModelClass,
    load,
    save,
)
from theoryrl.models.product_class import backups
from theoryrl.solvers import backward_induction

MDP = sparse_rewards()
CLASS = perturbed_values(MDP, size=5)


def test_a_completed_class_holds_every_backup_and_the_optimal_values():
    CLASS.check_complete(MDP)
    assert CLASS.position(backward_induction(MDP).action_values) == (4, 4, 4, 4)
    assert CLASS.size == 5**4
    assert CLASS.shape == (4, 4, 2)
    assert CLASS.auxiliary.shape == (4, 10, 4, 2)


def test_the_backup_of_the_last_layer_is_the_reward():
    np.testing.assert_array_equal(backups(CLASS.F, MDP)[-1], np.repeat(MDP.r[-1][None], 5, axis=0))


def test_a_class_without_backups_is_not_complete_and_names_the_first_that_is_missing():
    with pytest.raises(ValueError, match=r"G\[0\] must hold the backup of F\[1, 0\]; .* not complete"):
        ProductQClass(CLASS.F).check_complete(MDP)


def test_an_auxiliary_class_that_misses_a_candidate_is_refused():
    G = np.array(CLASS.F)
    G[2, 1] = 0.123
    with pytest.raises(ValueError, match=r"F\[2, 1\] must be in G\[2\]; it is not"):
        ProductQClass(CLASS.F, G)


def test_values_outside_what_can_still_be_earned_are_refused():
    F = np.array(CLASS.F)
    F[3, 0, 1, 1] = 1.5
    with pytest.raises(ValueError, match=r"F\[3\]\[0, 1, 1\] must be in \[0, 1\]; got 1\.5"):
        ProductQClass(F)
    F[3, 0, 1, 1] = -0.5
    with pytest.raises(ValueError, match=r"F\[3, 0, 1, 1\] must be in \[0, inf\]; got -0\.5"):
        ProductQClass(F)


def test_functions_that_are_in_no_layer_have_no_position():
    assert CLASS.position(np.full((4, 4, 2), 0.77)) is None


def test_a_mixture_of_kernels_is_their_average():
    P = np.stack([random_dirichlet(3, 2, 2, seed=seed).P for seed in range(2)])
    family = LinearMixtureClass(P, np.zeros((2, 3, 2)))
    theta = np.array([[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_allclose(family.mixture(theta)[0], 0.25 * P[0, 0] + 0.75 * P[1, 0], rtol=1e-15)
    np.testing.assert_array_equal(family.mixture(theta)[1], P[0, 1])
    with pytest.raises(ValueError, match=r"theta\[0, :\] must sum to 1"):
        family.mixture(2 * theta)
    with pytest.raises(ValueError, match=r"r\[0, 0, 0\] must be in \[0, 1\]"):
        LinearMixtureClass(P, np.full((2, 3, 2), 2.0))


def test_parameters_of_the_other_classes_are_checked():
    with pytest.raises(ValueError, match="ridge must be positive; got 0"):
        LinearQClass(0.0)
    support = np.ones((2, 3, 2, 3), dtype=bool)
    support[1, 2, 0] = False
    with pytest.raises(ValueError, match=r"support\[1, 2, 0\] must allow at least one next state"):
        TabularModelClass(support)
    with pytest.raises(ValueError, match=r"support must have shape \(H, S, A, S\)"):
        TabularModelClass(support[0])


def test_classes_survive_a_file(tmp_path):
    save(CLASS, tmp_path / "class.npz")
    np.testing.assert_array_equal(load(tmp_path / "class.npz").auxiliary, CLASS.auxiliary)
