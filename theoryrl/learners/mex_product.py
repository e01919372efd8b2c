"""MEX over a product class of action-value functions: sums of squares, and the chain program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners import gec
from theoryrl.models import DeterministicPolicy, ProductQClass
from theoryrl.protocol import EpisodicDecision, EpisodicSpec
from theoryrl.solvers.episodic import Trajectories
from theoryrl.solvers.maximize_to_explore import _chain_kernels


@dataclass(slots=True, eq=False)
class ProductFunctions:
    """State of a learner over a product class.

    Attributes
    ----------
    hypotheses
        F and G.
    V
        max_a of each function: shape [H, N, S].
    start
        V of layer 0 averaged over the first state: shape [N].
    greedy
        Greedy actions of each function, lowest index on ties: shape [H, N, S].
    members
        Position of F[h, i] in G[h]: shape [H, N].
    sums, errors
        Sums of squares SS[h, g, j] and what rounding took from them: shape [H, M, N].
    losses
        L_h of function i followed by function j: shape [H, N, N].
    """

    hypotheses: ProductQClass
    V: Float[np.ndarray, "H N S"]
    start: Float[np.ndarray, " N"]
    greedy: Int[np.ndarray, "H N S"]
    members: Int[np.ndarray, "H N"]
    sums: Float[np.ndarray, "H M N"]
    errors: Float[np.ndarray, "H M N"]
    losses: Float[np.ndarray, "H N N"]

    kind = "model-free"

    @classmethod
    def start_with(cls, hypotheses: ProductQClass, spec: EpisodicSpec) -> ProductFunctions:
        """Return the state without data."""
        if hypotheses.shape != spec.shape:
            raise ValueError(
                f"hypotheses must have (H, S, A) = {spec.shape} of the problem; got {hypotheses.shape}"
            )
        F, G = hypotheses.F, hypotheses.auxiliary
        H, N = F.shape[:2]
        V = hypotheses.values
        members = [
            [int(np.abs(layer - f).max(axis=(1, 2)).argmin()) for f in F[h]] for h, layer in enumerate(G)
        ]
        squares = (H, G.shape[1], N)
        return cls(
            hypotheses=hypotheses,
            V=V,
            start=V[0] @ spec.rho,
            greedy=np.asarray(F.argmax(axis=3), dtype=np.int64),
            members=np.array(members, dtype=np.int64),
            sums=np.zeros(squares),
            errors=np.zeros(squares),
            losses=np.zeros((H, N, N)),
        )

    def plan(self, eta: float, error: float) -> EpisodicDecision:
        """Solve the chain program; `error` must be zero (the program is exact)."""
        if error > 0:
            raise ValueError("error must be 0 for a product class, whose maximisation is exact")
        self.refresh()
        H, N = self.members.shape
        chosen = np.zeros(H, dtype=np.int64)
        objective = _chain_kernels.chain_best(self.start, self.losses, eta, np.empty((H, N)), chosen)
        return self.decide(chosen, {"eta": eta, "objective": objective})

    def refresh(self) -> None:
        """Compute the losses from the sums of squares."""
        _chain_kernels.chain_losses(self.sums, self.errors, self.members, self.losses)

    def decide(self, chosen: Int[np.ndarray, " H"], diagnostics: dict[str, float]) -> EpisodicDecision:
        """Return the greedy policy of a choice of functions."""
        actions = self.greedy[np.arange(len(chosen)), chosen]
        policy = DeterministicPolicy.trusted(actions, self.hypotheses.shape[2])
        value = float(self.start[chosen[0]])
        position = 0.0
        for index in chosen:  # one number for the whole choice
            position = position * self.members.shape[1] + float(index)
        return EpisodicDecision(policy, None, {**diagnostics, "optimistic_value": value, "index": position})

    def record(self, observation: Trajectories) -> None:
        """Add the squares of the episodes."""
        for states, actions, rewards in zip(*observation, strict=True):
            _chain_kernels.add_episode_losses(
                states, actions, rewards, self.hypotheses.auxiliary, self.V, self.sums, self.errors
            )


def theory_eta(hypotheses: ProductQClass, rounds: float, delta: float) -> float:
    """Return eta of theorem T-MF for a horizon."""
    H, S, A = hypotheses.shape
    iota = gec.model_free_iota(hypotheses.F.shape[1], hypotheses.auxiliary.shape[1], H, delta)
    return gec.model_free_eta(gec.model_free_gec(S * A, H, rounds), H, rounds, iota)
