"""Evidence on optimism in average-reward MDPs: inner maxima, extended gains, and audited runs of UCRL2."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linprog

from theoryrl.instances import average_riverswim, flipping_riverswim, random_average, switching_random
from theoryrl.learners import RBOCPDUCRL2, UCRL2
from theoryrl.learners.rbocpd_ucrl2 import alarm_steps
from theoryrl.models import AverageRewardMDP, PiecewiseStationaryMDP
from theoryrl.protocol import AverageProblem, Run, Trace
from theoryrl.solvers import diameter, solve
from theoryrl.solvers.average import extended_value_iteration, policy_iteration
from theoryrl.solvers.average.extended import set_maximum
from theoryrl.solvers.detection import RestartedBOCPD, RestartRule, detection_delay_bound
from theoryrl.theory.core import Curve, Evidence, Scope, credentials

DELTA = 0.05
Maximum = Callable[..., float]


# Inner maxima and the extended MDP.


@dataclass(frozen=True, eq=False)
class InnerCase(Evidence):
    """A set around p, the value that was computed for u, and that of a linear program."""

    kind: str
    value: float
    program: float


def inner_cases(scope: Scope, maximum: Maximum = set_maximum) -> Iterator[InnerCase]:
    """Yield random inner problems of L1 balls and boxes."""
    rng = np.random.default_rng([scope.seed, 71])
    for index in range(scope.pick(60, 400)):
        S = int(rng.integers(1, 8))
        p = rng.dirichlet(np.full(S, rng.choice([0.2, 1.0])))
        u = np.round(rng.random(S) * rng.choice([1.0, 30.0]), int(rng.integers(0, 4)))
        kind = "l1" if index % 2 else "box"
        radius: Any = rng.random(S) * 0.4 if kind == "box" else float(rng.random() * 2.2 + 1e-6)
        yield InnerCase(
            f"{kind} {index}", kind, maximum(p, u, radius, kind), linear_maximum(p, u, radius, kind)
        )


def linear_maximum(p: np.ndarray, u: np.ndarray, radius: Any, kind: str) -> float:
    """Solve an inner problem with HiGHS."""
    S = len(p)
    if kind == "box":
        bounds = [(max(0.0, a - w), min(1.0, a + w)) for a, w in zip(p, radius, strict=True)]
        found = linprog(-u, A_eq=np.ones((1, S)), b_eq=[1.0], bounds=bounds, method="highs")
        return -float(found.fun)
    # q = p + up - down with sum(up + down) <= radius.
    cost = np.concatenate([-u, u])
    equal = np.concatenate([np.ones(S), -np.ones(S)])[None]
    bounds = [(0.0, None)] * S + [(0.0, float(a)) for a in p]
    found = linprog(
        cost, A_ub=np.ones((1, 2 * S)), b_ub=[radius], A_eq=equal, b_eq=[0.0], bounds=bounds, method="highs"
    )
    return float(p @ u) - float(found.fun)


@dataclass(frozen=True, eq=False)
class Bracket(Evidence):
    """Bounds on an extended gain, and that gain from all corners of the balls."""

    lower: float
    upper: float
    gain: float
    width: float
    tol: float


def ball_corners(p: np.ndarray, radius: float) -> Float[np.ndarray, "K S"]:
    """Return, for each order of the states, the row of the L1 ball that is best for it."""
    corners = []
    for order in itertools.permutations(range(len(p))):
        q = p.copy()
        left = min(radius / 2, 1 - q[order[0]])
        q[order[0]] += left
        for s in reversed(order[1:]):
            take = min(q[s], left)
            q[s] -= take
            left -= take
        corners.append(q / q.sum())
    return np.array(corners)


def extended_gain(P: np.ndarray, r: np.ndarray, radius: np.ndarray) -> float:
    """Return the gain of the extended MDP by policy iteration over the corners of its balls."""
    S, A, _ = P.shape
    rows = np.array(
        [np.concatenate([ball_corners(P[s, a], radius[s, a]) for a in range(A)]) for s in range(S)]
    )
    return float(
        solve(AverageRewardMDP(rows, np.repeat(r, math.factorial(S), axis=1)), tol=1e-11).value.max()
    )


Planner = Callable[..., Any]


def brackets(scope: Scope, plan: Planner = extended_value_iteration) -> Iterator[Bracket]:
    """Yield extended MDPs of three states, small enough to list the corners of their balls."""
    rng = np.random.default_rng([scope.seed, 72])
    for index in range(scope.pick(15, 80)):
        P = rng.dirichlet(np.full(3, 0.5), size=(3, 2))
        r, radius = rng.random((3, 2)), rng.random((3, 2)) * 0.8 + 0.01
        tol = float(rng.choice([1e-2, 1e-6]))
        found = plan(P, r, radius, tol)
        gap = float(found.upper - found.lower)
        yield Bracket(
            f"model {index}", float(found.lower), float(found.upper), extended_gain(P, r, radius), gap, tol
        )


@dataclass(frozen=True, eq=False)
class Optimism(Evidence):
    """A model inside a set: its optimal gain and diameter, and what extended value iteration returned."""

    gain: float
    diameter: float
    value: float
    upper: float
    span: float
    wider: float
    tol: float


def optimistic_cases(scope: Scope, plan: Planner = extended_value_iteration) -> Iterator[Optimism]:
    """Yield models whose rows and rewards lie in the set around an estimate."""
    rng = np.random.default_rng([scope.seed, 73])
    for index in range(scope.pick(20, 150)):
        S, A = int(rng.integers(2, 7)), int(rng.integers(1, 4))
        mdp = random_average(S, A, mixing=0.1, seed=int(rng.integers(1 << 30)))
        if index % 5 == 0:
            mdp = average_riverswim(S)
        P, r = mdp.dense_P(), mdp.r
        other = rng.dirichlet(np.ones(S), size=r.shape)
        centre = 0.8 * P + 0.2 * other
        radius = np.abs(centre - P).sum(axis=-1) * (1 + 1e-9) + 1e-9
        rewards = np.minimum(1.0, r + rng.random(r.shape) * 0.1)
        tol = float(rng.choice([0.3, 1e-2, 1e-5]))
        found, wider = plan(centre, rewards, radius, tol), plan(centre, rewards, 1.5 * radius, 1e-9)
        tight = plan(centre, rewards, radius, 1e-9)
        yield Optimism(
            f"model {index}",
            gain=float(solve(mdp, tol=1e-10).value[0]),
            diameter=diameter(mdp).upper,
            value=float(found.value),
            upper=float(found.upper),
            span=float(np.ptp(found.u)),
            wider=float(wider.value - tight.value),
            tol=tol,
        )


# Audited runs of UCRL2.


@dataclass
class EpisodeAudit:
    """Keeps what each episode was planned with, and tells whether the true model lies in the set."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, problem: AverageProblem, state: Any, decision: Any) -> Mapping[str, float]:
        """Record an episode."""
        found, plan = state.found, state.plan
        model = problem.model
        segment = int(model.segment_of(np.array([state.played]))[0])
        P, r = model.P[segment], model.r[segment]
        inside = bool(
            (np.abs(found.r - r) <= found.reward_radius + 1e-12).all()
            and (np.abs(found.P - P).sum(axis=-1) <= found.radius + 1e-12).all()
        )
        self.rows.append(
            {
                "start": state.played,
                "clock": state.clock,
                "life": state.life,
                "N": state.N.copy(),
                "reward_radius": found.reward_radius,
                "radius": found.radius,
                "P": found.P,
                "rewards": plan.rewards,
                "u": plan.u,
                "low": float(plan.bounds[0]),
                "high": float(plan.bounds[1]),
                "tol": plan.tol,
                "policy": plan.policy,
                "inside": inside,
            }
        )
        return {"inside": float(inside)}


