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
    """A process under way: the idle times of the arms, and where the present schedule stands.

    Attributes
    ----------
    bandit
        The true model.
    now
        Number of periods so far.
    clock
        Periods since the present schedule was taken over.
    last
        Time of each arm's last pull: shape [N].
    """

    bandit: RecoveringBandit
    now: int = 0
    clock: int = 0
    last: Int[np.ndarray, " N"] = field(init=False)
    _R: Float[np.ndarray, "N D"] = field(init=False, repr=False)
    _program: Program = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.last = np.full(self.bandit.n_arms, _play.NEVER, dtype=np.int64)
        self._R = np.array(self.bandit.R)

    def begin(self, schedule: Schedule) -> None:
        """Take over a schedule; its clock starts at 0, the idle times go on."""
        self._program = compile_schedule(self.bandit, schedule)
        self.clock = 0

    def run(
        self,
        rounds: int,
        rng: np.random.Generator,
        budget: Int[np.ndarray, "N D"] = NO_BUDGET,
        noise: RewardNoise | None = None,
    ) -> tuple[Pulls, Float[np.ndarray, " T"], bool]:
        """Play at most `rounds` periods.

        Parameters
        ----------
        rounds
            Upper limit on the number of periods.
        rng
            Stream of the observed rewards.
        budget
            Pulls left for each (arm, idle time), counted down in place; without entries: no budget.
        noise
            Another law of the observed rewards than the bandit's.

        Returns
        -------
        tuple
            The pulls, the exact mean reward of each period, and whether the budget ran out.
        """
        program, law = self._program, noise or self.bandit.noise
        log = np.empty((rounds * program.width, 3), dtype=np.int64)
        rewards, means = np.empty(len(log)), np.empty(rounds)
        played, pulls, spent = _play.play(
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
            self.last,
            budget,
            log,
            rewards,
            means,
        )
        if pulls < 0:
            raise ValueError(f"schedule pulls more than {program.width} arms at t = {self.clock + played}")
        self.now += played
        self.clock += played
        seen = log[:pulls]
        observed = Pulls(int(played), seen[:, 0], seen[:, 1], seen[:, 2], rewards[:pulls])
        return observed, means[:played], bool(spent)


def rewards_over_time(bandit: RecoveringBandit, schedule: Schedule, T: int) -> Float[np.ndarray, " T"]:
    """Return the exact mean reward of each of T periods of a schedule that begins fully rested."""
    return _played(bandit, schedule, T)[1]


def pulls_over_time(bandit: RecoveringBandit, schedule: Schedule, T: int) -> Int[np.ndarray, " T"]:
    """Return the number of pulls in each of T periods of a schedule that begins fully rested."""
    return np.bincount(_played(bandit, schedule, T)[0].when, minlength=T)


def _played(bandit: RecoveringBandit, schedule: Schedule, T: int) -> tuple[Pulls, Float[np.ndarray, " T"]]:
    check_count("T", T)
    play = Play(bandit)
    play.begin(schedule)
    pulls, means, _ = play.run(T, np.random.default_rng(0), noise=RewardNoise("none"))
    return pulls, means
