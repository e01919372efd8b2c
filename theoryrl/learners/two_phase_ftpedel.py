"""FTPedel in two phases: first learn where transitions lead, then run designs of the model; with a proof.

The first phase plays until no policy leaves the known part of the model with more than zeta. Then stage by
stage a conic program gives the flow of least mass that suffices in the model, and its policy is played::

    b(n) = min(1, c_b / n),  c_b = 3 S H iota + 2,  iota = log(2 H S^2 A nbar / delta)
    leak():     U_h(s,a) = min(1, b(N_h) + (1 + 1/H) Phat max U_{h+1}),  return rho max U_1
    explore():  while leak() > zeta: play the greedy policy of U
    stage l:    for k = 0, 1, ...:  tau = 2^-k eps_l / Gamma
                    play 6.12 times the flow x of least mass with sum what_h^2 / (x_h + N_h + 1) <= tau^2
                    explore();  until max W <= eps_l

With zeta = w_min / 8, w_min the smallest positive occupancy of any deterministic policy (1/8 where
transitions are deterministic), the number of episodes is bounded on the FTPedel page, two phases. Correctness
needs none of zeta, nbar and k: it is that of FTPedel.

The greedy policy of U is played while no count that matters has grown by more than a tenth beyond
max(c_b, N), which costs a factor of 1.1 in the bound and saves planning anew in every episode.

Source: ours; proof on the FTPedel page, two phases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._identification import (
    EliminationState,
    check_accuracy,
    check_identification,
    eliminate,
    halt,
    is_last,
    recommend,
    stage_accuracy,
)
from theoryrl.learners.ftpedel import one_hot
from theoryrl.models import PolicyClass
from theoryrl.models._validation import check_real
from theoryrl.protocol.identification import Batch, BatchCounts, IdentificationSpec
from theoryrl.solvers.episodic.linear_program import policy_from_occupancy
from theoryrl.solvers.experiment_design import confidence_radii, minimal_flow
from theoryrl.solvers.experiment_design.widths import EmpiricalModel

MARGIN = 6.12
"""Episodes per unit of the flow's mass."""

PATIENCE = 0.1
"""Growth of a count during which the exploring policy is kept."""

PROGRAM_TOLERANCE = 1e-3
"""Relative error of the conic program; the constant 19.1 of the bound has room for it."""


@dataclass(eq=False)
class TwoPhaseState(EliminationState):
    """Further: the constant of the row bounds, Gamma, and where the run stands."""

    c_b: float = 0.0
    Gamma: float = 0.0
    attempt: int = 0
    explored: int = 0


@dataclass(frozen=True, kw_only=True)
class TwoPhaseFTPedel:
    """FTPedel with a bound on its number of episodes.

    Parameters
    ----------
    eps, delta
        As for `theoryrl.learners.FTPedel`.
    zeta
        Leak at which a model counts as known, in (0, 1/8].
    nbar
        Upper bound on the visits of any pair; None: budget and offline data together.

    Notes
    -----
    Diagnostics: those of FTPedel, and ``explored`` (episodes of the first phase so far) and ``leak``.
    """

    eps: float = 0.1
    delta: float = 0.1
    zeta: float = 0.125
    nbar: float | None = None

    key: ClassVar[str] = "two-phase-ftpedel"
    lam: ClassVar[float] = 1.0
    guaranteed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_identification(self)
        if not 0 < check_real("zeta", self.zeta) <= 0.125:
            raise ValueError(f"zeta must be in (0, 1/8]; got {self.zeta!r}")
        if self.nbar is not None:
            check_real("nbar", self.nbar, low=1.0)

    def init(self, spec: IdentificationSpec, rng: np.random.Generator) -> TwoPhaseState:
        """Return the state before the first episode."""
        check_accuracy(self.eps, spec)
        state = TwoPhaseState(**TwoPhaseState.fields_of(spec, rng, True))
        state.alive = np.arange(len(spec.policies))
        most = float(state.transitions.sum(axis=(1, 2, 3)).max()) + spec.budget
        nbar = most if self.nbar is None else self.nbar
        if nbar < most:
            raise ValueError(f"nbar must be at least {most:g}, budget and offline data; got {nbar!r}")
        state.c_b = row_constant(spec.shape, nbar, self.delta)
        state.Gamma = gamma_constant(spec.shape, nbar, float(np.log(len(spec.policies))), self.delta)
        return state

    def plan(self, state: TwoPhaseState) -> Batch:
        """Explore while the model leaks; else pass the stages that the data allow, and run a design."""
        while True:
            model = state.model(self.lam)
            U, greedy = leak(model, state.c_b)
            radii = confidence_radii(model.N, float(np.log(len(state.spec.policies))), self.delta, self.lam)
            found = model.evaluate(state.actions, radii, 1.0)
            accuracy = stage_accuracy(state.level, state.spec.shape[0], self.eps, "paper")
            if U > self.zeta or found.widths.max() > accuracy or state.stopped:
                break
            state.alive, state.best = eliminate(state.alive, found.values, accuracy)
            state.level, state.attempt = state.level + 1, 0
            state.stopped = state.certified = len(state.alive) == 1 or is_last(accuracy, self.eps, "paper")
        if not state.certified:
            state.best = int(state.alive[int(found.values.argmax())])
        state.stopped = state.stopped or state.left <= 0
        numbers = {
            "online": float(state.online), "stopped": float(state.stopped),
            "certified": float(state.certified), "width": float(found.widths.max()),
            "accuracy": accuracy, "alive": float(len(state.alive)), "explored": float(state.explored),
            "leak": U,
        }  # fmt: skip
        policy = recommend(state, state.best)
        if state.stopped:
            return halt(state.spec, policy, numbers)
        if U > self.zeta:
            episodes = min(state.left, patience(model.N, greedy, state.c_b))
            state.explored += episodes
            return Batch(policy, one_hot(greedy[None], state.spec.shape[2]), np.array([episodes]), numbers)
        pi, episodes = self._design(state, model, accuracy)
        return Batch(policy, pi[None], np.array([min(episodes, state.left)]), numbers)

    def _design(
        self, state: TwoPhaseState, model: EmpiricalModel, accuracy: float
    ) -> tuple[Float[np.ndarray, "H S A"], int]:
        """Return the policy of the least flow of this attempt, and how often to play it."""
        tau = 2.0**-state.attempt * accuracy / state.Gamma
        state.attempt += 1
        alive = PolicyClass(state.actions, state.spec.shape[2])
        limits = np.full(len(alive), tau**2)
        program = minimal_flow(model.P, model.rho, alive, model.N + 1, limits, PROGRAM_TOLERANCE)
        assert program.flow is not None
        return policy_from_occupancy(program.flow).stages(len(program.flow)), max(
            1, math.ceil(MARGIN * program.value)
        )

    def update(self, state: TwoPhaseState, decision: Batch, observation: BatchCounts) -> TwoPhaseState:
        """Add a finished batch."""
        state.learn(decision, observation)
        return state