@dataclass(frozen=True, eq=False)
class AverageRun(Evidence):
    """An audited run on a model, which may change.

    Parameters
    ----------
    problem, trace
        The true model, and the run.
    rows
        What the audit kept of each episode.
    last
        Where the last step led.
    """

    problem: AverageProblem
    trace: Trace
    rows: list[dict[str, Any]]
    last: int

    @property
    def shape(self) -> tuple[int, int]:
        """(S, A)."""
        return self.problem.model.n_states, self.problem.model.n_actions

    @cached_property
    def states(self) -> Int[np.ndarray, " T1"]:
        """States of all steps, and where the last one led."""
        return np.append(self.trace.diagnostics["state"].astype(np.int64), self.last)

    @cached_property
    def actions(self) -> Int[np.ndarray, " T"]:
        """Actions of all steps."""
        return self.trace.diagnostics["action"].astype(np.int64)

    @cached_property
    def diameter(self) -> float:
        """Largest diameter of the segments, at least 1."""
        return max(1.0, *(diameter(mdp).upper for mdp in self.problem.model.segments))

    @property
    def good(self) -> bool:
        """Whether the true model was in the set at the start of every episode."""
        return all(row["inside"] for row in self.rows)

    @property
    def realised_regret(self) -> float:
        """sum_t (rho*_t - reward_t), of observed rewards."""
        return float((self.trace.benchmarks - self.trace.diagnostics["reward"]).sum())

    @cached_property
    def visits(self) -> Int[np.ndarray, "E S A"]:
        """Visits of each pair in each episode."""
        S, A = self.shape
        starts = np.array([row["start"] for row in self.rows])
        episode = np.searchsorted(starts, np.arange(self.trace.rounds), side="right") - 1
        nu = np.zeros((len(self.rows), S, A), dtype=np.int64)
        np.add.at(nu, (episode, self.states[:-1], self.actions), 1)
        return nu


