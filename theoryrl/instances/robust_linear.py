"""Robust linear MDPs: random ones, and two that show what a theorem needs."""

import numpy as np

from theoryrl.instances._build import check_positive, start_in
from theoryrl.models import LinearMDP, RobustLinearMDP, Uncertainty
from theoryrl.models._validation import check_choice, check_count, check_real

FEATURES = ("dirichlet", "covered", "one-hot")


def random_robust_linear(
    n_states: int = 8,
    n_actions: int = 4,
    dimension: int = 5,
    horizon: int = 4,
    features: str = "covered",
    uncertainty: str = "tv",
    radius: float = 0.2,
    temperature: float = 0.3,
    sparsity: float = 0.0,
    seed: int = 0,
) -> RobustLinearMDP:
    """A random robust linear MDP with a fail state that each other state may fall into.

    `numpy.random.default_rng(seed)` draws features, then factors (Dirichlet 0.3, and 2 percent of the
    mass in the fail state), then rewards, so a seed names one model for good.

    Parameters
    ----------
    n_states
        S, at least 2; the last state is the fail state, the first one the start.
    n_actions
        A, at least 1.
    dimension
        d, at least 2; the last factor belongs to the fail state. For ``"one-hot"`` it must be
        (S - 1) A + 1; 0 stands for that.
    horizon
        H, at least 1.
    features
        ``"dirichlet"``: Dirichlet(0.3) on the factors but the last. ``"covered"``: 0.6 of a vertex, each
        action another one (so that A = d - 1 covers all), and 0.4 of Dirichlet(0.3). ``"one-hot"``: a
        table.
    uncertainty
        ``"tv"``, or a penalty: ``"tv-penalty"``, ``"kl-penalty"``, ``"chi2-penalty"``.
    radius
        Radius of every factor but the last, or price of every factor.
    temperature
        eta; the reference policy is uniform.
    sparsity
        Share of reward entries that are zero, in [0, 1].
    seed
        Non-negative integer.

    Returns
    -------
    RobustLinearMDP
        With stage-dependent factors and rewards.
    """
    S, A = check_count("n_states", n_states, low=2), check_count("n_actions", n_actions)
    H = check_count("horizon", horizon)
    check_choice("features", features, FEATURES)
    table = (S - 1) * A + 1
    d = check_count("dimension", dimension, low=0) or table
    if features == "one-hot" and d != table:
        raise ValueError(f"dimension must be {table} (or 0) for one-hot features; got {dimension}")
    check_count("dimension", d, low=2)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    phi = np.zeros((S, A, d))
    phi[-1, :, -1] = 1.0
    if features == "one-hot":
        phi[:-1, :, :-1] = np.eye((S - 1) * A).reshape(S - 1, A, -1)
    else:
        phi[:-1, :, :-1] = rng.dirichlet(np.full(d - 1, 0.3), size=(S - 1, A))
    if features == "covered":
        for s in range(S - 1):
            vertices = np.resize(rng.permutation(d - 1), A)
            phi[s, :, :-1] = 0.6 * np.eye(d - 1)[vertices] + 0.4 * phi[s, :, :-1]
    phi /= phi.sum(axis=2, keepdims=True)
    mu = 0.98 * rng.dirichlet(np.full(S, 0.3), size=(H, d))
    mu[..., -1] += 0.02
    mu[:, -1] = np.eye(S)[-1]
    mu /= mu.sum(axis=2, keepdims=True)
    theta = rng.random((H, d)) * (rng.random((H, d)) >= check_real("sparsity", sparsity, 0.0, 1.0))
    theta[:, -1] = 0.0
    model = LinearMDP(phi, theta, mu, start_in(0, S))
    return RobustLinearMDP(model, _set(uncertainty, radius, d), fail_state=S - 1, temperature=temperature)


def _set(name: str, radius: float, d: int) -> Uncertainty:
    divergence, _, penalty = name.partition("-")
    if penalty:
        return Uncertainty(divergence, check_positive("radius", radius), penalty=True)
    radii = np.full(d, check_real("radius", radius, 0.0))
    radii[-1] = 0.0
    return Uncertainty(divergence, radii)


def unobserved_turn(radius: float = 0.5, temperature: float = 0.3) -> RobustLinearMDP:
    """A state that is reached only by the adversary, where the learner's optimism is never corrected.

    From s1 every action leads to y, and so on; only the adversary reaches x, where one action has a
    factor that no episode ever observes. There are no rewards, so V* = 0; but optimism about that action
    makes the regularised policy pay for leaving the reference policy, V(x) < 0, and the adversary goes
    to x instead of the fail state.

    Parameters
    ----------
    radius
        rho of total variation around the first two factors, in [0, 1].
    temperature
        eta > 0.

    Returns
    -------
    RobustLinearMDP
        States s1, y, x, fail; A = 2, H = 3, d = 3.

    Notes
    -----
    Ours: regularised robust learning can have linear regret where the nominal model does not cover the
    states that the set reaches.
    """
    check_positive("temperature", temperature)
    phi = np.zeros((4, 2, 3))
    phi[:2, :, 0] = 1.0
    phi[2, 0, 0] = phi[2, 1, 1] = 1.0
    phi[3, :, 2] = 1.0
    mu = np.zeros((3, 3, 4))
    mu[:, :2, 1] = 1.0
    mu[:, 2, 3] = 1.0
    radii = np.array([1.0, 1.0, 0.0]) * check_real("radius", radius, 0.0, 1.0)
    model = LinearMDP(phi, np.zeros((3, 3)), mu, start_in(0, 4))
    return RobustLinearMDP(model, Uncertainty("tv", radii), fail_state=3, temperature=temperature)


def repeated_mixture(temperature: float = 0.0) -> RobustLinearMDP:
    """One feature vector is a mixture of two factors, and no other episode tells them apart.

    Action 0 leads to a bad state through phi = (1/2, 1/2); action 1 to a good or a bad state by a coin.
    The bonus of a factor that is only ever seen in that mixture never vanishes, so an optimistic learner
    without regularisation prefers action 0 for ever.

    Parameters
    ----------
    temperature
        eta >= 0.

    Returns
    -------
    RobustLinearMDP
        States s1, good, bad, fail; A = 2, H = 2, d = 4; radius 0. The gap of action 0 is 1/2.

    Notes
    -----
    Ours: coverage of the span of the features alone is not enough for the factor bonus.
    """
    phi = np.zeros((4, 2, 4))
    phi[0, 0, :2] = 0.5
    phi[0, 1, 2] = 1.0
    phi[1, :, 2] = 1.0
    phi[2, :, 0] = 1.0
    phi[3, :, 3] = 1.0
    theta = np.zeros((2, 4))
    theta[1, 2] = 1.0
    mu = np.zeros((2, 4, 4))
    mu[0, :2, 2] = 1.0
    mu[0, 2, 1] = mu[0, 2, 2] = 0.5
    mu[1, :3, 2] = 1.0
    mu[:, 3, 3] = 1.0
    model = LinearMDP(phi, theta, mu, start_in(0, 4))
    return RobustLinearMDP(model, Uncertainty("tv", 0.0), fail_state=3, temperature=temperature)
