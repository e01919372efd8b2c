"""Fine-tuning from offline data: a fork of which the data know one branch, and locks.

All are families of ours; rewards are Bernoulli, as the classes of policies are part of the problem.
"""

import numpy as np
from jaxtyping import Float

from theoryrl.instances._build import check_positive, start_in
from theoryrl.models import (
    EpisodicMDP,
    FineTuningTask,
    Policy,
    PolicyClass,
    RewardNoise,
    TransitionCounts,
)
from theoryrl.models._validation import check_count, check_flag, check_memory, check_real
from theoryrl.solvers.episodic.counts import simulate_counts

ROOT, LEFT, RIGHT, LOST, LEFT_END, RIGHT_END = range(6)
LEFT_MEANS = (0.5, 0.48, 0.46)
RIGHT_MEANS = {True: (0.15, 0.1, 0.1), False: (0.95, 0.9, 0.9)}
RIGHT_CHANCE = {True: 0.5, False: 0.95}


def _bernoulli(P: np.ndarray, r: np.ndarray, start: int) -> EpisodicMDP:
    return EpisodicMDP(P, r, start_in(start, P.shape[1]), noise=RewardNoise("bernoulli"))


def offline_fork(covered: bool = True, offline_episodes: int = 1000, seed: int = 0) -> FineTuningTask:
    """A fork whose left branch is in the data; the optimal branch is the left or the right one.

    Three stages. At the root (mean 0) action 0 leads to L; actions 1 and 2 lead to R with probability p,
    else to a dead state that pays 0 for ever. L leads to L2 and R to R2 under all actions. Both L and L2
    pay .5, .48, .46. In the covered fork (M-) p = .5 and R, R2 pay .15, .1, .1; in the other (M+) p = .95
    and they pay .95, .9, .9. The behaviour takes action 0 at the root and is uniform elsewhere.

    Parameters
    ----------
    covered
        Whether the data know the optimal branch: M- if so, else M+.
    offline_episodes
        Episodes of the behaviour policy, at least 0.
    seed
        Seed of the data.

    Returns
    -------
    FineTuningTask
        S = 6, A = 3, H = 3, and the 162 policies that take action 0 or 1 at the root and act freely at L,
        R, L2 and R2.

    Notes
    -----
    V* = 1 in M-, and 1.805 in M+. T_o2o of M- in closed form: `fork_episodes`.
    """
    check_flag("covered", covered)
    n = check_count("offline_episodes", offline_episodes, low=0)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    P = np.zeros((3, 6, 3, 6))
    r = np.zeros((3, 6, 3))
    p = RIGHT_CHANCE[covered]
    P[:, :, :, LOST] = 1.0
    P[0, ROOT] = 0.0
    P[0, ROOT, 0, LEFT] = 1.0
    P[0, ROOT, 1:, RIGHT], P[0, ROOT, 1:, LOST] = p, 1 - p
    for branch, end, means in ((LEFT, LEFT_END, LEFT_MEANS), (RIGHT, RIGHT_END, RIGHT_MEANS[covered])):
        P[1, branch] = 0.0
        P[1, branch, :, end] = 1.0
        r[1, branch], r[2, end] = means, means
    allowed = np.zeros((3, 6, 3), dtype=bool)
    allowed[:, :, 0] = True
    allowed[0, ROOT, 1] = True
    allowed[1, [LEFT, RIGHT]] = True
    allowed[2, [LEFT_END, RIGHT_END]] = True
    pi = np.full((3, 6, 3), 1 / 3)
    pi[0, ROOT] = [1, 0, 0]
    mdp, behaviour = _bernoulli(P, r, ROOT), Policy(pi)
    offline = simulate_counts(mdp, behaviour, n, rng) if n else None
    return FineTuningTask(mdp, PolicyClass.product(allowed), offline, behaviour)


def fork_episodes(beta: float, eps: float, offline: bool) -> float:
    """Return T_o2o of the covered fork in closed form.

    With offline data that cover L (and nothing else): the episodes T_R through the right branch, of which
    the two actions at the root share one another's; T_R solves ``sum_i 1 / (2 g_i^2 T / beta - 1) = 1`` over
    the gaps g of R's actions (.85, .875, .875): two stages R and R2 with the constraint of the dead state.
    Without data ``sum_i beta / max(.02 i, eps)^2`` for L's three actions is added. Proof on the page.
    """
    gaps = np.array([0.85, 0.875, 0.875])
    low, high = beta / (2 * gaps.min() ** 2) * (1 + 1e-12), 100 * beta
    for _ in range(200):
        T = (low + high) / 2
        above = (1 / (2 * gaps**2 * T / beta - 1)).sum() > 1
        low, high = (T, high) if above else (low, T)
    left = 0.0 if offline else sum(beta / max(0.02 * i, eps) ** 2 for i in range(3))
    return float(high) + left


