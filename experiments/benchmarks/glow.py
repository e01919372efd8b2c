"""Seconds of GLOW and its relatives, next to a straightforward NumPy version of GLOW, in one run.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/glow.py

There is no peer: the paper has no code, and no other implementation is known. Writes docs/benchmarks/glow.md.
"""

from __future__ import annotations

import argparse
import math
import warnings
from functools import partial
from typing import Any

import numpy as np
from _report import seconds_of, table, write_page

from theoryrl.instances import defect_class, hybrid_lock, incomplete_class, random_dirichlet, rich_lock
from theoryrl.learners import GLOW, HyGLOW, population_glow
from theoryrl.protocol import play
from theoryrl.solvers import coverability
from theoryrl.theory import verify

COMMAND = "OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/glow.py"
K, ROUNDS, GAMMA = 400, 600, 0.07


def plain_glow(rounds: int, seed: int = 0) -> int:
    """Run GLOW on the two functions as one would write it in NumPy; return how often the bad one is played.

    Episodes of a round are drawn at once, residuals and weights are kept as sums, all rounds are tested.
    """
    model = incomplete_class(oracle=True)
    Q, mdp, rng = model.hypotheses.functions.Q, model.mdp, np.random.default_rng(seed)
    H, S, A = mdp.r.shape
    L = math.log(6 * 2 * rounds * H / 0.05) + math.log(2 * math.comb(rounds + 1, 2))
    actions, V = Q.argmax(axis=3), np.concatenate([Q.max(axis=3), np.zeros((2, 1, S))], axis=1)
    d = np.zeros((2, H, S, A))
    for f, h, s in np.ndindex(2, H, S):
        d[f, h, s, actions[f, h, s]] = 0.5
    N, G, counts, first, bad = np.zeros((H, S, A)), np.zeros((2, H, S, A)), np.zeros(2), np.zeros(S), 0
    for t in range(1, rounds + 1):
        alive = np.ones(2, dtype=bool)
        if t > 1:
            M, gamma_t = K * (t - 1), GAMMA * t
            past = np.einsum("n,nhsa->hsa", counts, d) + d
            w = np.minimum(np.divide(t * d, past, out=np.zeros_like(d), where=d > 0), gamma_t)
            linear = np.einsum("fhsa,nhsa->fnh", G, w) / M
            square = np.einsum("hsa,nhsa->nh", N, w**2) / M
            alive = (linear - 8 / gamma_t * square <= 36 * gamma_t * L / M).all(axis=(1, 2))
        values = np.where(alive, first @ V[:, 0].T, -1.0)
        f = 1 - int(values[::-1].argmax())
        bad += f
        s = rng.integers(S, size=K)
        first += np.bincount(s, minlength=S)
        for h in range(H):
            a = actions[f, h, s]
            r = (rng.random(K) < mdp.r[h, s, a]).astype(float)
            np.add.at(N[h], (s, a), 1)
            for g in range(2):
                np.add.at(G[g, h], (s, a), Q[g, h, s, a] - r - V[g, h + 1, s])
        counts[f] += 1
    return bad


def quiet_play(*arguments: Any) -> Any:
    """Play without the warnings that the page states."""
    with warnings.catch_warnings(action="ignore"):
        return play(*arguments)


def main() -> None:
    """Measure, print, and write the page of the documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    two, sixty = incomplete_class(oracle=True), defect_class(4, 3, 3, functions=60, oracle=True, seed=2)
    learner = GLOW(weights="mixture", episodes=K, gamma=GAMMA, ties="last")
    tuned = {"episodes": 20, "gamma": 0.3, "constants": "practical", "c_alpha": 0.3, "c_beta": 0.02}
    with warnings.catch_warnings(action="ignore"):
        observer, hybrid = GLOW(**tuned, ties="last"), HyGLOW(gamma=0.2, ties="last")
    large = random_dirichlet(n_states=200, n_actions=5, horizon=20)
    runs = {
        f"GLOW, two functions, {ROUNDS} rounds of {K} episodes": partial(play, two, learner, ROUNDS * K),
        "the same in plain NumPy": partial(plain_glow, ROUNDS),
        "noise-free GLOW, 60 functions, T = 2000": partial(population_glow, sixty, 2000, 0.1),
        "the same, version spaces counted": partial(
            population_glow, sixty, 2000, 0.1, 1.0, "mixture", "last", True
        ),
        "GLOW, 32 models, 120 observations, 100 rounds of 20": partial(
            quiet_play, rich_lock(120), observer, 2000
        ),
        "HyGLOW, 42 functions, 4 models, 1000 rounds": partial(quiet_play, hybrid_lock(), hybrid, 1000),
        "coverability, S = 200, A = 5, H = 20": partial(coverability, large),
        "`theoryrl verify glow hyglow`": partial(verify, ["glow", "hyglow"]),
    }
    rows, medians = [], {}
    for name, run in runs.items():
        taken = seconds_of(run, repetitions)
        medians[name] = float(np.median(taken))
        rows.append([name, *(f"{number:.3f}" for number in (np.median(taken), taken.min(), taken.max()))])
    relative = medians[next(iter(runs))] / medians["the same in plain NumPy"]
    last = int((play(two, learner, ROUNDS * K).stretch_values < 0.5).sum())
    body = f"""Whole runs, exact values of every policy included, one thread; {repetitions} repetitions
after one that is not counted. The machine was shared with much other work.

{table(["run", "seconds, median", "min", "max"], rows)}
The plain version is for this instance only, draws the episodes of a round at once, and keeps the same
sums. GLOW takes {relative:.2f} times as long in this run; in that time
it also scores its policies and keeps a trace. They play the bad function in {last} and {plain_glow(ROUNDS)}
rounds (with other random numbers)."""
    write_page("glow", "GLOW: speed", body, COMMAND)


if __name__ == "__main__":
    main()
