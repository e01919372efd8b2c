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
from jaxtyping import Float, Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    check_distribution,
    check_flag,
    check_interval,
    check_type,
    real_array,
)
from theoryrl.models.episodic import EpisodicMDP
from theoryrl.models.offline import OfflineDataset
from theoryrl.models.policy import DeterministicPolicy, MarkovPolicy, Policy


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

    def greedy_actions(self) -> Int[np.ndarray, "N H S"]:
        """Return the greedy actions of each function, the lowest index on ties."""
        return np.asarray(self.Q.argmax(axis=3))

    def __repr__(self) -> str:
        return f"FiniteFunctionClass(N={len(self)}, H={self.horizon}, S={self.n_states}, A={self.n_actions})"


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """What a learner with function approximation is told before the first round.

    Parameters
    ----------
    functions
        The class F of candidate optimal action values.
    models
        Candidate models, from which the learner computes occupancies and density ratios.
    completion
        For learners that ask for completeness: the class G that should hold every backup of F; F itself
        where it is not given.
    oracle
        Whether the candidates were made with knowledge of the truth. Then nothing is learned about the
        transitions, and the traces of learners that use them say so.

    Raises
    ------
    ValueError
        If the classes disagree in shape.
    """

    functions: FiniteFunctionClass
    models: FiniteModelClass
    completion: FiniteFunctionClass | None = None
    oracle: bool = False

    def __post_init__(self) -> None:
        check_type("functions", self.functions, FiniteFunctionClass)
        check_type("models", self.models, FiniteModelClass)
        check_flag("oracle", self.oracle)
        shape = self.functions.Q.shape[1:]
        if self.models.r.shape[1:] != shape:
            raise ValueError(f"models must have (H, S, A) = {shape}; got {self.models.r.shape[1:]}")
        if self.completion is not None:
            check_type("completion", self.completion, FiniteFunctionClass)
            if self.completion.Q.shape[1:] != shape:
                raise ValueError(f"completion must have (H, S, A) = {shape}; got {self.completion!r}")


@dataclass(frozen=True, eq=False)
class CandidateMDP:
    """An episodic MDP together with the candidates, and perhaps the offline data, that a learner is given.

    Parameters
    ----------
    mdp
        The true model.
    hypotheses
        What the learner is told.
    behaviour
        The known policy that collected the offline data, for hybrid learners.
    offline
        The offline data.

    Raises
    ------
    ValueError
        If the classes do not have the model's shape, or the only candidates are the truth itself and
        `hypotheses.oracle` does not say so.
    """

    mdp: EpisodicMDP
    hypotheses: Hypotheses
    behaviour: MarkovPolicy | None = None
    offline: OfflineDataset | None = None

    def __post_init__(self) -> None:
        check_type("mdp", self.mdp, EpisodicMDP)
        check_type("hypotheses", self.hypotheses, Hypotheses)
        if self.hypotheses.functions.Q.shape[1:] != self.mdp.r.shape:
            raise ValueError(
                f"hypotheses must have (H, S, A) = {self.mdp.r.shape}; got {self.hypotheses.functions!r}"
            )
        if self.behaviour is not None:
            check_type("behaviour", self.behaviour, Policy, DeterministicPolicy)
        if self.offline is not None:
            check_type("offline", self.offline, OfflineDataset)
        models = self.hypotheses.models
        if not self.hypotheses.oracle and bool(np.all(models.P == self.mdp.P)):
            raise ValueError("hypotheses.oracle must be True: all candidates have the true transitions")


def _shared(r: Any, shape: Sequence[int]) -> np.ndarray:
    """Rewards [H, S, A] repeated for every candidate."""
    return np.broadcast_to(real_array("r", r, tuple(shape[1:4])), tuple(shape[:4]))
