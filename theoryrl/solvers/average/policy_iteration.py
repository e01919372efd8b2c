r"""Policy iteration for the average reward, in every communicating class at once.

Within a class the optimal gain is one number. A policy may still have several recurrent classes in
it; then the best of these is kept, and all other states are led there, which loses nothing. The
policy is then *unichain* in the class, and

    g + h = r + P h,   h(anchor) = 0

has one solution. Improving by r + P h never lowers the gain, and ends (Haviv and Puterman 1991).

The classes are joined by `theoryrl.solvers.average._certificate`; `multichain_policy_iteration` is
Howard's method, which handles gains that differ between states in its own iteration.
"""

from __future__ import annotations

import hashlib

import numpy as np

from theoryrl.models import AverageRewardMDP
from theoryrl.models._validation import check_count, check_type
from theoryrl.solvers import _row_kernels
from theoryrl.solvers._chain_systems import PoissonSystem, differences, submatrix
from theoryrl.solvers._rows import actions_chain
from theoryrl.solvers.average._certificate import ClassBounds, Setting
from theoryrl.solvers.average._small import solve_small
from theoryrl.solvers.average.evaluation import frequent_states
from theoryrl.solvers.average.solution import GainSolution
from theoryrl.solvers.classes import closed_classes
from theoryrl.solvers.solution import InterruptedSolve, NotConvergedError, OnSweep, Progress, check_tolerance


def policy_iteration(
    mdp: AverageRewardMDP,
    tol: float = 1e-6,
    *,
    max_iterations: int = 10_000,
    on_sweep: OnSweep | None = None,
) -> GainSolution:
    """Return the optimal gain of every state by policy iteration.

    Parameters
    ----------
    mdp
        The model; any number of communicating classes, periodic or not.
    tol
        Largest error of `value` in any state, in units of the reward per step.
    max_iterations
        Largest number of improvements.
    on_sweep
        Called after each improvement with a `Progress`.

    Returns
    -------
    GainSolution
        Gain, bounds, and a policy whose own gain lies within the bounds too.

    Raises
    ------
    NotConvergedError
        If the error is not proven to be at most `tol`; the bounds are attached.
    InterruptedSolve
        On Ctrl-C; the bounds are attached.
    """
    check_type("mdp", mdp, AverageRewardMDP)
    check_tolerance(tol)
    check_count("max_iterations", max_iterations)
    small = solve_small(mdp, tol, max_iterations) if on_sweep is None else None
    if small is not None:
        return small
    setting = Setting(mdp)
    search = PolicySearch(setting)
    # Several classes are joined by further rounding, for which some of the tolerance is left.
    target = 2 * tol if setting.parts.n == 1 else tol
    found = search.start(target)
    try:
        for _ in range(max_iterations):
            if on_sweep is not None:
                on_sweep(Progress(search.iterations, found.gap, tol))
            if found.gap <= target or not search.changed:
                break
            found = search.improve()
    except KeyboardInterrupt as interrupt:
        raise InterruptedSolve(search.solution(found)) from interrupt
    answer = search.solution(found)
    if answer.gap > 2 * tol:
        why = "policy iteration stopped" if not search.changed else f"{search.iterations} improvements"
        raise NotConvergedError(f"{why} short of an error of {tol:.3g}", answer)
    return answer


def best_bounds(setting: Setting, max_iterations: int = 10_000) -> ClassBounds:
    """Return bounds on the gain of each class, as close as policy iteration proves them."""
    search = PolicySearch(setting)
    found = search.start(0.0)
    for _ in range(max_iterations):
        if not search.changed:
            break
        found = search.improve()
    return found


