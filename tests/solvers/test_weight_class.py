"""Weight classes: ratios against their definition, counting, and refusals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoryrl.instances import defect_class, incomplete_class, rich_lock
from theoryrl.models import FiniteFunctionClass
from theoryrl.solvers import WeightClass, density_ratio, mixture_log_size, model_hypotheses
from theoryrl.solvers.weight_class import distinct_policies


def class_of(model, mode="models"):
    return WeightClass.from_models(model.hypotheses.models, model.hypotheses.functions, mode)


@given(st.lists(st.integers(0, 20), min_size=4, max_size=4), st.integers(0, 5))
def test_mixtures_are_the_ratio_to_the_average_that_includes_the_round(counts, seed):
    weights = class_of(defect_class(3, 2, 2, 4, seed=seed))
    n = np.array(counts[: weights.n_policies])
    t = 1 + n.sum()
    found = weights.mixtures(n)
    for m, d in enumerate(weights.occupancies):
        for i in range(len(d)):
            average = (np.einsum("n,nhsa->hsa", n, d) + d[i]) / t
            np.testing.assert_allclose(found[m, i], density_ratio(d[i], average), rtol=1e-12)
            assert found[m, i].max() <= t * (1 + 1e-12)


def test_pairs_of_policies_are_listed_in_every_model():
    weights = class_of(rich_lock(4, decoders=2), "full")
    M, N = weights.occupancies.shape[:2]
    assert weights.listed.shape == (M * N * N, *weights.shape)
    assert weights.log_size(7) == pytest.approx(math.log(M * N * N))
    own = weights.listed.reshape(M, N, N, *weights.shape)[0, 0, 0]
    assert set(np.unique(own)) == {0.0, 1.0}


def test_a_class_of_models_counts_the_models_and_the_count_vectors():
    weights = class_of(incomplete_class())
    assert weights.log_size(600) == pytest.approx(math.log(2 * 2 * math.comb(601, 2)))
    assert mixture_log_size(2, 600) == pytest.approx(math.log(2 * math.comb(601, 2)))


def test_hybrid_ratios_are_to_the_mean_of_both_laws():
    weights = class_of(incomplete_class())
    nu = weights.occupancies[:, 1]
    first = weights.hybrid_ratios(np.zeros(2, dtype=int), nu)
    np.testing.assert_allclose(first, density_ratio(weights.occupancies, nu[:, None]))
    later = weights.hybrid_ratios(np.array([3, 1]), nu)
    mu = (nu + 0.75 * weights.occupancies[:, 0] + 0.25 * weights.occupancies[:, 1]) / 2
    np.testing.assert_allclose(later, density_ratio(weights.occupancies, mu[:, None]))


def test_equal_greedy_policies_are_one():
    Q = np.array([[0.5, 0.1], [0.9, 0.2], [0.0, 0.3]]).reshape(3, 1, 1, 2)
    actions, policy_of = distinct_policies(FiniteFunctionClass(Q))
    assert actions.ravel().tolist() == [0, 1]
    assert policy_of.tolist() == [0, 0, 1]


def test_classes_of_models_hold_the_optimum_of_each():
    models = [defect_class(oracle=True, seed=seed).mdp for seed in (0, 0)]
    hypotheses = model_hypotheses(models, extra=np.zeros((1, *models[0].r.shape)), oracle=True)
    assert len(hypotheses.functions) == 3
    assert hypotheses.oracle


def test_wrong_classes_are_refused():
    model = incomplete_class()
    functions, d = model.hypotheses.functions, class_of(model).occupancies
    policy_of = np.arange(2)
    with pytest.raises(ValueError, match=r"occupancies\[0, 0, 0\] must sum to one; got 0.5"):
        WeightClass("models", 0.5 * d, policy_of)
    with pytest.raises(ValueError, match="mode 'mixture' takes the occupancies of one model; got 2"):
        WeightClass("mixture", d, policy_of)
    with pytest.raises(ValueError, match="mode must be one of"):
        WeightClass("most", d, policy_of)
    with pytest.raises(ValueError, match="W >= 1"):
        WeightClass.explicit(np.empty((0, 2, 2, 2)), functions)
    with pytest.raises(ValueError, match="listed weights need mode 'full'"):
        WeightClass("models", d, policy_of, listed=np.ones((1, 2, 2, 2)))
    wrong = np.ones((1, 2, 2, 2))
    wrong[0, 1, 0, 1] = -0.5
    with pytest.raises(ValueError, match=r"listed\[0, 1, 0, 1\] must not be negative; got -0.5"):
        WeightClass.explicit(wrong, functions)


def test_signed_weights_must_say_so_and_be_numbers():
    functions = incomplete_class().hypotheses.functions
    weights = np.zeros((1, 2, 2, 2))
    weights[0, 1, 0, 1] = -1.0
    with pytest.raises(ValueError, match=r"listed\[0, 1, 0, 1\] must not be negative; got -1.0"):
        WeightClass.explicit(weights, functions)
    WeightClass.explicit(weights, functions, mode="signed")
    weights[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"listed\[0, 0, 0, 0\] must be a number; got nan"):
        WeightClass.explicit(weights, functions, mode="signed")
    occupancies, policy_of = np.full((1, 1, 2, 2, 2), 0.25), np.zeros(2, dtype=int)
    with pytest.raises(ValueError, match="mode 'signed' needs listed weights"):
        WeightClass("signed", occupancies, policy_of)
