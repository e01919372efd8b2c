"""Coupon: the value of a policy learned from data is the fraction of states that were seen."""

import numpy as np

from theoryrl.instances._build import always, start_in, with_margin
from theoryrl.models import ConservativeMDP, EpisodicMDP
from theoryrl.models._validation import check_count, check_memory


def coupon(n_states: int = 20, kappa: float = 0.5) -> ConservativeMDP:
    """Collect the states one by one: what was never seen cannot be earned.

    H = A = 2. Stage 0 pays nothing and leads from every state, under both actions, to each of the S
    states with probability 1/S. At stage 1 action 1 pays 1 and action 0 pays 0. The baseline, which
    is also the behaviour policy of the offline data, always takes action 1. Every episode starts in
    state 0.

    Parameters
    ----------
    n_states
        S, at least 1.
    kappa
        Margin V^b - threshold, in (0, 1].

    Returns
    -------
    ConservativeMDP
        Threshold 1 - kappa.

    Notes
    -----
    The family is ours. V^b = V* = 1. A pessimistic learner that treats cells without data as worth
    nothing and breaks ties towards action 0 learns, from data of the baseline, a policy of value
    (number of states seen at stage 1) / S. A certificate that reuses one data set for estimation
    and for its own concentration bound exceeds that value.
    """
    S = check_count("n_states", n_states)
    check_memory("P", 2, S, 2, S)
    r = np.zeros((2, S, 2))
    r[1, :, 1] = 1.0
    mdp = EpisodicMDP(np.full((2, S, 2, S), 1 / S), r, start_in(0, S))
    return with_margin(mdp, always(1, mdp), 1.0, kappa)
