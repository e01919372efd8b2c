"""The lower-bound tree: wait, descend to a leaf, and pull one of many nearly equal arms."""

import numpy as np

from theoryrl.instances._build import start_in
from theoryrl.models import EpisodicMDP
from theoryrl.models._validation import check_count, check_memory, check_real

WAITING = 0
WAIT = 0
"""The action that stays in the waiting state."""


def domingues_tree(
    n_actions: int = 2,
    depth: int = 3,
    horizon: int = 12,
    waiting: int = 4,
    epsilon: float = 0.1,
    delay: int = 1,
    leaf: int = 1,
    action: int = 1,
) -> EpisodicMDP:
    """The hard instance of Domingues et al. for minimax lower bounds in episodic models.

    An A-ary tree with d levels has N = (A^d - 1) / (A - 1) nodes, of which the last L = A^(d-1) are
    leaves. The states are the waiting state (0), the nodes in breadth-first order (1, ..., N), the
    good state (N + 1) and the bad state (N + 2). Stages count from 0, and Hbar is `waiting`:

    - An episode starts in the waiting state. There action 0 stays at stages h < Hbar - 1; every
      other action, and action 0 from stage Hbar - 1 on, leads to the root. So the learner chooses
      its departure among the stages 0, ..., Hbar - 1, and is at a leaf d stages later.
    - At an inner node action a leads to the a-th child, surely.
    - At a leaf every action leads to the good or the bad state with probability 1/2 each, except
      for one cell (h*, l*, a*), where the good state has probability 1/2 + epsilon.
    - The good and the bad state are absorbing. The good state pays 1 at each stage
      h >= Hbar + d, that is for R = H - Hbar - d stages whatever the departure; nothing else pays.

    Parameters
    ----------
    n_actions
        A, at least 2.
    depth
        d, the number of levels, in [1, 30].
    horizon
        H, at least Hbar + d + 1, so that something pays.
    waiting
        Hbar, the number of departure stages, at least 1.
    epsilon
        Advantage of the special cell, in [0, 1/2].
    delay
        Departure stage that leads to the special cell, in [0, Hbar): h* = delay + d.
    leaf
        l*, in [0, L), from the left.
    action
        a*, in [0, A).

    Returns
    -------
    EpisodicMDP
        S = N + 3.

    Notes
    -----
    The value of every policy is V^pi = R (1/2 + epsilon Pr^pi(s_{h*} = l*, a_{h*} = a*)), so
    V* = R (1/2 + epsilon), and a policy that misses the special cell loses R epsilon: Hbar L A arms
    of which one is better, with returns of size R.

    Source: Domingues, Menard, Kaufmann and Valko (2021), section 3, whose regret bound takes
    Hbar = H / 3. The parts of the construction are recalled from the paper; the last departure stage
    is set so that the value formula above, which is proven here by inspection (every departure
    arrives before the rewards begin) and tested, holds for every policy.
    """
    A = check_count("n_actions", n_actions, low=2)
    d, Hbar = check_count("depth", depth, high=30), check_count("waiting", waiting)
    H = check_count("horizon", horizon, low=Hbar + d + 1)
    n_leaves, n_nodes = A ** (d - 1), (A**d - 1) // (A - 1)
    check_real("epsilon", epsilon, 0.0, 0.5)
    check_count("delay", delay, low=0, high=Hbar - 1)
    check_count("leaf", leaf, low=0, high=n_leaves - 1)
    check_count("action", action, low=0, high=A - 1)
    good, bad = n_nodes + 1, n_nodes + 2
    check_memory("P", H, n_nodes + 3, A, n_nodes + 3)

    P = np.zeros((H, n_nodes + 3, A, n_nodes + 3))
    P[:, WAITING, :, 1] = 1.0
    P[: Hbar - 1, WAITING, WAIT] = 0.0
    P[: Hbar - 1, WAITING, WAIT, WAITING] = 1.0
    first_leaf = 1 + n_nodes - n_leaves
    for node in range(1, first_leaf):
        for a in range(A):
            P[:, node, a, A * (node - 1) + a + 2] = 1.0
    P[:, first_leaf:good, :, good:] = 0.5
    P[delay + d, first_leaf + leaf, action, good:] = 0.5 + epsilon, 0.5 - epsilon
    P[:, good, :, good] = P[:, bad, :, bad] = 1.0

    r = np.zeros((H, n_nodes + 3, A))
    r[Hbar + d :, good] = 1.0
    return EpisodicMDP(P, r, start_in(WAITING, n_nodes + 3))
