"""Optimism on a sliding window of the last steps, and a bandit that tunes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._average import AverageState, ConfidenceSet
from theoryrl.learners._average_kernels import slide
from theoryrl.learners.baselines.average.optimism import UCRL2
from theoryrl.models._validation import check_count, check_real
from theoryrl.protocol import AverageDecision, AverageSpec, Monitor
from theoryrl.solvers.average.simulation import Steps


@dataclass(slots=True, eq=False)
class Window:
    """The last W steps: (s, a, s') in `ring` of shape [W, 3], rewards of shape [W]."""

    ring: Int[np.ndarray, "W 3"]
    rewards: Float[np.ndarray, " W"]
    head: int = 0
    filled: int = 0

    @classmethod
    def of(cls, length: int) -> Window:
        """Return an empty window."""
        return cls(np.zeros((length, 3), dtype=np.int64), np.zeros(length))

    def add(self, state: AverageState, steps: Steps) -> None:
        """Let steps enter the window, and older ones leave it."""
        self.head, self.filled = slide(
            steps.states, steps.actions, steps.rewards, self.ring, self.rewards, self.head, self.filled,
            state.N, state.T, state.R, state.R2,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SWUCRL(UCRL2):
    """UCRL2 on a sliding window (Gajane, Ortner and Auer 2018), recalled.

    Radii are those of UCRL2 with the counts of the last W steps and the global clock. Regret <=
    2 l W + 66.12 T W^(-1/2) D S sqrt(A log(T / delta)) for l changes.

    Parameters
    ----------
    window
        W; default the minimiser (16.53 / l T S D sqrt(A log(T / delta)))^(2/3) of that bound, at most T.
    changes, diameter
        l and D of that default.
    delta, radius, bonus_scale
        As of `UCRL2`.
    """

    window: int | None = None
    changes: int = 1
    diameter: float = 1.0

    key: ClassVar[str] = "sw-ucrl"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window is not None:
            check_count("window", self.window)
        check_count("changes", self.changes)
        check_real("diameter", self.diameter, low=1.0)

    def init(self, spec: AverageSpec, rng: np.random.Generator) -> AverageState:
        """Return the state without data; `extra` is the window."""
        state = super().init(spec, rng)
        S, A, T = spec.n_states, spec.n_actions, spec.rounds
        root = math.sqrt(A * math.log(max(T, 2) / self.delta))
        best = (16.53 / self.changes * T * S * self.diameter * root) ** (2 / 3)
        state.extra = Window.of(self.window or min(T, math.ceil(best)))
        return state

    def update(self, state: AverageState, decision: AverageDecision, steps: Steps) -> AverageState:
        """Move the window."""
        state.extra.add(state, steps)
        state.clock += steps.rounds
        state.played += steps.rounds
        return state


@dataclass(frozen=True, kw_only=True)
class SWUCRL2CW(SWUCRL):
    """Sliding window with widened confidence (Cheung, Simchi-Levi and Zhu 2020), recalled.

    Radii 2 sqrt(2 log(S A T / delta) / N) for rewards and 2 sqrt(2 S log(S A T / delta) / N) + eta for rows;
    an episode ends at multiples of W too.

    Parameters
    ----------
    widening
        eta; default sqrt(W / T), which with W = S^(2/3) sqrt(A T) is the choice for unknown variation.
    window
        W, with that default.
    delta, bonus_scale
        As of `UCRL2`.
    radius, changes, diameter
        Unused.
    """

    widening: float | None = None

    key: ClassVar[str] = "sw-ucrl-cw"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.widening is not None:
            check_real("widening", self.widening, low=0.0)

    def init(self, spec: AverageSpec, rng: np.random.Generator) -> AverageState:
        """Return the state without data; `extra` is the window and eta."""
        state = super().init(spec, rng)
        S, A, T = spec.n_states, spec.n_actions, spec.rounds
        W = self.window or min(T, math.ceil(S ** (2 / 3) * math.sqrt(A * T)))
        eta = math.sqrt(W / T) if self.widening is None else self.widening
        state.extra = Tuned(Window.of(W), eta)
        return state

    def limits(self, state: AverageState) -> tuple[int | None, float, Monitor | None]:
        """End an episode at the next multiple of W."""
        W = len(state.extra.rewards)
        return W - state.clock % W, 0.0, None

    def confidence_set(self, state: AverageState) -> ConfidenceSet:
        """Return the widened L1 balls."""
        S, A = state.N.shape
        P, r = state.empirical
        n = np.maximum(1, state.N)
        L = math.log(S * A * state.spec.rounds / self.delta)
        d_r, d_p = 2 * np.sqrt(2 * L / n), 2 * np.sqrt(2 * S * L / n) + state.extra.widening
        return ConfidenceSet("l1", P, r, self.bonus_scale * d_r, self.bonus_scale * d_p)


class Tuned:
    """A window and its widening, which can be replaced."""

    def __init__(self, window: Window, widening: float) -> None:
        self.window, self.widening = window, widening

    @property
    def rewards(self) -> Float[np.ndarray, " W"]:
        """The rewards in the window."""
        return self.window.rewards

    def add(self, state: AverageState, steps: Steps) -> None:
        """Let steps enter the window."""
        self.window.add(state, steps)


class Blocks(Tuned):
    """What the bandit over (W, eta) keeps: its arms, their weights, and the present block."""

    def __init__(self, arms: list[tuple[int, float]], length: int, gamma: float) -> None:
        super().__init__(Window.of(1), 0.0)
        self.arms, self.length, self.gamma = arms, length, gamma
        self.log_weights = np.zeros(len(arms))
        self.arm, self.reward, self.left = -1, 0.0, 0

    @property
    def chances(self) -> Float[np.ndarray, " J"]:
        """Probability of each arm."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        return (1 - self.gamma) * weights / weights.sum() + self.gamma / len(weights)


@dataclass(frozen=True, kw_only=True)
class BORL(SWUCRL2CW):
    """Bandit over `SWUCRL2CW`: EXP3 chooses window and widening, block by block, recalled.

    Blocks have H = 3 S^(2/3) sqrt(A T) steps; windows H^(j / log H), widenings Phi^(j / log(1 / Phi))
    with Phi = 1 / (2 sqrt(T)). No bound on the variation has to be known. The source's bandit is EXP3.P,
    whose bonus for rare arms this one does not have.

    Parameters
    ----------
    delta, bonus_scale
        As of `UCRL2`.
    radius, changes, diameter, window, widening
        Unused.

    Source: Cheung, Simchi-Levi and Zhu (2020), algorithm 2.
    """

    key: ClassVar[str] = "borl"

    def init(self, spec: AverageSpec, rng: np.random.Generator) -> AverageState:
        """Return the state without data; `extra` is the bandit."""
        state = super().init(spec, rng)
        S, A, T = spec.n_states, spec.n_actions, spec.rounds
        H = max(2, min(T, math.floor(3 * S ** (2 / 3) * math.sqrt(A * T))))
        windows = powers(float(H), max(1, math.floor(math.log(H))))
        phi = 1 / (2 * math.sqrt(T))
        widenings = powers(phi, max(1, math.floor(-math.log(phi))))
        arms = [(max(1, math.floor(W)), eta) for W in windows for eta in widenings]
        J = len(arms)
        gamma = min(1.0, math.sqrt(J * math.log(J) / ((math.e - 1) * math.ceil(T / H))))
        state.extra = Blocks(arms, H, gamma)
        return state

    def prepare(self, state: AverageState) -> None:
        """At the end of a block, credit its reward to its arm, draw another one, and begin anew."""
        blocks: Any = state.extra
        if blocks.left > 0:
            return
        if blocks.arm >= 0:
            gain = blocks.reward / blocks.length / blocks.chances[blocks.arm]
            blocks.log_weights[blocks.arm] += blocks.gamma / len(blocks.arms) * gain
            state.forget()
        blocks.arm = int(state.rng.choice(len(blocks.arms), p=blocks.chances))
        W, blocks.widening = blocks.arms[blocks.arm]
        blocks.window, blocks.reward, blocks.left = Window.of(W), 0.0, blocks.length

    def limits(self, state: AverageState) -> tuple[int | None, float, Monitor | None]:
        """End an episode at the next multiple of W, and at the end of the block."""
        following, exploration, monitor = super().limits(state)
        return min(following or state.extra.left, state.extra.left), exploration, monitor

    def update(self, state: AverageState, decision: AverageDecision, steps: Steps) -> AverageState:
        """Move the window, and add up the block's reward."""
        state.extra.reward += float(steps.rewards.sum())
        state.extra.left -= steps.rounds
        return super().update(state, decision, steps)


def powers(base: float, number: int) -> list[float]:
    """Return base^(j / number) for j = 0, ..., number."""
    return [base ** (j / number) for j in range(number + 1)]
