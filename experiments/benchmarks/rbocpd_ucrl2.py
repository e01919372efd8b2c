"""Steps per second of average-reward learners, microseconds of a detector's update, and planning, in one run.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python experiments/benchmarks/rbocpd_ucrl2.py

The peers are not dependencies: install statrl and SMPyBandits beside theoryrl in an environment of its own.
One that is missing is left out, and then no page is written. statrl's PSRL and IMED-RL are the peers on
RiverSwim with six states (its own environment and loop); SMPyBandits has detectors for bandits, of which the
Bernoulli GLR test is timed on one stream. rlberry's tabular learners are for episodes with a horizon, and
are not comparable. Writes docs/benchmarks/rbocpd-ucrl2.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.special
from _report import seconds_of, table, write_page

from theoryrl import play
from theoryrl.instances import average_riverswim
from theoryrl.learners import KLUCRL, RBOCPDUCRL2, UCRL2, UCRL2B, AveragePSRL
from theoryrl.protocol import AverageDecision, as_problem
from theoryrl.protocol.core import Streams
from theoryrl.solvers import extended_value_iteration
from theoryrl.solvers.detection import RestartedBOCPD, glr_alarm

COMMAND = "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python experiments/benchmarks/rbocpd_ucrl2.py"
STATRL = "statrl.settings.markovdecisionprocess.discrete_nostructure"


def rate_row(name: str, seconds: np.ndarray, units: float) -> tuple[list[str], float]:
    """Return a row of the table in units per second, and the median."""
    rates = units / seconds
    return [name, *(f"{value:,.0f}" for value in (np.median(rates), rates.min(), rates.max()))], float(
        np.median(rates)
    )


def held_policy(steps: int) -> Callable[[], None]:
    """Return a run of one policy, as between two plans: environment, counts and rewards."""
    problem, learner = as_problem(average_riverswim(6)), UCRL2()
    decision = AverageDecision(np.ones(6, dtype=np.int64))

    def run() -> None:
        streams = Streams.from_seed(0)
        environment = problem.environment(streams)
        state = learner.init(problem.spec(steps), streams.learner)
        environment.begin(decision)
        played = 0
        while played < steps:
            outcome = environment.interact(decision, steps - played)
            learner.update(state, decision, outcome.observation)
            played += outcome.rounds

    return run


def learner_rows(steps: int, repetitions: int) -> tuple[list[list[str]], float, float]:
    """Return the rows of our learners, and the rates of UCRL2 and of holding a policy."""
    problem = as_problem(average_riverswim(6))
    row, held = rate_row(
        "between plans (one policy held, counted)", seconds_of(held_policy(steps), repetitions), steps
    )
    rows = [row]
    rates = {}
    for name, learner in (
        ("UCRL2, whole run with its trace", UCRL2()),
        ("UCRL2B", UCRL2B()),
        ("KL-UCRL", KLUCRL()),
        ("PSRL (average reward)", AveragePSRL()),
        ("R-BOCPD-UCRL2, pruned by .25", RBOCPDUCRL2()),
    ):
        count = steps // 10 if isinstance(learner, RBOCPDUCRL2) else steps
        taken = seconds_of(partial(play, problem, learner, count), repetitions)
        row, rates[name] = rate_row(f"{name}, {count:,} steps", taken, count)
        rows.append(row)
    return rows, rates["UCRL2, whole run with its trace"], held


def statrl_rows(steps: int) -> tuple[list[list[str]], float]:
    """Return the rows of statrl's agents, and the faster one's rate."""
    loop = importlib.import_module(f"{STATRL}.interaction").MDPInteraction
    river = importlib.import_module(f"{STATRL}.envs.riverswim").RiverSwim
    psrl = importlib.import_module(f"{STATRL}.agents.PSRL").PSRL
    imed = importlib.import_module(f"{STATRL}.agents.IMED_RL").IMEDRL
    rows, rates = [], []
    for name, agent, count in (("PSRL", psrl, steps), ("IMED-RL", imed, steps // 20)):

        def run(agent: Any = agent, count: int = count) -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                loop().run(river(6), agent(6, 2), count)

        row, rate = rate_row(f"statrl {name}, {count:,} steps", seconds_of(run, 3), count)
        rows.append(row)
        rates.append(rate)
    return rows, max(rates)


def update_all(detector: RestartedBOCPD, symbols: list[int]) -> None:
    """Feed symbols one by one."""
    for symbol in symbols:
        detector.update(symbol)


def detector_rows(repetitions: int) -> list[list[str]]:
    """Return microseconds per update with 1000 samples since the restart, for two alphabets."""
    rows = []
    rng = np.random.default_rng(0)
    for size in (2, 6):
        for prune in (0.0, 0.1):
            taken = []
            for _ in range(repetitions):
                detector = RestartedBOCPD(size, 1e-12, prune=prune)
                detector.run(rng.integers(0, size, 950))
                feed = partial(update_all, detector, rng.integers(0, size, 100).tolist())
                taken.append(float(seconds_of(feed, 1, warm_up=0)[0]) * 1e4)
            name = f"`update`, O = {size}, " + ("exact" if prune == 0 else f"pruned by {prune:g}")
            rows.append([name, *(f"{value:.1f}" for value in (np.median(taken), min(taken), max(taken)))])
    return rows


def glr_rows(repetitions: int) -> list[list[str]]:
    """Return microseconds per sample of SMPyBandits' GLR test and of ours, over 1000 samples."""
    # SMPyBandits imports a function by a name that SciPy has given up.
    scipy.special.btdtri = getattr(scipy.special, "btdtri", scipy.special.betaincinv)
    module = importlib.import_module("SMPyBandits.Policies.GLR_UCB")
    x = np.random.default_rng(0).integers(0, 2, 1000)
    rows = []
    with contextlib.redirect_stdout(io.StringIO()):
        peer = module.BernoulliGLR_IndexPolicy(1, horizon=1000, delta=0.05, lazy_detect_change_only_x_steps=1,
                      lazy_try_value_s_only_x_steps=1)  # fmt: skip
        peer.startGame()
        peer.all_rewards[0] = x.tolist()
        peer.last_pulls[0] = peer.pulls[0] = 1000
    taken = seconds_of(lambda: peer.detect_change(0), repetitions) * 1e6
    rows.append(["SMPyBandits, Bernoulli GLR, one test after 1,000 samples",
                 *(f"{v:,.1f}" for v in (np.median(taken), taken.min(), taken.max()))])  # fmt: skip
    own = seconds_of(lambda: glr_alarm(x, 0.05), repetitions) * 1e6 / 1000
    rows.append(["`glr_alarm` (NumPy), per sample, mean over 1,000",
                 *(f"{v:,.1f}" for v in (np.median(own), own.min(), own.max()))])  # fmt: skip
    return rows


