"""Preference games with a reference policy: transitive, intransitive, cyclic and at random."""

import numpy as np

from theoryrl.instances._build import check_positive
from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.models._validation import check_count
from theoryrl.solvers.simplex import log_normalize


def rock_paper_scissors(beta: float = 0.01, bias: float = 1.0) -> RegularizedGame:
    """The cycle of three actions, each of which surely beats the next; the reference prefers the first.

    Parameters
    ----------
    beta
        Weight of the divergence from the reference.
    bias
        How much larger the first logit of the reference is than the other two.

    Returns
    -------
    RegularizedGame
        L(P) = 3/8. Without regularisation the uniform policy is the only von Neumann winner.
    """
    game = PreferenceGame.from_tournament([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    return RegularizedGame(game, beta, log_normalize(np.array([[bias, 0.0, 0.0]])))


def random_preferences(n_actions: int = 10, beta: float = 0.1, seed: int = 0) -> RegularizedGame:
    """Independent uniform preferences, and a softmax reference with standard normal logits.

    Parameters
    ----------
    n_actions
        n, at least 1.
    beta
        Weight of the divergence from the reference.
    seed
        Non-negative integer.

    Returns
    -------
    RegularizedGame
        The protocol of the simulations of Zhou et al. (2025), which use n = 10.
    """
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    game = PreferenceGame.random(n_actions, rng)
    return RegularizedGame(game, beta, log_normalize(rng.normal(size=(1, n_actions))))


def intransitive_contexts(
    n_contexts: int = 50, n_actions: int = 20, beta: float = 0.05, scale: float = 10.0, seed: int = 0
) -> RegularizedGame:
    """Low-rank intransitive preferences in many contexts: ``P = sigma(scale z_i^T J z_j)``.

    Parameters
    ----------
    n_contexts, n_actions
        X and n, at least 1 each.
    beta
        Weight of the divergence from the reference.
    scale
        Positive factor; the embeddings z are normal with standard deviation 1/2 in four dimensions.
    seed
        Non-negative integer.

    Returns
    -------
    RegularizedGame
        With a softmax reference of standard normal logits, and contexts of Dirichlet(1) probabilities.
    """
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    shape = check_count("n_contexts", n_contexts), check_count("n_actions", n_actions)
    z = rng.normal(size=(*shape, 4)) / 2
    reference = log_normalize(rng.normal(size=shape))
    game = PreferenceGame.from_low_rank(z, check_positive("scale", scale), rng.dirichlet(np.ones(n_contexts)))
    return RegularizedGame(game, beta, reference)


def random_tournament(n_actions: int = 9, beta: float = 0.05, seed: int = 0) -> RegularizedGame:
    """A tournament: of each two actions one surely beats the other, by a fair coin; uniform reference.

    Parameters
    ----------
    n_actions
        n, at least 1.
    beta
        Weight of the divergence from the reference.
    seed
        Non-negative integer.

    Returns
    -------
    RegularizedGame
        Without regularisation there is exactly one von Neumann winner (Laffond, Laslier and Le Breton 1993).
    """
    n = check_count("n_actions", n_actions)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    lower = np.tril(rng.integers(0, 2, (n, n)), -1)
    upper = np.triu(1 - lower.T, 1)
    return PreferenceGame.from_tournament(lower + upper).regularized(beta)


def bradley_terry(
    n_actions: int = 10, beta: float = 0.1, spread: float = 1.0, seed: int = 0
) -> RegularizedGame:
    """Transitive preferences from hidden rewards: ``P[i, j] = sigma(r_i - r_j)``; uniform reference.

    Parameters
    ----------
    n_actions
        n, at least 1.
    beta
        Weight of the divergence from the reference.
    spread
        Standard deviation of the rewards, positive.
    seed
        Non-negative integer.

    Returns
    -------
    RegularizedGame
        The best action is the von Neumann winner without regularisation.
    """
    n = check_count("n_actions", n_actions)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    return PreferenceGame.from_bradley_terry(
        check_positive("spread", spread) * rng.normal(size=n)
    ).regularized(beta)
