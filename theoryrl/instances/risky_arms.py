"""Risky arms: a safe option beside arms that are good with an unknown probability."""

import itertools

import numpy as np

from theoryrl.instances._build import start_in
from theoryrl.models import EpisodicMDP, FiniteModelClass
from theoryrl.models._validation import check_count, check_real

START, SAFE, GOOD, BAD = range(4)


def risky_arms(
    n_arms: int = 4, horizon: int = 5, low: float = 0.4, high: float = 0.8, safe: float = 0.6
) -> EpisodicMDP:
    """One decision: a sure income, or one of several arms that pay in full or nothing.

    At stage 0 action 0 leads to the state *safe*, which pays `safe` at each later stage; action i leads
    to *good*, which pays 1, with probability p_i, else to *bad*, which pays nothing. All three are
    absorbing. The last arm has p = `high`, the others `low`.

    Parameters
    ----------
    n_arms
        Number of risky arms, at least 1; A = n_arms + 1.
    horizon
        Stages, at least 2.
    low, high
        Probabilities, with low < safe < high.
    safe
        Income of the safe state.

    Returns
    -------
    EpisodicMDP
        S = 4. V* = (horizon - 1) high; the safe action is worth (horizon - 1) safe.

    Notes
    -----
    `risky_arms_class` lists the models in which each arm has `low` or `high`. A learner that once believes
    that all arms are low plays safe, sees nothing new, and stays.
    """
    check_count("n_arms", n_arms)
    arms = [check_real("low", low, 0.0, 1.0)] * (n_arms - 1) + [check_real("high", high, 0.0, 1.0)]
    return _model(arms, horizon, safe, low, high)


def risky_arms_class(
    n_arms: int = 4,
    horizon: int = 5,
    low: float = 0.4,
    high: float = 0.8,
    safe: float = 0.6,
    middle: float | None = None,
) -> FiniteModelClass:
    """Return all models in which each arm is `low` or `high` (or `middle`), the true one last.

    Ties in a maximisation are broken by the lowest index, hence against the truth.
    """
    truth = risky_arms(n_arms, horizon, low, high, safe)
    levels = (low, high) if middle is None else (low, middle, high)
    models = [
        _model(list(arms), horizon, safe, low, high) for arms in itertools.product(levels, repeat=n_arms)
    ]
    others = [model for model in models if not np.array_equal(model.P, truth.P)]
    return FiniteModelClass.from_models([*others, truth])


def _model(arms: list[float], horizon: int, safe: float, low: float, high: float) -> EpisodicMDP:
    check_count("horizon", horizon, low=2)
    if not low < check_real("safe", safe, 0.0, 1.0) < high:
        raise ValueError(f"safe must be between low = {low} and high = {high}; got {safe!r}")
    A = len(arms) + 1
    P = np.zeros((horizon, 4, A, 4))
    P[:] = np.eye(4)[:, None, :]
    P[0, START] = 0.0
    P[0, START, 0, SAFE] = 1.0
    P[0, START, 1:, GOOD] = arms
    P[0, START, 1:, BAD] = 1 - np.array(arms)
    r = np.zeros((horizon, 4, A))
    r[1:, SAFE] = safe
    r[1:, GOOD] = 1.0
    return EpisodicMDP(P, r, start_in(START, 4))
