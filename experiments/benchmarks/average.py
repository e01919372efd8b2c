"""Seconds to the optimal average reward, here and in the peers that accept the problem, in one run.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python experiments/benchmarks/average.py

Each contestant gets the model in its own layout before the clock starts, and a child process with a time
limit; the best of a few repetitions counts, after one that is not counted (it compiles). All are asked
for an error of 1e-6. Ours proves it; of the others, the policy is evaluated exactly afterwards, and the
error of the reported gain where one is reported.

The peers are not dependencies: `pip install -e . pymdptoolbox mdpsolver stormpy` in an environment of its
own. Those that are missing are left out, and then no file is written.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
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
from theoryrl.instances import average_riverswim, queue
from theoryrl.models import AverageRewardMDP, DeterministicPolicy, stationary_to_toolbox
from theoryrl.solvers import average

REPORT = Path(__file__).parents[2] / "docs" / "benchmarks" / "average.md"
TOL = 1e-6
LONG = 2.0
"""Seconds after which a contestant is not asked again."""
CASES: dict[str, Callable[[], AverageRewardMDP]] = {
    "RiverSwim, 6 states": lambda: average_riverswim(6),
    "RiverSwim, 50 states": lambda: average_riverswim(50),
    "RiverSwim, 1,000 states": lambda: average_riverswim(1_000),
    "RiverSwim, 100,000 states": lambda: average_riverswim(100_000),
    "queue, 100 customers": lambda: queue(100),
    "queue, 1,000 customers": lambda: queue(1_000),
    "queue, 10,000 customers": lambda: queue(10_000),
    "queue, 100,000 customers": lambda: queue(100_000),
}
Answer = tuple[float, np.ndarray | None]
"""Reported gain of state 0 (NaN if none is), and the action of each state (None if none is)."""


def ours(method: str) -> Callable[[AverageRewardMDP], Callable[[], Answer]]:
    """Return a contestant of this library."""
    solver = {"auto": average.auto, "policy iteration": average.policy_iteration}[method]

    def prepare(mdp: AverageRewardMDP) -> Callable[[], Answer]:
        def run() -> Answer:
            found = solver(mdp, TOL)
            return float(found.value[0]), found.policy.actions

        return run

    return prepare


def toolbox(mdp: AverageRewardMDP) -> Callable[[], Answer]:
    """Relative value iteration of pymdptoolbox, in sparse matrices."""
    from mdptoolbox.mdp import RelativeValueIteration
    from scipy import sparse

    P, R = stationary_to_toolbox(mdp)
    P = [sparse.csr_matrix(matrix) for matrix in P]

    def run() -> Answer:
        solver = RelativeValueIteration(P, R, epsilon=TOL, max_iter=10**9)
        solver.run()
        return float(solver.average_reward), np.array(solver.policy)

    return run


def mdpsolver(algorithm: str) -> Callable[[AverageRewardMDP], Callable[[], Answer]]:
    """Return an algorithm of mdpsolver, told to start from zero: otherwise it starts from its last answer."""

    def prepare(mdp: AverageRewardMDP) -> Callable[[], Answer]:
        import mdpsolver as peer

        P, A = mdp.sparse_P(), mdp.n_actions
        cuts = P.indptr.tolist()
        columns, chances = P.indices.tolist(), P.data.tolist()
        pick = [[slice(cuts[s * A + a], cuts[s * A + a + 1]) for a in range(A)] for s in range(mdp.n_states)]
        model = peer.model()
        model.mdp(
            rewards=mdp.r.tolist(),
            tranMatColumns=[[columns[part] for part in row] for row in pick],
            tranMatProbs=[[chances[part] for part in row] for row in pick],
        )
        zeros = [0.0] * mdp.n_states

        def run() -> Answer:
            model.solve(
                algorithm=algorithm,
                criterion="average",
                tolerance=TOL,
                initValueVector=zeros,
                initPolicy=[0] * mdp.n_states,
                parallel=False,
            )
            return math.nan, np.array(model.getPolicy())

        return run

    return prepare


def storm(mdp: AverageRewardMDP) -> Callable[[], Answer]:
    """Long-run average of stormpy with its default method, whose precision is relative 1e-6."""
    import stormpy
    from stormpy.datastructures import SparseMatrixBuilder
    from stormpy.models import SparseMdp, SparseModelComponents, SparseRewardModel, StateLabeling

    P, (S, A) = mdp.sparse_P(), mdp.r.shape
    builder = SparseMatrixBuilder(S * A, S, P.nnz, True, True, S)
    for row in range(S * A):
        if row % A == 0:
            builder.new_row_group(row)
        entries = sorted(
            (int(P.indices[k]), float(P.data[k])) for k in range(P.indptr[row], P.indptr[row + 1])
        )
        for column, chance in entries:
            builder.add_next_value(row, column, chance)
    labels = StateLabeling(S)
    labels.add_label("init")
    labels.add_label_to_state("init", 0)
    rewards = SparseRewardModel(optional_state_action_reward_vector=mdp.r.ravel().tolist())
    model = SparseMdp(
        SparseModelComponents(
            transition_matrix=builder.build(), state_labeling=labels, reward_models={"r": rewards}
        )
    )
    formula = stormpy.parse_properties('R{"r"}max=? [ LRA ]')[0]

    def run() -> Answer:
        return float(stormpy.model_checking(model, formula).get_value(0)), None

    return run


CONTESTANTS: dict[str, Callable[[AverageRewardMDP], Callable[[], Answer]]] = {
    "theoryrl, auto": ours("auto"),
    "theoryrl, policy iteration": ours("policy iteration"),
    "pymdptoolbox": toolbox,
    "mdpsolver, vi": mdpsolver("vi"),
    "mdpsolver, mpi": mdpsolver("mpi"),
    "mdpsolver, pi": mdpsolver("pi"),
    "stormpy": storm,
}
OURS = [name for name in CONTESTANTS if name.startswith("theoryrl")]


def child(case: str, contestant: str, repetitions: int, pipe: Any) -> None:
    """Measure in a process of its own; send (best seconds, gain, actions)."""
    try:
        run = CONTESTANTS[contestant](CASES[case]())
        best = math.inf
        for repetition in range(repetitions + 1):
            start = time.perf_counter()
            answer = run()
            seconds = time.perf_counter() - start
            # The first call compiles, which is not counted unless it is long anyway.
            best = min(best, seconds) if repetition or seconds > LONG else best
            if seconds > LONG:
                break
        pipe.send((best, *answer))
    except Exception as error:  # whatever a peer fails with stands in the table
        pipe.send((math.nan, math.nan, repr(error)[:200]))


def measure(case: str, contestant: str, repetitions: int, limit: float) -> tuple[float, float, Any]:
    """Return (seconds, gain, actions); infinite seconds if the time limit ends it."""
    mine, other = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=child, args=(case, contestant, repetitions, other)
    )
    process.start()
    answered = mine.poll(limit)
    result = mine.recv() if answered else (math.inf, math.nan, None)
    process.kill()
    process.join()
    return result


def loss(mdp: AverageRewardMDP, optimum: float, actions: Any) -> float:
    """Return how much the policy falls short of the optimal gain in its worst state."""
    policy = DeterministicPolicy(np.asarray(actions, dtype=np.int64), mdp.n_actions)
    return optimum - float(average.gain_and_bias(mdp, policy).value.min())


def cell(mdp: AverageRewardMDP, optimum: float, result: tuple[float, float, Any]) -> str:
    """Return seconds, and what is wrong with the answer if it is more than the tolerance."""
    seconds, gain, actions = result
    if math.isinf(seconds):
        return "over the limit"
    if math.isnan(seconds):
        return f"failed: {actions.partition('(')[0]}"
    flaws = []
    if not math.isnan(gain) and abs(gain - optimum) > 2 * TOL:
        flaws.append(f"gain off by {abs(gain - optimum):.1e}")
    lost = 0.0 if actions is None else loss(mdp, optimum, actions)
    if lost > 2 * TOL:
        flaws.append(f"policy loses {lost:.1e}")
    return f"{seconds:.3g}" + (f" ({', '.join(flaws)})" if flaws else "")


def is_right(text: str) -> bool:
    """Whether a cell holds nothing but a time."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def installed(package: str) -> str:
    """Return "name version", or say that it is missing."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} (not installed)"


def ratios(table: dict[str, dict[str, str]]) -> dict[str, float]:
    """Return the best right peer's time over that of our default, where a peer is right."""
    found = {}
    for case, cells in table.items():
        peers = [float(text) for name, text in cells.items() if name not in OURS and is_right(text)]
        if peers:
            found[case] = min(peers) / float(cells["theoryrl, auto"])
    return found


