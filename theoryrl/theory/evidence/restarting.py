"""Runs of R-BOCPD-UCRL2: when it restarts, what it remembers, how late it is, and its bound's rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from theoryrl.instances import flipping_riverswim, switching_random
from theoryrl.learners import RBOCPDUCRL2
from theoryrl.learners.rbocpd_ucrl2 import alarm_steps
from theoryrl.protocol import AverageProblem
from theoryrl.solvers.detection import RestartedBOCPD, RestartRule, detection_delay_bound
from theoryrl.theory.core import Curve, Evidence, Scope, credentials
from theoryrl.theory.evidence.audited_average import (
    DELTA,
    AverageRun,
    audited_run,
    one_state,
    regret_bound,
    stationary_problems,
)


def calm_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield runs of R-BOCPD-UCRL2 on models that do not change."""
    for problem in stationary_problems():
        for seed in scope.seeds(90, 300):
            yield audited_run(problem, learner or RBOCPDUCRL2(delta=DELTA), scope.pick(1500, 10_000), seed)


def changing_problems(rounds: int) -> list[AverageProblem]:
    """Return models all of whose pairs change."""
    return [
        AverageProblem(flipping_riverswim(3, rounds, 2), "flipping-3"),
        AverageProblem(switching_random(3, 2, rounds=rounds, changes=2, seed=1), "switching-3"),
    ]


