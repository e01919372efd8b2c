"""Fork: two good ways, and a disaster for whoever changes from one to the other."""

import numpy as np

from theoryrl.instances._build import always, start_in, with_margin
from theoryrl.models import ConservativeMDP, EpisodicMDP
from theoryrl.models._validation import check_count

START, PLAIN, RICH, DEAD = range(4)
PLAIN_REWARD, RICH_REWARD = 0.5, 0.8


def fork(horizon: int = 4, kappa: float = 0.1) -> ConservativeMDP:
    """Both branches are fine, but the actions of one are fatal on the other.

    State 0 pays nothing; action 0 leads to state 1, action 1 to state 2. State 1 is absorbing and
    pays 0.5 under both actions. In state 2, action 1 pays 0.8 and stays, action 0 pays 0 and leads
    to state 3, which is absorbing and pays 0. The baseline takes action 0 everywhere. Drawing
    between two policies anew at every step, instead of once per episode, goes through the disaster.

    Parameters
    ----------
    horizon
        H, at least 2.
    kappa
        Margin V^b - threshold, in (0, (H - 1) / 2].

    Returns
    -------
    ConservativeMDP
        S = 4, A = 2; threshold (H - 1) / 2 - kappa.

    Notes
    -----
    The family is ours. V^b = 0.5 (H - 1) and V* = 0.8 (H - 1).
    """
    check_count("horizon", horizon, low=2)
    P = np.zeros((4, 2, 4))
    P[START, 0, PLAIN] = P[START, 1, RICH] = 1.0
    P[RICH, 0, DEAD] = P[RICH, 1, RICH] = 1.0
    P[PLAIN, :, PLAIN] = P[DEAD, :, DEAD] = 1.0
    r = np.zeros((4, 2))
    r[PLAIN] = PLAIN_REWARD
    r[RICH, 1] = RICH_REWARD
    mdp = EpisodicMDP.stationary(P, r, start_in(START, 4), horizon)
    return with_margin(mdp, always(0, mdp), PLAIN_REWARD * (horizon - 1), kappa)
