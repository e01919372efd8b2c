"""MEX in Markov games: the risky game, lock-ins, arbitrary opponents, and the terms of the proof.

Parts of the experiment on MEX, which experiments/mex.py includes as ``**GAME_PARTS``. By themselves:

    python experiments/_mex_games.py                    # these parts, a minute or two
    python experiments/_mex_games.py --quick            # fewer seeds and episodes
    python experiments/_mex_games.py --docs             # these parts, into docs/papers/figures/mex/

Values are exact: what the main player's policy guarantees, or earns against the policy that it met.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from _plots import outside_legend, panels

from theoryrl import play
from theoryrl.instances import risky_game
from theoryrl.learners import VIULCB, GreedyGame, MEXGame, MEXGameModelFree, NashVI, PosteriorGame
from theoryrl.protocol import MarkovGameProblem
from theoryrl.theory import clopper_pearson
from theoryrl.theory.evidence.game_lemmas import GAP, lock_in, lock_in_law
from theoryrl.theory.evidence.games import OPPONENTS, GameRun, audited_run

COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#000000", "#999933", "#882255")
EPISODES = 1000
REFERENCE_SEEDS = 10

LEARNERS: dict[str, Callable[[int], Any]] = {
    "MEX, η = 1/√K": lambda K: MEXGame(eta=1 / math.sqrt(K)),
    "MEX, η = 4/√K": lambda K: MEXGame(eta=4 / math.sqrt(K)),
    "MEX, η of the theory": lambda K: MEXGame(),
    "MEX, η = 4/√K, uniform exploiter": lambda K: MEXGame(eta=4 / math.sqrt(K), exploiter="uniform"),
    "model-free MEX": lambda K: MEXGameModelFree(),
    "greedy (η = ∞)": lambda K: GreedyGame(),
    "posterior sampling": lambda K: PosteriorGame(),
    "Nash-VI, c = 0.003": lambda K: NashVI(constant=0.003),
    "VI-ULCB, c = 0.03": lambda K: VIULCB(constant=0.03),
}


def regret_of(name: str, K: int, seed: int) -> np.ndarray:
    """Return the regret after each episode of one run on the risky game."""
    return play(risky_game(), LEARNERS[name](K), K, seed).regret


def games(setting: Setting) -> Part:
    """Regret in self-play on the risky game: all learners, ten seeds as in the reference, and more."""
    K = setting.scope.pick(200, EPISODES)
    seeds = setting.scope.seeds(3, 60)
    jobs = [(name, K, seed) for name in LEARNERS for seed in seeds]
    found = dict(zip(jobs, setting.map(regret_of, jobs), strict=True))
    figure, (left, right) = panels(1, 2, width=5.2, height=4.2)
    rows, numbers = [], dict[str, Any]()
    k = np.arange(1, K + 1)
    for y, (name, colour) in enumerate(zip(LEARNERS, COLOURS, strict=True)):
        curves = np.array([found[name, K, seed] for seed in seeds])
        final = curves[:, -1]
        left.plot(k, np.median(curves, axis=0), color=colour, label=name, linewidth=1.3)
        jitter = np.linspace(-0.25, 0.25, len(final))
        right.plot(final, y + jitter, ".", color=colour, markersize=4)
        right.plot([final.mean()], [y], "|", color="black", markersize=14)
        first = final[:REFERENCE_SEEDS]
        rows.append(
            [
                name,
                f"{first.mean():.1f} ({np.median(first):.1f})",
                f"{final.mean():.1f} ± {final.std(ddof=1) / math.sqrt(len(final)):.1f}",
                f"{np.median(final):.1f}",
                f"{final.max():.0f}",
                f"{np.mean(is_linear(curves)):.2f}",
            ]
        )
        numbers[name] = final.tolist()
    left.set(xscale="log", yscale="symlog", xlabel="episode", ylim=(0, None))
    left.set_ylabel("regret $\\sum V^* - V^{\\mu_k,\\dagger}$")
    left.set_title("median over seeds")
    left.legend(frameon=False, fontsize="x-small")
    right.set_yticks(range(len(LEARNERS)), ["" for _ in LEARNERS])
    right.invert_yaxis()
    right.set(xlabel=f"regret after {K:,} episodes", title="every seed; the bar is the mean")
    header = [
        f"K = {K:,}",
        f"mean (median) of {min(REFERENCE_SEEDS, len(seeds))} seeds",
        f"mean of {len(seeds)}",
        "median",
        "largest",
        "share linear at the end",
    ]
    return Part(figure, header, rows, numbers)


def is_linear(curves: np.ndarray) -> np.ndarray:
    """Return which runs still lose the gap of the safe action in most of the last tenth of their episodes."""
    last = curves[:, -1] - curves[:, -1 - curves.shape[1] // 10]
    return np.asarray(last >= 0.5 * GAP * (curves.shape[1] // 10))


def games_lock_in(setting: Setting) -> Part:
    """The share of runs that play *safe* for good, beside its exact law, over eta."""
    etas = setting.scope.pick([0.05, 0.3], [0.02, 0.0316, 0.05, 0.07, 0.1265, 0.241, 1.0])
    count = setting.scope.pick(40, 300)
    jobs = [(eta, range(part, count, 10)) for eta in etas for part in range(10)]
    found = setting.map(locked_runs, jobs)
    figure, (ax,) = panels(1, 1, width=5.5)
    grid = np.geomspace(0.015, 1.2, 400)
    ax.plot(grid, [lock_in_law(eta) for eta in grid], color="black", linewidth=1, label="exact law")
    ax.plot(grid, np.exp(-GAP / grid), ":", color="grey", label="$\\exp(-0.13 / \\eta)$ (Ville)")
    rows, numbers = [], dict[str, Any]()
    for index, eta in enumerate(etas):
        hits = sum(found[10 * index : 10 * index + 10])
        share = clopper_pearson(hits, count, 0.05)
        error = [[share.estimate - share.low], [share.high - share.estimate]]
        ax.errorbar([eta], [share.estimate], error, fmt="o", markersize=4, color=COLOURS[0],
                    label="MEX, 95 % interval" if index == 0 else None)  # fmt: skip
        rows.append([f"{eta:g}", f"{lock_in_law(eta):.4f}", f"{math.exp(-GAP / eta):.4f}",
                     f"{hits} of {count}", f"[{share.low:.4f}, {share.high:.4f}]"])  # fmt: skip
        numbers[f"{eta:g}"] = {"locked": hits, "runs": count, "law": lock_in_law(eta)}
    ax.set(xscale="log", xlabel="$\\eta$", ylabel="share of runs locked in")
    ax.legend(frameon=False, fontsize="small")
    header = ["η", "exact law", "exp(-0.13 / η)", "locked in", "95 % interval"]
    return Part(figure, header, rows, numbers)


def locked_runs(eta: float, seeds: range) -> int:
    """Return how many of these runs are locked in after 80 episodes."""
    return sum(lock_in(eta, 80, 100_000 + seed).locked for seed in seeds)


def games_online(setting: Setting) -> Part:
    """Against four opponents: what the bound is about, and what the policies would have guaranteed."""
    K = setting.scope.pick(100, EPISODES)
    seeds = setting.scope.seeds(2, 20)
    jobs = [(name, K, seed) for name in OPPONENTS for seed in seeds]
    found = dict(zip(jobs, setting.map(online_regrets, jobs), strict=True))
    figure, axes = panels(1, 2, width=4.8)
    rows, numbers = [], dict[str, Any]()
    k = np.arange(1, K + 1)
    for name, colour in zip(OPPONENTS, COLOURS[:1] + COLOURS[2:], strict=False):
        both = np.array([found[name, K, seed] for seed in seeds])  # [seed, kind, K]
        for ax, kind in zip(axes, (0, 1), strict=True):
            style = "--" if "frequencies" in name else "-"  # else it hides the best response
            ax.plot(k, np.median(both[:, kind], axis=0), style, color=colour, label=name)
            ax.fill_between(k, *np.quantile(both[:, kind], [0.1, 0.9], axis=0), color=colour, alpha=0.15)
        cells = [f"{both[:, i, -1].mean():.1f} ({np.median(both[:, i, -1]):.1f})" for i in (0, 1)]
        rows.append([name, *cells, f"{both[:, 1, -1].max():.0f}"])
        numbers[name] = {"online": both[:, 0, -1].tolist(), "guarantee": both[:, 1, -1].tolist()}
    axes[0].set(ylabel="$\\sum V^* - V^{\\mu_k,\\nu_k}$", title="against the opponent (bounded)")
    axes[1].set(ylabel="$\\sum V^* - V^{\\mu_k,\\dagger}$", title="guaranteed (not bounded)")
    for ax in axes:
        ax.set(xscale="log", yscale="symlog", xlabel="episode")
    axes[0].legend(frameon=False, fontsize="small")
    header = [
        f"K = {K:,}, {len(seeds)} seeds, η = 1/√K",
        "regret against the opponent, mean (median)",
        "regret of the guarantee",
        "largest",
    ]
    return Part(figure, header, rows, numbers)


def online_regrets(name: str, K: int, seed: int) -> np.ndarray:
    """Return both regrets after each episode: against the opponent, and of what the policies guarantee."""
    model = risky_game()
    guarantees = MarkovGameProblem(model.game)
    losses = list[float]()

    def audit(problem: Any, state: Any, decision: Any) -> dict[str, float]:
        losses.append(guarantees.game_value - (guarantees.value(decision) or 0.0))
        return {}

    problem = MarkovGameProblem.from_candidates(model, opponent=OPPONENTS[name])
    trace = play(problem, MEXGame(eta=1 / math.sqrt(K)), K, seed, audit=audit)
    return np.array([trace.regret, np.cumsum(losses)])


TERMS: dict[str, Callable[[GameRun], np.ndarray]] = {
    "main gap  $V^* - V_f$": lambda run: run.main_gap,
    "slack of the equilibrium  $V_f - V_f^{\\mu,\\nu}$": lambda run: run.optimistic - run.believed,
    "main transfer  $V_f^{\\mu,\\nu} - V^{\\mu,\\nu}$": lambda run: run.main_transfer,
    "exploiter transfer  $V^{\\mu,\\nu} - V_g^{\\mu,\\nu}$": lambda run: -run.exploiter_transfer,
    "exploiter gap  $V_g^{\\mu,\\dagger} - V^{\\mu,\\dagger}$": lambda run: run.exploiter_gap,
}


def games_audit(setting: Setting) -> Part:
    """The terms of the decomposition in one run, and what the proof allows each."""
    K = setting.scope.pick(100, EPISODES)
    learner = MEXGame(eta=1 / math.sqrt(K))
    run_ = audited_run(risky_game(), learner, K, 3, "risky game", for_every_eta=True)
    H = run_.shape[0]
    figure, (left, right) = panels(1, 2, width=5, height=3.8)
    k = np.arange(1, K + 1)
    rows, numbers = [], dict[str, Any]()
    eta = float(run_.eta[0])
    gap_allowed = 2 * eta * H * K * run_.iota
    carried = [carried_bound(run_, run_.main), carried_bound(run_, run_.exploiter)]
    allowed = [gap_allowed, 0.0, carried[0], carried[1], gap_allowed]
    for (name, term), colour, bound in zip(TERMS.items(), COLOURS[:1] + COLOURS[2:], allowed, strict=False):
        values = np.cumsum(term(run_))
        left.plot(k, values, color=colour, label=name, linewidth=1.2)
        rows.append([name.split("$")[0].strip(), f"{values[-1]:.2f}", f"{bound:,.0f}"])
        numbers[name] = float(values[-1])
    left.plot(k, run_.trace.regret, ":", color="black", linewidth=2, label="regret: their sum")
    left.set(xscale="log", yscale="symlog", xlabel="episode", ylabel="sum over the episodes")
    outside_legend(figure, left, 3)
    plot_event(right, run_)
    bounds = f"{run_.bound_on_event:,.0f} (trivial: {run_.trivial:,.0f})"
    rows.append(["regret", f"{run_.regret:.2f}", bounds])
    numbers |= {"regret": run_.regret, "bound": run_.bound_on_event, "trivial": run_.trivial}
    header = [f"risky game, K = {K:,}, η = {eta:.3g}", "sum", "allowed by the proof"]
    return Part(figure, header, rows, numbers)


def carried_bound(run_: GameRun, chosen: np.ndarray) -> float:
    """Return the bound of the eluder lemma on the transfers of one player."""
    H, S, A, B = run_.shape
    cells, K = S * A * B, len(chosen)
    per_stage = 2 * cells + np.sqrt(cells * math.log(max(K, 2)) * run_.spent(chosen) / math.log(2))
    return float((math.sqrt(2) * H * per_stage).sum())


def plot_event(ax: Any, run_: GameRun) -> None:
    """Draw the log-likelihood ratios of all candidates to the truth, and what the event allows them."""
    k = np.arange(len(run_.ratios))
    ratios = run_.ratios[:, 0, :]
    for m in range(ratios.shape[1]):
        if m != run_.star:
            ax.plot(k, ratios[:, m], color=COLOURS[0], linewidth=0.8,
                    label="$\\log P_f / P^*$, each candidate" if m == 0 else None)  # fmt: skip
            ax.plot(k, -2 * run_.energy[:, 0, m] + 2 * run_.iota, color=COLOURS[2], linewidth=0.8,
                    label="allowed: $-2 \\sum E D_H^2 + 2 \\iota$" if m == 0 else None)  # fmt: skip
    ax.set(xscale="log", yscale="symlog", xlabel="episode", title="event of the likelihoods, first stage")
    ax.legend(frameon=False, fontsize="x-small")
    ax.spines[["top", "right"]].set_visible(False)


GAME_PARTS: dict[str, Callable[[Setting], Part]] = {
    "games": games,
    "games_lock_in": games_lock_in,
    "games_online": games_online,
    "games_audit": games_audit,
}
"""What experiments/mex.py adds to its own parts."""

if __name__ == "__main__":
    run("mex", GAME_PARTS, __doc__)
