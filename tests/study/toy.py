"""A bandit and a learner that need no compilation, and misbehave when the environment says so.

Workers import this module by name, hence no fixtures here.
"""

import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from theoryrl.protocol import Outcome

KILL_PARENT, KILL_SELF, INTERRUPT_PARENT, INTERRUPT_SELF = (
    "kill-parent",
    "kill-self",
    "int-parent",
    "int-self",
)
LOG = "TOY_LOG"
"""Names a file to which every run appends a line when it starts."""
FAIL = "TOY_FAIL"
"""Arm on which a run raises."""
SIGNAL, SIGNAL_RUN = "TOY_SIGNAL", "TOY_SIGNAL_RUN"
"""Which signal to send to whom, in the middle of which run (counted by the lines of the log)."""
STORED = "TOY_STORED"
"""Directory in which a worker waits for a first finished cell before it signals its parent. That run itself
never ends."""


class Pull(NamedTuple):
    arm: int
    diagnostics: Mapping[str, float]


class Machine:
    def __init__(self, means, rng):
        self.means, self.rng = means, rng

    def begin(self, decision):
        pass

    def interact(self, decision, rounds):
        return Outcome(float(self.rng.random() < self.means[decision.arm]), 1, True)


@dataclass(frozen=True, eq=False)
class Bandit:
    means: np.ndarray
    key: str = "bandit"
    threshold: float | None = None

    @property
    def benchmark(self):
        return float(self.means.max())

    def spec(self, rounds):
        return len(self.means)

    def value(self, decision):
        return float(self.means[decision.arm])

    def environment(self, streams):
        return Machine(self.means, streams.environment)


@dataclass(frozen=True)
class Greedy:
    """Epsilon-greedy; names in `diagnostics` are reported each round."""

    epsilon: float = 0.1
    diagnostics: tuple[str, ...] = ()
    unset: str = field(default="", repr=False)
    key: ClassVar[str] = "greedy"

    @property
    def guaranteed(self):
        return self.epsilon > 0

    def init(self, spec, rng):
        number = _log("run")
        return {"wins": np.ones(spec), "pulls": np.ones(spec), "rng": rng, "run": number, "round": 0}

    def plan(self, state):
        state["round"] += 1
        if state["round"] == 5:
            _misbehave(state["run"])
        explore = state["rng"].random() < self.epsilon
        arm = int(
            state["rng"].integers(len(state["wins"]))
            if explore
            else np.argmax(state["wins"] / state["pulls"])
        )
        if os.environ.get(FAIL) == str(arm):
            raise ValueError(f"arm {arm} is stuck")
        return Pull(arm, {name: float(arm) for name in self.diagnostics})

    def update(self, state, decision, observation):
        state["wins"][decision.arm] += observation
        state["pulls"][decision.arm] += 1
        return state


def runs_started(log):
    return len(log.read_text().splitlines()) if log.exists() else 0


def _log(text):
    if LOG not in os.environ:
        return 0
    with open(os.environ[LOG], "a") as file:
        file.write(text + "\n")
    with open(os.environ[LOG]) as file:
        return len(file.readlines())


def _misbehave(run):
    if os.environ.get(SIGNAL_RUN) != str(run):
        return
    kind = os.environ[SIGNAL]
    number = signal.SIGKILL if kind.startswith("kill") else signal.SIGINT
    if kind.endswith("self"):
        os.kill(os.getpid(), number)
        return
    while not list(Path(os.environ[STORED]).glob("*.npz")):
        os.sched_yield()
    os.kill(os.getppid(), number)
    threading.Event().wait()


def problems():
    means = np.array([0.2, 0.5, 0.8])
    return {"plain": Bandit(means), "safe": Bandit(means[::-1].copy(), "safe", threshold=0.4)}


def learners():
    return {"greedy": Greedy(0.1, ("arm", "value")), "bold": Greedy(0.5)}


ROUNDS, SEEDS = 60, 3
CELLS = 2 * 2 * SEEDS


def study(**changes):
    from theoryrl.study import Study

    return Study(
        **{"problems": problems(), "learners": learners(), "rounds": ROUNDS, "seeds": SEEDS, **changes}
    )
