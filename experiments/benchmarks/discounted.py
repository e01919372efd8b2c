"""Seconds to solve discounted models, here and by the peers, to the same checked error, in the same run.

    python experiments/benchmarks/discounted.py

Everyone may use the same number of threads (`--threads`, told to OpenMP, OpenBLAS, Numba and theoryrl);
who solves a case in a few seconds is measured with one thread as well, and the faster counts. Each
contestant solves each case in a process of its own, with its model built beforehand and one run that is
not counted (it compiles). The error is checked: the values must be within 1e-6 of ours, which are
certified to 1e-7; a peer whose values are not is asked again with a tolerance ten times smaller, up to
four times. Peers are not dependencies: those that are installed beside theoryrl are compared
(`pip install quantecon mdpsolver mdplib jaxdp stormpy`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from _report import table, write_page

from theoryrl import instances, solve
from theoryrl.models import DiscountedMDP, to_quantecon
from theoryrl.solvers._threads import in_parts
from theoryrl.solvers.discounted._operators import Tabular

TOL = 1e-6
SHORT = 3.0
"""Seconds up to which a case is solved again with a single thread."""
CASES: dict[str, Callable[[], DiscountedMDP]] = {
    "dense 1000 x 20, 0.99": lambda: instances.discounted_random(1000, 20, 0.99),
    "dense garnet 300 x 10, 0.999": lambda: as_dense(instances.discounted_garnet(300, 10, 10, 0.999)),
    "garnet 10^5 x 4 x 8, 0.99": lambda: instances.discounted_garnet(100_000, 4, 8, 0.99),
    "grid 300 x 300, 0.999": lambda: instances.discounted_gridworld(300, 300, 0.999),
    "replacement 10^4, 0.9999": lambda: instances.replacement(10_000, 0.9999),
    "replacement 10^5, 0.9999": lambda: instances.replacement(100_000, 0.9999),
    "inventory 10^4, 0.9999": lambda: instances.inventory(10_000, 11, 10, 20, 0.9999),
    "inventory 10^5, 0.9999": lambda: instances.inventory(100_000, 11, 10, 20, 0.9999),
}
MEMORY: dict[str, Callable[[], DiscountedMDP]] = {
    "dense 1000 x 20": CASES["dense 1000 x 20, 0.99"],
    "garnet 10^5 x 4 x 8": CASES["garnet 10^5 x 4 x 8, 0.99"],
    "garnet 10^5 x 1 x 32": lambda: instances.discounted_garnet(100_000, 1, 32, 0.99),
}
METHODS = [
    "auto",
    "value-iteration",
    "gauss-seidel",
    "anderson",
    "modified-policy-iteration",
    "policy-iteration",
]
Solve = Callable[[], Any]
Start = Callable[[float], tuple[Solve, Callable[[Any], Any]]]
"""Makes ready, for a tolerance, the solve that is measured, and what reads the values off its answer."""


def as_dense(mdp: DiscountedMDP) -> DiscountedMDP:
    """Return a sparse model as a dense one."""
    return DiscountedMDP(mdp.dense_P(), mdp.r, mdp.gamma)


def theoryrl(mdp: DiscountedMDP, threads: int) -> Start:
    """Our own `solve`."""
    return lambda tol: (lambda: solve(mdp, tol=tol, threads=threads), lambda answer: answer.value)


def quantecon(mdp: DiscountedMDP, method: str) -> Start:
    """QuantEcon's `DiscreteDP`, whose values are within half its epsilon."""
    from quantecon.markov import DiscreteDP

    problem = DiscreteDP(**to_quantecon(mdp))

    def start(tol: float) -> tuple[Solve, Callable[[Any], Any]]:
        return lambda: problem.solve(method=method, epsilon=2 * tol, max_iter=10**7), lambda answer: answer.v

    return start


