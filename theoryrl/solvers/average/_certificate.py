r"""From relative values to proven bounds on the optimal gain of every state.

In a communicating class C with its inner actions, whatever h is,

    min_C (max_a r + P h - h)  <=  g_C  <=  max_C (max_a r + P h - h):

the greedy policy earns at least the left side in each step but for a telescoping sum, no policy more
than the right side (Odoni 1969; Puterman 1994, chapter 8). The optimal gain of the whole model is then

    g(s) = max over policies of E_s[ g_C of the class C in which the process stays ],

which is monotone in the g_C: bounds on them give bounds on g by solving one merged problem. No
comparison of floating-point gains decides anything, and a class is a fact about the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from theoryrl.models import AverageRewardMDP, DeterministicPolicy
from theoryrl.solvers import _row_kernels
from theoryrl.solvers._quotient import STOP, Quotient, lower_bound, solve_quotient, upper_bound
from theoryrl.solvers._rows import Attractor, Rows
from theoryrl.solvers.average.solution import GainSolution
from theoryrl.solvers.classes import EndComponents, communicating_classes


@dataclass
class ClassBounds:
    """Proven bounds on the gain of each class, and actions that attain at least `low`."""

    low: np.ndarray
    high: np.ndarray
    actions: np.ndarray

    @property
    def gap(self) -> float:
        """Largest distance of the bounds."""
        return float((self.high - self.low).max())


class Setting:
    """What every method needs of a model: its classes, its rows, and ways to steer.

    Attributes
    ----------
    mdp, parts, rows, attract
        The model, its communicating classes, its rows for the kernels, and its `Attractor`.
    """

    def __init__(self, mdp: AverageRewardMDP) -> None:
        self.mdp = mdp
        self.parts: EndComponents = communicating_classes(mdp)
        self.rows = Rows.of(mdp)
        self.attract = Attractor(mdp)
        self.members = np.flatnonzero(self.parts.labels >= 0)

    def bounds(self, h: np.ndarray, actions: np.ndarray | None = None) -> ClassBounds:
        """Return what h proves about the gain of each class, with the inner or the given actions."""
        S = self.mdp.n_states
        low, high, chosen = np.empty(S), np.empty(S), np.empty(S, dtype=np.int64)
        rows = self.rows
        active = self.parts.inner if actions is None else actions
        _row_kernels.residuals(rows.P, self.mdp.r, active, h, rows.unit, rows.tau, low, high, chosen)
        return ClassBounds(*self.extremes(low, high), chosen)

    def extremes(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the least `low` and the largest `high` of each class."""
        smallest, largest = np.empty(self.parts.n), np.empty(self.parts.n)
        _row_kernels.group_extremes(self.parts.labels, low, high, smallest, largest)
        return smallest, largest

    def solution(self, h: np.ndarray, bounds: ClassBounds, iterations: int, method: str) -> GainSolution:
        """Return the optimal gain of every state and a policy, from bounds on the classes."""
        merged = self._one_class(bounds) if self.parts.n == 1 else self._several(bounds)
        lower, upper, actions = merged
        return GainSolution(
            value=lower + (upper - lower) / 2,
            policy=DeterministicPolicy(actions, self.mdp.n_actions),
            lower=lower,
            upper=upper,
            iterations=iterations,
            method=method,
            relative_values=np.where(self.parts.labels >= 0, h, 0.0),
            classes=self.parts.labels,
        )

    def _one_class(self, bounds: ClassBounds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every policy ends in the only class, and has the class's gain from there on."""
        actions = bounds.actions.copy()
        inside = self.parts.labels >= 0
        if not inside.all():
            self.attract(self.mdp.mask & ~inside[:, None], inside, actions)
        S = self.mdp.n_states
        return np.full(S, bounds.low[0]), np.full(S, bounds.high[0]), actions

    def _several(self, bounds: ClassBounds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        middle = bounds.low + (bounds.high - bounds.low) / 2
        problem = Quotient.merge(self.mdp, self.parts, np.zeros_like(self.mdp.r), self.mdp.mask, middle)
        found = solve_quotient(problem)
        at_least = replace(problem, stay=_padded(bounds.low, problem.n))
        at_most = replace(problem, stay=_padded(bounds.high, problem.n))
        lower = lower_bound(at_least, at_least.value(found.choice), found.choice)
        upper = upper_bound(at_most, at_most.value(found.choice), found.choice)
        least, largest = float(bounds.low.min()), float(bounds.high.max())
        lower, upper = np.maximum(lower, least), np.minimum(upper, largest)
        stops = np.full(self.mdp.n_states, STOP)
        actions = np.where(self.parts.labels >= 0, bounds.actions, stops)
        actions = problem.actions(found.choice, actions, self.attract)
        # A class where one stays has its own bounds, which no absorption problem blurs.
        own = found.choice[: self.parts.n] == STOP
        for k in np.flatnonzero(own):
            states = self.parts.labels == k
            lower[states_to_nodes(states, problem.node)] = max(
                float(bounds.low[k]), float(lower[problem.node[states]].max())
            )
        return lower[problem.node], upper[problem.node], actions


def states_to_nodes(states: np.ndarray, node: np.ndarray) -> np.ndarray:
    """Return the nodes of a set of states."""
    return np.unique(node[states])


def _padded(stay: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([stay, np.full(n - stay.size, -np.inf)])
