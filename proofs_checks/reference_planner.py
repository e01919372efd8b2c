"""A plain Python version of the periodic planner, with a switch for each of its steps.

Without switches it equals the library's planner (checked in test_recovering.py); with one it is a mutant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np

from theoryrl.models import PeriodicSchedule, RecoveringBandit


def odd_part(d: int) -> int:
    return d // (d & -d)


@dataclass
class Reference:
    """The planner of the page, the fractional arm moved up."""

    shift: int = 0  # R_i(d + shift) instead of R_i(d)
    single: bool = False  # best single period instead of the concave envelope
    order: str = "slope"  # or "arm": fill arm by arm
    rounding: str = "up"  # or "down", "double", "none"
    fractional: str = "up"  # or "drop"
    reverse: bool = True  # bit reversal of the offsets
    share_machines: bool = True  # or one machine for each arm
    keep: str = "best"  # or "worst", "all"
    grid_classes: int | None = None  # plan on the periods of fewer classes

    def __call__(self, bandit: RecoveringBandit, a: int, method: str) -> Any:
        N, D = bandit.R.shape
        structured = [d for d in range(1, 2 * D + 1) if odd_part(d) <= 2 * (self.grid_classes or a) - 1]
        grid = structured if method == "grid" else list(range(1, D + 1))
        value = [{d: self.mean(bandit, i, d) for d in grid} for i in range(N)]
        edges = self.edges(value)
        chosen, relaxed = self.fill(edges, N, bandit.K)
        if method == "round":
            chosen = [self.rounded(d, a) if d else 0 for d in chosen]
        rates = [self.mean(bandit, i, d) / d if d else 0.0 for i, d in enumerate(chosen)]
        offsets, machines, count = self.pack(chosen)
        density, total = sum(1 / d for d in chosen if d), sum(rates)
        periods, offsets, machines, kept = self.kept(chosen, offsets, machines, rates, count, bandit.K)
        policy = PeriodicSchedule.trusted(*map(np.array, (periods, offsets, machines)), bandit.K)
        return SimpleNamespace(
            policy=policy, value=kept, relaxed=relaxed, density=density, machines=count, total=total
        )

    def mean(self, bandit: RecoveringBandit, i: int, d: int) -> float:
        return float(bandit.R[i, min(d + self.shift, bandit.R.shape[1]) - 1])

    def edges(self, value: list[dict[int, float]]) -> list[tuple[float, int, int, float, int]]:
        """(slope, arm, position, width, period at the upper end), each arm's in order."""
        found = []
        scale = max(max(curve.values()) for curve in value)
        for i, curve in enumerate(value):
            points = [(0.0, 0.0, 0)] + [(1 / d, curve[d] / d, d) for d in sorted(curve, reverse=True)]
            if self.single:
                points = [points[0], max(points[1:], key=lambda point: point[1])]
            hull: list[tuple[float, float, int]] = []
            for point in points:
                while len(hull) > 1 and _above(hull[-2], hull[-1], point) >= -1e-15 * scale:
                    hull.pop()
                hull.append(point)
            least = math.inf
            for position, (low, high) in enumerate(pairwise(hull)):
                if high[1] <= low[1]:
                    break
                least = min(least, (high[1] - low[1]) / (high[0] - low[0]))
                found.append((least, i, position, high[0] - low[0], high[2]))
        key = (lambda e: (-e[0], e[1], e[2])) if self.order == "slope" else (lambda e: (e[1], e[2]))
        return sorted(found, key=key)

    def fill(self, edges: Any, N: int, K: int) -> tuple[list[int], float]:
        chosen, room, value = [0] * N, float(K), 0.0
        for slope, i, _, width, period in edges:
            if room <= 1e-12:
                break
            if width > room + 1e-12:
                value += slope * room
                if self.fractional == "up":
                    chosen[i] = period
                break
            chosen[i] = period
            room -= width
            value += slope * width
        return chosen, value

    def rounded(self, d: int, a: int) -> int:
        r = d
        if self.rounding == "down":
            while odd_part(r) > 2 * a - 1:
                r -= 1
        elif self.rounding != "none":
            while odd_part(r) > 2 * a - 1:
                r += 1
        return 2 * r if self.rounding == "double" else r

    def pack(self, periods: list[int]) -> tuple[list[int], list[int], int]:
        offsets, machines, base = [0] * len(periods), [-1] * len(periods), 0
        for j in sorted({odd_part(d) for d in periods if d}):
            arms = sorted((d, i) for i, d in enumerate(periods) if d and odd_part(d) == j)
            position = Fraction(0)
            for d, i in arms:
                machine = int(position)
                start = int((position - machine) * d)
                level = d // j
                track, slot = divmod(start, level)
                digits = level.bit_length() - 1
                if self.reverse and digits:
                    slot = int(format(slot, f"0{digits}b")[::-1], 2)
                offsets[i], machines[i] = track + j * slot, base + machine
                position += Fraction(1, d)
            base += math.ceil(position)
        if not self.share_machines:
            used = [i for i, d in enumerate(periods) if d]
            for m, i in enumerate(used):
                machines[i] = m
            base = len(used)
        return offsets, machines, base

    def kept(
        self,
        periods: list[int],
        offsets: list[int],
        machines: list[int],
        rates: list[float],
        count: int,
        K: int,
    ) -> tuple[list[int], list[int], list[int], float]:
        worth = [sum(r for r, m in zip(rates, machines, strict=True) if m == k) for k in range(count)]
        ranked = sorted(range(count), key=lambda k: (-worth[k], k))
        if self.keep == "worst":
            ranked.reverse()
        best = ranked if self.keep == "all" else ranked[:K]
        place = {machine: rank for rank, machine in enumerate(best)}
        kept = [m in place for m in machines]
        return (
            [d if k else 0 for d, k in zip(periods, kept, strict=True)],
            [o if k else 0 for o, k in zip(offsets, kept, strict=True)],
            [place.get(m, -1) for m in machines],
            sum(worth[machine] for machine in best),
        )


def _above(p: Any, q: Any, r: Any) -> float:
    return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
