"""FTPedel: fine-tuning from offline data by policy elimination with experiment design; and Pedel.

Source: the method is that of Wagenmaker and Pacchiano (2022), arXiv:2211.04974 (FTPedel), and Wagenmaker and
Jamieson (2022), arXiv:2207.02575 (Pedel, without offline data), in the computable tabular form of the FTPedel
page, which carries its own proof. Constants of the papers are not used, for they were not available::

    for l = 0, 1, ...:  eps_l = H 2^-l                       # at least eps / 2 with stop = "2eps"
      until max_alive W <= eps_l:                            # widths of `policy_widths`
        K = max(1, growth T) episodes in J parts, part j of  # Frank-Wolfe steps on virtual counts
            mu_j = argmax over policies, in the empirical model, of the decrease of the smoothed largest W
      alive = {pi : Vhat >= max Vhat - 2 eps_l}
      stop if one is left, or 2 eps_l <= eps                 # 4 eps_l <= eps with stop = "paper"

On the event of the widths (probability 1 - delta) no optimal policy is eliminated and the output is
eps-optimal, however the data were collected. One policy per batch (J = 1) is a trap when there are more than
1 / growth cells to cover. No rate is claimed for planning in the empirical model: see `TwoPhaseFTPedel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from theoryrl.learners._identification import (
    STOPS,
    EliminationState,
    batch_size,
    check_accuracy,
    check_identification,
    eliminate,
    halt,
    is_last,
    nearly_equal_parts,
    recommend,
    stage_accuracy,
)
from theoryrl.models._validation import check_choice, check_count, check_flag
from theoryrl.protocol.identification import Batch, BatchCounts, IdentificationSpec
from theoryrl.solvers.experiment_design import _kernels
from theoryrl.solvers.experiment_design.widths import (
    CONFIDENCE,
    EmpiricalModel,
    PolicyWidths,
    confidence_radii,
)

COLLECT = ("design", "uniform", "class", "behaviour")
STOPPING = ("verifiable", "unverifiable")


@dataclass(eq=False)
class FTPedelState(EliminationState):
    """Further: the online data alone, for the second certificate of `hedge_offline`."""

    online_transitions: Any = None
    online_sums: Any = None


@dataclass(frozen=True, kw_only=True)
class FTPedel:
    """Eliminate policies until the best one is known up to eps, exploring by design.

    Parameters
    ----------
    eps
        Accuracy, in (0, H].
    delta
        Probability with which the certificate may fail.
    conf_scale
        kappa, the factor on every squared confidence radius. Below 1 the guarantee is void, and a warning
        and `guaranteed` say so.
    confidence
        ``"self-normalized"``; or ``"fixed-design"``, which is proven only if the data do not depend on what
        was seen: with `collect` other than ``"design"`` and offline data of a fixed policy. Look l at the
        data then uses delta / (l (l + 1)).
    collect
        ``"design"``; or data collection that ignores what is known, with the same certificate: ``"uniform"``
        actions, the uniform mixture over the ``"class"``, or the ``"behaviour"`` policy of the offline data.
    inner_steps
        J, design steps in each batch.
    stop
        ``"2eps"``, or ``"paper"``: then every surviving policy is eps-optimal.
    stopping
        ``"verifiable"``: stop with a certificate. ``"unverifiable"``: play `online` episodes, then recommend
        the policy with the largest ``Vhat - W``; nothing is certified.
    online
        Online episodes of the unverifiable mode.
    growth, eta, lam
        Growth of the data per batch, sharpness of the smoothed maximum, and lambda.
    hedge_offline
        Use two certificates at delta / 2, with and without offline data, whichever reaches a stage first:
        the radius grows with the offline data, which can hurt where they tell nothing.
    use_offline
        Whether offline data are used at all.

    Notes
    -----
    Diagnostics: ``online``, ``stopped``, ``certified``, ``width`` (largest W), ``accuracy`` (eps_l) and
    ``alive`` (policies).
    """

    eps: float = 0.1
    delta: float = 0.1
    conf_scale: float = 1.0
    confidence: str = "self-normalized"
    collect: str = "design"
    inner_steps: int = 16
    stop: str = "2eps"
    stopping: str = "verifiable"
    online: int = 0
    growth: float = 0.05
    eta: float = 30.0
    lam: float = 1.0
    hedge_offline: bool = False
    use_offline: bool = True

    key: ClassVar[str] = "ftpedel"

    def __post_init__(self) -> None:
        check_choice("confidence", self.confidence, CONFIDENCE)
        check_choice("collect", self.collect, COLLECT)
        check_choice("stop", self.stop, STOPS)
        check_choice("stopping", self.stopping, STOPPING)
        check_count("inner_steps", self.inner_steps)
        check_count("online", self.online, low=0)
        check_flag("hedge_offline", self.hedge_offline)
        check_flag("use_offline", self.use_offline)
        check_identification(self)

    @property
    def reasons(self) -> list[str]:
        """Why, beyond `conf_scale`, the guarantee is void."""
        if self.confidence == "fixed-design" and self.collect == "design":
            return ["fixed-design radii with exploration that depends on the data"]
        return []

    @property
    def guaranteed(self) -> bool:
        """Whether the radii are those of the proof."""
        return self.conf_scale >= 1 and not self.reasons

    def init(self, spec: IdentificationSpec, rng: np.random.Generator) -> FTPedelState:
        """Return the state before the first episode: offline data, and all policies alive."""
        check_accuracy(self.eps, spec)
        if self.collect == "behaviour" and spec.behaviour is None:
            raise ValueError("collect='behaviour' needs the behaviour policy; the task has none")
        state = FTPedelState(**FTPedelState.fields_of(spec, rng, self.use_offline))
        state.alive = np.arange(len(spec.policies))
        if self.hedge_offline:
            state.online_transitions = np.zeros_like(state.transitions)
            state.online_sums = np.zeros_like(state.reward_sums)
        return state

    def plan(self, state: FTPedelState) -> Batch:
        """Pass all stages that the data allow, then explore or stop."""
        while True:
            model, found = self.certificate(state)
            accuracy = stage_accuracy(state.level, state.spec.shape[0], self.eps, self.stop)
            last = is_last(accuracy, self.eps, self.stop)
            verifiable = self.stopping == "verifiable"
            if found.widths.max() > accuracy or state.stopped or (last and not verifiable):
                break
            state.alive, state.best = eliminate(state.alive, found.values, accuracy)
            state.stopped = state.certified = verifiable and (last or len(state.alive) == 1)
            if state.stopped:
                break
            state.level += 1
        return self._decide(state, model, found, accuracy)

    def certificate(self, state: FTPedelState) -> tuple[EmpiricalModel, PolicyWidths]:
        """Return the model, and values and widths of the policies alive; of the better data set if hedged."""
        state.looks += 1
        sets = [(state.transitions, state.reward_sums)]
        if state.online_transitions is not None:
            sets.append((state.online_transitions, state.online_sums))
        delta = self.delta / len(sets)
        if self.confidence == "fixed-design":
            delta /= state.looks * (state.looks + 1)
        best: tuple[EmpiricalModel, PolicyWidths] | None = None
        log_policies = float(np.log(len(state.spec.policies)))
        for transitions, sums in sets:
            model = EmpiricalModel.of(transitions, sums, state.spec.rho, self.lam)
            radii = confidence_radii(model.N, log_policies, delta, self.lam, self.conf_scale, self.confidence)
            widths = model.evaluate(state.actions, radii, float(np.sqrt(self.conf_scale)))
            if best is None or widths.widths.max() < best[1].widths.max():
                best = model, widths
        assert best is not None
        return best

    def _decide(
        self, state: FTPedelState, model: EmpiricalModel, found: PolicyWidths, accuracy: float
    ) -> Batch:
        limit = self.online if self.stopping == "unverifiable" else state.spec.budget
        left = min(limit, state.spec.budget) - state.online
        if not state.stopped and left <= 0:
            state.stopped = True
        if not state.certified:
            scores = found.values - found.widths if self.stopping == "unverifiable" else found.values
            state.best = int(state.alive[int(scores.argmax())])
        numbers = {
            "online": float(state.online),
            "stopped": float(state.stopped),
            "certified": float(state.certified),
            "width": float(found.widths.max()),
            "accuracy": accuracy,
            "alive": float(len(state.alive)),
        }
        policy = recommend(state, state.best)
        if state.stopped:
            return halt(state.spec, policy, numbers)
        episodes = batch_size(state.online, self.growth, left)
        pi, parts = self._collect(state, model, found, episodes)
        return Batch(policy, pi, parts, numbers)

    def _collect(
        self, state: FTPedelState, model: EmpiricalModel, found: PolicyWidths, episodes: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the policies to play, and how often."""
        H, S, A = shape = state.spec.shape
        whole = np.array([episodes])
        if self.collect == "uniform":
            return np.full((1, *shape), 1 / A), whole
        if self.collect == "behaviour":
            assert state.spec.behaviour is not None
            return state.spec.behaviour.stages(H)[None], whole
        if self.collect == "class":
            M = len(state.spec.policies)
            drawn = state.rng.multinomial(episodes, np.full(M, 1 / M))
            played = np.flatnonzero(drawn)
            return one_hot(state.spec.policies.actions[played], A), drawn[played]
        parts = nearly_equal_parts(episodes, self.inner_steps)
        chosen = np.zeros((len(parts), H, S), dtype=np.int64)
        _kernels.design(
            model.P, model.rho, state.actions, found.occupancies, model.N, self.lam, found.radii,
            float(np.sqrt(self.conf_scale)), self.eta, parts, state.rng, model.N.copy(), chosen,
        )  # fmt: skip
        return one_hot(chosen, A), parts

    def update(self, state: FTPedelState, decision: Batch, observation: BatchCounts) -> FTPedelState:
        """Add a finished batch."""
        state.learn(decision, observation)
        if state.online_transitions is not None and observation.transitions is not None:
            state.online_transitions += observation.transitions
            state.online_sums += observation.reward_sums
        return state


@dataclass(frozen=True, kw_only=True)
class Pedel(FTPedel):
    """FTPedel without offline data."""

    use_offline: bool = False
    key: ClassVar[str] = "pedel"


def one_hot(actions: np.ndarray, n_actions: int) -> np.ndarray:
    """Return action probabilities [J, H, S, A] of deterministic policies [J, H, S]."""
    return (actions[..., None] == np.arange(n_actions)).astype(np.float64)
