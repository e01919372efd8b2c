"""Dense random models, plain and with a Boltzmann baseline."""

import numpy as np

from theoryrl.instances._build import check_positive, start_in
from theoryrl.instances.boltzmann import boltzmann_policy
from theoryrl.models import ConservativeMDP, EpisodicMDP, Policy
from theoryrl.models._validation import check_count, check_memory, check_real
from theoryrl.solvers import policy_value


def random_dirichlet(
    n_states: int = 5, n_actions: int = 5, horizon: int = 3, concentration: float = 1.0, seed: int = 0
) -> EpisodicMDP:
    """A random model: each row of P_h from a symmetric Dirichlet law, each reward uniform on [0, 1].

    `numpy.random.default_rng(seed)` draws P first, then r, so a seed names one model for good.
    Every episode starts in state 0.

    Parameters
    ----------
    n_states, n_actions, horizon
        S, A and H, at least 1 each.
    concentration
        Parameter of the Dirichlet law, positive: 1 is uniform on the simplex, small values give
        nearly deterministic rows.
    seed
        Non-negative integer.

    Returns
    -------
    EpisodicMDP
        Stage-dependent P and r. The optimum has no closed form.

    Notes
    -----
    A standard ensemble; the paper on StepMix (Li, Huang, Shen and Yang 2023) experiments on small
    random models, whose exact parameters and seeds we do not know. V* of seeds 0, 1, 2 at the
    defaults: 2.510, 2.591, 2.378.
    """
    S, A, H = (
        check_count("n_states", n_states),
        check_count("n_actions", n_actions),
        check_count("horizon", horizon),
    )
    check_positive("concentration", concentration)
    check_memory("P", H, S, A, S)
    rng = np.random.default_rng(check_count("seed", seed, low=0))
    P = rng.dirichlet(np.full(S, float(concentration)), size=(H, S, A))
    r = rng.random((H, S, A))
    return EpisodicMDP(P, r, start_in(0, S))


def random_conservative(
    n_states: int = 5,
    n_actions: int = 5,
    horizon: int = 3,
    concentration: float = 1.0,
    seed: int = 0,
    eta: float = 5.0,
    fraction: float = 0.5,
) -> ConservativeMDP:
    """A random model with the Boltzmann baseline pi^b proportional to exp(eta Q*).

    The threshold is gamma = V^b - fraction (V^b - V^uniform): a fraction of what the baseline gains
    on the uniform policy may be lost while exploring.

    Parameters
    ----------
    n_states, n_actions, horizon, concentration, seed
        As for `random_dirichlet`; n_actions at least 2, or there is nothing to choose.
    eta
        Inverse temperature of the baseline, positive.
    fraction
        Part of the gain that may be lost, in (0, 1].

    Returns
    -------
    ConservativeMDP
        The model of `random_dirichlet`, the baseline and the threshold.

    Raises
    ------
    ValueError
        On a parameter out of range, or if the baseline is no better than the uniform policy (small
        eta does not guarantee that it is).

    Notes
    -----
    The protocol is ours, after the kind of experiment in Li, Huang, Shen and Yang (2023). At the
    defaults (V*, V^b, gamma) of seeds 0, 1, 2 are (2.510, 2.205, 1.854), (2.591, 2.304, 1.910) and
    (2.378, 2.143, 1.679).
    """
    check_count("n_actions", n_actions, low=2)
    check_positive("eta", eta)
    check_positive("fraction", check_real("fraction", fraction, high=1.0))
    mdp = random_dirichlet(n_states, n_actions, horizon, concentration, seed)
    baseline = boltzmann_policy(mdp, eta)
    value = policy_value(mdp, baseline)
    gain = value - policy_value(mdp, Policy.uniform(n_states, n_actions))
    if gain <= 0:
        raise ValueError(
            f"eta must make the baseline better than the uniform policy; with eta = {eta!r} and "
            f"seed = {seed} its gain is {gain:.3g}"
        )
    return ConservativeMDP(mdp, baseline, value - fraction * gain)
