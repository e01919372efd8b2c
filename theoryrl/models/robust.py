"""Robust MDPs with tables: a nominal model and the uncertainty around its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_choice, check_real, check_type
from theoryrl.models.episodic import EpisodicMDP
from theoryrl.models.policy import Policy
from theoryrl.models.regularisation import check_regularisation
from theoryrl.models.stationary import DiscountedMDP
from theoryrl.models.uncertainty import Uncertainty

RECTANGULARITY = ("sa", "s")


@dataclass(frozen=True, eq=False)
class RobustMDP(Frozen):
    """A robust MDP, optionally with a price on policies that differ from a reference.

    Parameters
    ----------
    nominal
        The model in the middle of the sets, with a finite horizon or discounted (dense).
    uncertainty
        The sets; radii broadcast to [H, S, A] (or [S, A]) for ``"sa"``, to [H, S] (or [S]) for ``"s"``.
    rectangularity
        ``"sa"``: the adversary chooses each row P(. | s, a) on its own. ``"s"``: in each state it has
        one budget for the rows of all actions, and does not see the action that is drawn; so far for
        the divergence ``"l1"``, where sum_a ||P(.|s,a) - P0(.|s,a)||_1 <= radius.
    temperature
        eta >= 0, the price of one nat of KL(pi || reference); 0 for ``"s"``.
    reference
        The reference policy, with full support if eta > 0. Default: uniform.
    policy_radius
        Instead of a price: the largest KL(pi || reference) in nats in each stage and state. None: any
        policy.

    Raises
    ------
    ValueError
        If the set is not rectangular in one of these ways, or the parts do not fit each other.
    """

    nominal: EpisodicMDP | DiscountedMDP
    uncertainty: Uncertainty
    rectangularity: str = "sa"
    temperature: float = 0.0
    reference: Policy | None = None
    policy_radius: float | None = None

    def __post_init__(self) -> None:
        check_type("nominal", self.nominal, EpisodicMDP, DiscountedMDP)
        check_type("uncertainty", self.uncertainty, Uncertainty)
        check_choice("rectangularity", self.rectangularity, RECTANGULARITY)
        if isinstance(self.nominal, DiscountedMDP) and self.nominal.is_sparse:
            raise ValueError("nominal must have dense rows: an adversary may use every next state")
        mdp = self.nominal
        horizon = mdp.horizon if isinstance(mdp, EpisodicMDP) else None
        sizes = (horizon, mdp.n_states, mdp.n_actions)
        temperature, reference = check_regularisation(self.temperature, self.reference, sizes)
        if self.rectangularity == "s":
            self._check_state_budget(temperature)
        elif self.uncertainty.cost is not None and len(self.uncertainty.cost) != mdp.n_states:
            raise ValueError(
                f"cost must have shape ({mdp.n_states}, {mdp.n_states}); got {self.uncertainty.cost.shape}"
            )
        self.uncertainty.radii(self.set_shape)
        if self.policy_radius is not None:
            self._check_policy_radius(temperature)
        object.__setattr__(self, "temperature", temperature)
        object.__setattr__(self, "reference", reference)

    def _check_state_budget(self, temperature: float) -> None:
        if self.uncertainty.name != "l1":
            raise ValueError(f"rectangularity 's' is for the divergence 'l1'; got {self.uncertainty.name!r}")
        if temperature != 0.0:
            raise ValueError(f"temperature must be 0 for rectangularity 's'; got {temperature!r}")

    def _check_policy_radius(self, temperature: float) -> None:
        check_real("policy_radius", self.policy_radius, low=0.0)
        if temperature != 0.0:
            raise ValueError(f"temperature must be 0 with a policy_radius; got {temperature!r}")
        if self.rectangularity == "s":
            raise ValueError("policy_radius is for rectangularity 'sa'; got 's'")

    @property
    def set_shape(self) -> tuple[int, ...]:
        """Shape of the array of radii: one for each set."""
        shape = self.nominal.r.shape
        return shape[:-1] if self.rectangularity == "s" else shape

    @property
    def reference_policy(self) -> Float[np.ndarray, "H S A"] | Float[np.ndarray, "S A"]:
        """The reference policy's probabilities, in the shape of the rewards."""
        assert self.reference is not None  # set by the constructor
        if isinstance(self.nominal, EpisodicMDP):
            return self.reference.stages(self.nominal.horizon)
        return self.reference.probabilities

    def __repr__(self) -> str:
        more = f", rectangularity={self.rectangularity!r}"
        more += f", temperature={self.temperature:g}" if self.temperature else ""
        more += "" if self.policy_radius is None else f", policy_radius={self.policy_radius:g}"
        return f"RobustMDP({self.nominal!r}, {self.uncertainty!r}{more})"