def audited_run(
    problem: AverageProblem,
    learner: Any,
    rounds: int,
    seed: int,
    audit: EpisodeAudit | None = None,
    **who: Any,
) -> AverageRun:
    """Play a problem and keep what every episode was planned with."""
    audit = audit or EpisodeAudit()
    run = Run(problem, learner, rounds, seed, audit).advance()
    environment: Any = run._environment
    last = environment._state
    who = {"group": problem.key, **credentials(run.trace), **who}
    return AverageRun(problem.key, problem, run.trace, audit.rows, int(last), **who)


def stationary_problems() -> list[AverageProblem]:
    """Return the models without changes that UCRL2 is audited on."""
    return [
        AverageProblem.from_stationary(average_riverswim(3), "riverswim-3"),
        AverageProblem.from_stationary(random_average(3, 2, seed=5), "random-3"),
    ]


def ucrl_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield runs of UCRL2 on models that do not change."""
    for problem in stationary_problems():
        for seed in scope.seeds(90, 300):
            yield audited_run(problem, learner or UCRL2(delta=DELTA), scope.pick(600, 3000), seed)


def long_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield a few longer runs, with both radii, whose proof is followed step by step."""
    for problem in stationary_problems():
        for radius in ("published", "laplace"):
            for seed in scope.seeds(1, 5):
                chosen = learner or UCRL2(delta=DELTA, radius=radius)
                run = audited_run(problem, chosen, scope.pick(5000, 30_000), seed)
                yield replace(run, instance=f"{problem.key}, {radius}")