def report(table: dict[str, dict[str, str]], limit: float) -> str:
    """Return the page of the documentation."""
    lines = ["| | " + " | ".join(CONTESTANTS) + " | best peer / auto |"]
    lines.append("|---" * (len(CONTESTANTS) + 2) + "|")
    found = ratios(table)
    for case, cells in table.items():
        ratio = f"{found[case]:.3g}" if case in found else "no peer is right in time"
        lines.append(f"| {case} | " + " | ".join(cells[name] for name in CONTESTANTS) + f" | {ratio} |")
    mean = math.exp(np.mean(np.log(list(found.values())))) if found else math.nan
    slower = [case for case, ratio in found.items() if ratio < 1]
    packages = ", ".join(
        installed(name) for name in ("pymdptoolbox", "mdpsolver", "stormpy", "numba", "scipy")
    )
    verdict = (
        f"The default is slower than the best peer on: {'; '.join(slower)}."
        if slower
        else ("The default is nowhere slower than the best peer.")
    )
    return f"""# Average reward: speed

Seconds to an error of 1e-6 in the optimal gain, one thread, at most {limit:g} s each (model building not
counted). Ours comes with a proven bound. Of the peers, the gain (where one is
reported) and the policy are checked against it, and what is off by more than 2e-6 is said; such a time
does not count as a peer's. QuantEcon has no solver for the average reward.

{chr(10).join(lines)}

Over the {len(found)} cases in which a peer is right within the limit, the best peer takes {mean:.3g} times
as long as our default in the geometric mean. {verdict}

The tiny models are where calls between Python and compiled code cost more than the solution; the long ones
are where value iteration needs more sweeps than there are states, and one sparse linear system does not.

Made by `OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python experiments/benchmarks/average.py --limit {limit:g}`
with Python {platform.python_version()}, theoryrl {theoryrl.__version__}, {packages},
on {os.cpu_count()} cores of a shared machine: single times are uncertain by tens of per cent, ratios less so.
"""


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for each contestant and case")
    arguments = parser.parse_args()
    table: dict[str, dict[str, str]] = {}
    for case, build in CASES.items():
        mdp = build()
        optimum = float(average.policy_iteration(mdp, 1e-8).value[0])
        table[case] = {}
        for name in CONTESTANTS:
            result = measure(case, name, arguments.repetitions, arguments.limit)
            table[case][name] = cell(mdp, optimum, result)
            print(f"{case}: {name}: {table[case][name]}", file=sys.stderr, flush=True)
    text = report(table, arguments.limit)
    print(text)
    if all("failed: ModuleNotFoundError" not in cell for row in table.values() for cell in row.values()):
        REPORT.write_text(text)


if __name__ == "__main__":
    main()
