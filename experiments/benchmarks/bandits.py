"""Rounds per second of the classic bandits here and in SMPyBandits, on the same Bernoulli bandit, in the
same run.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/bandits.py

SMPyBandits is not a dependency. To compare with it, install it beside theoryrl in an environment of its own:
`pip install -e . SMPyBandits`. Without it only our rows are printed, and no file is written.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _report import table, write_page

from theoryrl.instances import bernoulli_bandit
from theoryrl.learners import KLUCB, UCB1, Exp3, ThompsonSampling, TsallisINF
from theoryrl.protocol import play

COMMAND = "OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/bandits.py"
PAIRS: dict[str, tuple[Any, str]] = {
    "UCB1": (UCB1(), "UCB"),
    "KL-UCB": (KLUCB(c=0.0), "klUCB"),
    "Thompson sampling": (ThompsonSampling(), "Thompson"),
    "Exp3": (Exp3(), "Exp3"),
    "Tsallis-INF": (TsallisINF(), "TsallisInf"),
}


def peer() -> Any:
    """Return the module of SMPyBandits' policies and its Bernoulli arm.

    SMPyBandits 0.9.7 asks SciPy and Numba for two names that these no longer have; they are given the
    same functions under the old names, so that it runs as its authors meant it to, Numba included.
    """
    import numba
    import scipy.special

    scipy.special.btdtri = scipy.special.betaincinv
    old = types.ModuleType("numba.decorators")
    old.jit = numba.jit  # type: ignore[attr-defined]
    sys.modules["numba.decorators"] = old
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        from SMPyBandits import Arms, Policies
    return Policies, Arms.Bernoulli


def ours(learner: Any, n_arms: int, rounds: int) -> Callable[[int], float]:
    """Return rounds per second of one run of ours, values of all pulls included."""
    model = bernoulli_bandit(n_arms=n_arms)

    def run(seed: int) -> float:
        start = time.process_time()
        play(model, learner, rounds, seed)
        return rounds / (time.process_time() - start)

    return run


def theirs(policies: Any, bernoulli: Any, name: str, n_arms: int, rounds: int) -> Callable[[int], float]:
    """Return rounds per second of one run of SMPyBandits: choose, draw, learn."""
    means = bernoulli_bandit(n_arms=n_arms).means

    def run(seed: int) -> float:
        np.random.seed(seed)  # noqa: NPY002 (SMPyBandits draws from NumPy's global generator)
        arms = [bernoulli(float(mean)) for mean in means]
        policy = getattr(policies, name)(n_arms)
        policy.startGame()
        start = time.process_time()
        for _ in range(rounds):
            arm = policy.choice()
            policy.getReward(arm, arms[arm].draw())
        return rounds / (time.process_time() - start)

    return run


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=200_000, help="of ours")
    parser.add_argument("--peer-rounds", type=int, default=2000, help="of SMPyBandits")
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    try:
        policies, bernoulli = peer()
    except ImportError:
        policies, bernoulli = None, None
        print("SMPyBandits is not installed: only our rows", file=sys.stderr)
    rows = []
    for name, (learner, other) in PAIRS.items():
        runs = [ours(learner, arguments.arms, arguments.rounds)]
        if policies is not None:
            runs.append(theirs(policies, bernoulli, other, arguments.arms, arguments.peer_rounds))
        # In turns, so that another load on the machine slows both; the first ones compile.
        rates = np.array([[run(seed) for run in runs] for seed in range(arguments.repetitions + 1)])[1:]
        cells = [f"{np.median(rates[:, k]):,.0f}" for k in range(len(runs))]
        ratio = [f"{np.median(rates[:, 0] / rates[:, 1]):,.0f}", f"{(rates[:, 0] / rates[:, 1]).min():,.0f}"]
        rows.append([name, *cells, *(ratio if len(runs) > 1 else [])])
    header = [
        f"{arguments.arms} Bernoulli arms",
        "theoryrl, rounds/s",
        "SMPyBandits, rounds/s",
        "ratio",
        "smallest",
    ]
    body = f"""Rounds per second on a Bernoulli bandit with {arguments.arms} arms, one thread: runs of
{arguments.rounds:,} rounds here, with the exact value of every pull, and of {arguments.peer_rounds:,} rounds
there. {arguments.repetitions} in turns, after one each that is not counted: medians of the rates and of the
ratios, in processor time, because others used the machine too.

{table(header, rows)}
SMPyBandits is a research framework in Python whose strength is the number of its policies; its Numba
decorators are active, and its index policies compute all indices in one NumPy call. A learner here plays
whole blocks of rounds in one compiled loop, and does not look at what cannot be the best: of UCB1's indices
only log t changes for most arms; a number between the largest KL index and all others serves for many
rounds, in which one arm is compared with it; and Thompson sampling keeps a number below nearly all draws of
the arm with the most pulls and above nearly all draws of the others, finds the exceptions by thinning, with
one random number for all arms, and has the same law. The arms of UCB1 and KL-UCB are those that the
computation of all indices gives. KL-UCB is run with c = 0 on both sides.
"""
    print(body)
    if policies is not None:
        write_page("bandits", "Bandits: speed", body, COMMAND, ("SMPyBandits",))


if __name__ == "__main__":
    main()