def bandit_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield runs of UCRL2 on two arms, long enough for its bound to be below T."""
    problem = AverageProblem(one_state([[0.95, 0.05]], []), "two-arms")
    for seed in scope.seeds(90, 200):
        yield audited_run(problem, learner or UCRL2(delta=DELTA), scope.pick(60_000, 200_000), seed)


def one_state(means: Any, change_points: Any) -> PiecewiseStationaryMDP:
    """Return a bandit with means [L, A]."""
    r = np.array(means)[:, None, :]
    P = np.ones((len(r), 1, r.shape[2], 1))
    return PiecewiseStationaryMDP(P, r, np.array(change_points, dtype=np.int64))


def narrow_runs(scope: Scope, learner: Any = None) -> Iterator[AverageRun]:
    """Yield runs with the narrower radii, in which coverage has less to spare."""
    for problem in stationary_problems():
        for seed in scope.seeds(90, 300):
            chosen = learner or UCRL2(delta=DELTA, radius="laplace")
            yield audited_run(problem, chosen, scope.pick(600, 3000), seed)


def decomposition(run: AverageRun) -> tuple[float, float]:
    """Return the pseudo-regret of a run, and the sum of gaps, of the bias' ends and of its martingale.

    With the bias h of an optimal policy and gap = rho* + h - r - P h >= 0.
    """
    mdp = run.problem.model.segments[0]
    found = policy_iteration(mdp, 1e-11)
    h, gain = found.relative_values, float(found.value[0])
    s, a, following = run.states[:-1], run.actions, run.states[1:]
    Ph = mdp.dense_P() @ h
    gap = gain + h[:, None] - mdp.r - Ph
    pieces = gap[s, a].sum() + h[following[-1]] - h[s[0]] + (Ph[s, a] - h[following]).sum()
    return float(run.trace.final_regret), float(pieces)


def episode_sides(run: AverageRun) -> tuple[np.ndarray, np.ndarray]:
    """Return for each episode its regret, and what the optimistic plan allows it.

    rho* - r <= tol + 2 d_r + (P~ - I) u for each step: optimism, the stopping rule, and the rewards' radius.
    """
    mdp, gain = run.problem.model.segments[0], float(run.problem.solution.value[0])
    regrets, allowed = [], []
    for row, nu in zip(run.rows, run.visits, strict=True):
        regrets.append(float((nu * (gain - mdp.r)).sum()))
        best = np.array([set_maximum(p, row["u"], d) for p, d in _chosen(row)])
        own = nu.sum(axis=1)
        drift = best - row["u"]
        allowed.append(float((nu * 2 * row["reward_radius"]).sum() + own @ drift + row["tol"] * nu.sum()))
    return np.array(regrets), np.array(allowed)


def _chosen(row: Mapping[str, Any]) -> list[tuple[np.ndarray, float]]:
    """Return centre and radius of the row that the policy plays in each state."""
    return [(row["P"][s, a], float(row["radius"][s, a])) for s, a in enumerate(row["policy"])]


def width_sides(run: AverageRun) -> tuple[np.ndarray, np.ndarray]:
    """Return for each episode nu (P~ - P) u and sum nu d_p D: two rows of one ball, and the span of u."""
    P = run.problem.model.P[0]
    moved, allowed = [], []
    for row, nu in zip(run.rows, run.visits, strict=True):
        own = nu.sum(axis=1)
        best = np.array([set_maximum(p, row["u"], d) for p, d in _chosen(row)])
        truth = np.array([P[s, a] @ row["u"] for s, a in enumerate(row["policy"])])
        moved.append(float(own @ (best - truth)))
        allowed.append(float((nu * row["radius"]).sum()) * run.diameter)
    return np.array(moved), np.array(allowed)


def transition_martingale(run: AverageRun) -> float:
    """Return the sum of P u - u(s') over all steps, u that of their episode over its span."""
    P = run.problem.model.P[0]
    starts = [row["start"] for row in run.rows] + [run.trace.rounds]
    total = 0.0
    for row, first, end in zip(run.rows, starts, starts[1:], strict=False):
        u = row["u"] / max(float(np.ptp(row["u"])), 1e-300)
        s, a = run.states[first:end], run.actions[first:end]
        total += float((P[s, a] @ u - u[run.states[first + 1 : end + 1]]).sum())
    return total


def potential_sides(run: AverageRun) -> tuple[float, float]:
    """Return sum_k sum nu_k / sqrt(max(1, N_k)) and (1 + sqrt 2) sqrt(S A T)."""
    S, A = run.shape
    total = sum(
        float((nu / np.sqrt(np.maximum(1, row["N"]))).sum())
        for row, nu in zip(run.rows, run.visits, strict=True)
    )
    return total, (1 + math.sqrt(2)) * math.sqrt(S * A * run.trace.rounds)


def regret_bound(
    D: float, S: int, A: int, T: Any, delta: float, changes: int = 0, delays: float = 0.0
) -> Any:
    """Return 34 D S sqrt(A (K + 1) T log((K + 1)(K + 2) T / delta)) + delays; K = 0 without the factor 2.

    Without changes it is UCRL2's 34 D S sqrt(A T log(T / delta)).
    """
    K = changes
    factor = (K + 1) * (K + 2) if K else 1
    T = np.asarray(T, dtype=np.float64)
    return 34 * D * S * np.sqrt(A * (K + 1) * T * np.log(factor * T / delta)) + delays


def bite_horizon(D: float, S: int, A: int, delta: float, changes: int = 0) -> float:
    """Return the least power of 2^(1/16) T at which the bound is below T, the trivial one."""
    T = 2.0
    while regret_bound(D, S, A, T, delta, changes) >= T:
        T *= 2 ** (1 / 16)
    return T


def bound_of(run: AverageRun, delta: float, changes: int = 0, delays: float = 0.0) -> float:
    """Return `regret_bound` at the end of a run."""
    S, A = run.shape
    return float(regret_bound(run.diameter, S, A, run.trace.rounds, delta, changes, delays))


def bite_of(run: AverageRun, delta: float, changes: int = 0) -> float:
    """Return `bite_horizon` for the model of a run."""
    S, A = run.shape
    return bite_horizon(run.diameter, S, A, delta, changes)


# Runs of R-BOCPD-UCRL2.


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
