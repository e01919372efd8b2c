"""Episodes per second of UCBVI here and in rlberry-scool, on the same MDP, in the same run.

Both plan anew after every episode, with stage-dependent kernels and rewards to be learnt, on one thread;
the first episodes, which compile, are not counted. Ours also evaluates every episode's policy exactly.

    OMP_NUM_THREADS=1 python experiments/benchmarks/ucbvi.py

rlberry-scool is not a dependency. To compare with it, install it beside theoryrl in an environment of
its own: `pip install -e . rlberry-scool`. Without it only our rows are printed, and no file is written.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import theoryrl
from theoryrl.learners.baselines import UCBVI
from theoryrl.models import EpisodicMDP, RewardNoise
from theoryrl.protocol import EpisodicProblem, Run, Streams, play

REPORT = Path(__file__).parents[2] / "docs" / "benchmarks" / "ucbvi.md"
PEER = "rlberry-scool"
INSTALL = "rlberry-scool is not installed: pip install rlberry-scool (in an environment with theoryrl)"


def model(S: int, A: int, H: int, seed: int) -> EpisodicMDP:
    """Return a random MDP with the same kernel at every stage, which is all that rlberry can express."""
    rng = np.random.default_rng(seed)
    P, r = rng.dirichlet(np.ones(S), size=(S, A)), rng.random((S, A))
    return EpisodicMDP.stationary(P, r, np.eye(S)[0], H, noise=RewardNoise("none"))


def ours(mdp: EpisodicMDP, episodes: int, bonus: str) -> Callable[[int], float]:
    """Return seconds per run of our UCBVI."""
    problem = EpisodicProblem(mdp, known_rewards=False)
    learner = UCBVI(bonus=bonus, bonus_scale=1e-3)

    def run(seed: int) -> float:
        start = time.perf_counter()
        play(problem, learner, episodes, seed)
        return time.perf_counter() - start

    return run


def theirs(mdp: EpisodicMDP, episodes: int) -> Callable[[int], float]:
    """Return seconds per run of rlberry-scool's UCBVI, stage-dependent, with its own bonus."""
    from rlberry.envs import FiniteMDP
    from rlberry_scool.agents import UCBVIAgent

    logging.disable(logging.WARNING)

    def run(seed: int) -> float:
        environment = FiniteMDP(mdp.r[0], mdp.P[0], initial_state_distribution=mdp.rho)
        environment.reseed(seed)
        agent = UCBVIAgent(environment, horizon=mdp.horizon, stage_dependent=True)
        start = time.perf_counter()
        agent.fit(budget=episodes)
        return time.perf_counter() - start

    return run


def rates(runs: dict[str, Callable[[int], float]], episodes: int, repetitions: int) -> dict[str, np.ndarray]:
    """Return the episodes per second of each repetition, after one that is not counted.

    The contestants take turns, so that another load on the machine slows all of them.
    """
    seconds = [[run(seed) for run in runs.values()] for seed in range(repetitions + 1)]
    return dict(zip(runs, episodes / np.array(seconds[1:]).T, strict=True))


def parts(mdp: EpisodicMDP, episodes: int = 5000, calls: int = 20_000) -> str:
    """Return a table of microseconds per call for each part of an episode, in the state of a long run."""
    run = Run(EpisodicProblem(mdp, known_rewards=False), UCBVI(bonus="hoeffding", bonus_scale=1e-3), episodes)
    run.advance()
    learner, state, problem = run.learner, run.state, run.problem
    environment = problem.environment(Streams.from_seed(0))
    decision = learner.plan(state)
    environment.begin(decision)
    observed = environment.interact(decision, 1).observation
    steps: dict[str, Callable[[], Any]] = {
        "plan": lambda: learner.plan(state),
        "evaluate exactly": lambda: problem.value(decision),
        "simulate": lambda: environment.interact(decision, 1),
        "update": lambda: learner.update(state, decision, observed),
    }
    lines = ["| part of an episode (hoeffding) | microseconds |", "|---|---:|"]
    for name, step in steps.items():
        start = time.perf_counter()
        for _ in range(calls):
            step()
        lines.append(f"| {name} | {1e6 * (time.perf_counter() - start) / calls:.1f} |")
    return "\n".join(lines)


def processor() -> str:
    """Return the name of the CPU model."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def installed(package: str) -> str:
    """Return "name version", or say that it is missing."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} (not installed)"


def table(measured: dict[str, np.ndarray]) -> str:
    """Return the rows as a markdown table."""
    lines = ["| | episodes/s, median | min | max | ratio of medians |", "|---|---:|---:|---:|---:|"]
    peer = measured.get(PEER)
    for name, rate in measured.items():
        ratio = "" if peer is None else f"{np.median(rate) / np.median(peer):,.0f}"
        middle, low, high = (f"{x:,.0f}" for x in (np.median(rate), rate.min(), rate.max()))
        lines.append(f"| {name} | {middle} | {low} | {high} | {ratio} |")
    return "\n".join(lines)


def report(arguments: Any, rows: str, shares: str) -> str:
    """Return the page of the documentation."""
    S, A, H = arguments.states, arguments.actions, arguments.horizon
    packages = ", ".join(installed(name) for name in ("rlberry-scool", "rlberry", "numba", "numpy"))
    return f"""# UCBVI: speed

Whole runs on one random MDP with S = {S}, A = {A}, H = {H}: stage-dependent estimates, unknown rewards, a new
plan after every episode, one thread. {arguments.episodes:,} episodes per run, {arguments.repetitions}
repetitions after one that is not counted (it compiles). Ours includes the exact evaluation of every episode's
policy; rlberry-scool's does not evaluate. The bonuses differ in form (rlberry-scool has one of its own), and
ours are scaled by 1/1000, without which so few episodes would not change the policy at all.

{rows}

What limits the ratio:

{shares}

Planning alone multiplies and adds 8,000 pairs of numbers per episode (20 stages, 40 pairs, 10 next states). A
ratio of 1,000 would need a whole episode in about 2 microseconds, less than its plan takes; the rest is the
exact evaluation and four calls from Python.

Made by `OMP_NUM_THREADS=1 python experiments/benchmarks/ucbvi.py --episodes {arguments.episodes} \
--repetitions {arguments.repetitions}` with Python {platform.python_version()},
theoryrl {theoryrl.__version__}, {packages},
on {os.cpu_count()} cores of {processor()}.
"""


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=10)
    parser.add_argument("--actions", type=int, default=4)
    parser.add_argument("--horizon", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=1000, help="the same number for both")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0, help="of the MDP")
    arguments = parser.parse_args()
    mdp = model(arguments.states, arguments.actions, arguments.horizon, arguments.seed)
    runs = {f"theoryrl, {bonus}": ours(mdp, arguments.episodes, bonus) for bonus in UCBVI.BONUSES}
    try:
        runs[PEER] = theirs(mdp, arguments.episodes)
    except ImportError:
        print(INSTALL, file=sys.stderr)
    measured = rates(runs, arguments.episodes, arguments.repetitions)
    rows = table(measured)
    print(rows)
    if PEER in measured:
        REPORT.parent.mkdir(parents=True, exist_ok=True)
        REPORT.write_text(report(arguments, rows, parts(mdp)))


if __name__ == "__main__":
    main()
