"""Seconds of matrix games and Markov games beside HiGHS, and episodes per second of MEX in a game.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/mex_games.py

The peer for equilibria is SciPy's HiGHS, one linear program for each matrix game; for the learner a plain
NumPy loop that does the same with the same precomputed plans. Writes docs/benchmarks/mex-games.md.
"""

from __future__ import annotations

import argparse
import math
from functools import partial

import numpy as np
from _report import seconds_of, table, write_page

from theoryrl import play, solve
from theoryrl.instances import random_candidate_game, random_markov_game, risky_game
from theoryrl.learners import MEXGame, NashVI
from theoryrl.learners._candidates import CandidatePlans
from theoryrl.models import CandidateGame, MatrixGame
from theoryrl.solvers import matrix_game_equilibrium, small_matrix_game

COMMAND = "OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/mex_games.py"


def solve_all(games: list[MatrixGame], solver: object) -> float:
    """Solve many matrix games; return the largest gap."""
    assert callable(solver)
    return max(solver(game).gap for game in games)


def matrix_rows(repetitions: int) -> list[list[str]]:
    """Return the rows on single matrix games."""
    rows, rng = [], np.random.default_rng(0)
    for n, m in ((2, 2), (4, 4), (10, 10), (30, 30)):
        games = [MatrixGame(rng.random((n, m))) for _ in range(50)]
        ours = seconds_of(partial(solve_all, games, small_matrix_game), repetitions) / len(games)
        theirs = seconds_of(partial(solve_all, games, matrix_game_equilibrium), repetitions) / len(games)
        gaps = [solve_all(games, solver) for solver in (small_matrix_game, matrix_game_equilibrium)]
        rows.append(
            [
                f"{n} x {m}, full solution object",
                f"{1e6 * np.median(ours):,.0f}",
                f"{1e6 * np.median(theirs):,.0f}",
                f"{np.median(theirs) / np.median(ours):,.0f}",
                f"{gaps[0]:.1e} / {gaps[1]:.1e}",
            ]
        )
    return rows


def game_rows(repetitions: int) -> list[list[str]]:
    """Return the rows on whole Markov games."""
    rows = []
    for S, A, B, H in ((4, 2, 2, 3), (10, 4, 4, 5), (20, 5, 5, 10)):
        game = random_markov_game(S, A, B, H, seed=1)
        ours = seconds_of(partial(solve, game), repetitions)
        theirs = seconds_of(partial(solve, game, "linear-program"), max(1, repetitions // 2), warm_up=0)
        gaps = [solve(game, method).gap for method in ("simplex", "linear-program")]
        rows.append(
            [
                f"S = {S}, A = {A}, B = {B}, H = {H} ({S * H} matrix games)",
                f"{1e6 * np.median(ours):,.0f}",
                f"{1e6 * np.median(theirs):,.0f}",
                f"{np.median(theirs) / np.median(ours):,.0f}",
                f"{gaps[0]:.1e} / {gaps[1]:.1e}",
            ]
        )
    return rows


def plain_loop(model: CandidateGame, eta: float, rounds: int, seed: int) -> float:
    """Play MEX as one would write it down: NumPy per episode and step; return the regret."""
    rng, plans, truth = np.random.default_rng(seed), CandidatePlans(model.candidates), model.game
    M, star = len(model.candidates), model.truth
    H, S, A, B = truth.r.shape
    responses = [plans.responses(f) for f in range(M)]
    losses, regret = np.zeros(M), 0.0
    for _ in range(rounds):
        f = int(np.argmax(plans.values - eta * losses))
        g = int(np.argmax(-responses[f].start - eta * losses))
        mu, nu = plans.policies[f], responses[f].nu[g]
        s = rng.choice(S, p=truth.rho)
        for h in range(H):
            a, b = rng.choice(A, p=mu[h, s]), rng.choice(B, p=nu[h, s])
            t = rng.choice(S, p=truth.P[h, s, a, b])
            losses -= plans.log_P[:, h, s, a, b, t]
            s = t
        regret += plans.values[star] - responses[f].start[star]
    return regret


def learner_rows(rounds: int, repetitions: int) -> list[list[str]]:
    """Return the rows on whole runs."""
    rows = []
    models = {
        "risky game, M = 8": risky_game(),
        "S = 4, A = B = 2, H = 3, M = 20": random_candidate_game(),
    }
    eta = 1 / math.sqrt(rounds)
    for name, model in models.items():
        mex = seconds_of(partial(play, model, MEXGame(eta=eta), rounds), repetitions)
        plain = seconds_of(partial(plain_loop, model, eta, rounds, 0), repetitions)
        vi = seconds_of(partial(play, model, NashVI(), rounds), repetitions)
        rows.append(
            [name, *(f"{rounds / np.median(seconds):,.0f}" for seconds in (mex, plain, vi)),
             f"{np.median(plain) / np.median(mex):.1f}"]
        )  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    repetitions = arguments.repetitions
    learning = ["episodes / s", "MEX", "plain NumPy loop", "Nash-VI", "MEX / loop"]
    header = ["", "ours, µs", "HiGHS, µs", "ratio", "gap, ours / HiGHS"]
    body = f"""One thread; medians of {repetitions} repetitions after one that is not counted. The machine was
shared with other work while this was measured, so single figures can be off by a factor of two or more;
ratios are of one run.

## Equilibria

{table(header, [*matrix_rows(repetitions), *game_rows(repetitions)])}
A Markov game's time includes both best responses of its certificate.

## MEX in self-play

Whole runs of {arguments.rounds:,} episodes, planning in all candidates and the exact value of every
episode's policy included. The plain loop draws with `Generator.choice` and updates the same losses.

{table(learning, learner_rows(arguments.rounds, repetitions))}"""
    write_page("mex-games", "Markov games: speed", body, COMMAND, ("scipy",))


if __name__ == "__main__":
    main()
