"""A price on policies that differ from a reference policy."""

from __future__ import annotations

from typing import Any

import numpy as np

from theoryrl.models._validation import at, check_real, check_type, first_index
from theoryrl.models.policy import Policy


def check_regularisation(
    temperature: Any, reference: Any, sizes: tuple[int | None, int, int]
) -> tuple[float, Policy]:
    """Return the temperature and the reference policy (default uniform) of a regularised model.

    Parameters
    ----------
    temperature
        eta >= 0.
    reference
        A policy, or None. With eta > 0 each action must have a positive probability.
    sizes
        (H, S, A) of the model; H = None for models without a horizon.
    """
    eta = check_real("temperature", temperature, low=0.0)
    horizon, S, A = sizes
    if reference is None:
        return eta, Policy.uniform(S, A)
    check_type("reference", reference, Policy)
    if (reference.n_states, reference.n_actions) != (S, A) or reference.horizon not in (None, horizon):
        raise ValueError(
            f"reference must fit the model's (H, S, A) = {sizes}; got shape {reference.probabilities.shape}"
        )
    missing = np.asarray(reference.probabilities <= 0)
    if eta > 0 and missing.any():
        index = first_index(missing)
        raise ValueError(f"{at('reference', index)} must be positive for temperature > 0; got 0.0")
    return eta, reference
