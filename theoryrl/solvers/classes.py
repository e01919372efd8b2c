"""Which states keep communicating: the graph of a model or of a policy's chain, without numbers.

An *end component* is a set of states, and of actions in each, that leads nowhere else and in which
every state can be reached from every other. The long-run behaviour of any policy is decided in the
maximal ones: with probability one a process stays in one of them from some time on, whatever is done
(de Alfaro 1997). In the language of Puterman (1994, chapter 8), a model is *weakly
communicating* if there is exactly one, and *communicating* if that one holds every state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order

from theoryrl.models import MarkovPolicy, SparseTransitions, StationaryMDP
from theoryrl.solvers import _row_kernels
from theoryrl.solvers._rows import Rows, policy_chain


@dataclass(frozen=True, eq=False)
class EndComponents:
    """The maximal end components of a model.

    Attributes
    ----------
    labels
        Number of the component of each state, in [0, n); -1 for a state in none: shape [S].
    inner
        The actions that never leave the component: shape [S, A]; false for states in none.
    n
        Number of components.
    """

    labels: Int[np.ndarray, " S"]
    inner: Bool[np.ndarray, "S A"]
    n: int

    @property
    def is_weakly_communicating(self) -> bool:
        """Whether the optimal gain is the same in every state, whatever the rewards."""
        return self.n == 1

    @property
    def is_communicating(self) -> bool:
        """Whether every state can be reached from every other."""
        return self.n == 1 and bool((self.labels == 0).all())

    def states(self, component: int) -> Int[np.ndarray, " N"]:
        """Return the states of one component."""
        return np.flatnonzero(self.labels == component)

    def __repr__(self) -> str:
        outside = int((self.labels < 0).sum())
        return f"EndComponents(n={self.n}, S={self.labels.size}, in_none={outside})"


def communicating_classes(
    mdp: StationaryMDP, actions: Bool[np.ndarray, "S A"] | None = None
) -> EndComponents:
    """Return the maximal end components of a model.

    Strongly connected components are cut apart by the actions that leave them, until none does.

    Parameters
    ----------
    mdp
        A model without a horizon.
    actions
        Consider only these of the available actions.

    Notes
    -----
    Which successors are possible is read off the stored probabilities (positive or zero), so the
    answer is exact. Each round costs one pass over the model; there are few, except in contrived
    cases.
    """
    active = mdp.mask.copy() if actions is None else mdp.mask & actions
    rows = Rows.of(mdp).P
    while True:
        labels = _strong_components(mdp, active)
        if not _row_kernels.deactivate_exits(rows, active, labels):
            break
    inside = active.any(axis=1)
    found = np.full(mdp.n_states, -1, dtype=np.int64)
    names, found[inside] = np.unique(labels[inside], return_inverse=True)
    return EndComponents(found, active, int(names.size))


def recurrent_classes(mdp: StationaryMDP, policy: MarkovPolicy) -> Int[np.ndarray, " S"]:
    """Return the number of the recurrent class of each state under a policy; -1 where transient."""
    return closed_classes(policy_chain(mdp, policy)[0])


def closed_classes(P: Any) -> Int[np.ndarray, " S"]:
    """Return the number of the recurrent class of each state of a chain; -1 where transient."""
    if isinstance(P, np.ndarray):
        labels = _components_of_dense(P)
        source, target = np.nonzero(P)
    else:
        graph = chain_graph(P)
        labels = _components_of(graph)
        source, target = np.repeat(np.arange(labels.size), np.diff(graph.indptr)), graph.indices
    count = int(labels.max()) + 1
    if count == 1:
        return np.zeros(labels.size, dtype=np.int64)
    closed = np.ones(count, dtype=np.bool_)
    closed[labels[source[labels[source] != labels[target]]]] = False
    names = np.where(closed, np.cumsum(closed) - 1, -1)
    return np.asarray(names[labels], dtype=np.int64)


def period(P: Any, members: np.ndarray) -> int:
    """Return the period of a recurrent class of a chain.

    The greatest common divisor of level(s) + 1 - level(t) over its edges s -> t, with levels of a
    breadth-first search (Denardo 1977).
    """
    graph = chain_graph(P)[members][:, members]
    order, before = breadth_first_order(graph, 0)
    level = np.zeros(members.size, dtype=np.int64)
    for state in order[1:]:
        level[state] = level[before[state]] + 1
    source = np.repeat(np.arange(members.size), np.diff(graph.indptr))
    return int(np.gcd.reduce(level[source] + 1 - level[graph.indices]))


def chain_graph(P: Any) -> sparse.csr_array:
    """Return the positive entries of a chain's matrix."""
    graph = sparse.csr_array(P)
    if graph.data.size and graph.data.min() <= 0:
        graph = graph.copy()
        graph.eliminate_zeros()
    return graph


def _strong_components(mdp: StationaryMDP, active: np.ndarray) -> np.ndarray:
    """Return the strongly connected component of each state, with edges along active rows."""
    if isinstance(mdp.P, SparseTransitions):
        labels = np.empty(mdp.n_states, dtype=np.int64)
        P = mdp.P
        _row_kernels.strong_components(P.row_starts, P.next_states, P.probabilities, active, labels)
        return labels
    edges = np.zeros((mdp.n_states, mdp.n_states), dtype=np.bool_)
    _row_kernels.mark_successors(mdp.P.reshape(-1, mdp.n_states), active, edges)
    return _components_of_dense(edges.astype(np.float64))


def _components_of_dense(P: np.ndarray) -> np.ndarray:
    S = P.shape[0]
    labels, rows = np.empty(S, dtype=np.int64), np.ones((S, 1), dtype=np.bool_)
    starts, targets = np.arange(0, S * S + 1, S), np.tile(np.arange(S), S)
    _row_kernels.strong_components(starts, targets, np.ascontiguousarray(P).ravel(), rows, labels)
    return labels


def _components_of(graph: sparse.csr_array) -> np.ndarray:
    labels = np.empty(graph.shape[0], dtype=np.int64)
    rows = np.ones((graph.shape[0], 1), dtype=np.bool_)
    _row_kernels.strong_components(graph.indptr, graph.indices, graph.data, rows, labels)
    return labels
