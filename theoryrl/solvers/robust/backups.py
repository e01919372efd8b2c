"""The robust expectation of a value function: one inner problem for each row, solved exactly.

Each set has its own method (moving mass in the order of the values, a closed form between two
neighbouring values, or a bracketed search in one variable), and each answer its own certificate: the
value of a feasible row is an upper bound on the infimum, any dual value a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from theoryrl.models import Uncertainty
from theoryrl.models._validation import check_distribution, real_array
from theoryrl.solvers.robust import _kernels

SINK_TIE = 1e-12
"""A preferred sink counts as lowest if it is within this of the minimum, relative to the largest value."""

_METHODS: Mapping[str, tuple[Callable[..., None], float]] = {
    "tv": (_kernels.total_variation, 1.0),
    "l1": (_kernels.total_variation, 0.5),
    "linf": (_kernels.largest_change, 1.0),
    "kl": (_kernels.kullback_leibler, 1.0),
    "chi2": (_kernels.chi_square, 1.0),
    "contamination": (_kernels.contamination, 1.0),
    "tv-penalty": (_kernels.total_variation_penalty, 1.0),
    "l1-penalty": (_kernels.total_variation_penalty, 2.0),
    "linf-penalty": (_kernels.largest_change_penalty, 1.0),
    "kl-penalty": (_kernels.kullback_leibler_penalty, 1.0),
    "chi2-penalty": (_kernels.chi_square_penalty, 1.0),
}
"""Name of a set to its kernel, and the factor that turns its radius into the kernel's."""


class RobustExpectation(NamedTuple):
    """The least expectation of v over the set of each row.

    Attributes
    ----------
    value
        p . v of a row p of the set (plus its price, for a penalty): an upper bound on the infimum.
    lower
        A dual value: a lower bound on the infimum.
    rows
        The rows p, or None if they were not asked for.
    """

    value: np.ndarray
    lower: np.ndarray
    rows: np.ndarray | None = None

    @property
    def gap(self) -> float:
        """Largest distance between the two bounds."""
        return float(np.max(self.value - self.lower, initial=0.0))


def robust_expectation(
    uncertainty: Uncertainty,
    P: np.ndarray,
    v: np.ndarray,
    rows: bool = False,
    sink: int | None = None,
) -> RobustExpectation:
    """Return the least expectation of v over the uncertainty set around each row of P.

    Parameters
    ----------
    uncertainty
        The sets; their radii broadcast to the shape of the rows.
    P
        Nominal rows, each a distribution: shape [..., S].
    v
        Values: shape [S].
    rows
        Whether to return the worst rows.
    sink
        State that receives the adversary's mass wherever it is one of the lowest.

    Raises
    ------
    ValueError
        If P or v has a wrong shape or an entry that is not finite, or a row is not a distribution.
    """
    shape = np.shape(P)
    nominal = real_array("P", P, [*(chr(ord("i") + k) for k in range(len(shape) - 1)), "S"])
    check_distribution("P", nominal)
    values = real_array("v", v, (shape[-1],))
    return expectation(uncertainty, nominal, values, rows, sink)


def expectation(
    uncertainty: Uncertainty,
    P: np.ndarray,
    v: np.ndarray,
    rows: bool = False,
    sink: int | None = None,
    radii: np.ndarray | None = None,
) -> RobustExpectation:
    """Do as `robust_expectation`, for arguments that are known to be valid; `radii` replace the set's."""
    shape, S = P.shape[:-1], P.shape[-1]
    nominal, values = frozen(P.reshape(-1, S)), frozen(v)
    levels = frozen((uncertainty.radii(shape) if radii is None else radii).reshape(-1))
    upper, lower = np.empty(len(nominal)), np.empty(len(nominal))
    worst = np.empty((len(nominal) if rows else 0, S))
    if uncertainty.divergence == "wasserstein":
        cost = uncertainty.cost
        if cost is None or cost.shape != (S, S):
            raise ValueError(f"cost must have shape ({S}, {S}); got {None if cost is None else cost.shape}")
        nearest = np.argsort(cost, axis=1, kind="stable")
        transport = _kernels.transport_penalty if uncertainty.penalty else _kernels.transport
        transport(nominal, values, nearest, frozen(cost), levels, upper, lower, worst)
    else:
        method, scale = _METHODS[uncertainty.name]
        method(nominal, values, ascending(values, sink), levels, scale, upper, lower, worst)
    return RobustExpectation(
        upper.reshape(shape),
        np.minimum(lower, upper).reshape(shape),
        worst.reshape(P.shape) if rows else None,
    )


def ascending(v: np.ndarray, sink: int | None = None) -> np.ndarray:
    """Return the states in the order of their values, the sink first wherever it is one of the lowest."""
    order = np.argsort(v, kind="stable")
    if sink is not None and v[sink] <= v[order[0]] + SINK_TIE * max(1.0, float(np.abs(v).max())):
        order = np.concatenate([[sink], order[order != sink]])
    return order


def divergence(uncertainty: Uncertainty, p: np.ndarray, p0: np.ndarray) -> np.ndarray:
    """Return D(p, p0) row by row, for every divergence with a formula (all but ``"wasserstein"``)."""
    kind, change = uncertainty.divergence, np.abs(p - p0)
    if kind in ("tv", "l1"):
        return np.asarray(change.sum(axis=-1) / (2 if kind == "tv" else 1))
    if kind == "linf":
        return np.asarray(change.max(axis=-1))
    if kind == "contamination":
        kept = np.divide(p, p0, out=np.full(p.shape, np.inf), where=p0 > 0)
        return np.asarray(np.maximum(0.0, 1.0 - kept.min(axis=-1)))
    if kind == "wasserstein":
        raise ValueError("the divergence 'wasserstein' has no formula: it is a transport problem")
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "kl":
            terms = np.where(p > 0, p * np.log(p / p0), 0.0)
        else:
            terms = np.where(change > 0, change**2 / p0, 0.0)
    return np.asarray(terms.sum(axis=-1))


def frozen(array: Any) -> np.ndarray:
    """Return a read-only contiguous view, so that a kernel is compiled for one kind of array only."""
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)
    return view
