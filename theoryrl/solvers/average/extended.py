r"""Extended value iteration: the largest gain that a set of models allows.

    u(s) <- max_a { r(s, a) + max over q in P(s, a) of q . u }

is value iteration in the *extended* MDP, whose actions choose a row of the confidence set too. Its stopping
vector proves two bounds on the extended gain rho~:

    min_s (T u - u)  <=  rho~  <=  max_s (T u - u),

the left one attained by the greedy policy with its rows; every model of the set has an optimal gain of at
most the right one. Inner maximum: for L1 balls and boxes one sort of u for each sweep serves all pairs; for
balls of the relative entropy the dual is solved, whose value is an upper bound wherever it stops.

Source: Jaksch, Ortner and Auer (2010), section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models import DeterministicPolicy
from theoryrl.models._validation import (
    at,
    check_choice,
    check_count,
    check_distribution,
    check_interval,
    check_real,
    first_index,
    real_array,
)
from theoryrl.solvers.average import _extended_kernels
from theoryrl.solvers.solution import NotConvergedError, Solution, check_tolerance, rounding_unit

SETS = ("l1", "box", "kl")
NO_WIDTHS = np.zeros((0, 0, 0))


@dataclass(frozen=True, eq=False)
class ExtendedSolution(Solution):
    """The gain of the extended MDP, with bounds: `value`, `lower` and `upper` are single numbers.

    Every model whose rewards are at most r and whose rows lie in the sets has an optimal gain of at most
    `upper`. `policy` with the best rows has a gain of at least `lower`.

    Attributes
    ----------
    u
        The vector that proved the bounds, with minimum 0: shape [S].
    """

    u: Float[np.ndarray, " S"]


def extended_value_iteration(
    P: Float[np.ndarray, "S A S"],
    r: Float[np.ndarray, "S A"],
    radius: Float[np.ndarray, "S A"] | Float[np.ndarray, "S A S"],
    tol: float = 1e-6,
    *,
    kind: str = "l1",
    step: float = 1.0,
    max_sweeps: int = 1_000_000,
) -> ExtendedSolution:
    """Return the optimal gain of the extended MDP of a confidence set.

    Parameters
    ----------
    P
        Centres of the sets: shape [S, A, S].
    r
        Largest rewards of the set: shape [S, A].
    radius
        Of each set: shape [S, A]; half-widths of shape [S, A, S] for boxes.
    tol
        Span of the last change: bounds on the gain are closer than this, up to rounding.
    kind
        ``"l1"``: the L1 distance to P is at most the radius; ``"box"``: each entry differs from P by at
        most its half-width; ``"kl"``: KL(P || q) is at most the radius.
    step
        In (0, 1]. Below 1 the iteration stays with some probability, which keeps all gains, and makes
        periodic models converge: needed only where all sets are points.
    max_sweeps
        Largest number of sweeps.

    Returns
    -------
    ExtendedSolution
        Gain with bounds, the greedy policy, and u.

    Raises
    ------
    ValueError
        On a wrong shape, rows that are no distributions, a negative radius, or boxes without a
        distribution.
    NotConvergedError
        If the bounds are not as close as `tol`; those that were reached are attached.
    """
    check_choice("kind", kind, SETS)
    centre = real_array("P", P, ("S", "A", "S"))
    check_distribution("P", centre)
    rewards = real_array("r", r, centre.shape[:2])
    sizes = real_array("radius", radius, centre.shape if kind == "box" else centre.shape[:2])
    check_interval("radius", sizes, 0.0, np.inf)
    check_tolerance(tol)
    if not 0 < check_real("step", step) <= 1:
        raise ValueError(f"step must be in (0, 1]; got {step!r}")
    check_count("max_sweeps", max_sweeps)
    radii, widths = (np.zeros_like(rewards), sizes) if kind == "box" else (sizes, NO_WIDTHS)
    if kind == "box":
        _check_boxes(centre, widths)
    S, A = rewards.shape
    u, actions, bounds = np.zeros(S), np.zeros(S, dtype=np.int64), np.empty(2)
    sweeps = _extended_kernels.extended_sweeps(
        SETS.index(kind), centre, rewards, radii, widths, step, tol, max_sweeps, u, actions, bounds
    )
    lower, upper = proven_bounds(bounds, u, rewards)
    answer = ExtendedSolution(
        np.array(lower + (upper - lower) / 2),
        DeterministicPolicy(actions, A),
        np.array(lower),
        np.array(upper),
        sweeps,
        "extended value iteration",
        u,
    )
    if not bounds[1] - bounds[0] < tol:
        raise NotConvergedError(f"{sweeps} sweeps did not reach {tol:.3g}", answer)
    return answer


def proven_bounds(
    bounds: Float[np.ndarray, " 2"], u: Float[np.ndarray, " S"], r: Float[np.ndarray, "S A"]
) -> tuple[float, float]:
    """Return the bounds of a sweep, moved apart by what rounding may have done to them.

    Each value sums at most 3 S products whose weights add up to at most 3; a row of P may miss 1 by S
    units itself.
    """
    unit = rounding_unit(4 * len(u) + 8)
    slack = unit * (4 * float(u.max()) + float(np.abs(r).max())) + _extended_kernels.EXHAUSTED * u.max()
    return float(bounds[0] - slack - _extended_kernels.TIE), float(bounds[1] + slack)


def set_maximum(
    p: Float[np.ndarray, " S"], u: Float[np.ndarray, " S"], radius: Any, kind: str = "l1"
) -> float:
    """Return the largest q . u over the set around one row.

    Parameters
    ----------
    p, u
        Centre and values: shapes [S].
    radius
        A number; half-widths of shape [S] for a box.
    kind
        As of `extended_value_iteration`. For ``"kl"`` the value is an upper bound, exact to about 1e-12.
    """
    check_choice("kind", kind, SETS)
    centre = real_array("p", p, ("S",))
    check_distribution("p", centre)
    values = real_array("u", u, centre.shape)
    width = real_array("radius", radius, centre.shape) if kind == "box" else np.zeros(0)
    size = 0.0 if kind == "box" else check_real("radius", radius, low=0.0)
    if kind == "box":
        _check_boxes(centre[None, None], width[None, None])
    order = np.argsort(values, kind="stable")
    return float(
        _extended_kernels.inner_maximum(
            SETS.index(kind), centre, values, order, values.max() - values, size, width
        )
    )


def optimistic_kernel(
    P: Float[np.ndarray, "S A S"],
    radius: Float[np.ndarray, "S A"] | Float[np.ndarray, "S A S"],
    solution: ExtendedSolution,
    kind: str = "l1",
) -> Float[np.ndarray, "S S"]:
    """Return the rows that the greedy policy of a solution moves by (``"l1"`` or ``"box"``)."""
    check_choice("kind", kind, SETS[:2])
    centre = real_array("P", P, ("S", "A", "S"))
    sizes = real_array("radius", radius, centre.shape if kind == "box" else centre.shape[:2])
    radii, widths = (sizes[:, :, 0], sizes) if kind == "box" else (sizes, NO_WIDTHS)
    Q = np.empty((len(centre), len(centre)))
    actions = np.array(solution.policy.actions)
    _extended_kernels.optimistic_rows(
        SETS.index(kind), centre, np.ascontiguousarray(radii), widths, solution.u, actions, Q
    )
    return Q


def _check_boxes(P: np.ndarray, widths: np.ndarray) -> None:
    most = np.minimum(1.0, P + widths).sum(axis=-1)
    if (most < 1 - 1e-12).any():
        index = first_index(most < 1 - 1e-12)
        raise ValueError(f"{at('radius', index)} leaves no distribution; largest sum {most[index]!r}")
