"""MEX beside what it is compared with: every figure and table of the docs page.

    python experiments/mex.py                    # all parts, some minutes on two cores
    python experiments/mex.py --quick            # fewer seeds and episodes
    python experiments/mex.py --only arms gaps   # some parts
    python experiments/mex.py --docs             # all parts, into docs/papers/figures/mex/

Values and regrets are exact: each executed policy is evaluated on the true model. Ties are broken by the
lowest index and the truth is the last member of its class, so that they go against it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from _mex_games import GAME_PARTS
from _parts import Part, Setting, run
from _plots import log_points, mean_sd, outside_legend, panels

from theoryrl import Trace, play
from theoryrl.instances import (
    perturbed_values,
    random_dirichlet,
    random_linear,
    risky_arms,
    risky_arms_class,
    riverswim,
    sparse_rewards,
)
from theoryrl.learners import (
    KLUCBVI,
    LSVI,
    MEX,
    PSRL,
    RLSVI,
    UCBVI,
    EpsilonGreedy,
    FinitePSRL,
    GreedyMLE,
    LevelSetOFU,
    ProductGOLF,
)
from theoryrl.learners.mex import play_whole
from theoryrl.models import LinearQClass, TabularModelClass
from theoryrl.protocol import EpisodicProblem, as_problem
from theoryrl.solvers import plan_tabular_model, plan_tabular_q, tabular_model_objective, tabular_q_objective
from theoryrl.solvers.episodic import backward_induction
from theoryrl.theory import clopper_pearson
from theoryrl.theory.evidence.finite_classes import (
    LOCKED,
    Scored,
    lock_in_probability,
    model_run,
)
from theoryrl.theory.evidence.penalised import sample_counts

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#666666", "#882255", "#000000")
GREEDY_ETA = 1e4
THEORY_DELTA = 0.1
LOCKED_REGRET = 0.25
"""A run whose mean regret per episode is larger is locked: the safe arm costs 0.8."""


def median_text(samples: np.ndarray) -> str:
    """Write median and maximum."""
    return f"{np.median(samples):,.1f} / {samples.max():,.0f}"


# 1. Risky arms.


def arms_learners() -> dict[str, Any]:
    """Return the contenders over the sixteen models."""
    family = risky_arms_class()
    return {
        "MEX, eta 0.0632": MEX(hypotheses=family, eta=0.0632),
        "MEX, theory": MEX(hypotheses=family, delta=THEORY_DELTA),
        "MEX, anytime": MEX(hypotheses=family, delta=THEORY_DELTA, schedule="anytime"),
        "MEX, eta 0.253": MEX(hypotheses=family, eta=0.253),
        "MEX, eta 10,000": MEX(hypotheses=family, eta=GREEDY_ETA),
        "greedy likelihood": GreedyMLE(hypotheses=family),
        "level-set OFU": LevelSetOFU(hypotheses=family, delta=THEORY_DELTA),
        "posterior sampling": FinitePSRL(hypotheses=family),
    }


def played_arms(name: str, rounds: int, seed: int) -> np.ndarray:
    """Return the cumulative regret of one run at some episodes; compiled where it can be."""
    learner = arms_learners()[name]
    problem = EpisodicProblem(risky_arms(), "risky arms")
    trace = (play_whole if isinstance(learner, MEX) else play)(problem, learner, rounds, seed)
    return np.asarray(trace.regret_at(log_points(rounds, 120)))


def arms(setting: Setting) -> Part:
    """Regret of the contenders on risky arms, in mean and median, and how many runs are locked."""
    rounds, seeds = setting.scope.pick(500, 4000), setting.scope.pick(5, 400)
    names = list(arms_learners())
    jobs = [(name, rounds, seed) for name in names
            for seed in range(seeds if name.startswith("MEX") else max(5, seeds // 5))]  # fmt: skip
    played = setting.map(played_arms, jobs)
    curves = {
        name: np.array([curve for job, curve in zip(jobs, played, strict=True) if job[0] == name])
        for name in names
    }
    figure, axes = panels(1, 2, sharex=True)
    x = log_points(rounds, 120)
    for index, name in enumerate(names):
        for ax, middle in zip(axes, (np.mean, np.median), strict=True):
            ax.plot(x, middle(curves[name], axis=0), color=COLOURS[index], label=name, linewidth=1.4)
    for ax, title in zip(axes, ("mean regret", "median regret"), strict=True):
        ax.set(xscale="log", yscale="log", ylim=(0.5, None), xlabel="episode", title=title)
    outside_legend(figure, axes[0], 4)
    final = {name: curve[:, -1] for name, curve in curves.items()}
    rows = []
    for name, regret in final.items():
        locked = int((regret > LOCKED_REGRET * rounds).sum())
        rows.append(
            [name, mean_sd(regret), median_text(regret), f"{locked} of {len(regret)}", law_text(name, rounds)]
        )
    return Part(figure, ["learner", "regret, mean ± sd", "median / max", "locked", "law"], rows,
                {name: regret.tolist() for name, regret in final.items()})  # fmt: skip


def law_text(name: str, rounds: int) -> str:
    """Write the exact probability of a lock-in, where there is a law for it."""
    learner = arms_learners()[name]
    if isinstance(learner, GreedyMLE):
        return f"{lock_in_probability(1e9)[1]:.3f}"
    if not isinstance(learner, MEX) or learner.schedule == "anytime":
        return ""
    return f"{lock_in_probability(learner.price(0, rounds))[1]:.2g}"


# 2. The schedule of eta.


SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "eta = 20 / sqrt K": lambda K: 20 / math.sqrt(K),
    "eta = 0.894": lambda K: 0.894,
    "greedy (eta = 10,000)": lambda K: GREEDY_ETA,
}


def scheduled(name: str, rounds: int, seed: int) -> tuple[float, bool]:
    """Return the regret of a run, and whether it was locked."""
    learner = MEX(hypotheses=risky_arms_class(), eta=SCHEDULES[name](rounds))
    trace = play_whole(EpisodicProblem(risky_arms(), "risky arms"), learner, rounds, seed)
    return trace.final_regret, bool((trace.diagnostics["index"] == LOCKED).any())


def schedule(setting: Setting) -> Part:
    """Mean regret over the horizon for eta that shrinks with it and for eta that does not."""
    horizons = np.array(setting.scope.pick([500, 2000], [500, 2000, 8000, 32000]))
    seeds = setting.scope.pick(10, 2000)
    jobs = [(name, int(K), seed) for name in SCHEDULES for K in horizons for seed in range(seeds)]
    played = iter(setting.map(scheduled, jobs))
    figure, (ax, shares) = panels(1, 2)
    rows, numbers = [], {}
    for index, name in enumerate(SCHEDULES):
        found = np.array([[next(played) for _ in range(seeds)] for _ in horizons])
        regret, locked = found[..., 0], found[..., 1]
        law = np.array([lock_in_probability(SCHEDULES[name](K))[1] for K in horizons])
        slope = float(np.polyfit(np.log(horizons), np.log(regret.mean(axis=1)), 1)[0])
        ax.plot(horizons, regret.mean(axis=1), "o-", color=COLOURS[index], label=name)
        ax.plot(horizons, np.median(regret, axis=1), ":", color=COLOURS[index])
        limits = [clopper_pearson(int(row.sum()), seeds, 0.01) for row in locked]
        shares.errorbar(
            horizons, [fit.estimate for fit in limits], fmt="o", color=COLOURS[index],
            yerr=np.abs(np.array([[fit.estimate - fit.low, fit.high - fit.estimate] for fit in limits]).T),
        )  # fmt: skip
        shares.plot(horizons, law, "-", color=COLOURS[index])
        rows += [
            [f"{name}, K = {K:,}", mean_sd(r), f"{np.median(r):.1f}", f"{lock.mean():.4f}", f"{p:.2g}"]
            for K, r, lock, p in zip(horizons, regret, locked, law, strict=True)
        ]
        rows.append([f"{name}: slope of the mean", f"{slope:.2f}", "", "", ""])
        numbers[name] = {"regret": regret.mean(axis=1).tolist(), "locked": locked.sum(axis=1).tolist(),
                         "seeds": seeds, "law": law.tolist(), "slope": slope}  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="episodes K", title="regret: mean, and median (dotted)")
    shares.set(xscale="log", xlabel="episodes K", title="share of locked runs, and the exact law")
    outside_legend(figure, ax, 3)
    return Part(figure, ["eta, horizon", "regret, mean ± sd", "median", "locked", "law"], rows, numbers)


# 3. RiverSwim.


BONUS_UNIT = math.sqrt(math.log(6 * 2 * 20 * 1500 / 0.05)) / (7 * math.log(5 * 120 * 2 * 20 * 1500 / 0.05))
"""What makes UCBVI's bonus 7 H L / sqrt(n) into H sqrt(log(S A H K / delta) / n), for K = 1500."""


