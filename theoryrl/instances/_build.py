"""What several factories share."""

import numpy as np
from jaxtyping import Float

from theoryrl.models import ConservativeMDP, DeterministicPolicy, EpisodicMDP, MarkovPolicy
from theoryrl.models._validation import check_real


def start_in(state: int, n_states: int) -> Float[np.ndarray, " S"]:
    """Return the distribution that starts every episode in `state`."""
    rho = np.zeros(n_states)
    rho[state] = 1.0
    return rho


def always(action: int, mdp: EpisodicMDP) -> DeterministicPolicy:
    """Return the policy that takes `action` at every stage in every state."""
    return DeterministicPolicy(np.full((mdp.horizon, mdp.n_states), action), mdp.n_actions)


def with_margin(
    mdp: EpisodicMDP, baseline: MarkovPolicy, baseline_value: float, kappa: float
) -> ConservativeMDP:
    """Return the conservative problem whose threshold is `kappa` below the baseline's value."""
    check_positive("kappa", kappa, baseline_value)
    return ConservativeMDP(mdp, baseline, baseline_value - kappa)


def check_positive(name: str, value: float, high: float = np.inf) -> float:
    """Return `value` as a finite float in (0, high]."""
    number = check_real(name, value, high=high)
    if number <= 0:
        raise ValueError(f"{name} must be positive; got {value!r}")
    return number