def planning_rows(repetitions: int) -> list[list[str]]:
    """Return milliseconds of extended value iteration with 100 states and 10 actions, to a span of 1e-6."""
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.full(100, 0.1), size=(100, 10))
    r = rng.random((100, 10))
    rows = []
    for kind in ("l1", "box", "kl"):
        for radius in (0.3, 0.01):
            sizes = np.full(
                (100, 10, 100) if kind == "box" else (100, 10), radius / (100 if kind == "box" else 1)
            )
            taken = seconds_of(partial(extended_value_iteration, P, r, sizes, kind=kind), repetitions) * 1e3
            sweeps = extended_value_iteration(P, r, sizes, kind=kind).iterations
            rows.append(
                [f"{kind}, radius {sizes.max():g}, {sweeps} sweeps",
                 *(f"{v:.2f}" for v in (np.median(taken), taken.min(), taken.max()))]
            )  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=2_000_000)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    ours, whole, held = learner_rows(options.steps, options.repetitions)
    # Milliseconds are disturbed more easily than seconds.
    often = 5 * options.repetitions
    detectors, planning = detector_rows(often), planning_rows(often)
    missing = []
    try:
        peers, fastest = statrl_rows(options.steps // 50)
    except ImportError as error:
        peers, fastest = [], float("nan")
        missing.append(str(error))
    try:
        detectors += glr_rows(options.repetitions)
    except ImportError as error:
        missing.append(str(error))
    body = f"""One thread; {options.repetitions} repetitions after one that is not counted. The machine was
shared with much other work while this was measured (load far above its two cores): single figures can be off
by a factor of several; ratios are of one run, and less so.

## Learners on RiverSwim with six states

{table(["", "steps / s, median", "min", "max"], [*ours, *peers])}
Our whole runs include the plans, the exact regret of every step, and states, actions and rewards in the
trace. UCRL2 takes {whole / fastest:,.0f} times as many steps per second as the fastest peer
({held / fastest:,.0f} times between plans).

## Detectors, 1,000 samples after the restart

{table(["", "microseconds, median", "min", "max"], detectors)}
## Extended value iteration, 100 states, 10 actions, span 1e-6

{table(["", "milliseconds, median", "min", "max"], planning)}"""
    if missing:
        print(body, "\nno page is written:", *missing, sep="\n")
        return
    write_page(
        "rbocpd-ucrl2",
        "Average reward that changes: speed",
        body,
        COMMAND,
        ("scipy", "statrl", "SMPyBandits"),
    )


if __name__ == "__main__":
    main()
