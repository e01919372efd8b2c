"""Exact play of schedules: mean rewards are added up along the deterministic path of idle times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models import (
    IndexRule,
    OffsetSchedule,
    PeriodicSchedule,
    PullSequence,
    RecoveringBandit,
    RewardNoise,
    Schedule,
)
from theoryrl.models._validation import check_count, check_type
from theoryrl.solvers.recovering import _play

NO_BUDGET = np.empty((0, 0), dtype=np.int64)
_NO_WEIGHTS = np.empty(0)
_NO_TABLE = np.empty((0, 0))
_NO_NUMBERS = np.empty((0, 0), dtype=np.int64)


class Pulls(NamedTuple):
    """What a learner sees of some periods: one reward for each pull.

    Attributes
    ----------
    rounds
        Number of periods, those without a pull included.
    when
        Period of each pull, counted from the first of these: shape [M].
    arms, idle
        Which arm, and how long it had rested (0: it was never pulled before): shape [M].
    rewards
        Observed rewards: shape [M].
    """

    rounds: int
    when: Int[np.ndarray, " M"]
    arms: Int[np.ndarray, " M"]
    idle: Int[np.ndarray, " M"]
    rewards: Float[np.ndarray, " M"]


class Program(NamedTuple):
    """A schedule in the form that the kernel reads."""

    kind: int
    numbers: Int[np.ndarray, "A B"]
    weights: Float[np.ndarray, " W"]
    table: Float[np.ndarray, "N D"]
    width: int


def compile_schedule(bandit: RecoveringBandit, schedule: Schedule) -> Program:
    """Return a schedule in the form that the kernel reads.

    Raises
    ------
    ValueError
        If it is made for another number of arms, or pulls more arms than the bandit allows.
    """
    check_type("schedule", schedule, PeriodicSchedule, OffsetSchedule, PullSequence, IndexRule)
    if isinstance(schedule, PullSequence):
        program = Program(
            _play.SEQUENCE, np.array(schedule.sets), _NO_WEIGHTS, _NO_TABLE, schedule.sets.shape[1]
        )
        arms = schedule.n_arms
    elif isinstance(schedule, IndexRule):
        program = Program(_play.INDEX, _NO_NUMBERS, _NO_WEIGHTS, np.array(schedule.table), schedule.K)
        arms = len(schedule.table)
    else:
        numbers, arms = np.stack([schedule.periods, schedule.offsets]), len(schedule.periods)
        if isinstance(schedule, OffsetSchedule):
            weights = np.array(schedule.priorities)
            program = Program(_play.OFFSETS, numbers, weights, _NO_TABLE, schedule.K)
        else:
            program = Program(_play.PERIODIC, numbers, _NO_WEIGHTS, _NO_TABLE, schedule.K)
    if arms != bandit.n_arms:
        raise ValueError(f"schedule is made for {arms} arms; the bandit has {bandit.n_arms}")
    if program.width > bandit.K:
        raise ValueError(f"schedule pulls up to {program.width} arms at once; the bandit allows {bandit.K}")
    return program


@dataclass
class Play:
    """A process under way: the idle times of the arms, and what the present schedule has earned.

    Attributes
    ----------
    bandit
        The true model.
    now
        Number of periods so far.
    clock
        Periods since the present schedule was taken over.
    earned
        Sum of the mean rewards of its pulls.
    last
        Time of each arm's last pull: shape [N].
    """

    bandit: RecoveringBandit
    now: int = 0
    clock: int = 0
    earned: float = 0.0
    last: Int[np.ndarray, " N"] = field(init=False)
    _R: Float[np.ndarray, "N D"] = field(init=False, repr=False)
    _program: Program = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.last = np.full(self.bandit.n_arms, _play.NEVER, dtype=np.int64)
        self._R = np.array(self.bandit.R)

    def begin(self, schedule: Schedule) -> None:
        """Take over a schedule; its clock starts at 0, the idle times go on."""
        self._program = compile_schedule(self.bandit, schedule)
        self.clock, self.earned = 0, 0.0

    def run(
        self,
        rounds: int,
        rng: np.random.Generator,
        budget: Int[np.ndarray, "N D"] = NO_BUDGET,
        noise: RewardNoise | None = None,
    ) -> tuple[Pulls, bool]:
        """Play at most `rounds` periods; return the pulls, and whether the budget ran out."""
        program, law = self._program, noise or self.bandit.noise
        log = np.empty((rounds * program.width, 3), dtype=np.int64)
        rewards = np.empty(len(log))
        played, pulls, self.earned, spent = _play.play(
            program.kind,
            program.numbers,
            program.weights,
            program.table,
            program.width,
            self._R,
            law.code,
            float(law.scale),
            rng,
            self.now,
            self.clock,
            rounds,
            self.earned,
            self.last,
            budget,
            log,
            rewards,
        )
        self.now += played
        self.clock += played
        seen = log[:pulls]
        return Pulls(int(played), seen[:, 0], seen[:, 1], seen[:, 2], rewards[:pulls]), bool(spent)


def total_reward(bandit: RecoveringBandit, schedule: Schedule, T: int) -> float:
    """Return the exact mean reward of T periods of a schedule that begins fully rested."""
    return float(rewards_over_time(bandit, schedule, T).sum())


def rewards_over_time(
    bandit: RecoveringBandit, schedule: Schedule, T: int
) -> Float[np.ndarray, " T"]:
    """Return the mean reward of each of the first T periods: shape [T]."""
    check_count("T", T)
    play = Play(bandit)
    play.begin(schedule)
    pulls, _ = play.run(T, np.random.default_rng(0), noise=RewardNoise("none"))
    return np.bincount(pulls.when, weights=pulls.rewards, minlength=T)


def pulls_over_time(bandit: RecoveringBandit, schedule: Schedule, T: int) -> Int[np.ndarray, " T"]:
    """Return the number of pulls in each of the first T periods: shape [T]."""
    check_count("T", T)
    play = Play(bandit)
    play.begin(schedule)
    pulls, _ = play.run(T, np.random.default_rng(0), noise=RewardNoise("none"))
    return np.bincount(pulls.when, minlength=T)
