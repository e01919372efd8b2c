"""Boltzmann policies of the optimal action values: baselines of adjustable quality."""

import numpy as np

from theoryrl.models import EpisodicMDP, Policy
from theoryrl.models._validation import check_real
from theoryrl.solvers import backward_induction


def boltzmann_policy(mdp: EpisodicMDP, eta: float) -> Policy:
    """Return the policy pi_h(a | s) proportional to exp(eta Q*_h(s, a)).

    Parameters
    ----------
    mdp
        The model.
    eta
        Inverse temperature, at least 0, per unit of return: 0 is the uniform policy, and the policy
        becomes optimal as eta grows.

    Returns
    -------
    Policy
        Probabilities of shape [H, S, A].
    """
    check_real("eta", eta, low=0.0)
    Q = backward_induction(mdp).action_values
    # The maximum is subtracted before scaling, so that no exponent is positive and none overflows.
    weights = np.exp(eta * (Q - Q.max(axis=-1, keepdims=True)))
    return Policy(weights / weights.sum(axis=-1, keepdims=True))
