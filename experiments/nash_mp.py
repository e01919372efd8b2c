"""Nash-MP beside what it is compared with: every figure and table of the docs page.

    python experiments/nash_mp.py                      # all parts, one to two minutes on two cores
    python experiments/nash_mp.py --quick              # fewer queries and seeds
    python experiments/nash_mp.py --only queries cycle # some parts
    python experiments/nash_mp.py --docs               # all parts, into docs/papers/figures/nash-mp/

All divergences are exact: from the equilibrium that Newton's method finds, without cancellation.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theoryrl.instances import intransitive_contexts, random_preferences, rock_paper_scissors
from theoryrl.learners import EGPO, MMD, OMWU, NashMD, NashMP, NashMPPG, NashProx, OnlineIPO
from theoryrl.models import PreferenceGame, RegularizedGame
from theoryrl.protocol import EquilibriumAudit, PreferenceProblem, play
from theoryrl.protocol.preference import Recorder
from theoryrl.solvers import regularized_equilibrium
from theoryrl.solvers.simplex import kl_divergence, log_normalize
from theoryrl.theory import Scope
from theoryrl.theory.evidence.mirror_methods import NOISE, centres_of, inexact_run
from theoryrl.theory.evidence.preference import recorded

ACCURACY = 1e-6
STYLE: dict[str, tuple[str, str]] = {
    "Nash-MP": ("#0072B2", "-"),
    "Nash-MP, γ = 1/L(P)": ("#0072B2", "--"),
    "EGPO": ("#009E73", "-."),
    "OMWU": ("#56B4E9", "-"),
    "MMD": ("#E69F00", "--"),
    "Online IPO, INPO": ("#D55E00", ":"),
    "Nash-MD": ("#CC79A7", "-"),
    "Nash-Prox": ("#000000", "-"),
    "no half step": ("#D55E00", "-"),
    "γ = 8": ("#882255", "-"),
}


def contenders() -> dict[str, Any]:
    """Return the methods of the comparison, each with the step of its theory."""
    return {
        "Nash-MP": NashMP(),
        "Nash-MP, γ = 1/L(P)": NashMP("lipschitz"),
        "EGPO": EGPO(),
        "OMWU": OMWU(),
        "MMD": MMD(),
        "Online IPO, INPO": OnlineIPO(0.5),
        "Nash-MD": NashMD(),
    }


def stacked(beta: float, seeds: int) -> RegularizedGame:
    """Return the random games of n = 10 and seeds 0, 1, ... as contexts of one game."""
    games = [random_preferences(10, beta, seed) for seed in range(seeds)]
    P = np.array([game.game.P for game in games])
    return RegularizedGame(PreferenceGame(P), beta, np.concatenate([game.log_reference for game in games]))


def divergences(game: RegularizedGame, learner: Any, rounds: int) -> np.ndarray:
    """Return KL(pi* || pi) of the policy held after 0, 1, ... queries, per context: shape [rounds, X]."""
    recorder = Recorder()
    play(PreferenceProblem(game), learner, rounds, audit=recorder)
    return kl_divergence(regularized_equilibrium(game).log_policy, np.array(recorder.held))


def panels(columns: int, width: float = 4.0, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """Return a figure with one row of panels."""
    figure = Figure(figsize=(columns * width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


# Queries to accuracy.

CAPS = {0.1: 1000, 0.01: 10_000, 0.001: 12_000}


def queries(setting: Setting) -> Part:
    """Queries until KL <= 1e-6 on ten random games, for each method and each beta."""
    figure, axes = panels(3)
    rows: dict[str, list[str]] = {name: [name] for name in contenders()}
    numbers: dict[str, Any] = {}
    for ax, (beta, cap) in zip(axes, CAPS.items(), strict=True):
        game = stacked(beta, setting.scope.pick(3, 10))
        jobs = []
        for name, learner in contenders().items():
            longer = 3 if name == "Nash-MD" and beta == 0.1 else 1
            jobs.append((game, learner, setting.scope.pick(300, longer * cap)))
        for (name, _), kl in zip(contenders().items(), setting.map(divergences, jobs), strict=True):
            reached = kl <= ACCURACY
            first = np.where(reached.any(axis=0), reached.argmax(axis=0), np.inf)
            rows[name].append(_spread(first, len(kl)))
            numbers[f"{name}, beta = {beta:g}"] = [None if np.isinf(q) else int(q) for q in first]
            _draw_curve(ax, name, np.median(kl, axis=1))
        ax.axhline(ACCURACY, color="grey", linewidth=0.6)
        ax.set(title=f"β = {beta:g}", xlabel="queries", yscale="log", ylim=(1e-12, 10), xlim=(0, cap))
    axes[0].set_ylabel("median KL(π* ‖ π)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    header = ["queries to KL ≤ 1e-6, median [least, most]", *(f"β = {beta:g}" for beta in CAPS)]
    return Part(figure, header, list(rows.values()), numbers)


def _draw_curve(ax: Axes, name: str, kl: np.ndarray) -> None:
    points = np.unique(np.linspace(0, len(kl) - 1, 400).astype(int))
    points = points[kl[points] > 1e-28]
    ax.plot(points, kl[points], label=name, color=STYLE[name][0], linestyle=STYLE[name][1], linewidth=1.2)


def _spread(first: np.ndarray, cap: int) -> str:
    """Return ``median [least, most]``, with > cap where it was not reached."""

    def shown(value: float) -> str:
        return f"{value:,.0f}" if np.isfinite(value) else f"> {cap:,}"

    with np.errstate(invalid="ignore"):
        middle = float(np.sort(first)[[(len(first) - 1) // 2, len(first) // 2]].mean())
    return f"{shown(middle)} [{shown(first.min())}, {shown(first.max())}]"


# Rock, paper, scissors.

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])


def cycle(setting: Setting) -> Part:
    """Paths in the simplex of rock, paper, scissors at beta = 0.01, and divergences over iterations."""
    game = rock_paper_scissors()
    iterations = setting.scope.pick(50, 200)
    best = regularized_equilibrium(game).log_policy
    runs = {
        "no half step": (OnlineIPO(2 / (1 + 2 * game.beta)), 1),
        "Nash-MD": (NashMD(), 1),
        "Nash-MP": (NashMP(), 2),
        "γ = 8": (NashMP(8.0, allow_unsafe_step=True), 2),
    }
    figure, axes = panels(4, 3.2, 3.0)
    rows, numbers = [], {}
    for ax, (name, (learner, per)) in zip(axes, runs.items(), strict=True):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*the guarantee is void")  # that is what is shown
            policies = np.array(recorded(game, learner, per * iterations + 1)[1].held)[::per]
        kl = kl_divergence(best, policies)[:, 0]
        if name != "γ = 8":
            _triangle(ax, name, np.exp(policies[:, 0]), np.exp(best[0]))
        axes[3].plot(np.maximum(kl, 1e-28), color=STYLE[name][0], label=name, linewidth=1.2)
        bound = (1 + 2 * game.beta) ** -iterations * kl[0]
        rows.append([name, f"{kl[0]:.3g}", f"{kl[-1]:.2g}", f"{bound:.2g}" if name == "Nash-MP" else "—"])
        numbers[name] = {"first": kl[0], "last": kl[-1], "bound": bound}
    rows.append(_proximal_row(game, best, axes[3], numbers))
    k = np.arange(iterations + 1)
    axes[3].plot(
        k, numbers["Nash-MP"]["first"] * (1 + 2 * game.beta) ** -k, color="grey", linestyle=":", label="bound"
    )
    axes[3].set(yscale="log", xlabel="iteration", title="KL(π* ‖ π)", ylim=(1e-28, 1e2))
    axes[3].legend(frameon=False, fontsize="x-small")
    header = ["β = 0.01", "KL at the start", f"after {iterations} iterations", "bound of the theorem"]
    return Part(figure, header, rows, numbers)


def _proximal_row(game: RegularizedGame, best: np.ndarray, ax: Axes, numbers: dict[str, Any]) -> list[str]:
    """Add Nash-Prox with gamma = 50, whose iterations are proximal points; return its row."""
    centres = centres_of(recorded(game, NashProx(step=50.0, inner_tolerance=1e-29), 4000)[1].held)[:21]
    kl = kl_divergence(best, centres)[:, 0]
    ax.plot(np.maximum(kl, 1e-28), color="black", label="Nash-Prox, γ = 50", linewidth=1.2)
    numbers["Nash-Prox"] = {"first": kl[0], "last": kl[-1], "steps": len(kl) - 1}
    return ["Nash-Prox, γ = 50", f"{kl[0]:.3g}", f"{kl[-1]:.2g} (after {len(kl) - 1})", "—"]


def _triangle(ax: Axes, name: str, policies: np.ndarray, best: np.ndarray) -> None:
    """Draw a path in the simplex; its points grow darker."""
    outline = CORNERS[[0, 1, 2, 0]]
    ax.plot(outline[:, 0], outline[:, 1], color="grey", linewidth=0.8)
    path = policies @ CORNERS
    ax.plot(path[:, 0], path[:, 1], color=STYLE[name][0], linewidth=0.5, alpha=0.5)
    ax.scatter(path[:, 0], path[:, 1], c=np.arange(len(path)), cmap="viridis_r", s=6, zorder=2)
    ax.plot(*(best @ CORNERS), "*", color="red", markersize=9, zorder=3)
    for corner, label in zip(CORNERS, ("rock", "paper", "scissors"), strict=True):
        ax.annotate(label, corner, ha="center", va="top" if corner[1] == 0 else "bottom", fontsize="small")
    ax.set(title=name, aspect="equal", xlim=(-0.12, 1.12), ylim=(-0.12, 1.0))
    ax.axis("off")


# Many contexts.


def contexts(setting: Setting) -> Part:
    """Fifty contexts of twenty actions, intransitive, at beta = 0.05: means over contexts, and bounds."""
    game = intransitive_contexts(seed=5)
    audit = EquilibriumAudit(regularized_equilibrium(game))
    trace = play(game, NashMP(), 201, audit=audit)
    found = {name: values[::2] for name, values in trace.diagnostics.items()}
    k = np.arange(101)
    figure, axes = panels(2, 4.5)
    bound = found["kl"][0] * (1 + 2 * game.beta) ** -k
    for name, label, colour in (
        ("kl", "KL(π* ‖ π)", "#0072B2"), ("gap", "exploitability gap", "#D55E00"),
        ("certificate", "certificate (π* unknown)", "#009E73"),
    ):  # fmt: skip
        axes[0].plot(k, found[name], color=colour, label=label)
    axes[0].plot(k, bound, color="#0072B2", linestyle=":", label="bound on KL(π* ‖ π)")
    axes[0].set(xlabel="iteration", yscale="log", title="means over contexts")
    axes[0].legend(frameon=False, fontsize="small")
    recorder = Recorder()
    play(PreferenceProblem(game), NashMP(), 201, audit=recorder)
    each = kl_divergence(audit.solution.log_policy, np.array(recorder.held[::2]))
    axes[1].plot(k, each, color="#0072B2", linewidth=0.4)
    axes[1].set(xlabel="iteration", yscale="log", title="KL(π* ‖ π) of each context")
    rows = [
        [
            str(i),
            *(f"{found[name][i]:.2g}" for name in ("kl", "gap", "certificate", "span")),
            f"{bound[i]:.2g}",
        ]
        for i in (0, 25, 50, 100)
    ]
    header = ["iteration", "KL", "gap", "certificate", "largest span", "bound on KL"]
    return Part(
        figure, header, rows, {name: [values[i] for i in (0, 25, 50, 100)] for name, values in found.items()}
    )


# Stochastic gradients.


def gradients(setting: Setting) -> Part:
    """Nash-MP by policy gradients from Bernoulli duels, for batches of three sizes."""
    iterations = setting.scope.pick(2, 25)
    plan = {16: setting.scope.pick(2, 5), 256: setting.scope.pick(1, 5), 4096: setting.scope.pick(1, 2)}
    jobs = [(B, iterations, seed) for B, seeds in plan.items() for seed in range(seeds)]
    curves: dict[int, list[np.ndarray]] = {B: [] for B in plan}
    for (B, _, _), curve in zip(jobs, setting.map(gradient_curve, jobs), strict=True):
        curves[B].append(curve)
    figure, (ax,) = panels(1, 5.5)
    rows, numbers = [], {}
    for (B, found), colour in zip(curves.items(), ("#D55E00", "#009E73", "#0072B2"), strict=True):
        every = np.array(found)
        ax.plot(every.T, color=colour, linewidth=0.4, alpha=0.6)
        ax.plot(every.mean(axis=0), color=colour, label=f"B = {B}")
        last = every[:, -1]
        rows.append(
            [
                f"B = {B:,}",
                str(len(last)),
                f"{last.mean():.1e} ± {last.std():.1e}",
                f"{200 * B * iterations:,}",
            ]
        )
        numbers[str(B)] = last.tolist()
    ax.set(xlabel="outer iteration", ylabel="KL(π* ‖ π)", yscale="log")
    ax.legend(frameon=False)
    header = ["duels per gradient", "seeds", f"KL after {iterations} iterations, mean ± sd", "duels in all"]
    return Part(figure, header, rows, numbers)


def gradient_curve(batch: int, iterations: int, seed: int) -> np.ndarray:
    """Return KL(pi* || pi_k) of one run on the random game of n = 10, seed 4, at beta = 0.1."""
    game = random_preferences(10, 0.1, 4)
    best = regularized_equilibrium(game).log_policy
    recorder = Recorder()
    play(PreferenceProblem(game), NashMPPG(batch=batch), 200 * iterations + 1, seed, audit=recorder)
    return np.asarray(kl_divergence(best, np.array(recorder.held[::200]))[:, 0])


# What limits the accuracy.


def errors(setting: Setting) -> Part:
    """Divergences of Nash-MP with erroneous steps, and of Nash-MD, whose bias falls with its steps."""
    game = random_preferences(10, 0.1, 0)
    figure, axes = panels(2, 4.5)
    rows, numbers = [], {}
    for d, colour in zip(NOISE[::2], ("#D55E00", "#009E73", "#0072B2"), strict=True):
        runs = [
            inexact_run(game, (d, d), 200, np.random.default_rng(seed), f"d = {d}", tries=1, uniform=True)
            for seed in range(setting.scope.pick(2, 10))
        ]
        worst = max(run.kl[-1] for run in runs)
        axes[0].plot(runs[0].kl, color=colour, label=f"d = {d:g}")
        axes[0].axhline(runs[0].limit, color=colour, linestyle=":")
        rows.append([f"errors of span {d:g}", f"{worst:.1e}", f"{runs[0].limit:.1e}"])
        numbers[f"d = {d:g}"] = {"worst": worst, "bound": runs[0].limit}
    axes[0].set(xlabel="iteration", ylabel="KL(π* ‖ π)", yscale="log", title="Nash-MP with erroneous steps")
    axes[0].set_ylim(1e-8, 1)
    axes[0].legend(frameon=False, fontsize="small", loc="upper right", bbox_to_anchor=(1, 0.93))
    rows += _nash_md(axes[1], setting.scope, numbers)
    return Part(figure, ["n = 10, β = 0.1", "KL in the end", "bound"], rows, numbers)


def _nash_md(ax: Axes, scope: Scope, numbers: dict[str, Any]) -> list[list[str]]:
    """Nash-MD with decreasing and with constant steps, against both bounds."""
    reference = log_normalize(np.random.default_rng(1).normal(size=(1, 10)))
    game = RegularizedGame(PreferenceGame.random(10, np.random.default_rng(0)), 0.1, reference)
    T = np.array([300, 1000, 3000, 10_000, 20_000])[: scope.pick(2, 5)]
    curves = {
        "η_t = 2/(β(t+2))": divergences(game, NashMD(), int(T[-1]) + 1)[:, 0],
        "η = 0.5": divergences(game, NashMD(0.5), int(T[-1]) + 1)[:, 0],
    }
    t = np.unique(np.geomspace(1, T[-1], 300).astype(int))
    for (name, kl), colour in zip(curves.items(), ("#CC79A7", "#000000"), strict=True):
        ax.plot(t, kl[t], color=colour, label=name)
        numbers[f"Nash-MD, {name}"] = kl[T].tolist()
    ax.plot(t, 8 / (game.beta**2 * (t + 1)), color="grey", linestyle=":", label="published bound")
    ax.plot(t, 1 / (2 * game.beta**2 * (t + 1)), color="grey", linestyle="--", label="our bound")
    ax.set(xlabel="iteration T", xscale="log", yscale="log", title="Nash-MD")
    ax.legend(frameon=False, fontsize="small")
    first, second = curves.values()
    slope = float(np.polyfit(np.log(T), np.log(first[T]), 1)[0])
    numbers["Nash-MD slope"] = slope
    return [
        [f"Nash-MD, T = {T[-1]:,} (slope {slope:.2f})", f"{first[T[-1]]:.1e}", f"{50 / (T[-1] + 1):.1e}"],
        ["Nash-MD, constant η = 0.5", f"{second[T[-1]]:.1e}", "—"],
    ]


PARTS = {
    "queries": queries,
    "cycle": cycle,
    "contexts": contexts,
    "gradients": gradients,
    "errors": errors,
}

if __name__ == "__main__":
    run("nash-mp", PARTS, __doc__)