def row_constant(shape: tuple[int, int, int], nbar: float, delta: float) -> float:
    """Return c_b."""
    H, S, A = shape
    return 3 * S * H * math.log(2 * H * S**2 * A * nbar / delta) + 2


def gamma_constant(shape: tuple[int, int, int], nbar: float, log_policies: float, delta: float) -> float:
    """Return ``Gamma = sum_h (gbar_h + (H-h+1) sqrt(SA))``: ``W <= Gamma max_h |what_h|``."""
    H, S, A = shape
    remaining = np.arange(H, 0, -1.0)
    square = 2 * (math.log(H / delta) + log_policies) + S * A * math.log1p(nbar / (S * A))
    return float((remaining * (0.5 * math.sqrt(square) + math.sqrt(S * A))).sum())


def row_bonus(N: Float[np.ndarray, ...], c_b: float) -> Float[np.ndarray, ...]:
    """Return b(n) = min(1, c_b / n), 1 without visits."""
    return np.asarray(np.minimum(1.0, c_b / np.maximum(N, 1.0)))


def leak(model: EmpiricalModel, c_b: float) -> tuple[float, Int[np.ndarray, "H S"]]:
    """Return how much a policy may leave what is known, and the policy that does."""
    H, S, _ = model.N.shape
    bonus, V = row_bonus(model.N, c_b), np.zeros(S)
    greedy = np.zeros((H, S), dtype=np.int64)
    for h in range(H - 1, -1, -1):
        U = np.minimum(1.0, bonus[h] + (1 + 1 / H) * (model.P[h] @ V))
        # Among equals the pair seen least: at first all bounds are one.
        greedy[h] = np.where(U >= U.max(axis=1, keepdims=True) - 1e-12, -model.N[h], -np.inf).argmax(axis=1)
        V = U.max(axis=1)
    return float(model.rho @ V), greedy


def patience(N: Float[np.ndarray, "H S A"], greedy: Int[np.ndarray, "H S"], c_b: float) -> int:
    """Return how many episodes the exploring policy may be kept."""
    counts = np.take_along_axis(N, greedy[..., None], axis=2)
    return max(1, int((np.maximum(c_b, counts) * (1 + PATIENCE) - counts).min()))


def exploration_bound(shape: tuple[int, int, int], zeta: float, nbar: float, delta: float) -> float:
    """Return the bound T_0 on the episodes of the first phase."""
    H, S, A = shape
    c_b = row_constant(shape, nbar, delta)
    total = H * S * A * (1 + c_b * (1 + math.log(nbar))) + H * math.log(1 / delta)
    return (1 + PATIENCE) * 6 * math.e**2 / zeta * total