def mdpsolver(mdp: DiscountedMDP, algorithm: str, update: str) -> Start:
    """Solve with mdpsolver, in C++ with OpenMP; only models in which every action is available.

    A new model each time: a model that was solved starts from its last answer.
    """
    import mdpsolver as package

    if not mdp.mask.all():
        raise NotImplementedError("needs every action everywhere")
    if mdp.is_sparse:
        bounds = mdp.P.row_starts
        rows = [(bounds[i], bounds[i + 1]) for i in range(mdp.P.n_rows)]
        A = mdp.n_actions
        tables = [
            [
                [values[low:high].tolist() for low, high in rows[s * A : s * A + A]]
                for s in range(mdp.n_states)
            ]
            for values in (mdp.P.probabilities, mdp.P.next_states)
        ]
        shape = {"tranMatProbs": tables[0], "tranMatColumns": tables[1]}
    else:
        shape = {"tranMatWithZeros": mdp.P.tolist()}
    rewards = mdp.r.tolist()

    def start(tol: float) -> tuple[Solve, Callable[[Any], Any]]:
        model = package.model()
        model.mdp(discount=mdp.gamma, rewards=rewards, **shape)
        options = {"tolerance": tol, "update": update}
        return lambda: model.solve(algorithm=algorithm, **options), lambda _: model.getValueVector()

    return start


def mdplib(mdp: DiscountedMDP) -> Start:
    """Policy iteration of mdplib; its models are tables of all S A S transitions, made by Python calls."""
    import mdp as package

    if mdp.n_states > 1000 or mdp.n_states * mdp.r.size > 2_000_000:
        raise NotImplementedError("its table of transitions takes too long to build")
    P, r = mdp.dense_P(), mdp.r
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it writes a file of transitions
        model = package.MDP(
            list(range(mdp.n_states)),
            list(range(mdp.n_actions)),
            lambda s, a, t: P[s, a, t],
            lambda s, a, t: r[s, a],
        )

    def start(tol: float) -> tuple[Solve, Callable[[Any], Any]]:
        options = {"gamma": mdp.gamma, "tol": tol, "norm_type": 1, "verbose": False}  # 1 is the sup norm
        return lambda: model.PI(**options), lambda _: np.asarray(model.value, dtype=float).ravel()

    return start


