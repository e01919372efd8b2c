r"""The best next states for a value, at the price of contradicting the data.

For an empirical row phat (n observations), values V and a price c >= 0::

    max_p  <p, V> - c KL(phat || p)        over the distributions p on the allowed states.

The optimum is p_i = c phat_i / (lambda - V_i) with lambda above all seen values, where

    g(lambda) = sum_i c phat_i / (lambda - V_i) = 1,

unless a state u that was never seen is so good that g(V_u) <= 1: then lambda = V_u and u gets what is
left. Newton's method on 1/g - 1, which is concave and increasing, increases to lambda from
lambda_0 = max V + c phat(argmax V). It iterates on t = lambda - max V, so that nothing is lost when c
is tiny or huge. The value is lambda - c - c sum_i phat_i log((lambda - V_i) / c).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.models._validation import check_interval, check_real, real_array
from theoryrl.solvers.maximize_to_explore import _row_kernels


class PenalisedRow(NamedTuple):
    """The maximiser and the maximum.

    Attributes
    ----------
    p
        The optimistic row: shape [S].
    value
        <p, V> - c KL(phat || p).
    """

    p: Float[np.ndarray, " S"]
    value: float


def kl_penalised_row(
    counts: Float[np.ndarray, " S"],
    c: float,
    V: Float[np.ndarray, " S"],
    support: Bool[np.ndarray, " S"] | None = None,
) -> PenalisedRow:
    """Maximise <p, V> - c KL(phat || p).

    Parameters
    ----------
    counts
        Observations of each next state, or weights proportional to them: shape [S]. All zero: no data,
        and no price.
    c
        Price of one nat, at least 0.
    V
        Values: shape [S].
    support
        States that p may charge; default all. It must contain every observed state.

    Raises
    ------
    ValueError
        On negative counts or price, or an observed state outside the support.
    """
    seen = real_array("counts", counts, ("S",))
    check_interval("counts", seen, 0.0, np.inf)
    values = real_array("V", V, seen.shape)
    check_real("c", c, low=0.0)
    allowed = np.ones(seen.shape, dtype=np.bool_) if support is None else np.array(support, dtype=np.bool_)
    outside = (seen > 0) & ~allowed
    if outside.any() or not allowed.any():
        index = int(np.argmax(outside))
        raise ValueError(f"support[{index}] must be true, because counts[{index}] = {float(seen[index])!r}")
    p = np.empty_like(values)
    value = _row_kernels.penalised_row(seen, float(seen.sum()), float(c), values, allowed, p)
    return PenalisedRow(p, float(value))
