"""Two-player zero-sum Markov games: risky arms with an opponent, and games drawn at random."""

from itertools import product

import numpy as np
from jaxtyping import Float

from theoryrl.instances._build import start_in
from theoryrl.models import CandidateGame, FiniteGameClass, ZeroSumMarkovGame
from theoryrl.models._validation import check_count, check_memory, check_real

START, SAFE, GOOD, BAD = range(4)


def risky_game(
    n_arms: int = 3,
    horizon: int = 3,
    low: float = 0.4,
    high: float = 0.8,
    safe: float = 0.6,
    tilt: float = 0.1,
) -> CandidateGame:
    """A safe action or one of several risky arms, one of which is good, against an opponent who spoils them.

    At h = 0 action 0 leads to the state *safe*, action i = 1, 2, ... to *good* with probability p_i and else
    to *bad*; the opponent's action 1 lowers every p_i by `tilt`. Later, *safe* pays `safe` per step, *bad*
    nothing, and in *good* the players meet in the matrix [1, .9], [.9, 1], [.5, .5], ..., of value .95.

    Parameters
    ----------
    n_arms
        Number of arms, at least 1; A is one more, and B = 2.
    horizon
        H, at least 2.
    low, high
        The two values that a candidate's p_i may have; in the truth only the last arm has the high one.
    safe
        What the state *safe* pays per step, in [0, 1].
    tilt
        In [0, low].

    Returns
    -------
    CandidateGame
        All 2^n_arms candidates, in the order of their arms but the truth last, so that no tie is broken in
        its favour. V* = (H - 1) max(safe, .95 (high - tilt)): 1.33 by default, and 1.2 for the safe action.

    Notes
    -----
    The game is ours. A learner that believes all arms to be bad plays *safe*, which tells it nothing.
    """
    n, H = check_count("n_arms", n_arms), check_count("horizon", horizon, low=2)
    check_real("low", low, 0.0, 1.0)
    check_real("high", high, low, 1.0)
    check_real("safe", safe, 0.0, 1.0)
    check_real("tilt", tilt, 0.0, low)
    check_memory("P", 2**n, H, 4, n + 1, 2, 4)
    truth = (*(False,) * (n - 1), True)
    arms = [flags for flags in product((False, True), repeat=n) if flags != truth]
    chances = np.where(np.array([*arms, truth]), high, low)
    P = np.zeros((2**n, H, 4, n + 1, 2, 4))
    for state in (START, SAFE, GOOD, BAD):
        P[:, :, state, :, :, state] = 1.0
    P[:, 0, START] = 0.0
    P[:, 0, START, 0, :, SAFE] = 1.0
    for b in range(2):
        P[:, 0, START, 1:, b, GOOD] = chances - b * tilt
        P[:, 0, START, 1:, b, BAD] = 1 - (chances - b * tilt)
    r = np.zeros((H, 4, n + 1, 2))
    r[1:, SAFE] = safe
    r[1:, GOOD] = 0.5
    r[1:, GOOD, :2] = [[1.0, 0.9], [0.9, 1.0]]
    candidates = FiniteGameClass(P, r, start_in(START, 4))
    return CandidateGame(candidates[2**n - 1], candidates)


def random_markov_game(
    n_states: int = 4,
    n_actions: int = 2,
    n_opponent_actions: int = 2,
    horizon: int = 3,
    alpha: float = 1.0,
    seed: int = 0,
) -> ZeroSumMarkovGame:
    """A game with Dirichlet(alpha) rows, uniform rewards and a fixed first state.

    Parameters
    ----------
    n_states, n_actions, n_opponent_actions, horizon
        S, A, B and H.
    alpha
        Concentration of the rows, positive; small ones are nearly deterministic.
    seed
        Non-negative integer.
    """
    S, A = check_count("n_states", n_states), check_count("n_actions", n_actions)
    B, H = check_count("n_opponent_actions", n_opponent_actions), check_count("horizon", horizon)
    if check_real("alpha", alpha, low=0.0) == 0.0:
        raise ValueError("alpha must be positive; got 0")
    check_memory("P", H, S, A, B, S)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    return ZeroSumMarkovGame(_rows(rng, alpha, (H, S, A, B), S), rng.random((H, S, A, B)), start_in(0, S))


def random_candidate_game(
    n_candidates: int = 20,
    n_states: int = 4,
    n_actions: int = 2,
    n_opponent_actions: int = 2,
    horizon: int = 3,
    mixing: float = 0.6,
    seed: int = 0,
) -> CandidateGame:
    """A random game among candidates that mix its rows with rows of their own.

    Parameters
    ----------
    n_candidates
        M, at least 1; the truth is the last.
    n_states, n_actions, n_opponent_actions, horizon
        S, A, B and H.
    mixing
        Weight in (0, 1] of a candidate's own Dirichlet(.5) rows: small ones are hard to tell apart.
    seed
        Non-negative integer.
    """
    M = check_count("n_candidates", n_candidates)
    if check_real("mixing", mixing, 0.0, 1.0) == 0.0:
        raise ValueError("mixing must be positive; got 0")
    truth = random_markov_game(n_states, n_actions, n_opponent_actions, horizon, 0.5, seed)
    check_memory("P", M, *truth.P.shape)
    rng = np.random.default_rng([seed, 1])
    others = _rows(rng, 0.5, (M - 1, *truth.P.shape[:-1]), n_states)
    P = np.concatenate([(1 - mixing) * truth.P + mixing * others, truth.P[None]])
    return CandidateGame(truth, FiniteGameClass(P, truth.r, truth.rho))


def _rows(
    rng: np.random.Generator, alpha: float, shape: tuple[int, ...], S: int
) -> Float[np.ndarray, "... S"]:
    """Return Dirichlet(alpha) rows over S states."""
    return rng.dirichlet(np.full(S, alpha), shape)
