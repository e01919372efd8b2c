"""The American put option on a binomial lattice, with uncertain moves of the price."""

import numpy as np

from theoryrl.instances._build import check_positive, start_in
from theoryrl.models import LinearMDP, RobustLinearMDP, Uncertainty
from theoryrl.models._validation import check_count, check_real

HOLD, EXERCISE = 0, 1
UP, DOWN = 1.02, 0.98
STRIKE = 100.0
UNIT = 25.0
"""A payoff of this size is a reward of one."""


def american_put(
    up: float = 0.5,
    radius: float = 0.1,
    start_price: float = 100.0,
    horizon: int = 10,
    temperature: float = 0.0,
) -> RobustLinearMDP:
    """Hold an American put option, or exercise it for the strike price less the price of the stock.

    In each of H stages the price rises to 1.02 times itself with probability `up`, else falls to 0.98
    times itself. Exercising pays max(0, 100 - price) and ends the option; so does the last stage.

    Parameters
    ----------
    up
        Probability of a rise, in [0, 1].
    radius
        rho of total variation around each row of the action that holds, in [0, 1].
    start_price
        The first price, in [95, 105].
    horizon
        H, from 1 to 12.
    temperature
        eta of the policy regulariser, in units of 25 currency units; the reference policy is uniform.

    Returns
    -------
    RobustLinearMDP
        States: prices 1.02^i 0.98^j start_price for i + j <= H, by i + j and then i, and last the state
        of an option that has ended, which is the fail state. Rewards are payoffs / 25. Features: a unit
        vector for holding at each price, and two for exercising, mixed so that the payoff is linear.

    Notes
    -----
    From the public code of Liu and Xu (2024), which has a random first price in [95, 105] and hat
    functions as features of the price (see `price_features`): there the linear model is only
    approximate, here it is exact.
    """
    check_real("up", up, 0.0, 1.0)
    check_real("start_price", start_price, 95.0, 105.0)
    check_count("horizon", horizon, high=12)
    prices = lattice(start_price, horizon)
    n = len(prices)
    nothing, payoff = n, n + 1
    phi = np.zeros((n + 1, 2, n + 2))
    phi[np.arange(n), HOLD, np.arange(n)] = 1.0
    paid = np.maximum(0.0, STRIKE - prices) / UNIT
    phi[:n, EXERCISE, payoff] = paid
    phi[:n, EXERCISE, nothing] = 1.0 - paid
    phi[n, :, nothing] = 1.0
    theta = np.zeros((horizon, n + 2))
    theta[:, payoff] = 1.0
    mu = np.zeros((n + 2, n + 1))
    mu[n:, n] = 1.0
    mu[:n, n] = np.arange(n) >= n - horizon - 1  # beyond the last stage there is no option
    for k in range(horizon):
        for i in range(k + 1):
            s = k * (k + 1) // 2 + i
            mu[s, s + k + 1], mu[s, s + k + 2] = 1 - up, up
    model = LinearMDP(phi, theta, np.broadcast_to(mu, (horizon, *mu.shape)), start_in(0, n + 1))
    radii = np.where(np.arange(n + 2) < n, check_real("radius", radius, 0.0, 1.0), 0.0)
    return RobustLinearMDP(model, Uncertainty("tv", radii), fail_state=n, temperature=temperature)


def lattice(start_price: float, horizon: int) -> np.ndarray:
    """Return the prices after k <= horizon moves, i of them up, ordered by k and then by i."""
    pairs = [(k, i) for k in range(horizon + 1) for i in range(k + 1)]
    return np.array([start_price * UP**i * DOWN ** (k - i) for k, i in pairs])


def price_features(
    start_price: float = 100.0, horizon: int = 10, n_features: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Return hat functions of the price as features of `american_put`, and their reward vectors.

    Parameters
    ----------
    start_price, horizon
        As for `american_put`.
    n_features
        Number of hats d; they are 100 / d wide, with tips from 80 upwards.

    Returns
    -------
    tuple
        phi of shape [S, A, d + 2] and theta of shape [H, d + 2], of which the last two are those of
        exercising. With them the model is not exactly linear: prices between two tips share a factor.
    """
    d = check_count("n_features", n_features, low=2)
    width = check_positive("100 / n_features", 100.0 / d)
    prices = lattice(start_price, horizon)
    tips = 80.0 + width * np.arange(d)
    hats = np.maximum(0.0, 1.0 - np.abs(prices[:, None] - tips) / width)
    # Beyond the outermost tips the nearest one has all the weight, so that weights sum to one.
    hats[prices <= tips[0]], hats[prices >= tips[-1]] = np.eye(d)[0], np.eye(d)[-1]
    n = len(prices)
    phi = np.zeros((n + 1, 2, d + 2))
    phi[:n, HOLD, :d] = hats
    paid = np.maximum(0.0, STRIKE - prices) / UNIT
    phi[:n, EXERCISE, d] = 1.0 - paid
    phi[:n, EXERCISE, d + 1] = paid
    phi[n, :, d] = 1.0
    theta = np.zeros((horizon, d + 2))
    theta[:, d + 1] = 1.0
    return phi, theta
