r"""Value iteration from below, and a guess from above that is then proven, on the merged problem.

A starting bound from above is what interval iteration needs and seldom has. The optimistic method
(Hartmanns and Kaminski 2020) needs none: when the lower end v hardly moves any more, some u a little
above v is guessed to be a bound, and swept like v. As soon as every row gives r + P u < u, u is one
(`theoryrl.solvers._quotient`); where u falls below v the guess was wrong, and v is swept further.

The guess is v + eps (1 + abs(v)), in which every row with a reward of its own already loses. Sweeps of
the guess go half the way to T u only: a node that T u would bring to its value at once, next to the end
for instance, would stay there, and T u < u would not hold any more.
"""

from __future__ import annotations

import numpy as np

from theoryrl.models import TotalRewardMDP
from theoryrl.models._validation import check_count
from theoryrl.solvers._quotient import Quotient, solve_quotient, strictly_above, upper_bound
from theoryrl.solvers.solution import InterruptedSolve, OnSweep, Progress, check_tolerance
from theoryrl.solvers.total._problem import prepare
from theoryrl.solvers.total.interval_iteration import UNIT, LowerEnd
from theoryrl.solvers.total.policy_iteration import checked
from theoryrl.solvers.total.solution import TotalSolution

STRICTER = 4.0
"""After a wrong guess, v must move that much less before the next one."""
FEWEST = 16
"""Sweeps that a guess is given at least; at most as many as there were before it."""
MOST_GUESSES = 6
"""Guesses after which the bound is looked for as policy iteration does, by expected times."""


def optimistic_value_iteration(
    mdp: TotalRewardMDP,
    tol: float = 1e-6,
    *,
    max_sweeps: int = 100_000,
    on_sweep: OnSweep | None = None,
) -> TotalSolution:
    """Return the optimal total reward of every state by optimistic value iteration.

    Parameters
    ----------
    mdp, tol
        As of `policy_iteration`.
    max_sweeps
        Largest number of sweeps.
    on_sweep
        Called after each sweep with a `Progress`, whose gap is infinite until a guess is proven.

    Raises
    ------
    NotConvergedError, InterruptedSolve, ValueError
        As of `policy_iteration`; bounds are attached to the first two.
    """
    check_tolerance(tol)
    check_count("max_sweeps", max_sweeps)
    problem, name = prepare(mdp), "optimistic value iteration"
    ends = Optimist(problem.merged, tol)
    try:
        while ends.gap > 2 * tol and ends.sweeps < max_sweeps and ends.sweep():
            if on_sweep is not None:
                on_sweep(Progress(ends.sweeps, ends.gap, tol))
        ends.finish(problem.signed)
    except KeyboardInterrupt as interrupt:
        raise InterruptedSolve(problem.solution(ends.found(), name)) from interrupt
    return checked(problem, problem.solution(ends.found(), name), tol)


class Optimist(LowerEnd):
    """The lower end, and a guess of an upper one.

    Attributes
    ----------
    guess
        None while the lower end still moves.
    until
        Sweep at which the guess is given up.
    """

    def __init__(self, merged: Quotient, tol: float) -> None:
        super().__init__(merged)
        self.tol = self.still = tol
        self.guess: np.ndarray | None = None
        self.until, self.guesses = 0, 0

    def sweep(self) -> bool:
        """Move the lower end and the guess; return whether going on may help."""
        self.sweeps += 1
        moved = self.raise_lower()
        if self.guess is not None:
            self._prove(self.guess)
        elif moved <= self.still:
            size = 1.0 + np.abs(self.lower)
            self.guess = self.lower + 1.5 * self.tol * size / size.max()
            self.guesses += 1
            self.until = self.sweeps + max(FEWEST, self.sweeps)
        return bool(np.isfinite(self.lower).all()) and (moved > 0 or self.guess is not None)

    def _prove(self, guess: np.ndarray) -> None:
        found = self.merged.residuals(guess, self.choice)
        if strictly_above(self.merged, guess, found):
            self.upper = np.minimum(self.upper, guess + 2 * UNIT * np.abs(guess))
        following = guess + 0.5 * found.high
        refuted = bool((following < self.lower).any())
        if np.isfinite(self.upper).all() or refuted or self.sweeps >= self.until:
            self.guess, self.still = None, self.still / STRICTER
            if self.guesses >= MOST_GUESSES:
                self._bound_by_times()
        else:
            self.guess = following

    def _bound_by_times(self) -> None:
        self.upper = np.minimum(self.upper, upper_bound(self.merged, self.lower, self.choice))

    def finish(self, signed: bool) -> None:
        """Look for an upper end as policy iteration does, where none of the guesses was one.

        Rewards of both signs have a meaning only if there is an upper end: then it is not enough to have
        looked for it from a lower end that still moves.
        """
        if not np.isfinite(self.upper).all():
            self._bound_by_times()
        if signed and not np.isfinite(self.upper).all():
            self.upper = np.minimum(self.upper, solve_quotient(self.merged).upper)
