"""Models without a horizon: the same in dense and compressed form, refused by name if they are bad."""

import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tests.generators import random_discounted, random_mdp, seeds
from theoryrl.models import (
    AverageRewardMDP,
    ConstrainedMDP,
    DiscountedMDP,
    ImplicitMDP,
    RewardNoise,
    SparseTransitions,
    discounted_from_toolbox,
    from_quantecon,
    load,
    save,
    stationary_to_toolbox,
    to_quantecon,
)

S, A = 4, 3
ROWS = {
    "probabilities": np.array([0.5, 0.5, 1.0, 0.25, 0.75, 1.0]),
    "next_states": np.array([0, 1, 1, 0, 1, 0]),
    "row_starts": np.array([0, 2, 3, 5, 6]),
    "n_states": 2,
}


def assert_same_model(left, right):
    assert type(left) is type(right)
    np.testing.assert_array_equal(left.dense_P(), right.dense_P())
    np.testing.assert_array_equal(left.r, right.r)
    np.testing.assert_array_equal(left.mask, right.mask)
    assert getattr(left, "gamma", None) == getattr(right, "gamma", None)
    assert left.noise == right.noise


@given(seed=seeds, masked=st.booleans())
def test_dense_and_compressed_rows_describe_the_same_model(seed, masked):
    dense = random_discounted(seed, S, A, sparse=True, masked=masked)
    rows = random_discounted(seed, S, A, sparse=True, masked=masked, csr=True)
    assert (dense.is_sparse, rows.is_sparse) == (False, True)
    assert_same_model(dense, rows)
    np.testing.assert_array_equal(dense.sparse_P().toarray(), rows.sparse_P().toarray())
    assert rows.P.shape == dense.P.shape


@pytest.mark.parametrize("kind", [np.int32, np.int64])
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_any_scipy_matrix_is_taken_with_either_kind_of_index(kind, form):
    P = random_discounted(1, S, A, sparse=True).P.reshape(S * A, S)
    matrix = form(P)
    if hasattr(matrix, "indices"):
        matrix.indices, matrix.indptr = matrix.indices.astype(kind), matrix.indptr.astype(kind)
    mdp = DiscountedMDP(matrix, np.zeros((S, A)), 0.9)
    np.testing.assert_array_equal(mdp.dense_P().reshape(S * A, S), P)
    assert mdp.P.next_states.dtype == mdp.P.row_starts.dtype == np.int32


def test_the_rows_share_no_memory_with_the_caller_and_are_read_only():
    mine = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in ROWS.items()}
    rows = SparseTransitions(**mine)
    for name in ("probabilities", "next_states", "row_starts"):
        assert not np.shares_memory(mine[name], getattr(rows, name))
        with pytest.raises(ValueError, match="read-only"):
            getattr(rows, name)[0] = 0
    assert np.shares_memory(rows.to_scipy().data, rows.probabilities)


def test_a_successor_that_occurs_twice_adds_up():
    rows = SparseTransitions([0.25, 0.75, 1.0], [1, 1, 0], [0, 2, 3], 2)
    np.testing.assert_array_equal(
        DiscountedMDP(rows, np.zeros((2, 1)), 0.5).dense_P()[:, 0], [[0, 1], [1, 0]]
    )


