"""Finite hypothesis classes hold what they were given and refuse what is not a candidate."""

import numpy as np
import pytest

from theoryrl.instances import random_dirichlet
from theoryrl.models import CandidateMDP, EpisodicMDP, FiniteFunctionClass, FiniteModelClass, Hypotheses


def candidates(n: int = 3) -> list[EpisodicMDP]:
    rho = np.array([1.0, 0.0, 0.0])
    models = [random_dirichlet(n_states=3, n_actions=2, horizon=2, seed=seed) for seed in range(n)]
    return [EpisodicMDP(model.P, model.r, rho) for model in models]


def test_a_class_built_from_models_gives_them_back_and_finds_them() -> None:
    models = candidates()
    family = FiniteModelClass.from_models(models)
    assert (len(family), family.horizon, family.n_states, family.n_actions) == (3, 2, 3, 2)
    for m, model in enumerate(models):
        np.testing.assert_array_equal(family[m].P, model.P)
        assert family.index(model) == m
    assert family.index(EpisodicMDP(models[0].P, models[1].r, models[0].rho)) is None


def test_rewards_given_once_are_shared_by_all_candidates() -> None:
    models = candidates()
    P = np.stack([model.P for model in models])
    family = FiniteModelClass(P, models[0].r, models[0].rho)
    assert family.shares_rewards
    assert family.r.shape == (3, 2, 3, 2)
    assert not FiniteModelClass.from_models(models).shares_rewards


def test_candidates_of_other_shape_or_start_are_refused_by_index() -> None:
    models = candidates()
    other = random_dirichlet(n_states=4, n_actions=2, horizon=2, seed=0)
    with pytest.raises(ValueError, match=r"models\[3\] has P of shape"):
        FiniteModelClass.from_models([*models, other])
    moved = EpisodicMDP(models[0].P, models[0].r, np.array([0.0, 1.0, 0.0]))
    with pytest.raises(ValueError, match=r"models\[1\] starts from another"):
        FiniteModelClass.from_models([models[0], moved])
    with pytest.raises(ValueError, match="at least one"):
        FiniteModelClass.from_models([])


def test_rows_rewards_and_values_outside_their_range_are_refused() -> None:
    models = candidates()
    P = np.stack([model.P for model in models])
    with pytest.raises(ValueError, match=r"^r\b"):
        FiniteModelClass(P, models[0].r + 2, models[0].rho)
    P[1, 0, 0, 0] *= 0.5
    with pytest.raises(ValueError, match="P"):
        FiniteModelClass(P, models[0].r, models[0].rho)
    with pytest.raises(ValueError, match="Q"):
        FiniteFunctionClass(-np.ones((2, 2, 3, 2)))


def told(oracle: bool = False) -> Hypotheses:
    models = candidates()
    functions = FiniteFunctionClass(np.full((4, 2, 3, 2), 0.5))
    return Hypotheses(functions, FiniteModelClass.from_models(models), oracle=oracle)


def test_greedy_actions_are_the_lowest_of_the_best() -> None:
    Q = np.array([[0.2, 0.2], [0.1, 0.3]]).reshape(2, 1, 1, 2)
    assert FiniteFunctionClass(Q).greedy_actions().ravel().tolist() == [0, 1]


def test_classes_of_different_shapes_are_refused() -> None:
    hypotheses = told()
    other = FiniteFunctionClass(np.zeros((1, 2, 3, 3)))
    with pytest.raises(ValueError, match=r"models must have \(H, S, A\) = \(2, 3, 3\); got \(2, 3, 2\)"):
        Hypotheses(other, hypotheses.models)
    with pytest.raises(ValueError, match="completion must have"):
        Hypotheses(hypotheses.functions, hypotheses.models, other)
    moved = random_dirichlet(n_states=4, n_actions=2, horizon=2)
    with pytest.raises(ValueError, match="hypotheses must have"):
        CandidateMDP(moved, hypotheses)


def test_the_truth_alone_is_no_candidate_unless_it_says_so() -> None:
    mdp = candidates(1)[0]
    functions = FiniteFunctionClass(np.zeros((1, 2, 3, 2)))
    alone = FiniteModelClass.from_models([mdp])
    with pytest.raises(ValueError, match="all candidates have the true transitions"):
        CandidateMDP(mdp, Hypotheses(functions, alone))
    assert CandidateMDP(mdp, Hypotheses(functions, alone, oracle=True)).hypotheses.oracle
    CandidateMDP(mdp, told())
