r"""Optimism over a product class of action-value functions, exactly: a chain instead of N^H candidates.

The loss L_h(f) of a candidate depends on (f_h, f_{h+1}) only, and V_f on f_0 only. So both the penalised
maximum (MEX) and the constrained one (GOLF) are dynamic programs over the layers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.models._validation import check_interval, check_real, real_array
from theoryrl.solvers.maximize_to_explore import _chain_kernels
from theoryrl.solvers.maximize_to_explore.tabular_model import check_eta


class ChainOptimum(NamedTuple):
    """A choice of one function in each layer.

    Attributes
    ----------
    indices
        i_0, ..., i_{H-1}.
    value
        The maximum.
    """

    indices: tuple[int, ...]
    value: float


def chain_argmax(V: Float[np.ndarray, " N"], losses: Float[np.ndarray, "H N N"], eta: float) -> ChainOptimum:
    """Maximise V[i_0] - eta sum_h losses[h, i_h, i_{h+1}] over all N^H choices, exactly.

    A max-sum problem on a chain: G_h(i) = max_j G_{h+1}(j) - eta losses[h, i, j], in O(H N^2).

    Parameters
    ----------
    V
        Value at the start of each function of layer 0: shape [N].
    losses
        L_h of a function and its successor, at least 0; the last stage uses successor 0: shape [H, N, N].
    eta
        Positive.
    """
    start, table = _chain_arrays(V, losses)
    check_eta(eta)
    H, N, _ = table.shape
    chosen = np.zeros(H, dtype=np.int64)
    value = _chain_kernels.chain_best(start, table, float(eta), np.empty((H, N)), chosen)
    return ChainOptimum(tuple(int(i) for i in chosen), float(value))


def chain_level_set(
    V: Float[np.ndarray, " N"], losses: Float[np.ndarray, "H N N"], beta: float
) -> ChainOptimum | None:
    """Maximise V[i_0] subject to losses[h, i_h, i_{h+1}] <= beta at every stage; None if that is empty."""
    check_real("beta", beta, low=0.0)
    start, table = _chain_arrays(V, losses)
    H, N, _ = table.shape
    chosen = np.zeros(H, dtype=np.int64)
    value = _chain_kernels.chain_feasible_best(
        start, table, float(beta), np.empty((H, N), dtype=np.bool_), chosen
    )
    return None if value == -np.inf else ChainOptimum(tuple(int(i) for i in chosen), float(value))


def _chain_arrays(V: Any, losses: Any) -> tuple[np.ndarray, np.ndarray]:
    start = real_array("V", V, ("N",))
    table = real_array("losses", losses, ("H", len(start), len(start)))
    check_interval("losses", table, 0.0, np.inf)
    return start, table