@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("sparse_rewards", [False, True])
def test_rewards_of_transitions_are_averaged(csr, sparse_rewards):
    P = random_discounted(2, S, A, sparse=True).P
    R = np.random.default_rng(0).normal(size=(S, A, S))
    kernel = sparse.csr_array(P.reshape(S * A, S)) if csr else P
    rewards = sparse.csr_array(R.reshape(S * A, S)) if sparse_rewards else R
    expected = (P * R).sum(axis=2)
    # A sum of S products of numbers below 10, in any order.
    np.testing.assert_allclose(DiscountedMDP(kernel, rewards, 0.9).r, expected, atol=S * 10 * 2.0**-52)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "probabilities",
            [0.5, -0.5, 1.0, 0.25, 0.75, 1.0],
            r"probabilities\[1\] must be a probability; got -0.5",
        ),
        ("probabilities", [0.5, np.nan, 1.0, 0.25, 0.75, 1.0], r"probabilities\[1\] must be finite; got nan"),
        ("next_states", [0, 2, 1, 0, 1, 0], r"next_states\[1\] must be in \[0, 2\); got 2"),
        ("next_states", [0, 1, 1], r"next_states must have shape \(6\); got shape \(3,\)"),
        ("next_states", np.zeros(6), "next_states must hold integers; got dtype float64"),
        ("row_starts", [1, 2, 3, 5, 6], r"row_starts\[0\] must be 0; got 1"),
        ("row_starts", [0, 2, 3, 5, 5], r"row_starts\[4\] must be 6; got 5"),
        ("row_starts", [0, 3, 2, 5, 6], r"row_starts\[2\] must not be below the one before; got 2"),
        ("row_starts", [0, 2, 3, 6], r"row_starts must have S A \+ 1 entries with S = 2; got 4"),
        ("row_starts", [0, 2, 3, 7, 6], r"row_starts\[3\] must be in \[0, 7\); got 7"),
        ("n_states", 0, "n_states must be at least 1; got 0"),
    ],
)
def test_bad_rows_are_named(name, value, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        SparseTransitions(**{**ROWS, name: value})


def spoilt(csr, **changes):
    mdp = random_discounted(3, S, A, csr=csr)
    arguments = {"P": mdp.P, "r": mdp.r, "gamma": 0.9, **changes}
    return DiscountedMDP(**arguments)


@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gamma": 1.0}, r"gamma must be in [0, 1); got 1.0"),
        ({"gamma": -0.1}, r"gamma must be in [0, 1); got -0.1"),
        ({"gamma": np.nan}, "gamma must be a finite number"),
        ({"r": np.zeros((S, A + 1))}, f"r must have shape ({S}, {A}); got shape ({S}, {A + 1})"),
        ({"r": np.full((S, A), np.inf)}, "r[0, 0] must be finite; got inf"),
        (
            {"r": sparse.csr_array((S, A))},
            f"r must have shape ({S * A}, {S}) if sparse; got shape ({S}, {A})",
        ),
        ({"allowed": np.ones((S, A), int)}, f"allowed must be boolean of shape ({S}, {A}); got int64"),
        ({"allowed": np.zeros((S, A), bool)}, "allowed[0, :] must have an available action; got none"),
        ({"allowed": "all"}, "allowed must be a ndarray or list or tuple; got str"),
        ({"noise": "gaussian"}, "noise must be a RewardNoise; got str"),
        ({"r": np.full((S, A), 2.0), "noise": RewardNoise("bernoulli")}, "r (with Bernoulli noise)[0, 0]"),
    ],
)
def test_bad_arguments_are_named(csr, changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        spoilt(csr, **changes)


def test_a_row_that_does_not_sum_to_one_is_named_in_compressed_form():
    data = ROWS["probabilities"].copy()
    data[3] = 0.5
    rows = SparseTransitions(**{**ROWS, "probabilities": data})
    with pytest.raises(ValueError, match=r"^P\[1, 0, :\] must sum to 1; it sums to 1.25"):
        DiscountedMDP(rows, np.zeros((2, 2)), 0.9)
    allowed = np.array([[True, True], [False, True]])
    assert DiscountedMDP(rows, np.zeros((2, 2)), 0.9, allowed).row_sum_error < 1e-15


@given(seed=seeds, csr=st.booleans())
def test_the_error_of_row_sums_is_a_bound(seed, csr):
    from fractions import Fraction

    mdp = random_discounted(seed, S, A, csr=csr, sparse=True)
    sums = [sum(map(Fraction, row)) for row in mdp.dense_P().reshape(-1, S).tolist()]
    assert max(abs(total - 1) for total in sums) <= Fraction(mdp.row_sum_error) < Fraction(S, 2**50)


def test_long_rows_in_blocks_are_checked_like_short_ones(monkeypatch):
    from theoryrl.models import transitions

    mdp = random_discounted(4, 6, 3, csr=True, masked=True)
    monkeypatch.setattr(transitions, "BLOCK", 4)
    assert DiscountedMDP(mdp.P, mdp.r, 0.9, mdp.allowed).row_sum_error == mdp.row_sum_error


EXAMPLES = {
    "dense": random_discounted(0, S, A),
    "compressed": random_discounted(0, S, A, csr=True),
    "masked": random_discounted(0, S, A, masked=True),
    "masked and compressed": random_discounted(0, S, A, masked=True, csr=True),
    "average": AverageRewardMDP(
        random_discounted(0, S, A).P, np.zeros((S, A)), noise=RewardNoise("uniform", 0.1)
    ),
}


@pytest.mark.parametrize("model", EXAMPLES.values(), ids=EXAMPLES)
def test_files_and_pickles_keep_the_bits(model, tmp_path):
    save(model, tmp_path / "model.npz")
    for copy in (load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(model))):
        assert_same_model(model, copy)
        assert copy.row_sum_error == model.row_sum_error
        assert not copy.r.flags.writeable


def test_a_constrained_model_is_saved_with_its_parts(tmp_path):
    mdp = EXAMPLES["masked and compressed"]
    problem = ConstrainedMDP(mdp, np.stack([mdp.r, -mdp.r]), [0.1, -3.0], np.full(S, 0.25))
    save(problem, tmp_path / "model.npz")
    copy = load(tmp_path / "model.npz")
    assert_same_model(problem.mdp, copy.mdp)
    np.testing.assert_array_equal(problem.rewards, copy.rewards)
    np.testing.assert_array_equal(problem.thresholds, copy.thresholds)
    np.testing.assert_array_equal(problem.rho, copy.rho)


