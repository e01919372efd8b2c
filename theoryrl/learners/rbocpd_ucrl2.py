"""R-BOCPD-UCRL2: UCRL2 that begins anew when a detector finds that the model has changed.

Every pair (s, a) has a detector on the states that it leads to, and one on its rewards. Within a segment
the successive next states of a pair are independent draws, however the visits were chosen, so that each
detector watches a stationary stream until the model changes. When one alarms, the episode ends and the
data are forgotten.

Source: Alami, Mahfoud and Moulines (2023), abstract; the constants, and the proof that false alarms have
probability at most delta in all, are on the page of this paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from theoryrl.learners._average import AverageState
from theoryrl.learners.baselines.average.optimism import UCRL2
from theoryrl.learners.baselines.average.restarts import LEVELS
from theoryrl.models._validation import check_choice, check_flag, check_real
from theoryrl.protocol import AverageDecision, AverageSpec, Monitor
from theoryrl.solvers.average.simulation import Steps
from theoryrl.solvers.detection import DetectorBank, RestartRule
from theoryrl.solvers.detection.rules import RULES

RESETS = ("global", "local")
NUMBERS = 1 << 12
"""Random numbers for the rewards' symbols that are drawn at once."""


class Watch:
    """The detectors of all pairs: the monitor of R-BOCPD-UCRL2's decisions.

    Detector 2 (s A + a) watches the next states of a pair, the one after it the rewards; either kind may be
    missing.

    Attributes
    ----------
    fired
        Pair whose detector has alarmed in the last call, or -1.
    """

    def __init__(
        self,
        n_states: int,
        n_actions: int,
        rule: RestartRule,
        delta: float,
        prune: float,
        rewards: bool,
        rng: np.random.Generator,
    ) -> None:
        S, A = n_states, n_actions
        self.n_actions, self.rule, self.delta = A, rule, delta
        self.kinds = [kind for kind, used in ((0, S > 1), (1, rewards or S == 1)) if used]
        sizes = [max(S, 2) if kind == 0 else 2 for _ in range(S * A) for kind in self.kinds]
        self.bank = DetectorBank(
            rule, sizes, np.full(len(sizes), self.level(len(sizes), 1)), prune, track=False
        )
        self.fired = -1
        self._rng, self._numbers, self._used = rng, np.zeros(0), 0

    def level(self, detectors: int, life: int) -> float:
        """Return delta / (detectors j (j + 1)), which sums to delta over detectors and lives."""
        return self.delta / (detectors * life * (life + 1))

    def watch(self, steps: Steps) -> int:
        """Feed the steps to the detectors of their pairs; return after which one an alarm was raised."""
        K = len(self.kinds)
        pairs = steps.states[:-1] * self.n_actions + steps.actions
        which = (K * pairs[:, None] + np.arange(K)).ravel()
        symbols = np.stack([self._symbols(kind, steps) for kind in self.kinds], axis=1).ravel()
        alarm = self.bank.feed(which, symbols)
        self.fired = -1 if alarm < 0 else int(pairs[alarm // K])
        count = steps.rounds if alarm < 0 else alarm // K + 1
        self._used += count
        return -1 if alarm < 0 else count

    def _symbols(self, kind: int, steps: Steps) -> np.ndarray:
        if kind == 0:
            return steps.states[1:]
        if self._used + steps.rounds > len(self._numbers):
            rest = self._numbers[self._used :]
            fresh = self._rng.random(max(NUMBERS, steps.rounds))
            self._numbers, self._used = np.concatenate([rest, fresh]), 0
        uniforms = self._numbers[self._used : self._used + steps.rounds]
        return np.asarray(uniforms < steps.rewards).astype(np.int64)

    def restart(self, life: int, pair: int = -1) -> None:
        """Clear all detectors, or those of one pair, and give them the level of their next life."""
        bank, K = self.bank, len(self.kinds)
        level = math.log(self.level(len(bank.levels), life))
        for d in range(len(bank.levels)) if pair < 0 else range(K * pair, K * pair + K):
            bank.clear(d)
            bank.levels[d] = level


@dataclass(frozen=True, kw_only=True)
class RBOCPDUCRL2(UCRL2):
    """UCRL2 with restarts at detected changes.

    Parameters
    ----------
    delta
        Probability of a false alarm in all lives of all detectors, and of UCRL2's failure.
    eta
        Restart rule of the detectors (see `theoryrl.solvers.detection.rules`); ``"safe_horizon"`` and
        ``"constant"`` take the horizon T.
    alpha
        Exponent of ``"icml2020"``, which is for problems with at most two states.
    reset
        ``"global"``: forget everything; ``"local"``: forget the pair whose detector alarmed, and keep the
        clock.
    detect_rewards
        Whether rewards are watched too (always where there is a single state).
    exploration
        Probability of a uniform action in each step, so that changes are seen wherever they are.
    prune
        epsilon of the detectors' pruning; 0 keeps every forecaster.
    ucrl_delta
        Level of UCRL2 in run j: ``"per-run"`` delta / (j (j + 1)), or ``"fixed"`` delta.
    radius, bonus_scale
        As of `UCRL2`.

    Notes
    -----
    With probability 1 - 2 delta, if every change l is detected d_l steps after it and before the next one,
    regret <= 34 D S sqrt(A (K + 1) T log((K + 1)(K + 2) T / delta)) + sum of d_l. That covers rules of
    proven level, global resets, no exploration, and the levels per run.

    Diagnostics: ``episode``, ``restarts``, ``gain`` (that of the best model).
    """

    eta: str = "safe"
    alpha: float = 1.01
    reset: str = "global"
    detect_rewards: bool = True
    exploration: float = 0.0
    prune: float = 0.25
    ucrl_delta: str = "per-run"

    key: ClassVar[str] = "rbocpd-ucrl"

    def __post_init__(self) -> None:
        check_choice("eta", self.eta, RULES)
        check_choice("reset", self.reset, RESETS)
        check_choice("ucrl_delta", self.ucrl_delta, LEVELS)
        check_flag("detect_rewards", self.detect_rewards)
        check_real("exploration", self.exploration, 0.0, 1.0)
        check_real("prune", self.prune, low=0.0)
        super().__post_init__()

    def void_because(self) -> tuple[str, ...]:
        """Return why the guarantee does not cover these choices."""
        reasons = []
        if not self._rule(2).proven:
            reasons.append(f"eta = {self.eta!r} has no proven level")
        if self.reset == "local":
            reasons.append("local resets have no proof")
        if self.exploration > 0:
            reasons.append("exploration has no proof")
        if self.ucrl_delta == "fixed":
            reasons.append("UCRL2's level does not sum to delta over the runs")
        return tuple(reasons)

    def _rule(self, horizon: int) -> RestartRule:
        return RestartRule(self.eta, self.delta, self.alpha, max(horizon, 2))

    def init(self, spec: AverageSpec, rng: np.random.Generator) -> AverageState:
        """Return the state without data; `extra` are the detectors.

        Raises
        ------
        ValueError
            If the rule is not for this number of states.
        """
        state = super().init(spec, rng)
        rule = self._rule(spec.rounds)
        rule.check_alphabet(max(spec.n_states, 2))
        state.extra = Watch(
            spec.n_states, spec.n_actions, rule, self.delta, self.prune, self.detect_rewards, rng
        )
        return state

    def level(self, state: AverageState) -> float:
        """Return the level of UCRL2 in the present run."""
        return self.delta / (state.life * (state.life + 1)) if self.ucrl_delta == "per-run" else self.delta

    def limits(self, state: AverageState) -> tuple[int | None, float, Monitor | None]:
        """Let the detectors end the episode."""
        return None, self.exploration, state.extra

    def update(self, state: AverageState, decision: AverageDecision, steps: Steps) -> AverageState:
        """Count what happened, and restart after an alarm."""
        super().update(state, decision, steps)
        if state.extra.fired >= 0:
            self.restart(state, state.extra.fired)
        return state

    def restart(self, state: AverageState, pair: int) -> None:
        """Forget what the alarm of a pair's detector has made doubtful."""
        if self.reset == "global":
            state.forget()
            state.extra.restart(state.life)
        else:
            state.life += 1
            state.forget_pair(*divmod(pair, state.spec.n_actions))
            state.extra.restart(state.life, pair)
        state.extra.fired = -1


def alarm_steps(restarts: Float[np.ndarray, " T"] | Any) -> np.ndarray:
    """Return the steps (from 0) at which a run's detectors alarmed, from its diagnostic ``restarts``."""
    return np.flatnonzero(np.diff(restarts) > 0)
