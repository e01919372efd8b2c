"""A solver that tunes its own parameter: ``for A, b in systems: x = tuner.solve(A, b)``.

All that the tuner learns from is the iteration count of each solve, which every solver knows anyway.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners.baselines.bandits import TsallisINF
from theoryrl.models._validation import check_choice, check_count, check_fraction, check_interval, real_array
from theoryrl.models.bandit import check_range
from theoryrl.models.linear_systems import METHODS, SPDMatrix, check_omegas
from theoryrl.protocol import BanditObservation, BanditSpec
from theoryrl.solvers.relaxation import LinearSolution, LinearSolveError, sor, ssor, ssor_pcg

SOLVERS = dict(zip(METHODS, (sor, ssor, ssor_pcg), strict=True))


class RelaxationTuner:
    """Solve a stream of symmetric positive definite systems, choosing omega anew for each.

    Parameters
    ----------
    method
        ``"ssor-pcg"``, ``"sor"`` or ``"ssor"``.
    learner
        A bandit learner; default: Tsallis-INF with the running-mean scale of the released code, which needs
        no bound on the counts (and has no guarantee). With contexts: `ChebCB` or `BinnedTsallisINF`.
    omegas
        The grid, increasing, in (0, 2): shape [d]; default 20 values from 1 to 1.95.
    tol
        Relative residual that ends a solve.
    max_iterations
        Give up after so many.
    largest_count
        A bound on the counts, for learners that scale by it; default ``max_iterations + 1``.
    context_range
        Smallest and largest context; needed by learners that use contexts.
    horizon
        Number of systems, if known; needed by learners whose rate depends on it.
    seed
        Of the learner's choices.

    Attributes
    ----------
    last
        The `LinearSolution` of the latest solve, with its residual history.

    Examples
    --------
    >>> import numpy as np
    >>> from theoryrl.instances import shifted_laplacian
    >>> systems = shifted_laplacian(side=5, rounds=30).systems
    >>> tuner = RelaxationTuner("sor")
    >>> for A, b in systems:
    ...     x = tuner.solve(A, b)
    ...     assert np.linalg.norm(b - A @ x) < 1.001e-8 * np.linalg.norm(b)
    >>> len(tuner.counts)
    30
    """

    def __init__(
        self,
        method: str = "ssor-pcg",
        learner: Any = None,
        omegas: Any = None,
        *,
        tol: float = 1e-8,
        max_iterations: int = 10_000,
        largest_count: int | None = None,
        context_range: tuple[float, float] | None = None,
        horizon: int | None = None,
        seed: int = 0,
    ) -> None:
        self.method = check_choice("method", method, METHODS)
        self.learner: Any = TsallisINF(scale="running-mean") if learner is None else learner
        self.grid = check_omegas(np.linspace(1.0, 1.95, 20) if omegas is None else omegas)
        self.tol = check_fraction("tol", tol)
        self.max_iterations = check_count("max_iterations", max_iterations)
        self._largest = (
            max_iterations + 1
            if largest_count is None
            else check_count("largest_count", largest_count, low=2)
        )
        self.context_range = None if context_range is None else check_range("context_range", context_range)
        tuned = (getattr(self.learner, "rate", ""), getattr(self.learner, "exploration", ""))
        if horizon is None and ("horizon" in tuned or "theory" in tuned):
            raise ValueError("horizon must be given for a learner whose rate depends on it")
        spec = BanditSpec(
            n_arms=len(self.grid),
            rounds=1 if horizon is None else check_count("horizon", horizon),
            # Count less one is what a learner is charged, as in the released code: a count of 0 (the start
            # solves the system) is not shown to it.
            reward_range=(-float(self._largest), -1.0),
            sub_gaussian=None,
            context=None if self.context_range is None else self.context_range[0],
            context_range=self.context_range,
        )
        self._state = self.learner.init(spec, np.random.default_rng(check_count("seed", seed, low=0)))
        self._counts: list[int] = []
        self._arms: list[int] = []
        self.last: LinearSolution | None = None

    def solve(self, A: Any, b: Any, x0: Any = None, context: float | None = None) -> Float[np.ndarray, " n"]:
        """Solve ``A x = b`` at the parameter that the learner chooses, and let it see the count.

        Parameters
        ----------
        A
            Symmetric positive definite: a SciPy sparse matrix, an array, or an `SPDMatrix`, which is not
            checked again.
        b
            Target: shape [n].
        x0
            Where to start: shape [n]; default zero.
        context
            What is known of the system beforehand, for learners that use it.

        Raises
        ------
        LinearSolveError
            If the solver gives up. The learner has seen that count too, and the solution is in the error.
        ValueError
            On a bad matrix or target (nothing is learnt from it), or a context where there should be none.
        """
        matrix = SPDMatrix.of(A)
        target = real_array("b", b, (matrix.n,))
        self._see(context)
        decision = self.learner.plan(self._state)
        omega = float(self.grid[decision.arm])
        found = SOLVERS[self.method](
            matrix, target, omega, x0, tol=self.tol, max_iterations=self.max_iterations
        )
        count = found.iterations if found.converged else self.max_iterations + 1
        if count > self._largest:
            raise ValueError(
                f"largest_count must be at least {count}, a count that was met; got {self._largest}"
            )
        if count > 0:  # else the start solves it, whatever omega is: nothing to learn
            observation = BanditObservation(np.array([decision.arm]), np.array([-float(count)]), context)
            self._state = self.learner.update(self._state, decision, observation)
        self._counts.append(count)
        self._arms.append(decision.arm)
        self.last = found
        if not found.converged:
            raise LinearSolveError(found)
        return found.x

    def _see(self, context: float | None) -> None:
        if (context is None) != (self.context_range is None):
            raise ValueError("context and context_range go together: give both or neither")
        if context is not None and self.context_range is not None:
            seen = real_array("context", [context], (1,))
            check_interval("context", seen, *self.context_range)
            if hasattr(self._state, "context"):  # a learner without contexts has no use for it
                self._state.context = float(seen[0])

    @property
    def counts(self) -> Int[np.ndarray, " T"]:
        """Iterations of every solve so far: shape [T]."""
        return np.array(self._counts, dtype=np.int64)

    @property
    def omegas(self) -> Float[np.ndarray, " T"]:
        """Parameter of every solve so far: shape [T]."""
        return np.array(self.grid)[np.array(self._arms, dtype=np.int64)]

    def __repr__(self) -> str:
        return (
            f"RelaxationTuner({self.method}, {self.learner!r}: {len(self._counts)} systems, "
            f"{int(self.counts.sum())} iterations)"
        )
