"""The smallest positive occupancy of a deterministic policy.

    w_min = min { d_h^pi(s, a) > 0 : pi deterministic Markov, and h, s, a }.

A cell that a policy visits at all is visited this often: the number that a learner must resolve to know
what is reachable. It is positive, and 1 in a deterministic model with one first state, but can be
exponentially small in H.

Minimising *given positive* couples the states: one of them must lead to the target, while others that
share its successors should not. So w_min is enclosed. For a target (k, y) let m_h(x) be the least probability
of arriving (a dynamic program), and::

    b_h(x) = min_a [ sum_x' P_h(x' | x, a) m_{h+1}(x')               if that is positive, else
                     min_{x' : P_h(x' | x, a) > 0} P_h(x' | x, a) b_{h+1}(x') ],

which is at most every positive probability of arriving, because a positive sum has a positive term. The
upper bound is the occupancy of a policy that takes the minimising actions of b along one path, and those
of m elsewhere. The bounds agree where the path shares no state with what happens off it.

Source of the definition: the constant of the two-phase variant of FTPedel on its page; ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from theoryrl.models import DeterministicPolicy, EpisodicMDP
from theoryrl.solvers.coefficients.coefficient import enclose
from theoryrl.solvers.coefficients.reachability import enclosed_occupancies, reachable_states


@dataclass(frozen=True, eq=False)
class SmallestOccupancy:
    """An enclosure of the smallest positive occupancy of a deterministic policy.

    Attributes
    ----------
    value
        The smallest positive occupancy that was found.
    lower, upper
        Proven bounds on the true one.
    policy
        A policy that has it.
    cell
        (h, s), where it has it.
    """

    value: float
    lower: float
    upper: float
    policy: DeterministicPolicy
    cell: tuple[int, int]

    @property
    def gap(self) -> float:
        """Distance between the two bounds."""
        return self.upper - self.lower


def smallest_positive_occupancy(mdp: EpisodicMDP) -> SmallestOccupancy:
    """Enclose ``w_min``, the smallest positive occupancy of a deterministic policy.

    Parameters
    ----------
    mdp
        The model; its rewards play no part.

    Returns
    -------
    SmallestOccupancy
        Any lower bound serves where ``w_min`` is needed, at a price in episodes.

    Notes
    -----
    Cost O(H^2 S^3 A).
    """
    H, S = mdp.r.shape[:2]
    targets, best = [], None
    for h, y in np.argwhere(reachable_states(mdp)).tolist():
        least, policy = _of_target(mdp, h, y)
        targets.append(least)
        arrivals = enclosed_occupancies(mdp, [policy])
        action = policy.actions[h, y]
        value, upper = (float(d[0, h, y, action]) for d in (arrivals.value, arrivals.upper))
        if best is None or upper < best.upper:
            best = SmallestOccupancy(value, 0.0, upper, policy, (h, y))
    assert best is not None  # the first state is always reached
    lower = float(enclose(np.array(targets), H * (S + 2)).lower.min())
    return SmallestOccupancy(best.value, lower, best.upper, best.policy, best.cell)


def _of_target(mdp: EpisodicMDP, h: int, y: int) -> tuple[float, DeterministicPolicy]:
    """Return the lower bound of one target, and a policy that arrives with a small positive probability."""
    _, S, A = mdp.r.shape
    m = np.eye(S)[y]
    positive = np.where(m > 0, m, np.inf)
    actions = np.zeros((mdp.horizon, S), dtype=np.int64)
    steps = []
    for k in range(h - 1, -1, -1):
        least = mdp.P[k] @ m
        alone = _times(mdp.P[k], positive)
        value = np.where(least > 0, least, alone.min(axis=2))
        steps.append((least, alone, value.argmin(axis=1)))
        m, positive = least.min(axis=1), value.min(axis=1)
        actions[k] = least.argmin(axis=1)
    if mdp.rho @ m > 0:
        return float(mdp.rho @ m), DeterministicPolicy(actions, A)
    first = _times(mdp.rho, positive)
    x = int(first.argmin())
    for k, (least, alone, chosen) in enumerate(reversed(steps)):
        a = actions[k, x] = chosen[x]
        if least[x, a] > 0:
            break
        x = int(alone[x, a].argmin())
    return float(first.min()), DeterministicPolicy(actions, A)


def _times(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return weights * values where the weight is positive, and infinity elsewhere."""
    out = np.full(weights.shape, np.inf)
    np.multiply(weights, values, out=out, where=weights > 0)
    return out
