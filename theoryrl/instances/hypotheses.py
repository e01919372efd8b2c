"""Random models together with classes of hypotheses that contain them."""

import numpy as np

from theoryrl.instances._build import start_in
from theoryrl.models import EpisodicMDP, FiniteModelClass, LinearMDP, ProductQClass
from theoryrl.models._validation import check_count
from theoryrl.solvers import backward_induction


def sparse_rewards(
    n_states: int = 4, n_actions: int = 2, horizon: int = 4, density: float = 0.4, seed: int = 0
) -> EpisodicMDP:
    """A random model with rows from Dirichlet(1/2) and few rewards.

    Parameters
    ----------
    n_states, n_actions, horizon
        S, A and H.
    density
        Probability that a cell has a reward, which is then uniform on [0, 1].
    seed
        Non-negative integer.

    Returns
    -------
    EpisodicMDP
        Every episode starts in state 0.
    """
    sizes = (check_count("horizon", horizon), check_count("n_states", n_states))
    H, S, A = *sizes, check_count("n_actions", n_actions)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    P = rng.dirichlet(np.full(S, 0.5), size=(H, S, A))
    r = rng.random((H, S, A)) * (rng.random((H, S, A)) < density)
    return EpisodicMDP(P, r, start_in(0, S))


def perturbed_values(mdp: EpisodicMDP, size: int = 25, seed: int = 0) -> ProductQClass:
    """Return a realizable and complete product class: Q* and perturbations of it, Q* last in each layer.

    The others are clip(Q*_h + u W (H-h)/2, 0, H-h) with one u uniform on [-1, 1] and W uniform on [0, 1]
    entry by entry. The auxiliary class holds F_h and all backups of F_{h+1}.
    """
    rng = np.random.default_rng([check_count("seed", seed, low=0), 1])
    Q = backward_induction(mdp).action_values
    H, S, A = Q.shape
    F = np.empty((H, check_count("size", size), S, A))
    for h in range(H):
        for i in range(size - 1):
            moved = Q[h] + rng.uniform(-1, 1) * rng.random((S, A)) * (H - h) / 2
            F[h, i] = np.clip(moved, 0, H - h)
        F[h, -1] = Q[h]
    return ProductQClass.completed(F, mdp)


def random_linear(
    n_states: int = 12, n_actions: int = 4, horizon: int = 5, dimension: int = 5, seed: int = 0
) -> LinearMDP:
    """A random linear MDP with features on the simplex.

    Features phi(s, a) and factors mu_{h,i} are Dirichlet(0.3); each entry of theta is uniform on [0, 1]
    with probability 1/2, else 0.

    Parameters
    ----------
    n_states, n_actions, horizon, dimension
        S, A, H and d.
    seed
        Non-negative integer.

    Returns
    -------
    LinearMDP
        Every episode starts in state 0.
    """
    for name, value in (("n_states", n_states), ("n_actions", n_actions), ("horizon", horizon)):
        check_count(name, value)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    phi = rng.dirichlet(np.full(check_count("dimension", dimension), 0.3), size=(n_states, n_actions))
    mu = rng.dirichlet(np.full(n_states, 0.3), size=(horizon, dimension))
    theta = rng.random((horizon, dimension)) * (rng.random((horizon, dimension)) < 0.5)
    return LinearMDP(phi, theta, mu, start_in(0, n_states))


def nearby_models(mdp: EpisodicMDP, size: int = 20, share: float = 0.6, seed: int = 0) -> FiniteModelClass:
    """Return a realizable class of models with the same rewards, the true one last.

    The others are (1 - share) P + share D with rows of D from Dirichlet(1/2), independently.
    """
    rng = np.random.default_rng([check_count("seed", seed, low=0), 2])
    P = np.empty((check_count("size", size), *mdp.P.shape))
    for m in range(size - 1):
        P[m] = (1 - share) * mdp.P + share * rng.dirichlet(np.full(mdp.n_states, 0.5), size=mdp.r.shape)
    P[-1] = mdp.P
    return FiniteModelClass(P, mdp.r, mdp.rho)
