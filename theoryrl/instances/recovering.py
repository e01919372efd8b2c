"""Random recovering bandits: concave recovery, blocking, and sorted uniform curves."""

import numpy as np

from theoryrl.models import RecoveringBandit, RewardNoise
from theoryrl.models._validation import check_choice, check_count

CURVES = ("concave", "blocking", "monotone")


def recovering(
    kind: str = "concave",
    n_arms: int = 6,
    max_pulls: int = 2,
    memory: int = 16,
    noise: str = "bernoulli",
    seed: int = 7,
) -> RecoveringBandit:
    """Arms whose reward recovers with rest, drawn at random.

    Arm i has a rested mean m_i, uniform on [0.2, 1] (not for ``monotone``).

    Parameters
    ----------
    kind
        ``"concave"``: R_i(d) = m_i (1 - q_i^d) with q_i uniform on [0.3, 0.95].
        ``"blocking"``: R_i(d) = m_i from a delay on that is uniform on 1, ..., `memory`, and 0 before.
        ``"monotone"``: sorted uniform numbers.
    n_arms, max_pulls
        N, and K in [1, N].
    memory
        Idle time from which on curves are constant.
    noise
        ``"bernoulli"`` or ``"none"``.
    seed
        Non-negative integer.

    Returns
    -------
    RecoveringBandit
        The optimum has no closed form; `theoryrl.solve` computes it where the product of the memories is
        small, and bounds it elsewhere.

    Notes
    -----
    The families are ours. The default is the instance of the learning experiment on the paper's page.
    """
    check_choice("kind", kind, CURVES)
    check_choice("noise", noise, ("bernoulli", "none"))
    N, D = check_count("n_arms", n_arms), check_count("memory", memory)
    check_count("max_pulls", max_pulls, high=N)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    R = np.stack([_curve(kind, D, rng) for _ in range(N)])
    return RecoveringBandit(R, max_pulls, RewardNoise(noise))


def _curve(kind: str, memory: int, rng: np.random.Generator) -> np.ndarray:
    d = np.arange(1, memory + 1)
    if kind == "monotone":
        return np.sort(rng.random(memory))
    rested = rng.uniform(0.2, 1.0)
    if kind == "blocking":
        return rested * (d >= rng.integers(1, memory + 1))
    return rested * (1 - rng.uniform(0.3, 0.95) ** d)


def blocking(n_arms: int = 5, max_pulls: int = 1, delay: int = 5, mean: float = 1.0) -> RecoveringBandit:
    """Equal arms that pay again after a delay: with N = K times the delay the optimum pulls each in turn.

    Parameters
    ----------
    n_arms, max_pulls
        N, and K in [1, N].
    delay
        Idle time from which on an arm pays.
    mean
        What it pays, in (0, 1].

    Returns
    -------
    RecoveringBandit
        The optimum is mean min(K, N / delay) if N is a multiple of the delay and of K.

    Notes
    -----
    With K = 1 and delay 2^l + 1 = N a planner whose periods are powers of two reaches only
    (2^l + 1) / 2^(l + 1) of the optimum.
    """
    N, d = check_count("n_arms", n_arms), check_count("delay", delay)
    check_count("max_pulls", max_pulls, high=N)
    if not 0 < mean <= 1:
        raise ValueError(f"mean must be in (0, 1]; got {mean!r}")
    curve = np.where(np.arange(1, d + 1) >= d, float(mean), 0.0)
    return RecoveringBandit(np.tile(curve, (N, 1)), max_pulls)