def twin_lock(
    horizon: int = 3, n_actions: int = 4, v: float = 0.8, offline_episodes: int = 1000, seed: int = 0
) -> FineTuningTask:
    """A lock whose last step has two right actions, the twins, and of which the data know both.

    State 0 is on the code, state 1 is dead. On the code action 0 keeps it and every other action leads to
    the dead state, which is absorbing. Only the last stage pays: v on average for actions 0 and 1 on the
    code. The class: always action 0 on the code, but for at most one deviation (stage, action).

    Parameters
    ----------
    horizon
        H, at least 2.
    n_actions
        A, at least 3.
    v
        Value of the twins, in (0, 1].
    offline_episodes
        Offline episodes of *each* twin, at least 0.
    seed
        Seed of the data.

    Returns
    -------
    FineTuningTask
        S = 2, and 1 + H (A - 1) policies; the first is the code, the last of those that deviate at the last
        stage with action 1 its twin.

    Notes
    -----
    Closed forms of T_o2o: `twin_lock_episodes`.
    """
    H, A = check_count("horizon", horizon, low=2), check_count("n_actions", n_actions, low=3)
    n = check_count("offline_episodes", offline_episodes, low=0)
    check_positive("v", v, 1.0)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    check_memory("P", H, 2, A, 2)
    r = np.zeros((H, 2, A))
    r[-1, 0, :2] = v
    mdp = _bernoulli(_lock_kernel(H, A), r, 0)
    actions = np.zeros((1 + H * (A - 1), H, 2), dtype=np.int64)
    for h in range(H):
        for a in range(1, A):
            actions[h * (A - 1) + a, h, 0] = a
    policies = PolicyClass(actions, A)
    offline = None
    if n:
        twins = policies[0], policies[(H - 1) * (A - 1) + 1]
        offline = simulate_counts(mdp, twins[0], n, rng) + simulate_counts(mdp, twins[1], n, rng)
    return FineTuningTask(mdp, policies, offline)


def twin_lock_episodes(
    horizon: int, n_actions: int, v: float, beta: float, eps: float
) -> dict[str, tuple[float, float]]:
    """Return the episodes that the design, uniform actions and the class mixture need on the twin lock.

    Each without offline data, and with ``beta / eps^2`` episodes of both twins; eps at most v, A at least 3.
    """
    H, A = horizon, n_actions
    fine, coarse, others = beta / eps**2, beta / v**2, H * (A - 1) - 1
    return {
        "design": (2 * fine + others * coarse, others * coarse),
        "uniform": (A**H * fine, A**H * coarse),
        "class": ((1 + H * (A - 1)) * fine, (1 + H * (A - 1)) * coarse),
    }


def paying_lock(horizon: int = 3, prize: float = 0.9, consolation: float = 0.2) -> FineTuningTask:
    """A lock with two actions that pays a consolation after the first wrong one.

    State 0 is on the code: action 0 keeps it, action 1 leads to state 1, which pays consolation / H at every
    stage. Action 0 on the code pays `prize` on average at the last stage.

    Parameters
    ----------
    horizon
        H, at least 1.
    prize
        In [0, 1].
    consolation
        In [0, 1].

    Returns
    -------
    FineTuningTask
        S = 2, A = 2, and the 2^H policies that choose freely on the code. No offline data.
    """
    H = check_count("horizon", horizon, high=17)
    check_real("prize", prize, low=0.0, high=1.0)
    check_real("consolation", consolation, low=0.0, high=1.0)
    r = np.zeros((H, 2, 2))
    r[:, 1] = consolation / H
    r[-1, 0, 0] = prize
    allowed = np.zeros((H, 2, 2), dtype=bool)
    allowed[:, :, 0] = allowed[:, 0] = True
    return FineTuningTask(_bernoulli(_lock_kernel(H, 2), r, 0), PolicyClass.product(allowed))


def _lock_kernel(H: int, A: int) -> Float[np.ndarray, "H 2 A 2"]:
    P = np.zeros((H, 2, A, 2))
    P[:, 0, 0, 0] = P[:, 0, 1:, 1] = P[:, 1, :, 1] = 1.0
    return P


def two_arms(gap: float = 0.2, offline_pulls: int = 1000, seed: int = 0) -> FineTuningTask:
    """Two arms of which only the better one is in the data: means 1/2 and 1/2 - gap.

    Parameters
    ----------
    gap
        D, in (0, 1/2].
    offline_pulls
        Pulls of the first arm, at least 0.
    seed
        Seed of the data.

    Returns
    -------
    FineTuningTask
        S = 1, A = 2, H = 1; the class are the arms.
    """
    check_positive("gap", gap, 0.5)
    n = check_count("offline_pulls", offline_pulls, low=0)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    mdp = _bernoulli(np.ones((1, 1, 2, 1)), np.array([[[0.5, 0.5 - gap]]]), 0)
    offline = None
    if n:
        counts = np.array([[[[n], [0]]]])
        offline = TransitionCounts(counts, np.array([[[float(rng.binomial(n, 0.5)), 0.0]]]))
    return FineTuningTask(mdp, PolicyClass(np.array([[[0]], [[1]]]), 2), offline)