def jaxdp(mdp: DiscountedMDP, planner: str) -> Start:
    """Solve with jaxdp, on dense arrays in double precision."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import chex
    import jax.numpy as jnp
    import jaxdp as package

    if mdp.is_sparse:
        raise NotImplementedError("dense only")
    S = mdp.n_states
    transition = jnp.asarray(mdp.P.transpose(1, 2, 0))
    reward = jnp.broadcast_to(jnp.asarray(mdp.r.T)[:, :, None], (mdp.n_actions, S, S))
    model = package.MDP(
        transition=transition, reward=reward, initial=jnp.full(S, 1 / S), terminal=jnp.zeros(S)
    )
    solver = getattr(package, planner)(gamma=mdp.gamma)
    update = chex.chexify(jax.jit(solver.update), async_check=False)
    policy = [jnp.full((mdp.n_actions, S), 1 / mdp.n_actions)] if planner == "PolicyIteration" else []
    initial = chex.chexify(jax.jit(solver.init), async_check=False)

    def run(tol: float) -> Any:
        state = initial(model, *policy)
        while True:
            following = update(model, state)
            following = following[0] if isinstance(following, tuple) else following
            change = float(jnp.abs(following.v_val - state.v_val).max())
            state = following
            if change * mdp.gamma / (1 - mdp.gamma) <= tol:
                return state.v_val

    return lambda tol: (lambda: run(tol), np.asarray)


def stormpy(mdp: DiscountedMDP) -> Start:
    """Storm's total reward until a sink, which is entered with probability 1 - gamma in every step."""
    import stormpy as package
    from stormpy.developer import storage

    S, rows = mdp.n_states, mdp.sparse_P()
    builder = storage.SparseMatrixBuilder(0, 0, 0, False, True, 0)
    rewards, row = [], 0
    for s in range(S):
        builder.new_row_group(row)
        for a in np.flatnonzero(mdp.mask[s]):
            i = s * mdp.n_actions + int(a)
            low, high = rows.indptr[i], rows.indptr[i + 1]
            successors: dict[int, float] = {}
            for t, p in zip(rows.indices[low:high].tolist(), rows.data[low:high].tolist(), strict=True):
                successors[t] = successors.get(t, 0.0) + mdp.gamma * p
            for t in sorted(successors):
                builder.add_next_value(row, t, successors[t])
            builder.add_next_value(row, S, 1 - mdp.gamma)
            rewards.append(float(mdp.r[s, a]))
            row += 1
    builder.new_row_group(row)
    builder.add_next_value(row, S, 1.0)
    labels = storage.StateLabeling(S + 1)
    for name, state in (("init", 0), ("sink", S)):
        labels.add_label(name)
        labels.add_label_to_state(name, state)
    model = storage.SparseRewardModel(optional_state_action_reward_vector=[*rewards, 0.0])
    parts = storage.SparseModelComponents(builder.build(), labels, {"r": model}, False)
    chain = storage.SparseMdp(parts)
    goal = package.parse_properties('R{"r"}max=? [F "sink"]')[0]

    def run(tol: float) -> Any:
        environment = package.Environment()
        minmax = environment.solver().min_max()
        minmax.precision = package.Rational(tol)
        minmax.relative_termination_criterion = False
        return package.model_checking(chain, goal, environment=environment)

    def read(answer: Any) -> Any:
        return np.array([answer.get_value(s) for s in range(S)], dtype=float)

    return lambda tol: (lambda: run(tol), read)


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
CONTESTANTS: dict[str, Callable[[DiscountedMDP], Start]] = {
    "theoryrl": lambda mdp: theoryrl(mdp, int(os.environ[THREADS[0]])),
    "QuantEcon MPI": lambda mdp: quantecon(mdp, "mpi"),
    "QuantEcon PI": lambda mdp: quantecon(mdp, "pi"),
    "QuantEcon VI": lambda mdp: quantecon(mdp, "vi"),
    "mdpsolver MPI": lambda mdp: mdpsolver(mdp, "mpi", "standard"),
    "mdpsolver MPI, Gauss-Seidel": lambda mdp: mdpsolver(mdp, "mpi", "gs"),
    "mdplib PI": mdplib,
    "jaxdp PI": lambda mdp: jaxdp(mdp, "PolicyIteration"),
    "jaxdp VI": lambda mdp: jaxdp(mdp, "ValueIteration"),
    "stormpy": stormpy,
}


def contest(case: str, contestant: str, repetitions: int) -> dict[str, Any]:
    """Solve one case by one contestant; called in a process of its own."""
    mdp = CASES[case]()
    best = solve(mdp, tol=1e-7).value
    try:
        start = CONTESTANTS[contestant](mdp)
    except (ImportError, NotImplementedError) as reason:
        return {"absent": str(reason)}
    tol = TOL
    for _ in range(5):
        run, read = start(tol)
        error = float(np.abs(np.asarray(read(run())) - best).max())
        if error <= TOL:
            break
        tol /= 10
    seconds: list[float] = []
    while len(seconds) < repetitions and sum(seconds) < 10:
        run = start(tol)[0]
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return {"seconds": seconds, "error": error, "tol": tol}


