"""Ways to choose arms of a recovering bandit, period after period.

Time is local: a schedule starts at t = 0 when it is taken into use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_count, first_index, index_array, real_array

LONGEST = 2**62
"""Periods stay below it, so that kernels can use 64-bit integers."""


@dataclass(frozen=True, eq=False)
class PeriodicSchedule(Frozen):
    """Arm i is pulled exactly at t = offsets[i] (mod periods[i]).

    The arms are spread over K *machines*, each of which pulls at most one arm per period; the spread is
    the certificate that no period has more than K pulls, and is checked here pair by pair: two arms of a
    machine collide if and only if their offsets are equal modulo the gcd of their periods.

    Parameters
    ----------
    periods
        d_i >= 1, or 0 for an arm that is never pulled: shape [N].
    offsets
        In [0, d_i): shape [N]; 0 where the period is 0.
    machines
        In [0, K), or -1 for an arm that is never pulled: shape [N].
    K
        Number of machines.

    Raises
    ------
    ValueError
        On entries out of range, or two arms of one machine that collide (with the first time they do).
    """

    periods: Int[np.ndarray, " N"]
    offsets: Int[np.ndarray, " N"]
    machines: Int[np.ndarray, " N"]
    K: int

    def __post_init__(self) -> None:
        periods = index_array("periods", self.periods, ("N",), LONGEST)
        offsets = index_array("offsets", self.offsets, periods.shape, LONGEST)
        machines = np.array(self.machines)
        if machines.dtype.kind not in "iu" or machines.shape != periods.shape:
            raise ValueError(f"machines must hold {len(periods)} integers; got {machines!r}")
        machines = machines.astype(np.int64)
        K = check_count("K", self.K)
        idle = periods == 0
        _check_offsets(periods, offsets)
        wrong = np.where(idle, machines != -1, (machines < 0) | (machines >= K))
        if wrong.any():
            (i,) = first_index(wrong)
            wanted = "-1 (its period is 0)" if idle[i] else f"in [0, {K})"
            raise ValueError(f"machines[{i}] must be {wanted}; got {machines[i]}")
        machines.setflags(write=False)
        for name, value in (("periods", periods), ("offsets", offsets), ("machines", machines), ("K", K)):
            object.__setattr__(self, name, value)
        found = self.collision()
        if found is not None:
            i, j, t = found
            raise ValueError(f"arms {i} and {j} of machine {machines[i]} collide, first at t = {t}")

    @classmethod
    def trusted(
        cls,
        periods: Int[np.ndarray, " N"],
        offsets: Int[np.ndarray, " N"],
        machines: Int[np.ndarray, " N"],
        K: int,
    ) -> PeriodicSchedule:
        """Return a schedule without checking it: for arrays that the packing lemma vouches for."""
        schedule = object.__new__(cls)
        for name, value in (("periods", periods), ("offsets", offsets), ("machines", machines), ("K", K)):
            object.__setattr__(schedule, name, value)
        return schedule

    def collision(self) -> tuple[int, int, int] | None:
        """Return two arms of one machine that collide and the first time at which they do, or None."""
        for machine in np.unique(self.machines[self.machines >= 0]):
            arms = np.flatnonzero(self.machines == machine)
            d, o = self.periods[arms], self.offsets[arms]
            same = (o[:, None] - o[None, :]) % np.gcd(d[:, None], d[None, :]) == 0
            same &= ~np.eye(len(arms), dtype=np.bool_)
            if same.any():
                first, second = first_index(same)
                t = _meeting(int(d[first]), int(o[first]), int(d[second]), int(o[second]))
                return int(arms[first]), int(arms[second]), t
        return None

    @property
    def density(self) -> float:
        """Average number of pulls per period."""
        return float((1 / self.periods[self.periods > 0]).sum())

    @property
    def cycle_length(self) -> int:
        """Least common multiple of the periods."""
        return math.lcm(*(int(d) for d in self.periods if d))

    def pulls(self, t: int) -> Int[np.ndarray, " M"]:
        """Return the arms that are pulled at time t."""
        active = self.periods > 0
        due = (t - self.offsets) % np.where(active, self.periods, 1) == 0
        return np.flatnonzero(active & due)

    def __repr__(self) -> str:
        shown = " ".join(
            f"{o}+{d}n" if d else "-" for d, o in zip(self.periods[:12], self.offsets, strict=False)
        )
        return f"PeriodicSchedule({shown}{' ...' if len(self.periods) > 12 else ''}; K={self.K})"


def _check_offsets(periods: Int[np.ndarray, " N"], offsets: Int[np.ndarray, " N"]) -> None:
    """Raise unless offsets are below their periods, and 0 where the period is 0."""
    late = offsets >= np.maximum(periods, 1)
    if late.any():
        (i,) = first_index(late)
        limit = f"below periods[{i}] = {periods[i]}" if periods[i] else "0 (its period is 0)"
        raise ValueError(f"offsets[{i}] must be {limit}; got {offsets[i]}")


def _meeting(d: int, o: int, e: int, p: int) -> int:
    """Return the smallest t >= 0 with t = o (mod d) and t = p (mod e), which exists."""
    g = math.gcd(d, e)
    steps = (p - o) // g * pow(d // g, -1, e // g) % (e // g)
    return o + d * steps


@dataclass(frozen=True, eq=False)
class OffsetSchedule(Frozen):
    """Arms apply at t = offsets[i] (mod periods[i]); of those that apply the K of highest priority win.

    Parameters
    ----------
    periods, offsets
        As for `PeriodicSchedule`, without machines: arms may collide.
    priorities
        Positive numbers: shape [N]; on ties the lower index wins.
    K
        Largest number of pulls per period.
    """

    periods: Int[np.ndarray, " N"]
    offsets: Int[np.ndarray, " N"]
    priorities: Float[np.ndarray, " N"]
    K: int

    def __post_init__(self) -> None:
        periods = index_array("periods", self.periods, ("N",), LONGEST)
        offsets = index_array("offsets", self.offsets, periods.shape, LONGEST)
        _check_offsets(periods, offsets)
        priorities = real_array("priorities", self.priorities, periods.shape)
        if (priorities <= 0).any():
            (i,) = first_index(priorities <= 0)
            raise ValueError(f"priorities[{i}] must be positive; got {float(priorities[i])!r}")
        K = check_count("K", self.K)
        for name, value in (("periods", periods), ("offsets", offsets), ("priorities", priorities), ("K", K)):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False)
class PullSequence(Frozen):
    """The sets of a table one after another, again and again.

    Parameters
    ----------
    sets
        ``sets[t]`` holds the arms of period t (mod L), filled up with -1: shape [L, K].
    n_arms
        N.

    Raises
    ------
    ValueError
        If an arm is not in [-1, N), or occurs twice in a period.
    """

    sets: Int[np.ndarray, "L K"]
    n_arms: int

    def __post_init__(self) -> None:
        N = check_count("n_arms", self.n_arms)
        sets = np.array(self.sets)
        if sets.ndim != 2 or sets.dtype.kind not in "iu" or sets.size == 0:
            raise ValueError(f"sets must be a table [L, K] of integers; got shape {sets.shape}")
        sets = sets.astype(np.int64)
        wrong = (sets < -1) | (sets >= N)
        if wrong.any():
            index = first_index(wrong)
            raise ValueError(f"sets[{index[0]}, {index[1]}] must be in [-1, {N}); got {sets[index]}")
        for t, row in enumerate(sets):
            arms = row[row >= 0]
            if len(set(arms.tolist())) < len(arms):
                raise ValueError(f"sets[{t}] must not repeat an arm; got {row.tolist()}")
        sets.setflags(write=False)
        object.__setattr__(self, "sets", sets)

    def __repr__(self) -> str:
        shown = " ".join(
            "{" + ",".join(str(i) for i in row if i >= 0) + "}" for row in self.sets[:12].tolist()
        )
        return f"PullSequence({shown}{' ...' if len(self.sets) > 12 else ''}, repeated)"


@dataclass(frozen=True, eq=False)
class IndexRule(Frozen):
    """Pull the at most K arms of largest positive index at their present idle time.

    Parameters
    ----------
    table
        Index of arm i at idle time d: ``table[i, d - 1]``, shape [N, D]; constant beyond D.
    K
        Largest number of pulls per period.

    Notes
    -----
    Arms of index 0 are left alone: pulling them would reset them for nothing. Ties: the lower arm.
    """

    table: Float[np.ndarray, "N D"]
    K: int

    def __post_init__(self) -> None:
        table = real_array("table", self.table, ("N", "D"))
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "K", check_count("K", self.K, high=len(table)))


Schedule = PeriodicSchedule | OffsetSchedule | PullSequence | IndexRule
