"""The simulated linear MDP of off-dynamics learning: five states, sixteen actions, one bad turn."""

import itertools

import numpy as np

from theoryrl.instances._build import start_in
from theoryrl.models import EpisodicMDP, LinearMDP, RobustLinearMDP, Uncertainty
from theoryrl.models._validation import check_count, check_real

FAIL, GOAL = 3, 4
SLIP = 0.001
"""Probability that the two middle factors lead to the fail state."""


def five_state(
    delta: float = 0.3,
    xi_norm: float = 0.1,
    radius: float = 0.3,
    temperature: float = 0.0,
    horizon: int = 3,
) -> RobustLinearMDP:
    """Go for a goal that an adversary can deny at the first stage, or for the way around it.

    States x1, ..., x5 are 0, ..., 4; actions are the vectors in {-1, 1}^4, and g = delta + <xi, a> for
    xi = (xi_norm / 4)(1, 1, 1, 1). From x1, x2, x3 the goal x5 is reached at once with probability g;
    otherwise one moves from x1 to x2 to x3 (with probability 0.001 to x4 instead) and from x3 to x4.
    The fail state x4 and the goal x5 are absorbing. Rewards, from the second stage on: g in x2 and x3,
    1 in x5. Total variation with the given radius surrounds the goal's factor at the first stage only.

    Parameters
    ----------
    delta, xi_norm
        Mean of g, and how much the actions change it; delta - xi_norm and delta + xi_norm in [0, 1].
    radius
        rho of the one perturbed factor, in [0, 1].
    temperature
        eta of the policy regulariser; the reference policy is uniform.
    horizon
        H, at least 2.

    Returns
    -------
    RobustLinearMDP
        S = 5, A = 16, d = 4; action 15 is (1, 1, 1, 1).

    Notes
    -----
    From the public code of Liu and Xu (2024), whose defaults these are. With eta = 0 and H = 3 the
    robust-optimal first action flips from (1, 1, 1, 1) to (-1, -1, -1, -1) at the radius

        rho* = 1 - (1 - p)(2 m + m (1 - m)(1 - p)) / 2,   m = delta + xi_norm,  p = 0.001

    (0.4806 at the defaults: with radius 0.3 the robust optimum is the nominal one).
    """
    model = LinearMDP(*_tables(delta, xi_norm, horizon), rho=start_in(0, 5))
    radii = np.zeros((horizon, 4))
    radii[0, 3] = check_real("radius", radius, 0.0, 1.0)
    return RobustLinearMDP(model, Uncertainty("tv", radii), fail_state=FAIL, temperature=temperature)


def five_state_target(
    q: float = 0.5, delta: float = 0.3, xi_norm: float = 0.1, horizon: int = 3
) -> EpisodicMDP:
    """The perturbed `five_state`: at the first stage the goal is denied with probability q.

    Parameters
    ----------
    q
        Probability that the goal's factor leads to the fail state at the first stage, in [0, 1]. The
        first factor then leads to x2 surely.
    delta, xi_norm, horizon
        As for `five_state`.

    Returns
    -------
    EpisodicMDP
        The model in which policies are tested.
    """
    check_real("q", q, 0.0, 1.0)
    phi, theta, mu = _tables(delta, xi_norm, horizon)
    mu[0, 0] = np.eye(5)[1]
    mu[0, 3] = q * np.eye(5)[FAIL] + (1 - q) * np.eye(5)[GOAL]
    return LinearMDP(phi, theta, mu, start_in(0, 5)).to_episodic()


def _tables(delta: float, xi_norm: float, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    check_count("horizon", horizon, low=2)
    check_real("delta", delta, 0.0, 1.0)
    check_real("xi_norm", xi_norm, 0.0, min(delta, 1 - delta))
    actions = np.array(list(itertools.product((-1, 1), repeat=4)))
    g = delta + xi_norm / 4 * actions.sum(axis=1)
    phi = np.zeros((5, 16, 4))
    for s in range(3):
        phi[s, :, s] = 1 - g
        phi[s, :, 3] = g
    phi[FAIL, :, 2] = 1.0
    phi[GOAL, :, 3] = 1.0
    theta = np.zeros((horizon, 4))
    theta[1:, 3] = 1.0
    mu = np.zeros((horizon, 4, 5))
    mu[:, 0, 1], mu[:, 0, FAIL] = 1 - SLIP, SLIP
    mu[:, 1, 2], mu[:, 1, FAIL] = 1 - SLIP, SLIP
    mu[:, 2, FAIL] = 1.0
    mu[:, 3, GOAL] = 1.0
    return phi, theta, mu
