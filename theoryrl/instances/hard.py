"""Hard: instances whose gap shrinks with the number of rounds."""

import math

import numpy as np

from theoryrl.instances._build import start_in, with_margin
from theoryrl.models import ConservativeMDP, EpisodicMDP, Policy
from theoryrl.models._validation import check_count, check_real

OTHER, GOOD = 0, 1
LARGEST_GAP = 0.2
FIRST_REWARD = 0.2


def hard(rounds: int = 10_000, kappa: float = 0.2, gap: float = 0.0) -> ConservativeMDP:
    """Two actions that K rounds are barely enough to tell apart.

    H = S = A = 2. Stage 0 pays 0.2 whatever is done; action 0 leads to the good state with
    probability 1/2 and action 1 with probability 1/2 + Delta, where Delta = min(2 / sqrt(K), 0.2).
    At stage 1 the good state pays 1. The baseline is the uniform policy. Every episode starts in
    the other state.

    Parameters
    ----------
    rounds
        K, the number of episodes that the instance is meant for, at least 1. The cap on Delta binds
        for K <= 100.
    kappa
        Margin V^b - threshold, in (0, V^b].
    gap
        Delta itself, in (0, 1/2]; 0 takes the Delta of K.

    Returns
    -------
    ConservativeMDP
        Threshold 0.7 + Delta / 2 - kappa.

    Notes
    -----
    The family is ours, after the two-armed lower bounds for bandits: over K = 2^10, 2^11, ... the
    regret of a good learner grows like sqrt(K); that of *any* policy is at most 2 sqrt(K), so only
    the worst Delta at each K tells a good learner from a bad one. V^b = 0.7 + Delta / 2 and V* = 0.7 + Delta.
    """
    Delta = min(2 / math.sqrt(check_count("rounds", rounds)), LARGEST_GAP)
    if check_real("gap", gap, low=0.0, high=0.5) > 0:
        Delta = gap
    P = np.empty((2, 2, 2, 2))
    P[:, :, 0] = 0.5, 0.5
    P[:, :, 1] = 0.5 - Delta, 0.5 + Delta
    r = np.zeros((2, 2, 2))
    r[0] = FIRST_REWARD
    r[1, GOOD] = 1.0
    mdp = EpisodicMDP(P, r, start_in(OTHER, 2))
    return with_margin(mdp, Policy.uniform(2, 2), FIRST_REWARD + 0.5 + Delta / 2, kappa)
