"""Discounted models from and to the arrays of other libraries.

*Toolbox*: P[A, S, S], or A sparse matrices, and R of shape [S], [S, A] or [A, S, S].

*QuantEcon* ``DiscreteDP(R, Q, beta, s_indices, a_indices)``: either R[S, A] and Q[S, A, S], where a
reward of minus infinity marks an action that is not available, or one row per available pair: R[L],
Q[L, S] and the state and action of each row. QuantEcon itself is not needed: any object with these
attributes will do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from theoryrl.models._validation import check_memory, check_type, index_array, real_array
from theoryrl.models.stationary import AverageRewardMDP, DiscountedMDP, expected_rewards
from theoryrl.models.transitions import SparseTransitions


def discounted_from_toolbox(P: Any, R: Any, gamma: float) -> DiscountedMDP:
    """Return the discounted model of a toolbox's arrays.

    Parameters
    ----------
    P
        P[a, s, s'] of shape [A, S, S], or a sequence of A SciPy sparse matrices (the model is sparse
        then).
    R
        Rewards R[s], R[s, a] or R[a, s, s'] (an array, or a sequence of A matrices); rewards of
        transitions are averaged over P.
    gamma
        Discount factor.
    """
    if isinstance(P, list | tuple) and len(P) and sparse.issparse(P[0]):
        kernel: Any = SparseTransitions.from_scipy(_interleave(P))
    else:
        array = real_array("P", P, ("A", "S", "S"))
        kernel = np.ascontiguousarray(array.transpose(1, 0, 2))
    S, A, _ = kernel.shape
    if isinstance(R, list | tuple) and len(R) and sparse.issparse(R[0]):
        return DiscountedMDP(kernel, _interleave(R), gamma)
    rewards = np.asarray(R)
    if rewards.ndim == 1:
        return DiscountedMDP(kernel, np.repeat(real_array("R", R, (S,))[:, None], A, axis=1), gamma)
    if rewards.ndim == 3:
        transitions = real_array("R", R, (A, S, S)).transpose(1, 0, 2)
        return DiscountedMDP(kernel, expected_rewards(kernel, np.ascontiguousarray(transitions)), gamma)
    return DiscountedMDP(kernel, real_array("R", R, (S, A)), gamma)


def stationary_to_toolbox(mdp: DiscountedMDP | AverageRewardMDP) -> tuple[Any, np.ndarray]:
    """Return (P, R[s, a]): P[a, s, s'], or a list of A sparse matrices if the model is sparse.

    Raises
    ------
    ValueError
        If some action is not available everywhere, which the layout cannot say.
    """
    check_type("mdp", mdp, DiscountedMDP, AverageRewardMDP)
    if not mdp.mask.all():
        state, action = np.argwhere(~mdp.mask)[0]
        raise ValueError(f"mdp must allow every action everywhere; allowed[{state}, {action}] is false")
    if mdp.is_sparse:
        rows = mdp.sparse_P()
        return [rows[action :: mdp.n_actions] for action in range(mdp.n_actions)], mdp.r.copy()
    return np.ascontiguousarray(mdp.dense_P().transpose(1, 0, 2)), mdp.r.copy()


def from_quantecon(problem: Any) -> DiscountedMDP:
    """Return the model of a QuantEcon ``DiscreteDP``, or of any object with its attributes.

    Parameters
    ----------
    problem
        Has `R`, `Q`, `beta`, and for the second layout `s_indices` and `a_indices`.
    """
    R, Q, gamma = np.asarray(problem.R), problem.Q, float(problem.beta)
    if R.ndim == 2:
        allowed = R > -np.inf
        return DiscountedMDP(
            np.where(allowed[..., None], Q, 0.0), np.where(allowed, R, 0.0), gamma, _or_none(allowed)
        )
    L, S = Q.shape
    states = index_array("s_indices", problem.s_indices, (L,), S)
    largest = int(np.max(problem.a_indices)) + 1
    actions = index_array("a_indices", problem.a_indices, (L,), largest)
    check_memory("P", S, largest)
    rows = states * largest + actions
    if np.unique(rows).size != L:
        raise ValueError("s_indices and a_indices must name each pair once")
    allowed = np.zeros((S, largest), dtype=np.bool_)
    allowed[states, actions] = R > -np.inf
    r = np.zeros((S, largest))
    r[states, actions] = np.where(R > -np.inf, R, 0.0)
    place = sparse.csr_array((np.ones(L), (rows, np.arange(L))), shape=(S * largest, L))
    kernel: Any = place @ sparse.csr_array(Q)
    if not sparse.issparse(Q):
        kernel = kernel.toarray().reshape(S, largest, S)
    return DiscountedMDP(kernel, r, gamma, _or_none(allowed))


def to_quantecon(mdp: DiscountedMDP) -> dict[str, Any]:
    """Return the keyword arguments of ``quantecon.markov.DiscreteDP`` for a model.

    A dense model gives R[S, A] and Q[S, A, S]; a sparse one gives one row per available pair.
    """
    check_type("mdp", mdp, DiscountedMDP)
    if not mdp.is_sparse:
        return {"R": np.where(mdp.mask, mdp.r, -np.inf), "Q": mdp.dense_P(), "beta": mdp.gamma}
    states, actions = np.nonzero(mdp.mask)
    rows = sparse.csr_matrix(mdp.sparse_P())
    if not mdp.mask.all():
        rows = rows[states * mdp.n_actions + actions]
    return {
        "R": mdp.r[states, actions],
        "Q": rows,
        "beta": mdp.gamma,
        "s_indices": states,
        "a_indices": actions,
    }


def _interleave(matrices: Any) -> sparse.csr_array:
    """Stack A matrices of shape (S, S) so that row s * A + a is row s of matrix a."""
    A, S = len(matrices), matrices[0].shape[0]
    stacked = sparse.csr_array(sparse.vstack([sparse.csr_array(matrix) for matrix in matrices]))
    order = (np.arange(A)[None, :] * S + np.arange(S)[:, None]).ravel()
    return sparse.csr_array(stacked[order])


def _or_none(allowed: np.ndarray) -> np.ndarray | None:
    return None if allowed.all() else allowed
