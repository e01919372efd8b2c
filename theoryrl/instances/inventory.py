"""Inventory control with lost sales."""

import numpy as np

from theoryrl.models import DiscountedMDP, SparseTransitions
from theoryrl.models._validation import check_count

FIXED_COST, HOLDING_COST, SALES = 0.25, 0.25, 0.5


def inventory(
    capacity: int = 40, orders: int = 5, batch: int = 5, demands: int = 8, gamma: float = 0.95
) -> DiscountedMDP:
    """Order stock in batches before a random demand, of which the rest is lost.

    The state is the stock 0, ..., capacity. Action a orders a batches, which arrive at once; it is
    available if they fit into the store. With y the stock after that and D uniform on
    0, ..., demands - 1, the next state is max(y - D, 0), and the expected reward is

        1/2 + 1/2 E min(y, D) / max D - 1/4 y / capacity - 1/4 [a > 0],

    which lies in [0, 1].

    Parameters
    ----------
    capacity
        Largest stock, at least 1.
    orders
        Number of actions, at least 1: 0, ..., orders - 1 batches.
    batch
        Units per batch, at least 1.
    demands
        Number of values of the demand, at least 2.
    gamma
        Discount factor, in [0, 1).

    Returns
    -------
    DiscountedMDP
        Sparse, with capacity + 1 states and state-dependent action sets.

    Notes
    -----
    The text-book model (Puterman 1994, section 3.2), with costs scaled so that rewards are in [0, 1].
    """
    S = check_count("capacity", capacity) + 1
    A, b = check_count("orders", orders), check_count("batch", batch)
    D = check_count("demands", demands, low=2)
    stock, demand = np.arange(S)[:, None] + b * np.arange(A), np.arange(D)
    allowed = stock < S
    left = np.maximum(stock[allowed][:, None] - demand, 0)
    starts = np.append(0, np.cumsum(np.where(allowed.ravel(), D, 0)))
    P = SparseTransitions(np.full(left.size, 1 / D), left.ravel(), starts, S)
    sold = np.minimum(stock[..., None], demand).mean(axis=-1) / (D - 1)
    r = 0.5 + SALES * sold - HOLDING_COST * stock / capacity - FIXED_COST * (np.arange(A) > 0)
    return DiscountedMDP(P, np.where(allowed, r, 0.0), gamma, allowed)