class PolicySearch:
    """The state of a run: actions that stay in each class, and their relative values.

    Attributes
    ----------
    actions
        Shape [S]; -1 for states in no class.
    h
        Relative values of these actions: shape [S].
    changed
        Number of states whose action the last improvement replaced.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.mdp, self.parts = setting.mdp, setting.parts
        self.members = setting.members
        self.groups = self.parts.labels[self.members]
        self.actions = np.full(self.mdp.n_states, -1, dtype=np.int64)
        self.h = np.zeros(self.mdp.n_states)
        self.changed, self.iterations = 1, 0
        self._seen: set[bytes] = set()

    def start(self, target: float) -> ClassBounds:
        """Take the better of two policies: straight to the best reward, or greedy in r."""
        inner = self.parts.inner
        reward = np.where(inner, self.mdp.r, -np.inf)
        greedy = np.where(self.parts.labels >= 0, reward.argmax(axis=1), -1)
        straight = greedy.copy()
        self.setting.attract(inner, self._best_states(reward.max(axis=1)), straight)
        gains, self.h, self.actions = self.evaluate(straight)
        found = self._check()
        if found.gap <= target or np.array_equal(straight, greedy):
            return found
        others, h, actions = self.evaluate(greedy)
        better = (others > gains)[self.parts.labels] & (self.parts.labels >= 0)
        if better.any():
            self.h, self.actions = np.where(better, h, self.h), np.where(better, actions, self.actions)
            self._seen.clear()
            found = self._check()
        return found

    def improve(self) -> ClassBounds:
        """Evaluate the improved actions, and improve again."""
        _, self.h, self.actions = self.evaluate(self.actions)
        return self._check()

    def _check(self) -> ClassBounds:
        """Bound the gain by h, and replace the actions that are worse than others."""
        S, rows = self.mdp.n_states, self.setting.rows
        low, high = np.empty(S), np.empty(S)
        self.changed = _row_kernels.improve(
            rows.P, self.mdp.r, self.parts.inner, self.h, rows.unit, rows.tau, self.actions, low, high
        )
        self.iterations += 1
        digest = hashlib.blake2b(self.actions.tobytes(), digest_size=16).digest()
        if digest in self._seen:  # rounding exchanges equally good actions for ever
            self.changed = 0
        self._seen.add(digest)
        return ClassBounds(*self.setting.extremes(low, high), self.actions.copy())

    def solution(self, bounds: ClassBounds) -> GainSolution:
        """Return the certified answer of the present iterate."""
        return self.setting.solution(self.h, bounds, self.iterations, "policy iteration")

    def evaluate(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (gain of each class, h, actions), after making the actions unichain in each class."""
        P, r = self._chain(actions)
        recurrent = closed_classes(P)
        if int(recurrent.max()) + 1 > self.parts.n:
            actions = self._unichain(P, r, recurrent, actions)
            P, r = self._chain(actions)
        system = PoissonSystem(P, self.groups, frequent_states(P, self.groups))
        g, inside = system.solve(r)
        if np.isfinite(inside).all():
            _, correction = system.solve(r + differences(P, inside)[0])
            inside = inside + correction
        else:
            g, inside = np.full(self.parts.n, -np.inf), np.zeros(self.members.size)
        h = np.zeros(self.mdp.n_states)
        h[self.members] = inside
        return g, h, actions

    def _chain(self, actions: np.ndarray) -> tuple[object, np.ndarray]:
        if self.members.size == self.mdp.n_states:
            return actions_chain(self.mdp, actions)
        P, r = actions_chain(self.mdp, np.maximum(actions, 0))
        return submatrix(P, self.members, self.members), r[self.members]

    def _unichain(self, P: object, r: np.ndarray, recurrent: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Keep the best recurrent class in each communicating class, and lead all states there."""
        inside = np.flatnonzero(recurrent >= 0)
        groups = recurrent[inside]
        block = submatrix(P, inside, inside)
        gains, _ = PoissonSystem(block, groups, frequent_states(block, groups)).solve(r[inside])
        gains = np.where(np.isfinite(gains), gains, -np.inf)
        _, first = np.unique(groups, return_index=True)
        owner = self.groups[inside[first]]
        order = np.lexsort((-gains, owner))
        best = order[np.concatenate([[True], np.diff(owner[order]) > 0])]
        settled = np.zeros(self.mdp.n_states, dtype=np.bool_)
        settled[self.members] = np.isin(recurrent, best)
        led = actions.copy()
        self.setting.attract(self.parts.inner, settled, led)
        return led

    def _best_states(self, reward: np.ndarray) -> np.ndarray:
        """Return the first state with the largest reward of each class, as a mask."""
        order = np.lexsort((-reward[self.members], self.groups))
        firsts = order[np.concatenate([[True], np.diff(self.groups[order]) > 0])]
        chosen = np.zeros(self.mdp.n_states, dtype=np.bool_)
        chosen[self.members[firsts]] = True
        return chosen