def swimmers() -> dict[str, Any]:
    """Return the learners that swim."""
    with warnings.catch_warnings(action="ignore"):  # bonuses are tuned, which voids the theorem
        tuned = {
            f"UCBVI, c = {c:g}": UCBVI(bonus="hoeffding", bonus_scale=c * BONUS_UNIT) for c in (0.1, 0.02)
        }
    return {
        "MEX, tables, eta 0.2": MEX(eta=0.2),
        "MEX, tables, eta 1": MEX(eta=1.0),
        "MEX, tables, eta 5": MEX(eta=5.0),
        "MEX, kernels, eta 0.1": MEX(hypotheses=TabularModelClass(), eta=0.1),
        "MEX, kernels, eta 0.3": MEX(hypotheses=TabularModelClass(), eta=0.3),
        "PSRL": PSRL(prior=1 / 6),
        **tuned,
        "KL-UCBVI": KLUCBVI(refresh_growth=0.02),
        "epsilon-greedy 0.1": EpsilonGreedy(),
        "greedy": EpsilonGreedy(epsilon=0.0),
    }


def margin(problem: EpisodicProblem, state: Any, decision: Any) -> Mapping[str, float]:
    """Return J(f^k) - J(f*), which the proof needs to be nonnegative; NaN for other learners."""
    losses = getattr(state, "losses", None)
    if not hasattr(losses, "counts"):
        return {"margin": math.nan}
    counts, eta, mdp = losses.counts.N, decision.diagnostics["eta"], problem.mdp
    if losses.kind == "model-based":
        truth = tabular_model_objective(counts, mdp.r, mdp.rho, eta, mdp.P)
    else:
        Q = backward_induction(mdp).action_values
        truth = tabular_q_objective(counts, mdp.r, mdp.rho, eta, Q)
    return {"margin": decision.diagnostics["objective"] - truth}


