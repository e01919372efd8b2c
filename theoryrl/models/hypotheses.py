"""Finite hypothesis classes: the candidates that a learner with function approximation is given.

A *model class* lists candidate MDPs of one shape; a *function class* lists candidate optimal
action-value functions. Whether the truth is among them is an assumption of theorems, not of the
classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_distribution, check_interval, check_type, real_array
from theoryrl.models.episodic import EpisodicMDP


@dataclass(frozen=True, eq=False)
class FiniteModelClass(Frozen):
    """M candidate episodic MDPs with the same states, actions, horizon and first state's law.

    Parameters
    ----------
    P
        Transition probabilities P[m, h, s, a, s']: shape [M, H, S, A, S].
    r
        Expected rewards in [0, 1]: shape [H, S, A] where all candidates share them, else
        [M, H, S, A]; kept in the latter shape.
    rho
        Distribution of the first state: shape [S].

    Raises
    ------
    ValueError
        On a wrong shape, a row that is not a distribution, or a reward outside [0, 1].
    """

    P: Float[np.ndarray, "M H S A S"]
    r: Float[np.ndarray, "M H S A"]
    rho: Float[np.ndarray, " S"]

    def __post_init__(self) -> None:
        P = real_array("P", self.P, ("M", "H", "S", "A", "S"))
        r = self.r if np.ndim(self.r) == 4 else _shared(self.r, P.shape)
        r = real_array("r", r, P.shape[:4])
        rho = real_array("rho", self.rho, (P.shape[2],))
        check_distribution("P", P)
        check_distribution("rho", rho)
        check_interval("r", r, 0.0, 1.0)
        for name, value in (("P", P), ("r", r), ("rho", rho)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_models(cls, models: Sequence[EpisodicMDP]) -> FiniteModelClass:
        """Collect models that agree in shape and in the first state's law."""
        if len(models) == 0:
            raise ValueError("models must hold at least one EpisodicMDP; got none")
        for m, model in enumerate(models):
            check_type(f"models[{m}]", model, EpisodicMDP)
            if model.P.shape != models[0].P.shape:
                raise ValueError(f"models[{m}] has P of shape {model.P.shape}; models[0] {models[0].P.shape}")
            if not np.array_equal(model.rho, models[0].rho):
                raise ValueError(f"models[{m}] starts from another distribution than models[0]")
        return cls(
            np.stack([model.P for model in models]), np.stack([model.r for model in models]), models[0].rho
        )

    def __len__(self) -> int:
        return int(self.P.shape[0])

    def __getitem__(self, m: int) -> EpisodicMDP:
        return EpisodicMDP(self.P[m], self.r[m], self.rho)

    @property
    def horizon(self) -> int:
        """Number of stages H."""
        return int(self.P.shape[1])

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.P.shape[2])

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.P.shape[3])

    @property
    def shares_rewards(self) -> bool:
        """Whether all candidates have the same rewards, as for a learner that knows them."""
        return bool(np.all(self.r == self.r[0]))

    def index(self, model: EpisodicMDP) -> int | None:
        """Position of a candidate equal to `model` in P and r, or None."""
        check_type("model", model, EpisodicMDP)
        for m in range(len(self)):
            if np.array_equal(self.P[m], model.P) and np.array_equal(self.r[m], model.r):
                return m
        return None

    def __repr__(self) -> str:
        return f"FiniteModelClass(M={len(self)}, H={self.horizon}, S={self.n_states}, A={self.n_actions})"


@dataclass(frozen=True, eq=False)
class FiniteFunctionClass(Frozen):
    """N candidate action-value functions f = (f_0, ..., f_{H-1}), each given on all stages at once.

    Parameters
    ----------
    Q
        Values f_h(s, a) >= 0 of candidate n: shape [N, H, S, A].

    Raises
    ------
    ValueError
        On a wrong shape, or a value that is negative or not finite.
    """

    Q: Float[np.ndarray, "N H S A"]

    def __post_init__(self) -> None:
        Q = real_array("Q", self.Q, ("N", "H", "S", "A"))
        check_interval("Q", Q, 0.0, np.inf)
        object.__setattr__(self, "Q", Q)

    def __len__(self) -> int:
        return int(self.Q.shape[0])

    @property
    def horizon(self) -> int:
        """Number of stages H."""
        return int(self.Q.shape[1])

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.Q.shape[2])

    @property
    def n_actions(self) -> int:
        """Number of actions A."""
        return int(self.Q.shape[3])

    def __repr__(self) -> str:
        return f"FiniteFunctionClass(N={len(self)}, H={self.horizon}, S={self.n_states}, A={self.n_actions})"


def _shared(r: Any, shape: Sequence[int]) -> np.ndarray:
    """Rewards [H, S, A] repeated for every candidate."""
    return np.broadcast_to(real_array("r", r, tuple(shape[1:4])), tuple(shape[:4]))
