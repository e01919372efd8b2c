"""Optimal growth: how much of the output to eat, and how much to invest."""

import math

import numpy as np

from theoryrl._numba import run_time_kernel
from theoryrl.models import ImplicitMDP
from theoryrl.models._validation import check_count, check_fraction

EXPONENT = 0.36
PRODUCTIVITY = (0.9, 1.1)
STAY = 0.9


def growth(n_capital: int = 50, gamma: float = 0.95, depreciation: float = 0.1) -> ImplicitMDP:
    r"""Stochastic growth with log utility, as a model that is never written down.

    The state is (productivity z, capital k), numbered z n_capital + i, with two levels of
    productivity and capital on an even grid from a tenth of to twice the steady state. The action is
    tomorrow's capital k', one of the grid. Output z k^0.36 and what is left of the capital are eaten
    but for k'::

        r = log(z k^0.36 + (1 - depreciation) k - k') / bound,

    where bound makes the largest absolute reward one. Productivity persists with probability 0.9.
    With n_capital = 50000 there are 5 10^9 pairs.

    Parameters
    ----------
    n_capital
        Points of the grid of capital, at least 2; the model has twice as many states.
    gamma
        Discount factor, in (0, 1).
    depreciation
        Part of the capital that is lost, in (0, 1).

    Returns
    -------
    ImplicitMDP
        With the actions that leave at least a thousandth of the output to eat, the hint that the best
        k' does not fall with k, and the one that action values are concave in k' where V is.

    Notes
    -----
    The first hint holds for every V: for fixed z the successors depend on k' only, so increasing
    differences are those of r. With y(k) the resources, which increase with k, and b > a,
    log(y - b) - log(y - a) = log(1 - (b - a) / (y - a)) increases with y. The feasible k' are those
    up to y(k) less a thousandth of the output, which increases with k too. Below one grid step of
    capital nothing need be left: k' = the smallest capital is always feasible, because it is a tenth
    of the steady state. The second: r is concave in k', and the successors are the states (z', k').
    Source: Brock and Mirman (1972); the monotone search of Gordon and Qiu (2018).
    """
    n = check_count("n_capital", n_capital, low=2)
    check_fraction("gamma", gamma)
    check_fraction("depreciation", depreciation)
    steady = (EXPONENT / (1 / gamma - 1 + depreciation)) ** (1 / (1 - EXPONENT))
    low, width = steady / 10, steady * (2 - 0.1) / (n - 1)
    capital = low + width * np.arange(n)
    output = np.array(PRODUCTIVITY)[:, None] * capital**EXPONENT
    resources = output + (1 - depreciation) * capital
    limit = np.minimum(np.floor((0.999 * output + (1 - depreciation) * capital - low) / width), n - 1)
    if limit.min() < 0:
        raise ValueError(f"depreciation leaves no feasible capital in some state; got {depreciation!r}")
    ends = limit.astype(np.int64).ravel() + 1
    flat = resources.ravel()
    consumption = flat - low, 0.0009 * output.min()
    bound = max(abs(math.log(consumption[0].max())), abs(math.log(consumption[1])))

    @run_time_kernel
    def step(s: int, a: int, next_states: np.ndarray, probabilities: np.ndarray) -> tuple[int, float]:
        z = s // n
        next_states[0], next_states[1] = a, n + a
        probabilities[z], probabilities[1 - z] = STAY, 1.0 - STAY
        return 2, math.log(flat[s] - (low + width * a)) / bound

    @run_time_kernel
    def feasible(s: int) -> tuple[int, int]:
        return 0, ends[s]

    # The difference is off by two units of the resources, relative to a consumption that may be small.
    error = 8 * 2.0**-53 * (float(flat.max()) / consumption[1] + bound) / bound
    return ImplicitMDP(step, 2 * n, n, float(gamma), 2, 1.0, feasible, n, reward_error=error, concave_block=n)