def swim(name: str, rounds: int, seed: int) -> Trace:
    """Play one learner on RiverSwim."""
    return play(EpisodicProblem(riverswim(), "riverswim"), swimmers()[name], rounds, seed, audit=margin)


def river(setting: Setting) -> Part:
    """Regret on RiverSwim, and the certified gap of the two tabular planners along the run."""
    rounds, seeds = setting.scope.pick(60, 1500), setting.scope.pick(1, 10)
    names = list(swimmers())
    traces = iter(setting.map(swim, [(name, rounds, seed) for name in names for seed in range(seeds)]))
    figure, (ax, gaps) = panels(1, 2)
    x, rows, numbers = log_points(rounds), [], {}
    for index, name in enumerate(names):
        runs = [next(traces) for _ in range(seeds)]
        curves = np.array([trace.regret_at(x) for trace in runs])
        style = "-" if name.startswith("MEX") else "--"
        ax.plot(x, curves.mean(axis=0), style, color=COLOURS[index % 9], label=name, linewidth=1.3)
        regret = np.array([trace.final_regret for trace in runs])
        row = [name, mean_sd(regret), f"{late_slope(curves, x):.2f}", "", ""]
        numbers[name] = {"regret": regret.tolist()}
        if "gap" in runs[0].diagnostics:
            gap = np.array([trace.diagnostics["gap"] for trace in runs])
            least = min(float(trace.diagnostics["margin"].min()) for trace in runs)
            gaps.plot(np.arange(1, rounds + 1), gap.mean(axis=0), color=COLOURS[index % 9], linewidth=1.3)
            row[3:] = [f"{gap.mean():.2f}", f"{least:.2g}"]
            numbers[name] |= {"gap": float(gap.mean()), "least_margin": least}
        rows.append(row)
    ax.set(xscale="log", yscale="log", xlabel="episode", title=f"regret on RiverSwim, {seeds} seeds")
    gaps.set(xscale="log", xlabel="episode", title="certified gap of the planner")
    outside_legend(figure, ax, 4)
    header = ["learner", "regret, mean ± sd", "slope, k >= 300", "mean certified gap", "least J(f^k) - J(f*)"]
    return Part(figure, header, rows, numbers)