@pytest.mark.parametrize("csr", [False, True])
def test_the_toolbox_layout_there_and_back(csr):
    mdp = random_discounted(5, S, A, sparse=True, csr=csr)
    P, R = stationary_to_toolbox(mdp)
    back = discounted_from_toolbox(P, R, mdp.gamma)
    assert back.is_sparse is csr
    assert_same_model(mdp, back)
    for action in range(A):
        page = P[action].toarray() if csr else P[action]
        np.testing.assert_array_equal(page, mdp.dense_P()[:, action])


def test_the_toolbox_rewards_of_states_and_of_transitions():
    mdp = random_discounted(5, S, A)
    P = mdp.P.transpose(1, 0, 2)
    by_state, by_transition = np.arange(S) / S, np.random.default_rng(0).random((A, S, S))
    np.testing.assert_array_equal(discounted_from_toolbox(P, by_state, 0.9).r, np.outer(by_state, np.ones(A)))
    expected = np.einsum("ast,ast->sa", P, by_transition)
    for R in (by_transition, [sparse.csr_array(page) for page in by_transition]):
        np.testing.assert_allclose(discounted_from_toolbox(P, R, 0.9).r, expected, atol=S * 2.0**-52)


def test_the_toolbox_cannot_say_that_an_action_is_missing():
    with pytest.raises(ValueError, match=r"mdp must allow every action everywhere; allowed\[\d, \d\]"):
        stationary_to_toolbox(EXAMPLES["masked"])


@pytest.mark.parametrize("key", [key for key in EXAMPLES if key != "average"])
def test_the_quantecon_layout_there_and_back(key):
    mdp = EXAMPLES[key]
    arrays = to_quantecon(mdp)
    assert set(arrays) in ({"R", "Q", "beta"}, {"R", "Q", "beta", "s_indices", "a_indices"})
    assert_same_model(mdp, from_quantecon(SimpleNamespace(**arrays)))


def test_quantecons_pairs_with_dense_rows_and_with_minus_infinity():
    mdp = EXAMPLES["masked"]
    states, actions = np.nonzero(np.ones((S, A)))
    R = np.where(mdp.mask, mdp.r, -np.inf)[states, actions]
    pairs = SimpleNamespace(
        R=R, Q=mdp.P[states, actions], beta=mdp.gamma, s_indices=states, a_indices=actions
    )
    assert_same_model(mdp, from_quantecon(pairs))
    twice = SimpleNamespace(**{**vars(pairs), "a_indices": np.zeros_like(actions)})
    with pytest.raises(ValueError, match="s_indices and a_indices must name each pair once"):
        from_quantecon(twice)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": np.zeros((2, S, A))}, f"rewards must have shape (1, {S}, {A})"),
        ({"thresholds": [np.nan]}, "thresholds[0] must be finite"),
        ({"rho": None}, "rho must be given"),
        ({"rho": np.ones(S)}, "rho must sum to 1"),
        ({"mdp": "riverswim"}, "mdp must be a EpisodicMDP or DiscountedMDP; got str"),
    ],
)
def test_bad_constraints_are_named(changes, message):
    arguments = {"mdp": EXAMPLES["dense"], "rewards": np.zeros((1, S, A)), "thresholds": [0.0]}
    arguments["rho"] = np.full(S, 1 / S)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        ConstrainedMDP(**{**arguments, **changes})


def test_an_episodic_problem_starts_where_its_model_does():
    mdp = random_mdp(0)
    problem = ConstrainedMDP(mdp, mdp.r[None], [0.0])
    np.testing.assert_array_equal(problem.rho, mdp.rho)
    with pytest.raises(ValueError, match="rho must be that of the episodic model"):
        ConstrainedMDP(mdp, mdp.r[None], [0.0], np.eye(mdp.n_states)[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": lambda s, a, n, p: (1, 0.0)}, "step must be compiled by numba.njit; got function"),
        ({"n_states": 0}, "n_states must be at least 1; got 0"),
        ({"gamma": 1.0}, r"gamma must be in \[0, 1\); got 1.0"),
        ({"max_successors": 0}, "max_successors must be at least 1; got 0"),
        ({"monotone_block": -1}, "monotone_block must be at least 0; got -1"),
        ({"reward_bound": -1.0}, "reward_bound must be a finite number"),
    ],
)
def test_bad_arguments_of_an_implicit_model_are_named(changes, message):
    from theoryrl.instances import growth

    model = growth(3)
    fields = ("step", "n_states", "n_actions", "gamma", "max_successors", "reward_bound")
    arguments = {name: getattr(model, name) for name in fields}
    with pytest.raises(ValueError, match=f"^{message}"):
        ImplicitMDP(**{**arguments, **changes})
