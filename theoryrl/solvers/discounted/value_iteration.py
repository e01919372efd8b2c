"""Value iteration: repeat Bellman sweeps; plain (Jacobi), in place (Gauss-Seidel), or accelerated.

Sources: Bellman (1957); bounds of MacQueen (1966) and Porteus (1971); elimination of actions of
MacQueen (1967); acceleration of Anderson (1965) with a safeguard as in Zhang, O'Donoghue and Boyd
(2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from theoryrl.models import DiscountedMDP, ImplicitMDP
from theoryrl.models._validation import check_choice, check_count
from theoryrl.solvers.discounted._any import operator_of
from theoryrl.solvers.discounted._search import Search, run
from theoryrl.solvers.discounted.modified_policy_iteration import FAST, PROBES, BackUpPolicy
from theoryrl.solvers.solution import OnSweep, Solution

SWEEPS = ("jacobi", "gauss-seidel")
IN_PLACE = 4
"""Sweeps in place between two sweeps that certify."""
EVALUATIONS = 6
"""Sweeps of the policy after each sweep in place."""
EvaluateInPlace: TypeAlias = Callable[[np.ndarray, float, bool, np.ndarray], None]
"""Called with h, what all rewards are lowered by, the direction and the actions."""


def value_iteration(
    mdp: DiscountedMDP | ImplicitMDP,
    tol: float = 1e-6,
    *,
    sweep: str = "jacobi",
    eliminate: bool = True,
    max_sweeps: int = 1_000_000,
    on_sweep: OnSweep | None = None,
    start: np.ndarray | None = None,
    threads: int | None = None,
) -> Solution:
    """Solve a discounted MDP by value iteration.

    Parameters
    ----------
    mdp
        The model; an `ImplicitMDP` needs memory for a few values per state only.
    tol
        Largest error of `value` in any state, in units of the value.
    sweep
        ``"jacobi"``: every state sees the values of the last sweep; runs on several threads.
        ``"gauss-seidel"``: sweeps in place, four times in the direction that has gained more, each
        group followed by a plain sweep for the bounds.
    eliminate
        Whether to skip actions that the bounds prove not to be optimal.
    max_sweeps
        Largest number of sweeps that certify.
    on_sweep
        Called after each of them with a `Progress`.
    start
        Initial values: shape [S]; default zero.
    threads
        Largest number of threads; default all processors. The result does not depend on it.

    Returns
    -------
    Solution
        Values, bounds, and the greedy policy, whose own value lies within the bounds too.

    Raises
    ------
    NotConvergedError
        If the error is not proven to be at most `tol`; the bounds are attached.
    InterruptedSolve
        On Ctrl-C; the bounds are attached.
    """
    check_choice("sweep", sweep, SWEEPS)
    return run(
        operator_of(mdp, threads),
        copy_backup if sweep == "jacobi" else SweepInPlace(),
        f"value iteration ({sweep})",
        tol=tol,
        max_sweeps=max_sweeps,
        on_sweep=on_sweep,
        start=start,
        eliminate=eliminate,
    )


def anderson_value_iteration(
    mdp: DiscountedMDP | ImplicitMDP,
    tol: float = 1e-6,
    *,
    memory: int = 8,
    eliminate: bool = False,
    max_sweeps: int = 1_000_000,
    on_sweep: OnSweep | None = None,
    start: np.ndarray | None = None,
    threads: int | None = None,
) -> Solution:
    """Solve a discounted MDP by value iteration with Anderson acceleration.

    The next iterate is the combination of the last backups whose residuals nearly cancel. The
    safeguard: where the span of the residual has not fallen, the best iterate so far is backed up
    plainly and the memory starts anew, so that it is never slower than plain value iteration by more
    than a factor of two.

    Parameters
    ----------
    memory
        Number of past iterates, at least 1; two arrays [S] are kept for each.
    mdp, tol, eliminate, max_sweeps, on_sweep, start, threads
        As of `value_iteration`.

    Returns
    -------
    Solution
        As of `value_iteration`.
    """
    return run(
        operator_of(mdp, threads),
        Anderson(check_count("memory", memory)),
        "Anderson-accelerated value iteration",
        tol=tol,
        max_sweeps=max_sweeps,
        on_sweep=on_sweep,
        start=start,
        eliminate=eliminate,
    )


def copy_backup(search: Search) -> None:
    """Take the Bellman backup as the next iterate."""
    search.h[:] = search.W


class SweepInPlace:
    """Sweeps in place, in the direction that moves the values more.

    What a direction is worth is measured whenever it is taken; as moves become smaller, the other one is
    tried again.

    Unlike a plain sweep, one in place does not commute with adding constants, so the level from which
    it starts counts. Where the chain mixes, that is the level at which the mean residual vanishes.
    Where it does not, it is the lower bound: from there the iterates rise, and remain lower bounds but for
    rounding. There, steps that follow one another go on from the level that was reached, because one that
    is taken anew is off by rounding over 1 - gamma, which would have to be swept out again. The level is
    charged to the rewards, so that the values themselves remain small, as does their rounding.

    Parameters
    ----------
    mixing
        Whether the chain mixes; None to find out at the first step.
    evaluate
        Sweeps in place by one policy, which costs 1 / A of a sweep; `EVALUATIONS` times after each sweep, by
        the policy that it found.
    """

    def __init__(self, mixing: bool | None = None, evaluate: EvaluateInPlace | None = None) -> None:
        self.mixing, self.evaluate = mixing, evaluate
        self.moved = [math.inf, math.inf]
        self.level, self.latest = 0.0, -1

    def __call__(self, search: Search) -> None:
        """Sweep in place, in the direction whose last sweeps moved the values more."""
        backwards = int(self.moved[1] >= self.moved[0])
        self.level = self._level(search)
        toll = (1 - search.operator.gamma) * self.level
        search.h[:] = search.W
        actions = np.empty(search.h.size, dtype=np.int64)
        for _ in range(IN_PLACE):
            search.operator.gauss_seidel(search.h, toll, bool(backwards), actions)
            if self.evaluate is not None:
                for _ in range(EVALUATIONS):
                    self.evaluate(search.h, toll, bool(backwards), actions)
        self.moved[backwards] = float(np.abs(search.h - search.W).mean())
        self.latest = search.sweeps

    def _level(self, search: Search) -> float:
        if self.mixing is None:
            probe = BackUpPolicy(search.operator, PROBES)
            start = search.h.copy()
            probe(search)
            search.h = start
            self.mixing = probe.rate <= FAST
        gamma = search.operator.gamma
        if not self.mixing:
            follows = self.latest == search.sweeps - 1
            reached = gamma * (self.level + search.lowered) if follows else -math.inf
            return max(reached, search.shifts.low)
        return float((search.W - search.h).mean()) * gamma / (1 - gamma)


class Anderson:
    """Extrapolates from the last residuals, with a safeguard."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.backups: list[np.ndarray] = []
        self.residuals: list[np.ndarray] = []
        self.best = math.inf
        self.best_backup: Any = None

    def __call__(self, search: Search) -> None:
        """Extrapolate, or go back to the best iterate."""
        if search.span >= self.best:
            search.h[:] = self.best_backup
            self.backups, self.residuals = [], []
            self.best = math.inf
            return
        self.best, self.best_backup = search.span, search.W.copy()
        residual = search.W - search.h
        # Constants are of no account: the bounds do not see them.
        self.backups.append(self.best_backup)
        self.residuals.append(residual - residual.mean())
        del self.backups[: -self.memory - 1], self.residuals[: -self.memory - 1]
        search.h[:] = self._extrapolated()

    def _extrapolated(self) -> np.ndarray:
        last = self.residuals[-1]
        if len(self.residuals) == 1:
            return self.backups[-1]
        moves = np.stack([residual - last for residual in self.residuals[:-1]], axis=1)
        weights = np.linalg.lstsq(moves, -last, rcond=1e-12)[0]
        newest = self.backups[-1]
        return np.asarray(
            newest + sum(w * (old - newest) for w, old in zip(weights, self.backups[:-1], strict=True))
        )