def late_slope(curves: np.ndarray, x: np.ndarray) -> float:
    """Return the log-log slope of the mean regret after episode 300, or over the last third."""
    late = x >= min(300, x[-1] // 2)
    return float(np.polyfit(np.log(x[late]), np.log(curves.mean(axis=0)[late]), 1)[0])


# 4. Product classes, and 5. linear functions: many learners on several instances.


def comparison(
    setting: Setting, job: Callable[[str, int, int, int], np.ndarray], names: list[str], rounds: int,
    instances: int, seeds: int, title: str,
) -> Part:  # fmt: skip
    """Return one panel per instance, and the final regrets."""
    jobs = [(n, i, rounds, s) for n in names for i in range(instances) for s in range(seeds)]
    played = iter(setting.map(job, jobs))
    figure, axes = panels(1, instances, width=3.6)
    x, rows, numbers = log_points(rounds, 120), [], {}
    for index, name in enumerate(names):
        curves = np.array([[next(played) for _ in range(seeds)] for _ in range(instances)])
        for ax, runs in zip(axes, curves, strict=True):
            ax.plot(x, runs.mean(axis=0), color=COLOURS[index], label=name, linewidth=1.4)
        final = curves[..., -1]
        rows.append([name, mean_sd(final.ravel()), *(mean_sd(runs) for runs in final)])
        numbers[name] = final.tolist()
    for i, ax in enumerate(axes):
        ax.set(xlabel="episode", title=f"{title} {i}")
    axes[0].set(ylabel="regret")
    outside_legend(figure, axes[0], 4)
    header = ["learner", "all instances", *(f"{title} {i}" for i in range(instances))]
    return Part(figure, header, rows, numbers)


def product_learners(instance: int) -> tuple[EpisodicProblem, dict[str, Any]]:
    """Return an instance with its class of 25^4 functions, and the learners."""
    mdp = sparse_rewards(seed=instance)
    family = perturbed_values(mdp, seed=instance)
    learners = {f"MEX, eta {eta:g}": MEX(hypotheses=family, eta=eta) for eta in (0.02, 0.2, 1.0)}
    learners["MEX, theory"] = MEX(hypotheses=family, delta=THEORY_DELTA)
    learners |= {f"GOLF, beta {beta:g}": ProductGOLF(hypotheses=family, beta=beta) for beta in (5.0, 1.0)}
    learners["GOLF, theory"] = ProductGOLF(hypotheses=family, delta=THEORY_DELTA)
    return EpisodicProblem(mdp, f"product {instance}"), learners


def product_run(name: str, instance: int, rounds: int, seed: int) -> np.ndarray:
    """Return the regret of one run."""
    problem, learners = product_learners(instance)
    return np.asarray(play(problem, learners[name], rounds, seed).regret_at(log_points(rounds, 120)))


def product(setting: Setting) -> Part:
    """MEX and GOLF over 390,625 functions, both exact."""
    names = list(product_learners(0)[1])
    pick = setting.scope.pick
    return comparison(setting, product_run, names, pick(200, 800), 3, pick(1, 5), "instance")


LINEAR: Mapping[str, Any] = {
    "MEX, eta 0.1": MEX(hypotheses=LinearQClass(), eta=0.1),
    "MEX, eta 0.3": MEX(hypotheses=LinearQClass(), eta=0.3),
    "MEX, eta 1": MEX(hypotheses=LinearQClass(), eta=1.0),
    "LSVI-UCB, beta 1": LSVI(beta=1.0),
    "LSVI-UCB, beta 0.3": LSVI(beta=0.3),
    "RLSVI, sigma 0.5": RLSVI(sigma=0.5),
    "greedy": LSVI(beta=0.0),
}


def linear_run(name: str, instance: int, rounds: int, seed: int) -> np.ndarray:
    """Return the regret of one run on a linear MDP."""
    problem = as_problem(random_linear(seed=instance))
    return np.asarray(play(problem, LINEAR[name], rounds, seed).regret_at(log_points(rounds, 120)))


def linear(setting: Setting) -> Part:
    """MEX, LSVI-UCB and RLSVI on random linear MDPs."""
    pick = setting.scope.pick
    return comparison(setting, linear_run, list(LINEAR), pick(100, 200), 3, pick(2, 10), "linear MDP")


# 6. What the planners certify.


def certified(seed: int) -> tuple[list[float], list[float]]:
    """Return (root gap, gap after branch and bound, nodes) over kernels and (gap) over tables."""
    rng = np.random.default_rng(seed)
    mdp = random_dirichlet(n_states=3, n_actions=2, horizon=3, concentration=0.5, seed=seed)
    few, many = sample_counts(mdp, 40, rng), sample_counts(mdp, 400, rng)
    eta = float(10 ** rng.uniform(math.log10(0.02), math.log10(0.3)))
    root = plan_tabular_model(few, mdp.r, mdp.rho, eta)
    closed = plan_tabular_model(few, mdp.r, mdp.rho, eta, certify="bnb")
    tables = plan_tabular_q(many, mdp.r, mdp.rho, float(10 ** rng.uniform(math.log10(0.2), math.log10(2))))
    return [root.gap, closed.gap, float(closed.iterations)], [tables.gap]


def gaps(setting: Setting) -> Part:
    """Certified gaps over kernels (before and after branch and bound) and over tables, small models."""
    number = setting.scope.pick(12, 200)
    found = setting.map(certified, [(seed,) for seed in range(number)])
    kernels, tables = np.array([pair[0] for pair in found]), np.array([pair[1] for pair in found])
    columns = {
        "kernels, relaxation": kernels[:, 0],
        "kernels, branch and bound": kernels[:, 1],
        "tables, relaxation": tables[:, 0],
    }
    figure, (ax,) = panels(1, 1, width=5.6)
    for index, (name, values) in enumerate(columns.items()):
        ordered = np.sort(np.maximum(values, 1e-12))
        ax.plot(ordered, np.arange(1, number + 1) / number, color=COLOURS[index], label=name)
    ax.set(xscale="log", xlim=(1e-6, None), xlabel="upper bound minus what is reached",
           title=f"{number} models with S = 3, A = 2, H = 3", ylabel="share of models")  # fmt: skip
    ax.legend(frameon=False)
    rows = [[name, f"{values.mean():.4f}", f"{values.max():.4f}"] for name, values in columns.items()]
    rows.append(["nodes of branch and bound", f"{kernels[:, 2].mean():.1f}", f"{kernels[:, 2].max():.0f}"])
    numbers = {name: values.tolist() for name, values in columns.items()}
    return Part(figure, ["planner", "mean gap", "largest gap"], rows, numbers)


# 7. The audit trail of one run.


def audit(setting: Setting) -> Part:
    """Each inequality of the proof along a run with the theory's eta, and with an approximate maximum."""
    rounds = setting.scope.pick(200, 4000)
    family, problem = risky_arms_class(), EpisodicProblem(risky_arms(), "risky arms")
    scored = Scored.of(family, problem.mdp)
    exact = model_run(problem, MEX(hypotheses=family, delta=THEORY_DELTA), rounds, 0, "exact", scored)
    worst = model_run(
        problem, MEX(hypotheses=family, delta=THEORY_DELTA, error=0.2), rounds, 0, "worst", scored
    )
    K = np.arange(1.0, rounds + 1)
    eta, H = exact.etas, exact.models.horizon
    lines = {
        "regret": exact.regret,
        "sum of V* - V_f": np.cumsum(exact.shortfall),
        "sum of eta (L(f*) - L(f))": np.cumsum(eta * exact.loss_gap),
        "sum of V_f - V^pi": np.cumsum(exact.overestimates),
        "2 eta H K iota": 2 * eta * H * K * exact.iota,
        "T-MB": np.array([exact.bound(k) for k in K]),
        "trivial, H K": H * K,
    }
    figure, (left, right) = panels(1, 2)
    for index, (name, values) in enumerate(lines.items()):
        left.plot(K, np.maximum(values, 1e-1), color=COLOURS[index], label=name, linewidth=1.3)
    for index, (name, run_) in enumerate((("exact", exact), ("within 0.2, the worst", worst))):
        slack = run_.etas * run_.loss_gap - run_.shortfall
        right.plot(K, slack, color=COLOURS[index], label=name, linewidth=1.0)
    right.axhline(0, color="#666666", linewidth=0.8)
    right.axhline(-0.2, color="#666666", linewidth=0.8, linestyle=":")
    left.set(xscale="log", yscale="log", xlabel="episode", title="the bound and its parts")
    right.set(xscale="log", xlabel="episode", title="slack of the optimality inequality")
    right.legend(frameon=False)
    outside_legend(figure, left, 4)
    rows = [[name, f"{values[-1]:,.1f}"] for name, values in lines.items()]
    slacks = [float((r.etas * r.loss_gap - r.shortfall).min()) for r in (exact, worst)]
    rows += [["least slack, exact", f"{slacks[0]:.3g}"], ["least slack, error 0.2", f"{slacks[1]:.3g}"]]
    rows.append(["regret with error 0.2", f"{worst.regret[-1]:,.1f}"])
    numbers = {name: float(values[-1]) for name, values in lines.items()} | {"slacks": slacks}
    return Part(figure, ["quantity", f"after {rounds:,} episodes"], rows, numbers)


PARTS: dict[str, Callable[[Setting], Part]] = {
    "arms": arms,
    "schedule": schedule,
    "river": river,
    "product": product,
    "linear": linear,
    "gaps": gaps,
    "audit": audit,
    **GAME_PARTS,
}

if __name__ == "__main__":
    run("mex", PARTS, __doc__)
