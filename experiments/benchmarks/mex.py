"""Seconds of MEX: whole runs over a finite class, the chain program, RiverSwim next to a NumPy loop.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/mex.py

There is no peer: the authors' code is deep reinforcement learning. The NumPy loop is the same model-free
algorithm over tables, one array operation per stage, as a first prototype would be written; its regret is
compared with the library's, so that both do the same work. Writes docs/benchmarks/mex.md.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
from _report import seconds_of, table, write_page

from theoryrl import play
from theoryrl.instances import perturbed_values, risky_arms, risky_arms_class, riverswim, sparse_rewards
from theoryrl.learners import MEX, ProductGOLF
from theoryrl.learners.mex import play_whole
from theoryrl.models import DeterministicPolicy, TabularModelClass
from theoryrl.protocol import EpisodicProblem, Streams
from theoryrl.solvers import chain_argmax
from theoryrl.solvers.episodic import markov_value

COMMAND = "OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/mex.py"
SWIM = 1500
STEPS = 8


class NumPyMEX:
    """The model-free form over tables, written with one array operation per stage."""

    def __init__(self, H: int, S: int, A: int, rho: np.ndarray, eta: float) -> None:
        self.N, self.n, self.r = np.zeros((H, S, A, S)), np.zeros((H, S, A)), np.zeros((H, S, A))
        self.rho, self.eta, self.last = rho, eta, None

    def backups(self, bonus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return Q with a bonus, clipped, and its greedy policy."""
        H, S, A = self.r.shape
        Q, V = np.empty((H, S, A)), np.zeros(S)
        for h in range(H - 1, -1, -1):
            n = np.maximum(self.n[h], 1)
            backup = self.r[h] + self.N[h] @ V / n + bonus[h]
            Q[h] = np.where(self.n[h] > 0, np.clip(backup, 0, H - h), H - h)
            V = Q[h].max(axis=1)
        return Q, Q.argmax(axis=2)

    def objective(self, Q: np.ndarray) -> float:
        """Return V - eta loss."""
        V, loss = np.zeros(Q.shape[1]), 0.0
        for h in range(len(Q) - 1, -1, -1):
            error = Q[h] - self.r[h] - self.N[h] @ V / np.maximum(self.n[h], 1)
            loss += float(np.sum(self.n[h] * error**2))
            V = Q[h].max(axis=1)
        return float(self.rho @ V) - self.eta * loss

    def climb(self, policy: np.ndarray) -> tuple[float, np.ndarray]:
        """Minorise-maximise from a policy."""
        H, S, _ = self.r.shape
        best, found, states = -np.inf, policy, np.arange(S)
        for _ in range(STEPS):
            bonus, d = np.zeros(self.r.shape), self.rho
            for h in range(H):
                a = policy[h]
                n = self.n[h, states, a]
                seen = n > 0
                bonus[h, states[seen], a[seen]] = d[seen] / (2 * self.eta * n[seen])
                d = np.where(seen, d / np.maximum(n, 1), 0) @ self.N[h, states, a]
            Q, policy = self.backups(bonus)
            value = self.objective(Q)
            if value <= best + 1e-12:
                break
            best, found = value, policy
        return best, found

    def plan(self) -> np.ndarray:
        """Return the policy of the next episode."""
        caps = np.ones(self.r.shape)
        caps[0] = self.rho[:, None]
        bonus = np.where(self.n > 0, caps / (4 * self.eta * np.maximum(self.n, 1)), 0.0)
        starts = [self.backups(bonus)[1], *([] if self.last is None else [self.last])]
        value, policy = self.climb(starts[0])
        if len(starts) == 2:
            kept, other = self.climb(starts[1])
            policy = other if kept >= value else policy
        self.last = policy
        return policy


def numpy_swim(rounds: int) -> float:
    """Play RiverSwim with the NumPy loop; return the regret."""
    mdp = riverswim()
    problem = EpisodicProblem(mdp)
    environment = problem.environment(Streams.from_seed(0))
    learner, regret = NumPyMEX(*mdp.r.shape, np.array(mdp.rho), 1.0), 0.0
    stages = np.arange(mdp.horizon)
    for _ in range(rounds):
        policy = DeterministicPolicy(learner.plan(), mdp.n_actions)
        regret += problem.benchmark - markov_value(mdp, policy)
        trajectory, _ = environment._simulator.run(policy, 1, environment._rng, environment._coin)
        s, a, t = trajectory.states[0, :-1], trajectory.actions[0], trajectory.states[0, 1:]
        learner.N[stages, s, a, t] += 1
        learner.n[stages, s, a] += 1
        learner.r[stages, s, a] = trajectory.rewards[0]
    return regret


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    arms, many = EpisodicProblem(risky_arms()), risky_arms_class(middle=0.6)
    finite = MEX(hypotheses=many, eta=0.1)
    mdp = sparse_rewards()
    family = perturbed_values(mdp)
    river = EpisodicProblem(riverswim())
    measured: dict[str, tuple[Any, int]] = {
        "finite class, 81 models, one compiled call": (partial(play_whole, arms, finite, 4000), 4000),
        "finite class, 81 models, `play`": (partial(play, arms, finite, 4000), 4000),
        "product class, 25 functions per layer, H = 4, `play`": (
            partial(play, mdp, MEX(hypotheses=family, eta=0.2), 2000), 2000),
        "GOLF over the same class, `play`": (
            partial(play, mdp, ProductGOLF(hypotheses=family, beta=5.0), 2000), 2000),
        "RiverSwim, all tables, `play`": (partial(play, river, MEX(eta=1.0), SWIM), SWIM),
        "RiverSwim, all tables, NumPy loop": (partial(numpy_swim, SWIM), SWIM),
        "RiverSwim, all kernels, `play`": (
            partial(play, river, MEX(hypotheses=TabularModelClass(), eta=0.3), SWIM), SWIM),
    }  # fmt: skip
    rows, medians = [], {}
    for name, (run, episodes) in measured.items():
        taken = seconds_of(run, repetitions)
        medians[name] = float(np.median(taken))
        numbers = (np.median(taken), taken.min(), taken.max())
        rows.append(
            [name, *(f"{number * 1e3:,.1f}" for number in numbers), f"{medians[name] / episodes * 1e3:.4f}"]
        )
    rng = np.random.default_rng(0)
    V, losses = rng.random(25), rng.random((4, 25, 25))
    alone = seconds_of(lambda: [chain_argmax(V, losses, 0.5) for _ in range(1000)], repetitions)
    ratio = medians["RiverSwim, all tables, NumPy loop"] / medians["RiverSwim, all tables, `play`"]
    both = numpy_swim(SWIM), play(river, MEX(eta=1.0), SWIM, 0).final_regret
    body = f"""Whole runs in one process, exact value of every executed policy included; {repetitions}
repetitions after one that is not counted. The machine had other work at the same time: ratios
are safer than times.

{table(["run", "ms, median", "min", "max", "ms per episode"], rows)}
The chain program alone, with its checks, takes {np.median(alone):.4f} ms. On RiverSwim the library is
{ratio:.0f} times as fast as the NumPy loop, whose regret after {SWIM:,} episodes is {both[0]:.1f} (by the
library: {both[1]:.1f})."""
    write_page("mex", "MEX: speed", body, COMMAND)


if __name__ == "__main__":
    main()
