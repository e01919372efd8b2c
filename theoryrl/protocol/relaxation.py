"""Tuning a relaxation parameter as a bandit: an arm is a parameter, its loss the iteration count.

The count of every system at every parameter is computed once, so that the benchmark (the best fixed
parameter in hindsight) is exact; the learner sees only the counts that it pays for.
"""

from __future__ import annotations

from theoryrl.models import LossTable, RelaxationTuning
from theoryrl.protocol.bandit import BanditProblem
from theoryrl.solvers.relaxation import iteration_table


def relaxation_table(tuning: RelaxationTuning) -> LossTable:
    """Return the iteration counts of a sequence as losses, with the contexts of its systems.

    Raises
    ------
    ValueError
        If a count exceeds `tuning.largest_count`, on which the learners' guarantees rest.
    """
    systems = tuning.systems
    counts = iteration_table(tuning)
    worst = int(counts.max())
    if tuning.largest_count is not None and worst > tuning.largest_count:
        raise ValueError(
            f"largest_count must be at least {worst}, the largest count; got {tuning.largest_count}"
        )
    least = min(1, int(counts.min()))
    largest = max(tuning.largest_count or worst, least + 1)
    return LossTable(
        counts[systems.order].astype(float), (least, largest), systems.contexts, systems.context_range
    )


def pose_relaxation(tuning: RelaxationTuning, key: str = "relaxation") -> BanditProblem:
    """Return the bandit of a sequence of systems."""
    return BanditProblem(relaxation_table(tuning), key)
