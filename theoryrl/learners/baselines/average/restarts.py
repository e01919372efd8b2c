"""UCRL2 that forgets at given times: at the true change points, or ever more rarely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from theoryrl.learners._average import AverageState
from theoryrl.learners.baselines.average.optimism import UCRL2
from theoryrl.models._validation import check_choice, check_count
from theoryrl.protocol import AverageSpec, Monitor

LEVELS = ("per-run", "fixed")


@dataclass(frozen=True, kw_only=True)
class ScheduledUCRL2(UCRL2):
    """Base of the learners that restart UCRL2 at times fixed beforehand."""

    def next_restart(self, state: AverageState) -> int | None:
        """Return the step before which restart number `state.life` happens."""
        raise NotImplementedError

    def prepare(self, state: AverageState) -> None:
        """Restart, if it is time to."""
        if state.played == self.next_restart(state):
            state.forget()

    def limits(self, state: AverageState) -> tuple[int | None, float, Monitor | None]:
        """Hold no policy beyond the next restart."""
        following = self.next_restart(state)
        return None if following is None else following - state.played, 0.0, None


@dataclass(frozen=True, kw_only=True)
class OracleRestarts(ScheduledUCRL2):
    """UCRL2 that is told the change points: what detection cannot beat by restarting.

    Parameters
    ----------
    change_points
        First steps of the segments after the first.
    delta, radius, bonus_scale
        As of `UCRL2`.
    ucrl_delta
        ``"per-run"``: run j has level delta / (j (j + 1)); ``"fixed"``: delta.
    """

    change_points: tuple[int, ...] = ()
    ucrl_delta: str = "per-run"

    key: ClassVar[str] = "oracle-restarts"
    needs_model: ClassVar[str] = "change_points"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("ucrl_delta", self.ucrl_delta, LEVELS)
        previous = 0
        for index, point in enumerate(self.change_points):
            check_count(f"change_points[{index}]", point, low=previous + 1)
            previous = point

    def level(self, state: AverageState) -> float:
        """Return the level of the present run."""
        return self.delta / (state.life * (state.life + 1)) if self.ucrl_delta == "per-run" else self.delta

    def next_restart(self, state: AverageState) -> int | None:
        """Return the next change point."""
        done = state.life - 1
        return self.change_points[done] if done < len(self.change_points) else None


@dataclass(frozen=True, kw_only=True)
class UCRL2Restarts(ScheduledUCRL2):
    """UCRL2 with restarts at steps ceil(i^3 / l^2), i = 1, 2, ..., at level delta / l^2, recalled.

    Regret <= 65 l^(1/3) T^(2/3) D S sqrt(A log(T / delta)) for at most l changes.

    Parameters
    ----------
    changes
        l, the largest number of changes.
    delta, radius, bonus_scale
        As of `UCRL2`.

    Source: Jaksch, Ortner and Auer (2010), theorem 6.
    """

    changes: int = 4

    key: ClassVar[str] = "ucrl-restarts"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("changes", self.changes)

    def level(self, state: AverageState) -> float:
        """Return delta / l^2."""
        return self.delta / self.changes**2

    def init(self, spec: AverageSpec, rng: np.random.Generator) -> AverageState:
        """Return the state without data; `extra` is the number i of the next restart."""
        state = super().init(spec, rng)
        state.extra = 1
        return state

    def prepare(self, state: AverageState) -> None:
        """Restart, if it is time to; times that coincide count once."""
        super().prepare(state)
        while restart_time(state.extra, self.changes) <= state.played:
            state.extra += 1

    def next_restart(self, state: AverageState) -> int | None:
        """Return the next time of the schedule."""
        return restart_time(state.extra, self.changes)


def restart_time(i: int, changes: int) -> int:
    """Return ceil(i^3 / l^2)."""
    return -(-(i**3) // changes**2)
