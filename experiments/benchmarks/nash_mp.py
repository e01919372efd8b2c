"""Speed of preference games: iterations, equilibria and winners, against general solvers and peers.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python experiments/benchmarks/nash_mp.py

Peers that are not installed are left out, and said to be; `--cvxpy N` sets the size of the convex program.
Writes docs/benchmarks/nash-mp.md.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _report import seconds_of, table, write_page

from theoryrl.instances import intransitive_contexts
from theoryrl.learners import NashMP
from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.protocol import PreferenceProblem, play
from theoryrl.solvers import (
    exploitability,
    exploitability_gap,
    lipschitz_constant,
    regularized_equilibrium,
    von_neumann_winner,
)
from theoryrl.solvers.simplex import log_normalize

Rows = list[list[str]]


def random_game(n: int, seed: int = 0) -> PreferenceGame:
    """Return a game with independent uniform preferences."""
    return PreferenceGame.random(n, np.random.default_rng(seed))


def shown(seconds: np.ndarray, factor: float = 1e3) -> list[str]:
    """Return median, least and most, in milliseconds unless the factor says otherwise."""
    return [f"{factor * x:,.3g}" for x in (np.median(seconds), seconds.min(), seconds.max())]


def once(run: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a run returns, and its seconds."""
    started = time.perf_counter()
    return run(), time.perf_counter() - started


def iterations(n: int, repetitions: int) -> Rows:
    """Time pairs of products and whole iterations in turn, so that both see the same machine."""
    game = random_game(n)
    model, A = game.regularized(0.05), game.skew[0]
    problem, learner, count = PreferenceProblem(model), NashMP(), 10
    pi = np.exp(model.log_reference[0])
    products, whole = [], []
    for _ in range(repetitions):
        products.append(seconds_of(lambda: [A @ (A @ pi) for _ in range(count)], 1)[0] / count)
        whole.append(seconds_of(lambda: play(problem, learner, 2 * count), 1)[0] / count)
    ratio = np.array(whole) / np.array(products)
    return [
        [f"two products, n = {n:,}", *shown(np.array(products))],
        ["Nash-MP iteration, scored exactly, by `play`", *shown(np.array(whole))],
        ["ratio of the two", *(f"{x:.2f}" for x in (np.median(ratio), ratio.min(), ratio.max()))],
    ]


def contextual(repetitions: int) -> Rows:
    """Time 100 iterations in 50 contexts of 20 actions, scored after each query, and the equilibrium."""
    game = intransitive_contexts()
    problem = PreferenceProblem(game)
    taken = seconds_of(lambda: play(problem, NashMP(), 200), repetitions)
    exact = seconds_of(lambda: regularized_equilibrium(game), repetitions)
    return [
        ["100 iterations of Nash-MP, 50 contexts of 20 actions", *shown(taken)],
        ["their equilibria by Newton's method", *shown(exact)],
    ]


def convex_program(model: RegularizedGame) -> tuple[np.ndarray, float]:
    """Minimise the gap with cvxpy and Clarabel; return the policy, renormalised, and the solver's seconds."""
    import cvxpy as cp

    n = model.shape[1]
    pi = cp.Variable(n)
    gap = model.beta * cp.log_sum_exp(model.log_reference[0] + model.game.skew[0] @ pi / model.beta)
    gap += model.beta * cp.sum(cp.rel_entr(pi, np.exp(model.log_reference[0])))
    program = cp.Problem(cp.Minimize(gap), [cp.sum(pi) == 1])
    _, seconds = once(lambda: program.solve(solver="CLARABEL"))
    policy = np.maximum(pi.value, 1e-300)
    return policy / policy.sum(), seconds


def equilibria(sizes: list[int], program_sizes: list[int]) -> Rows:
    """Time the regularised equilibrium, and the convex program where it is affordable."""
    rows = []
    for n in sizes:
        rng = np.random.default_rng(n)
        model = RegularizedGame(random_game(n, n), 0.05, log_normalize(rng.normal(size=(1, n))))
        solution = regularized_equilibrium(model)
        ours = seconds_of(lambda model=model: regularized_equilibrium(model), 3, 0)
        rows.append([f"Newton, n = {n:,}", f"{np.median(ours):.3g}", f"{solution.gap:.1e}", ""])
        if n in program_sizes:
            policy, seconds = convex_program(model)
            reached = float(exploitability_gap(model, np.log(policy)[None])[0])
            ratio = seconds / np.median(ours)
            rows.append(
                [f"cvxpy with Clarabel, n = {n:,}", f"{seconds:.3g}", f"{reached:.1e}", f"{ratio:,.0f}"]
            )
    return rows


