"""The exact optimum: the cycle of largest mean reward in the graph of idle times.

A state holds every arm's idle time, cut off at its memory D_i: prod D_i states. A choice is a set of at most
K arms; it earns their mean rewards and moves deterministically. Leaving capacity unused can be optimal,
because a pull resets the arm, so all smaller sets are choices too. From every state the fully rested one can
be reached, so the optimal gain is the same everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import networkx as nx
import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.models import PullSequence, RecoveringBandit
from theoryrl.models._validation import check_count, check_memory, check_type
from theoryrl.solvers.recovering import _kernels
from theoryrl.solvers.solution import Solution, rounding_unit

MAX_STATES = 2_000_000
MAX_CHOICES = 1_000_000
MAX_ITERATIONS = 1000
"""Policy iteration needs a dozen rounds in practice."""

IMPROVEMENT = 1e-12
"""Smallest improvement that counts, relative to the largest reward of a period."""


@dataclass(frozen=True, eq=False)
class CycleSolution(Solution):
    """The optimal average reward; `policy` is the `PullSequence` of an optimal cycle.

    `lower` is the mean of that cycle, `upper` the largest r + h(s') - h(s) over all edges, which bounds the
    mean of every cycle whatever h is; both account for rounding.

    Attributes
    ----------
    n_states
        Number of states of the graph.
    bias
        The h of the certificate: shape [S].
    """

    meaning: ClassVar[str] = "per round, in the long run"
    n_states: int
    bias: Float[np.ndarray, " S"]


def count_choices(n_arms: int, K: int) -> int:
    """Return the number of sets of at most K arms."""
    return sum(math.comb(n_arms, size) for size in range(K + 1))


def choices(n_arms: int, K: int) -> Bool[np.ndarray, "A N"]:
    """Return all sets of at most K arms as rows, the empty one first.

    Raises
    ------
    ValueError
        If there are more than `MAX_CHOICES`.
    """
    count = count_choices(n_arms, K)
    if count > MAX_CHOICES:
        raise ValueError(f"{n_arms} arms with K = {K} have {count} sets, more than {MAX_CHOICES}")
    sets = [arms for size in range(K + 1) for arms in combinations(range(n_arms), size)]
    table = np.zeros((len(sets), n_arms), dtype=np.bool_)
    for row, arms in zip(table, sets, strict=True):
        row[list(arms)] = True
    return table


@dataclass(frozen=True, eq=False)
class IdleGraph:
    """The idle-time graph of a bandit: edges s -> successors[s, c] with reward rewards[s, c].

    Attributes
    ----------
    sets
        Which arms choice c pulls: shape [A, N].
    """

    sets: Bool[np.ndarray, "A N"]
    successors: Int[np.ndarray, "S A"]
    rewards: Float[np.ndarray, "S A"]

    @property
    def rested(self) -> int:
        """The state in which every arm is fully rested."""
        return len(self.successors) - 1

    def to_networkx(self) -> nx.DiGraph:
        """Return the graph with weights ``reward``, the best of parallel edges."""
        graph = nx.DiGraph()
        for (s, c), t in np.ndenumerate(self.successors):
            reward = float(self.rewards[s, c])
            if not graph.has_edge(s, int(t)) or graph[s][int(t)]["reward"] < reward:
                graph.add_edge(s, int(t), reward=reward)
        return graph


def idle_time_graph(bandit: RecoveringBandit, max_states: int = MAX_STATES) -> IdleGraph:
    """Return the graph of idle times.

    Raises
    ------
    ValueError
        If it has more than `max_states` states, or does not fit into memory.
    """
    check_type("bandit", bandit, RecoveringBandit)
    memory = bandit.memory
    n_states = math.prod(int(d) for d in memory)
    if n_states > check_count("max_states", max_states):
        raise ValueError(
            f"the idle-time graph has {n_states} states, more than max_states = {max_states}; "
            "method='periodic' gives proven bounds at any size"
        )
    sets = choices(bandit.n_arms, bandit.K)
    n_choices = len(sets)
    check_memory("the idle-time graph", n_states, n_choices, 2)
    successors = np.empty((n_states, n_choices), dtype=np.int64)
    rewards = np.empty((n_states, n_choices))
    _kernels.idle_moves(np.array(bandit.R), memory, sets, successors, rewards)
    return IdleGraph(sets, successors, rewards)


def optimal_cycle(bandit: RecoveringBandit, max_states: int = MAX_STATES) -> CycleSolution:
    """Compute the optimal average reward by policy iteration on the idle-time graph.

    Parameters
    ----------
    bandit
        Curves need not be monotone.
    max_states
        Refuse larger graphs.

    Returns
    -------
    CycleSolution
        The optimal gain with a two-sided certificate, and a cycle of sets that attains it.

    Notes
    -----
    Howard's method in its multichain form (improve the gain first, then the bias). Cost per iteration:
    O(S) to evaluate, O(S A) to improve, for S = prod D_i states and A sets.
    """
    graph = idle_time_graph(bandit, max_states)
    choice, bias, iterations = _policy_iteration(graph)
    states = _cycle(graph, choice)
    mean = math.fsum(graph.rewards[s, choice[s]] for s in states) / len(states)
    top = float(_kernels.largest_step(graph.successors, graph.rewards, bias))
    scale = float(graph.rewards.max())
    lower_error = rounding_unit(bandit.K + 2) * mean
    upper_error = rounding_unit(bandit.K + 3) * (scale + 2 * float(np.abs(bias).max()))
    return CycleSolution(
        value=np.array(mean),
        policy=_sequence(graph, choice, states, bandit),
        lower=np.array(mean - lower_error),
        upper=np.array(max(top, mean) + upper_error),
        iterations=iterations,
        method="policy iteration",
        n_states=len(bias),
        bias=bias,
    )


def _policy_iteration(
    graph: IdleGraph,
) -> tuple[Int[np.ndarray, " S"], Float[np.ndarray, " S"], int]:
    """Return an optimal choice per state, its bias, and the number of iterations."""
    tolerance = IMPROVEMENT * float(graph.rewards.max())
    choice = np.argmax(graph.rewards, axis=1)
    gain, bias = np.zeros((2, len(choice)))
    for iteration in range(1, MAX_ITERATIONS + 1):
        _kernels.evaluate_moves(choice, graph.successors, graph.rewards, gain, bias)
        if not _kernels.improve_moves(choice, graph.successors, graph.rewards, gain, bias, tolerance):
            return choice, bias, iteration
    raise RuntimeError(f"policy iteration did not settle in {MAX_ITERATIONS} iterations")


def _cycle(graph: IdleGraph, choice: Int[np.ndarray, " S"]) -> list[int]:
    """Return the states of the cycle that the policy enters from the fully rested state."""
    seen: dict[int, int] = {}
    path: list[int] = []
    s = graph.rested
    while s not in seen:
        seen[s] = len(path)
        path.append(s)
        s = int(graph.successors[s, choice[s]])
    return path[seen[s] :]


def _sequence(
    graph: IdleGraph, choice: Int[np.ndarray, " S"], states: list[int], bandit: RecoveringBandit
) -> PullSequence:
    sets = np.full((len(states), bandit.K), -1, dtype=np.int64)
    for row, s in zip(sets, states, strict=True):
        arms = np.flatnonzero(graph.sets[choice[s]])
        row[: len(arms)] = arms
    return PullSequence(sets, bandit.n_arms)


def finite_horizon_value(bandit: RecoveringBandit, T: int, max_states: int = MAX_STATES) -> float:
    """Return the largest total reward of T periods that begin fully rested, by dynamic programming."""
    check_count("T", T)
    graph = idle_time_graph(bandit, max_states)
    value, out = np.zeros((2, len(graph.successors)))
    for _ in range(T):
        _kernels.sweep_moves(graph.successors, graph.rewards, value, out)
        value, out = out, value
    return float(value[graph.rested])