def changing_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield runs of R-BOCPD-UCRL2 on models that change twice."""
    rounds = scope.pick(3000, 12_000)
    for problem in changing_problems(rounds):
        for seed in scope.seeds(50, 200):
            chosen = learner or RBOCPDUCRL2(delta=DELTA)
            yield audited_run(problem, chosen, rounds, seed)


def changing_bandit_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield runs of R-BOCPD-UCRL2 on two arms that swap once, long enough for its bound to be below T."""
    rounds = scope.pick(100_000, 200_000)
    problem = AverageProblem(one_state([[0.95, 0.05], [0.05, 0.95]], [rounds // 2]), "swapping-arms")
    for seed in scope.seeds(50, 100):
        yield audited_run(problem, learner or RBOCPDUCRL2(delta=DELTA), rounds, seed)


def replayed_alarms(run: AverageRun, delta: float, prune: float, length: int = 8) -> Float[np.ndarray, " J"]:
    """Return when stand-alone detectors, fed with a run pair by pair, alarm; filled up with -1.

    After an alarm all of them begin anew, at the level of their next life. Rewards must be 0 or 1.
    """
    S, A = run.shape
    rewards = run.trace.diagnostics["reward"].astype(np.int64)
    alarms: list[float] = []
    bank: dict[int, RestartedBOCPD] = {}
    for t, (s, a, following) in enumerate(zip(run.states, run.actions, run.states[1:], strict=False)):
        life = len(alarms) + 1
        for kind, symbol in ((0, following), (1, rewards[t])):
            d = int(2 * (s * A + a) + kind)
            if d not in bank:
                level = delta / (2 * S * A * life * (life + 1))
                bank[d] = RestartedBOCPD(2 if kind else S, level, prune=prune)
            if bank[d].update(int(symbol)) is not None:
                alarms.append(float(t))
                bank = {}
                break
    return np.array((alarms + [-1.0] * length)[:length])


def padded_alarms(run: AverageRun, length: int = 8) -> Float[np.ndarray, " J"]:
    """Return the steps at which a run restarted; filled up with -1."""
    return np.array(([float(t) for t in alarms_of(run)] + [-1.0] * length)[:length])


def restart_log(run: AverageRun) -> Float[np.ndarray, "J 2"]:
    """Return for each restart the visits and the steps that the episode after it knows of."""
    starts = np.array([row["start"] for row in run.rows])
    log = []
    for alarm in alarms_of(run):
        following = run.rows[int(np.searchsorted(starts, alarm, side="right"))]
        log.append([following["N"].sum(), following["clock"]])
    return np.array(log, dtype=np.float64).reshape(-1, 2)


def alarms_of(run: AverageRun) -> Int[np.ndarray, " J"]:
    """Return the steps at which a run restarted."""
    return alarm_steps(run.trace.diagnostics["restarts"])


def delays_of(run: AverageRun) -> list[int] | None:
    """Return d_l for each change, or None if one alarm was false or a change but the last was missed.

    d_l = alarm - c_l + 1 counts the steps from the change to the alarm; a last change that is not detected
    counts the steps to the end.
    """
    changes = [int(c) for c in run.problem.change_points if c < run.trace.rounds]
    ends = [*changes[1:], run.trace.rounds]
    alarms = alarms_of(run)
    if len(alarms) > len(changes) or (alarms < (changes[0] if changes else math.inf)).any():
        return None
    delays = []
    for change, end in zip(changes, ends, strict=True):
        inside = alarms[(alarms >= change) & (alarms < end)]
        if len(inside) > 1 or (len(inside) == 0 and end != run.trace.rounds):
            return None
        delays.append(int(inside[0]) - change + 1 if len(inside) else end - change)
    return delays


@dataclass(frozen=True, eq=False)
class PairDelay(Evidence):
    """Visits after the first change until the run restarted or ended, and the certified number of visits.

    Shapes [M], over all pairs and kinds of detectors whose law changes.
    """

    visits: Float[np.ndarray, " M"]
    bound: Float[np.ndarray, " M"]


def pair_delays(scope: Scope, learner: Any = None) -> Iterator[PairDelay]:
    """Yield runs on a single pair whose mean reward falls from .9 to .1 half-way, pruning switched off."""
    chosen = learner or RBOCPDUCRL2(delta=DELTA, prune=0.0)
    rounds = scope.pick(3000, 8000)
    problem = AverageProblem(one_state([[0.9], [0.1]], [rounds // 2]), "one-state")
    for seed in scope.seeds(90, 200):
        run = audited_run(problem, chosen, rounds, seed)
        yield replace(certified_delays(run, chosen.delta, DELTA), group=problem.key, **credentials(run.trace))


def certified_delays(run: AverageRun, delta: float, delta_prime: float) -> PairDelay:
    """Return the visits of each changed pair between the first change and the restart, and their bounds."""
    model = run.problem.model
    S, A = run.shape
    c = run.problem.change_points[0]
    K, kinds = len(run.problem.change_points), [0, 1] if S > 1 else [1]
    alarms = alarms_of(run)
    end = int(alarms[0]) if len(alarms) else run.trace.rounds
    pairs = run.states[:-1] * A + run.actions
    visits, bounds = [], []
    for pair in range(S * A):
        s, a = divmod(pair, A)
        m = int((pairs[:c] == pair).sum())
        if m == 0 or (len(alarms) and alarms[0] < c):
            continue
        for kind in kinds:
            laws = [
                model.P[k, s, a] if kind == 0 else np.array([1 - model.r[k, s, a], model.r[k, s, a]])
                for k in (0, 1)
            ]
            level = delta / (len(kinds) * S * A * 2)
            rule, share = RestartRule("safe", level), delta_prime / (len(kinds) * S * A * K)
            certified = detection_delay_bound(m, laws[0], laws[1], rule, share, adaptive=True)
            # The alarm comes at the latest with visit number D: before it there are at most D - 1.
            visits.append(float((pairs[c:end] == pair).sum()))
            bounds.append(certified - 1)
    return PairDelay(run.instance, np.array(visits), np.array(bounds))


def rate_curves(scope: Scope) -> Iterator[Curve]:
    """Yield the proven bound without delays over T, and over the number of changes."""
    T = np.geomspace(1e6, 1e12, 13)
    yield Curve("T", T, regret_bound(8.0, 4, 2, T, DELTA, 3)[:, None], "T", "bound", exact=True)
    K = np.array([1.0, 3.0, 7.0, 15.0, 31.0, 63.0])
    over = np.array([float(regret_bound(8.0, 4, 2, 1e9, DELTA, int(k))) for k in K])
    yield Curve("K + 1", K + 1, over[:, None], "K + 1", "bound", exact=True)