def winners(n: int) -> Rows:
    """Time the unregularised winner by both methods and by peers, on one game."""
    game = random_game(n, 1)
    A = game.skew[0]
    found: list[tuple[str, float, np.ndarray | None]] = []
    for name, method in (
        ("support-newton", "support-newton"),
        ("linear program (SciPy's HiGHS)", "linear-program"),
    ):
        solution, seconds = once(lambda method=method: von_neumann_winner(game, method))
        found.append((name, seconds, solution.policy.probabilities[0]))
    found += [peer(A) for peer in (nashpy_winner, open_spiel_winner)]
    ours = found[0][1]
    rows = []
    for name, seconds, policy in found:
        if policy is None:
            rows.append([name, "—", "—", "—"])
            continue
        loss = float(exploitability(game, policy[None])[0])
        rows.append([f"{name}, n = {n:,}", f"{seconds:.3g}", f"{loss:.1e}", f"{seconds / ours:.1f}"])
    return rows


def nashpy_winner(A: np.ndarray) -> tuple[str, float, np.ndarray | None]:
    """Solve the game with nashpy's linear program."""
    try:
        import nashpy
    except ImportError:
        return "nashpy (not installed)", 0.0, None
    (row, _), seconds = once(lambda: nashpy.Game(A).linear_program())
    row = np.maximum(row, 0)
    return "nashpy, linear_program", seconds, row / row.sum()


def open_spiel_winner(A: np.ndarray) -> tuple[str, float, np.ndarray | None]:
    """Solve the game with OpenSpiel's linear program for zero-sum matrix games."""
    try:
        import pyspiel
        from open_spiel.python.algorithms import lp_solver
    except ImportError:
        return "OpenSpiel (not installed)", 0.0, None
    game = pyspiel.create_matrix_game(
        "preference", "", [str(i) for i in range(len(A))], [str(i) for i in range(len(A))], A, -A
    )
    try:
        found, seconds = once(lambda: lp_solver.solve_zero_sum_matrix_game(game))
    except ImportError as error:
        return f"OpenSpiel (its solver needs {error.name})", 0.0, None
    row = np.maximum(np.ravel(found[0]), 0)
    return "OpenSpiel, lp_solver", seconds, row / row.sum()


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument(
        "--cvxpy", type=int, nargs="*", default=[200, 1000], help="sizes of the convex program"
    )
    parser.add_argument("--peers", type=int, nargs="*", default=[100, 500], help="sizes of the winners")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    game = random_game(1000)
    lipschitz_constant(game)
    constant = seconds_of(lambda: lipschitz_constant(game), 3, 0)
    header = ["milliseconds", "median", "least", "most"]
    speed = [*iterations(2000, options.repetitions), *contextual(options.repetitions)]
    speed.append(["L(P), n = 1,000", *shown(constant)])
    exact = equilibria([200, 1000, 3000], options.cvxpy)
    beaten = [row for n in options.peers for row in winners(n)]
    body = f"""Random games with independent uniform preferences, one thread, all in one run. The two
cores were shared with other work, so absolute times are too long; what is compared ran in turn.

{table(header, speed)}
`play` scores the held policy after every query. It remembers the products of the last two policies, so that
an iteration costs two products and little else.

Regularised equilibria at beta = 0.05, with the bound on the gap that is proved (ours) or the gap that is
reached (the convex program, as Clarabel stops at its own tolerance):

{table(["solver", "seconds", "gap", "times ours"], exact)}
Von Neumann winners without regularisation, and by how much the best opponent beats them:

{table(["solver", "seconds", "exploitability", "times ours"], beaten)}"""
    write_page(
        "nash-mp",
        "Preference games: speed",
        body,
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python experiments/benchmarks/nash_mp.py",
        ("scipy", "cvxpy", "clarabel", "nashpy", "open-spiel"),
    )


if __name__ == "__main__":
    main()
