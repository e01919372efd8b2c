"""SPO beside reward models and other self-play: every figure and table of the docs page.

    python experiments/spo.py                    # all parts, about a minute on two cores
    python experiments/spo.py --quick            # fewer seeds and rounds, some seconds
    python experiments/spo.py --only cycles      # some parts
    python experiments/spo.py --docs             # all parts, into docs/papers/figures/spo/

Exploitabilities are exact and on the scale A = 2 P - 1: by how much the best opponent's wins exceed its
losses. Writes a figure (PNG) and a table (Markdown) for each part, and all numbers in `numbers.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from _plots import outside_legend, panels
from matplotlib.axes import Axes

from theoryrl import PreferenceGame, play, solve
from theoryrl.instances import condorcet, three_cycle, trajectory_preferences
from theoryrl.learners import SPO, QueueSPO, RewardModelLearner, TrajectoryRewardModel, TrajectorySPO
from theoryrl.learners.no_regret import METHODS
from theoryrl.protocol.preference import Recorder
from theoryrl.theory.evidence.self_play import condorcet_run, self_play_run, with_label_flips

COLOURS = {
    "SPO, Hedge": "#0072B2",
    "SPO, optimistic": "#009E73",
    "SPO, sampled (8 opponents)": "#56B4E9",
    "SPO, queue": "#E69F00",
    "reward model": "#D55E00",
}


SIZE = {"width": 4.6, "height": 3.7}
"""Of a panel, in inches."""


def mean_sd(samples: Sequence[float] | np.ndarray, digits: int = 3) -> str:
    """Write mean and standard deviation."""
    return f"{np.mean(samples):.{digits}f} ± {np.std(samples, ddof=1):.{digits}f}"


def final(model: Any, learner: Any, rounds: int, seed: int = 0) -> float:
    """Return the exploitability of what is held at the end."""
    return 2 * (0.5 - float(play(model, learner, rounds, seed).values[-1]))


# Three options.

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


def cycles(setting: Setting) -> Part:
    """Random cycles of three options: who finds the winner, and where the iterates go."""
    rounds, seeds = setting.scope.pick((400, 3), (4000, 10))
    contenders = {
        "SPO, Hedge": (SPO(), rounds),
        "SPO, sampled (8 opponents)": (SPO(duels=8), rounds),
        "SPO, queue": (QueueSPO(), rounds),
        "reward model": (RewardModelLearner(), 2),
    }
    jobs = [(learner, T, seed) for learner, T in contenders.values() for seed in range(seeds)]
    found = np.array(setting.map(one_cycle, jobs)).reshape(len(contenders), seeds, 7)
    figure, axes = panels(1, 2, **SIZE)
    triangle(axes[0], "random cycles: winners and what is found")
    winners = found[0, :, :3] @ CORNERS
    axes[0].plot(*winners.T, "o", color="black", fillstyle="none", markersize=9, label="minimax winner")
    rows, numbers = [], dict[str, Any]()
    for (name, _), cells in zip(contenders.items(), found, strict=True):
        marker = "s" if name == "reward model" else "."
        axes[0].plot(*(cells[:, 3:6] @ CORNERS).T, marker, color=COLOURS[name], label=name, alpha=0.8)
        distance = np.abs(cells[:, :3] - cells[:, 3:6]).sum(axis=1) / 2
        rows.append([name, mean_sd(distance), mean_sd(cells[:, 6])])
        numbers[name] = {"distance": distance.tolist(), "exploitability": cells[:, 6].tolist()}
    axes[0].legend(frameon=False, fontsize="small", loc="upper left")
    _paths(axes[1])
    return Part(figure, ["method", "distance to the winner", "exploitability"], rows, numbers)


def one_cycle(learner: Any, rounds: int, seed: int) -> np.ndarray:
    """Return winner, held policy and exploitability on the cycle of one seed."""
    a, b, c = (float(s) for s in np.random.default_rng(seed).uniform(0.2, 1, 3))
    recorder = Recorder()
    trace = play(three_cycle(a, b, c), learner, rounds, seed, audit=recorder)
    winner = np.array([b, c, a]) / (a + b + c)
    return np.concatenate([winner, np.exp(recorder.held[-1][0]), [2 * (0.5 - trace.values[-1])]])


def _paths(ax: Axes) -> None:
    """Draw the iterates of Hedge, their mean, and the iterates of optimistic Hedge."""
    triangle(ax, "strengths .9, .5, .3: iterates")
    game = three_cycle()
    hedge = self_play_run(game, SPO(eta=0.2), 400, "hedge").played[:, 0]
    hint = self_play_run(game, SPO("optimistic-hedge"), 400, "optimistic").played[:, 0]
    mean = np.cumsum(hedge, axis=0) / np.arange(1, 401)[:, None]
    for points, colour, label in (
        (hedge, "#999999", "Hedge, iterates"),
        (mean, COLOURS["SPO, Hedge"], "Hedge, mean"),
        (hint, COLOURS["SPO, optimistic"], "optimistic, iterates"),
    ):
        ax.plot(*(points @ CORNERS).T, color=colour, linewidth=1.1, label=label)
    ax.plot(*(np.array([0.5, 0.3, 0.9]) / 1.7 @ CORNERS), "o", color="black", fillstyle="none", markersize=9)
    ax.legend(frameon=False, fontsize="small", loc="upper left")


def triangle(ax: Axes, title: str) -> None:
    """Draw the simplex of three options."""
    ax.plot(*CORNERS[[0, 1, 2, 0]].T, color="black", linewidth=0.8)
    for corner, name, shift in zip(CORNERS, "123", ((-0.05, -0.03), (0.05, -0.03), (0.0, 0.05)), strict=True):
        ax.text(*(corner + shift), name, ha="center", va="center")
    ax.set(title=title, aspect="equal", xlim=(-0.25, 1.1), ylim=(-0.08, 1.25))
    ax.axis("off")


# Rates.


def twenty_actions(games: int) -> PreferenceGame:
    """Return random games as the contexts of one."""
    return PreferenceGame(
        np.array([PreferenceGame.random(20, np.random.default_rng([20, i])).P for i in range(games)])
    )


def rates(setting: Setting) -> Part:
    """Exploitability over T, each T a run of its own, with the bounds."""
    horizons = [2**k for k in range(5, setting.scope.pick(9, 12))]
    games = twenty_actions(8)
    learners = {"SPO, Hedge": SPO(), "SPO, optimistic": SPO("optimistic-hedge")}
    jobs = [(games, learner, T) for learner in learners.values() for T in horizons]
    losses = np.array(setting.map(final, jobs)).reshape(2, -1)
    T, log_n = np.array(horizons, dtype=float), np.log(20)
    bounds = {"SPO, Hedge": np.sqrt(2 * log_n / T), "SPO, optimistic": (2 * log_n + 0.5) / T}
    figure, axes = panels(1, 1, **SIZE)
    rows, numbers = [], dict[str, Any]()
    for (name, bound), loss in zip(bounds.items(), losses, strict=True):
        slope = float(np.polyfit(np.log(T), np.log(loss), 1)[0])
        axes[0].loglog(T, loss, "o-", color=COLOURS[name], label=f"{name}: slope {slope:.2f}", markersize=4)
        axes[0].loglog(T, bound, ":", color=COLOURS[name], label="its bound")
        rows.append([name, *(f"{x:.4f}" for x in loss), f"{slope:.3f}"])
        numbers[name] = {"T": horizons, "exploitability": loss.tolist(), "slope": slope}
    axes[0].set(xlabel="rounds T", ylabel="exploitability of the mean", title="8 random games of 20 actions")
    axes[0].legend(frameon=False, fontsize="small")
    return Part(figure, ["method", *(f"T = {t}" for t in horizons), "slope"], rows, numbers)


def methods(setting: Setting) -> Part:
    """All no-regret methods in one contextual game: means and last iterates."""
    rounds = setting.scope.pick(100, 2000)
    games = twenty_actions(8)
    jobs = [(games, SPO(m, output=o), rounds) for o in ("average", "last") for m in METHODS]
    traces = setting.map(play, jobs)
    losses = np.array([2 * (0.5 - trace.values) for trace in traces]).reshape(2, len(METHODS), -1)
    figure, axes = panels(1, 2, width=4.6, height=3.5)
    t = np.arange(1, rounds + 1)
    shown = np.unique(np.geomspace(1, rounds, 250).astype(int)) - 1
    for ax, output, curves in zip(axes, ("mean policy", "last iterate"), losses, strict=True):
        for method, curve in zip(METHODS, curves, strict=True):
            ax.loglog(t[shown], curve[shown], label=method, linewidth=1.3)
        ax.set(xlabel="round", ylabel="exploitability", title=f"{output}, mean over 8 contexts")
    outside_legend(figure, axes[0], 4)
    ends = losses[:, :, -1]
    rows = [[f"`{m}`", f"{ends[0, i]:.4f}", f"{ends[1, i]:.4f}"] for i, m in enumerate(METHODS)]
    numbers = {m: {"average": ends[0, i], "last": ends[1, i]} for i, m in enumerate(METHODS)}
    return Part(figure, ["method", "mean policy", "last iterate"], rows, {"rounds": rounds, **numbers})


# A Condorcet winner.


def margins(setting: Setting) -> Part:
    """The fast rate under a margin: T times the exploitability, and the share of the others."""
    rounds, seeds = setting.scope.pick((500, 2), (4000, 5))
    figure, axes = panels(1, 2, width=4.6, height=3.4)
    rows, numbers = [], dict[str, Any]()
    for margin, colour in ((0.1, "#0072B2"), (0.3, "#009E73"), (1.0, "#D55E00")):
        jobs = [(margin, rounds, seed) for seed in range(seeds)]
        cells = np.array(setting.map(one_margin, jobs))
        losses, logs = cells[:, 0], cells[:, 1]
        t = np.arange(1, rounds + 1)
        bound = 5 * np.log(20) / margin**2
        product = rounds * losses[:, -1]
        slopes = [local_slope(curve) for curve in logs]
        axes[0].loglog(t, losses.mean(axis=0), color=colour, label=f"Δ = {margin}")
        axes[0].loglog(t, np.minimum(bound / t, 1), ":", color=colour)
        axes[1].semilogy(t, np.maximum(logs.mean(axis=0), 1e-300), color=colour, label=f"Δ = {margin}")
        rows.append(
            [f"Δ = {margin}", f"{product.mean():.1f}", f"{bound:.0f}", f"{(product / bound).max():.3f}",
             f"{np.mean(slopes):.4f}", f"{-0.4 * margin**2:.4f}"]
        )  # fmt: skip
        numbers[str(margin)] = {"T": rounds, "product": product.tolist(), "bound": bound, "slopes": slopes}
    axes[0].set(xlabel="round T", ylabel="exploitability of the mean", title="the mean, and 5 ln n / (Δ² T)")
    axes[1].set(xlabel="round t", ylabel="−ln x", title="the last iterate", ylim=(1e-30, 10))
    axes[0].legend(frameon=False, fontsize="small")
    header = ["margin", "T × exploitability", "bound", "largest ratio", "slope of ln(−ln x)", "−η Δ"]
    return Part(figure, header, rows, numbers)


def one_margin(margin: float, rounds: int, seed: int) -> np.ndarray:
    """Return exploitability and -ln x over the rounds."""
    result = condorcet_run(condorcet(20, margin, seed), SPO(margin=margin), rounds, "run")
    return np.array([result.losses, result.logs])


def local_slope(logs: np.ndarray) -> float:
    """Return the slope of ln(-ln x) over the last half of the rounds where -ln x is above 1e-250."""
    large = np.flatnonzero(logs > 1e-250)
    kept = large[len(large) // 2 :]
    return float(np.polyfit(kept, np.log(logs[kept]), 1)[0])


# Trajectories.

TREES = ((2, 2, 3, 1024), (3, 2, 3, 1024), (3, 2, 4, 256))


def trees(setting: Setting) -> Part:
    """Non-Markovian, intransitive preferences between trajectories: SPO, its bounds, a reward model."""
    shapes = [(S, A, H, min(T, setting.scope.pick(32, T))) for S, A, H, T in TREES]
    shapes = shapes[: setting.scope.pick(2, 3)]
    figure, axes = panels(1, len(shapes), width=3.8, height=3.4)
    rows, numbers = [], dict[str, Any]()
    for ax, (S, A, H, T), cells in zip(axes, shapes, setting.map(one_tree, shapes), strict=True):
        t, capacity = np.arange(1, T + 1), H * np.log(A)
        ax.loglog(t, cells["plain"], color=COLOURS["SPO, Hedge"], label="SPO")
        ax.loglog(t, cells["optimistic"], color=COLOURS["SPO, optimistic"], label="SPO, optimistic")
        ax.axhline(cells["reward model"], color=COLOURS["reward model"], label="reward model")
        bound = np.sqrt(2 * capacity / T)
        ax.plot(T, bound, "v", color=COLOURS["SPO, Hedge"], label="bounds at T")
        ax.plot(T, (2 * capacity + 0.5) / T, "v", color=COLOURS["SPO, optimistic"])
        ax.set(title=f"S={S}, A={A}, H={H}: {(S * A) ** H} trajectories", xlabel="round")
        rows.append(
            [f"({S}, {A}, {H}), T = {T}", f"{cells['plain'][-1]:.4f}", f"{bound:.4f}",
             f"{cells['optimistic'][-1]:.4f}", f"{(2 * capacity + 0.5) / T:.4f}",
             f"{cells['reward model']:.3f}", "—" if cells["program"] is None else f"{cells['program']:.0e}"]
        )  # fmt: skip
        numbers[f"{S},{A},{H},{T}"] = {
            "SPO": cells["plain"][-1], "bound": bound, "optimistic": cells["optimistic"][-1],
            "reward model": cells["reward model"], "program": cells["program"],
        }  # fmt: skip
    axes[0].set_ylabel("exploitability of the mean law")
    axes[0].legend(frameon=False, fontsize="small")
    header = ["(S, A, H)", "SPO", "bound", "optimistic", "bound", "reward model", "linear program"]
    return Part(figure, header, rows, numbers)


def one_tree(S: int, A: int, H: int, rounds: int) -> dict[str, Any]:
    """Return the exploitabilities of SPO over the rounds, of a reward model, and of the program."""
    game = trajectory_preferences(S, A, H)
    curves = {
        name: (2 * (0.5 - play(game, learner, rounds).values)).tolist()
        for name, learner in (("plain", TrajectorySPO()), ("optimistic", TrajectorySPO(optimistic=True)))
    }
    program = 2 * abs(solve(game).exploitability) if game.n_trajectories < 1000 else None
    return {**curves, "reward model": final(game, TrajectoryRewardModel(), 2), "program": program}


# Noise.

FLIPS = (0.0, 0.1, 0.2, 0.3)


def noise(setting: Setting) -> Part:
    """Transitive preferences with flipped labels, where the reward model is at home: 5000 duels each."""
    rounds, seeds = setting.scope.pick((100, 4), (500, 100))
    cells = np.array(setting.map(one_noise, [(flip, rounds, s) for flip in FLIPS for s in range(seeds)]))
    cells = cells.reshape(len(FLIPS), seeds, 2)
    figure, axes = panels(1, 1, **SIZE)
    rows, numbers = [], dict[str, Any]()
    for i, (name, key) in enumerate((("SPO, one opponent per round", "SPO, Hedge"), ("reward model",) * 2)):
        losses = cells[:, :, i]
        means, errors = losses.mean(axis=1), losses.std(axis=1, ddof=1) / np.sqrt(seeds)
        axes[0].errorbar(FLIPS, means, errors, color=COLOURS[key], marker="o", label=name, capsize=3)
        rows.append([name, *(mean_sd(loss) for loss in losses)])
        numbers[key] = losses.tolist()
    axes[0].set(
        xlabel="probability of a flipped label", ylabel="exploitability without noise",
        title="rewards of 10 actions, 5,000 duels",
    )  # fmt: skip
    axes[0].legend(frameon=False, fontsize="small")
    return Part(figure, ["method", *(f"flip {flip}" for flip in FLIPS)], rows, numbers)


def one_noise(flip: float, rounds: int, seed: int) -> tuple[float, float]:
    """Return the exploitabilities of both in the game without noise."""
    game = PreferenceGame.from_bradley_terry(0.5 * np.random.default_rng(seed).normal(size=10))
    noisy = with_label_flips(game, flip)
    losses = []
    # Of n^2 draws n pair an action with itself, so that 10/9 of the duels compare as many different pairs.
    for learner, T in ((SPO(duels=1), rounds), (RewardModelLearner(duels=rounds * 100 // 9), 2)):
        recorder = Recorder()
        play(noisy, learner, T, seed, audit=recorder)
        losses.append(2 * float((game.skew[0] @ np.exp(recorder.held[-1][0])).max()))
    return losses[0], losses[1]


PARTS: dict[str, Callable[[Setting], Part]] = {
    "cycles": cycles,
    "rates": rates,
    "methods": methods,
    "margins": margins,
    "trees": trees,
    "noise": noise,
}

if __name__ == "__main__":
    run("spo", PARTS, __doc__)
