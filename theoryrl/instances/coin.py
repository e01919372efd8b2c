"""Coin: two biased coins, one of them known to be safe."""

import numpy as np

from theoryrl.instances._build import always, check_positive, start_in, with_margin
from theoryrl.models import ConservativeMDP, EpisodicMDP

START, GOOD, BAD = range(3)


def coin(kappa: float = 0.1, gap: float = 0.2) -> ConservativeMDP:
    """Toss the known coin, or the better one that is not known to be better.

    H = 2. At stage 0, action 0 leads to the good state with probability 1/2, action 1 with
    probability 1/2 + gap, and else to the bad state. At stage 1 the good state pays 1. The baseline
    always takes action 0.

    Parameters
    ----------
    kappa
        Margin V^b - threshold, in (0, 1/2].
    gap
        How much better action 1 is, in (0, 1/2].

    Returns
    -------
    ConservativeMDP
        S = 3, A = 2, H = 2; threshold 1/2 - kappa.

    Notes
    -----
    The family is ours. V^b = 1/2 and V* = 1/2 + gap. The number of episodes before action 1 is
    certified grows like 1 / kappa^2 (measured; as a lower bound it is not proven).
    """
    check_positive("gap", gap, 0.5)
    P = np.zeros((2, 3, 2, 3))
    P[:, START, 0, [GOOD, BAD]] = 0.5, 0.5
    P[:, START, 1, [GOOD, BAD]] = 0.5 + gap, 0.5 - gap
    P[:, GOOD, :, GOOD] = P[:, BAD, :, BAD] = 1.0
    r = np.zeros((2, 3, 2))
    r[1, GOOD] = 1.0
    mdp = EpisodicMDP(P, r, start_in(START, 3))
    return with_margin(mdp, always(0, mdp), 0.5, kappa)