def in_process(arguments: list[str], threads: int, limit: float) -> Any:
    """Call this script in a new process with that many threads, for at most `limit` seconds."""
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
    command = [sys.executable, __file__, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"absent": f"more than {limit:.0f} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return {"absent": f"failed: {last[:80]}"}
    return json.loads(lines[-1])


def measure(case: str, contestant: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the better of the result with all threads and, if that is quick, the one with a single one."""
    words = ["--contest", case, contestant, "--repetitions", str(arguments.repetitions)]
    first = in_process(words, arguments.threads, arguments.limit)
    if "absent" in first or arguments.threads == 1 or np.median(first["seconds"]) > SHORT:
        return first
    second = in_process(words, 1, arguments.limit)
    if "absent" in second:
        return first
    return min(first, second, key=lambda one: (one["error"] > TOL, float(np.median(one["seconds"]))))


def bandwidth(threads: int, repetitions: int = 20) -> dict[str, float]:
    """Return bytes per second of reading 160 MB, and of one Bellman sweep over as many, nothing skipped.

    The reader is a BLAS matrix-vector product in each thread.
    """
    mdp = CASES["dense 1000 x 20, 0.99"]()
    operator, h = Tabular.of(mdp, threads), np.random.default_rng(0).random(mdp.n_states)
    W, actions = np.empty(mdp.n_states), np.empty(mdp.n_states, dtype=np.int64)
    flat, ones = mdp.P.reshape(-1), np.ones(1 << 12)
    pages = flat[: flat.size // ones.size * ones.size].reshape(-1, ones.size)
    reads, sweeps = [], []

    def read(low: int, high: int) -> None:
        pages[low:high] @ ones

    for _ in range(repetitions):
        start = time.perf_counter()
        in_parts(read, pages.shape[0], mdp.P.size, threads)
        middle = time.perf_counter()
        operator.bellman(h, None, W, actions)
        sweeps.append(time.perf_counter() - middle)
        reads.append(middle - start)
    return {"read": mdp.P.nbytes / float(np.median(reads)), "sweep": mdp.P.nbytes / float(np.median(sweeps))}


def memory(case: str, method: str) -> dict[str, float]:
    """Return the bytes of a model's transitions, and the most that arrays took while solving it."""
    mdp = MEMORY[case]()
    solve(mdp, method, tol=TOL)  # compiles, which takes memory of its own
    tracemalloc.start()
    solve(mdp, method, tol=TOL)
    peak = tracemalloc.get_traced_memory()[1]
    return {"model": mdp.P.nbytes, "growth": peak, "vector": 8 * mdp.n_states}


def chosen(names: Iterable[str], parts: list[str]) -> list[str]:
    """Return the names that contain one of the parts, or all where there are none."""
    return [name for name in names if not parts or any(part in name for part in parts)]


def cell(result: dict[str, Any]) -> str:
    """Return the median time, or why there is none."""
    if "absent" in result:
        return result["absent"]
    text = f"{np.median(result['seconds']):.3g}"
    return text if result["error"] <= TOL else f"{text} (error {result['error']:.1g})"


def compare(results: dict[str, dict[str, dict[str, Any]]]) -> tuple[list[list[str]], float, list[str]]:
    """Return the rows, the geometric mean of the ratios to the best peer, and where a peer is faster."""
    names = [name for name in CONTESTANTS if name != "theoryrl"]
    rows, ratios, lost = [], [], []
    for case, row in results.items():
        if row["theoryrl"].get("error", np.inf) > TOL:
            raise RuntimeError(f"theoryrl did not solve {case}: {row['theoryrl']}")
        ours = float(np.median(row["theoryrl"]["seconds"]))
        times = {
            name: float(np.median(row[name]["seconds"]))
            for name in names
            if "seconds" in row[name] and row[name]["error"] <= TOL
        }
        if not times:
            rows.append([case, f"{ours:.3g}", "none", "", ""])
            continue
        best = min(times, key=lambda name: times[name])
        ratios.append(times[best] / ours)
        if ratios[-1] < 1:
            lost.append(case)
        rows.append([case, f"{ours:.3g}", f"{times[best]:.3g}", f"{ratios[-1]:.1f}", best])
    mean = float(np.exp(np.mean(np.log(ratios)))) if ratios else float("nan")
    return rows, mean, lost


def details(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return all times."""
    return table(
        ["case", *CONTESTANTS],
        [[case, *(cell(row[name]) for name in CONTESTANTS)] for case, row in results.items()],
    )


def growth(words: dict[str, Any]) -> str:
    """Return how much memory a solve took, in parts of the model and in vectors of one number per state."""
    if "absent" in words:
        return str(words["absent"])
    return f"{words['growth'] / words['model']:.2f} ({words['growth'] / words['vector']:.0f})"


def processor() -> str:
    """Return the name of the CPU model."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def report(results: dict[str, Any], speed: dict[str, float], sizes: dict[str, Any], options: Any) -> str:
    """Return the page of the documentation."""
    rows, mean, lost = compare(results)
    behind = "A peer is faster on: " + ", ".join(lost) + "." if lost else "No peer is faster on any case."
    grown = [[case, *(growth(row[method]) for method in METHODS)] for case, row in sizes.items()]
    return f"""Seconds to solve a model so that every state's value is within 1e-6 of the optimum: the
median of up to {options.repetitions} runs, after one that is not counted (it compiles), each contestant in
a process of its own. The error is checked against values that are certified to 1e-7; a peer whose answer is
further off is asked again with a tolerance ten times smaller, up to four times; one that still misses it,
or takes more than {options.limit:.0f} s in all, with building its models and all runs, does not count.
Everyone may use {options.threads} threads; where one thread is faster, that counts.
theoryrl is `solve(mdp, tol=1e-6)`, whose time includes the proof of the error.

{table(["case", "theoryrl, s", "best peer, s", "ratio", "best peer"], rows)}
Geometric mean of the ratios: {mean:.1f}. {behind}

All times, in seconds:

{details(results)}
stormpy has no discounted reward of this kind: a sink that is entered with probability 1 - gamma stands for
it. mdpsolver takes models in which every action is available everywhere; jaxdp takes dense models; mdplib
builds its tables by calls from Python, one for each of the S A S entries.

## Bandwidth

One Bellman sweep over the dense model of 1000 states and 20 actions, of which nothing is skipped, reads
{speed["sweep"] / 1e9:.1f} GB/s: {speed["sweep"] / speed["read"]:.2f} times what matrix-vector products
of BLAS in as many threads read of the same 160 MB ({speed["read"] / 1e9:.1f} GB/s). Most sweeps of a
solve read far less: an action whose bound is below the value of another one is not looked at.

## Memory

The most memory that arrays took while a model was solved, in parts of the model's own transitions (in
vectors of one number per state):

{table(["model", *METHODS], grown)}
Policy iteration writes down the chain of one policy, which with a single action is the model; the other
methods read the model in place.

On {processor()}; other programs may have run at the same time: ratios are steadier than times."""


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--limit", type=float, default=180.0, help="seconds per contestant and case")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="for every contestant")
    parser.add_argument("--only", nargs="*", default=[], help="cases that contain one of these; no page then")
    parser.add_argument("--against", nargs="*", default=[], help="peers that contain one of these; no page")
    parser.add_argument("--contest", nargs=2, metavar=("CASE", "CONTESTANT"), help="one cell, as JSON")
    parser.add_argument("--memory", nargs=2, metavar=("CASE", "METHOD"), help="one cell, as JSON")
    parser.add_argument("--bandwidth", action="store_true", help="as JSON")
    options = parser.parse_args()
    if options.contest:
        print(json.dumps(contest(*options.contest, options.repetitions)))
    elif options.memory:
        print(json.dumps(memory(*options.memory)))
    elif options.bandwidth:
        print(json.dumps(bandwidth(options.threads)))
    else:
        everything(options)


def everything(options: argparse.Namespace) -> None:
    """Run all cells, each in a process of its own, and write the page."""
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for case in chosen(CASES, options.only):
        results[case] = {name: {"absent": "not asked"} for name in CONTESTANTS}
        for name in dict.fromkeys(["theoryrl", *chosen(CONTESTANTS, options.against)]):
            results[case][name] = measure(case, name, options)
            print(f"{case}: {name}: {cell(results[case][name])}", flush=True)
    speed = in_process(["--bandwidth", "--threads", str(options.threads)], 1, options.limit)
    sizes = {
        case: {method: in_process(["--memory", case, method], 1, options.limit) for method in METHODS}
        for case in ([] if options.only else MEMORY)
    }
    body = report(results, speed, sizes, options)
    if options.only or options.against:
        print(body)
        return
    command = f"python experiments/benchmarks/discounted.py --repetitions {options.repetitions} "
    command += f"--limit {options.limit:.0f} --threads {options.threads}"
    peers = ("scipy", "quantecon", "mdpsolver", "mdplib", "jaxdp", "stormpy")
    write_page("discounted", "Discounted models: speed", body, command, peers)


if __name__ == "__main__":
    main()
