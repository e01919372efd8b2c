"""Hazard: a better reward at the risk of losing the rest of the episode."""

import numpy as np

from theoryrl.instances._build import always, start_in, with_margin
from theoryrl.models import ConservativeMDP, EpisodicMDP
from theoryrl.models._validation import check_count, check_real

SAFE, RISKY = 0, 1
SAFE_REWARD, RISKY_REWARD = 0.5, 0.8


def hazard(horizon: int = 5, p: float = 0.5, kappa: float = 0.1) -> ConservativeMDP:
    """Earn 0.5 safely, or 0.8 at the risk of falling into a state that pays nothing.

    In state 0, action 0 pays 0.5 and stays; action 1 pays 0.8 and leads to the absorbing state 1,
    which pays 0, with probability p. The baseline always takes action 0. A learner that has to
    explore action 1 early in the episode violates the constraint.

    Parameters
    ----------
    horizon
        H, at least 1.
    p
        Probability of falling, in [0, 1].
    kappa
        Margin V^b - threshold, in (0, H / 2].

    Returns
    -------
    ConservativeMDP
        S = A = 2; threshold H / 2 - kappa.

    Notes
    -----
    The family is ours. V^b = H / 2. The risk pays at the end of the episode only: with m the
    largest number of stages, at most H, with (1 - p)^(m-1) > 5/8, the optimal policy takes action 1
    in the last m stages, and V* = (H - m) / 2 + 0.8 (1 - (1 - p)^m) / p (0.8 H for p = 0). Proof:
    with V the value of the stages after, action 1 is better iff 0.3 > p V, and V increases with
    their number.
    """
    check_count("horizon", horizon)
    check_real("p", p, 0.0, 1.0)
    P = np.zeros((2, 2, 2))
    P[0, SAFE, 0] = 1.0
    P[0, RISKY] = 1 - p, p
    P[1, :, 1] = 1.0
    r = np.array([[SAFE_REWARD, RISKY_REWARD], [0.0, 0.0]])
    mdp = EpisodicMDP.stationary(P, r, start_in(0, 2), horizon)
    return with_margin(mdp, always(SAFE, mdp), SAFE_REWARD * horizon, kappa)
