"""Preference games without regularisation, for methods that look for a minimax winner.

Strengths are on the scale A = 2 P - 1 in [-1, 1].
"""

import numpy as np

from theoryrl.instances._build import check_positive
from theoryrl.models import PreferenceGame, TrajectoryGame
from theoryrl.models._validation import check_count, check_memory, check_real


def three_cycle(a: float = 0.9, b: float = 0.5, c: float = 0.3) -> PreferenceGame:
    """The cycle in which action 0 beats 1 by a, 1 beats 2 by b, and 2 beats 0 by c.

    Parameters
    ----------
    a, b, c
        Positive, at most 1.

    Returns
    -------
    PreferenceGame
        Its only minimax winner is ``(b, c, a) / (a + b + c)``.
    """
    strengths = [check_positive(name, value, 1.0) for name, value in (("a", a), ("b", b), ("c", c))]
    A = np.zeros((3, 3))
    for i, strength in enumerate(strengths):
        j = (i + 1) % 3
        A[i, j], A[j, i] = strength, -strength
    return PreferenceGame.from_skew(A / 2)


def condorcet(n_actions: int = 20, margin: float = 0.1, seed: int = 0) -> PreferenceGame:
    """Random preferences with a Condorcet winner: action 0 beats every other by the margin at least.

    Parameters
    ----------
    n_actions
        n, at least 2.
    margin
        Delta in (0, 1], by which action 0 beats action 1; it beats the others by more, uniformly up to 1.
    seed
        Non-negative integer.

    Returns
    -------
    PreferenceGame
        All other strengths are uniform on [-1, 1].
    """
    n = check_count("n_actions", n_actions, low=2)
    check_positive("margin", margin, 1.0)
    check_memory("P", n, n)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    upper = np.triu(rng.uniform(-1, 1, (n, n)), 1)
    upper[0, 1:] = rng.uniform(margin, 1, n - 1)
    upper[0, 1] = margin
    return PreferenceGame.from_skew((upper - upper.T) / 2)


def trajectory_preferences(
    n_states: int = 2, n_actions: int = 2, horizon: int = 3, transitive: float = 0.5, seed: int = 7
) -> TrajectoryGame:
    """Preferences between whole trajectories, not Markovian and not transitive.

    Parameters
    ----------
    n_states, n_actions, horizon
        S, A and H; there are (S A)^H trajectories, and a preference for each pair.
    transitive
        Weight of a hidden reward of each trajectory beside the cyclic part, at least 0.
    seed
        Non-negative integer.

    Returns
    -------
    TrajectoryGame
        ``A = tanh(z_i^T J z_j + transitive (r_i - r_j))`` with standard normal z in four dimensions and r, J
        block diagonal with blocks ((0, 1), (-1, 0)); transitions and first state Dirichlet(1).
    """
    S, A, H = (
        check_count("n_states", n_states),
        check_count("n_actions", n_actions),
        check_count("horizon", horizon),
    )
    weight = check_real("transitive", transitive, low=0.0)
    N = (S * A) ** H
    check_memory("preferences", N, N)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    P, rho = rng.dirichlet(np.ones(S), (S, A)), rng.dirichlet(np.ones(S))
    z, r = rng.normal(size=(N, 4)), rng.normal(size=N)
    product = z[:, 0::2] @ z[:, 1::2].T
    strengths = np.tanh(product - product.T + weight * (r[:, None] - r[None, :]))
    return TrajectoryGame(P, rho, H, PreferenceGame.from_skew((strengths - strengths.T) / 4))
