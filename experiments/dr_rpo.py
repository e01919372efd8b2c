"""DR-RPO and its relatives: every figure and table of the docs page.

    python experiments/dr_rpo.py                    # all parts, a few minutes on two cores
    python experiments/dr_rpo.py --quick            # fewer seeds and episodes
    python experiments/dr_rpo.py --only put lake    # some parts
    python experiments/dr_rpo.py --docs             # all parts, into docs/papers/figures/dr-rpo/

Values are exact: each policy is evaluated on the model in which it is tested. Bonus factors are flat where a
part says so; the theory's constants are used in the part `bounds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from _parts import Part, Setting, run
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theoryrl import Policy, RobustLinearMDP, Uncertainty, play
from theoryrl.instances import (
    american_put,
    five_state,
    five_state_target,
    frozen_lake,
    frozen_lake_target,
    price_features,
    random_robust_linear,
    repeated_mixture,
    unobserved_turn,
)
from theoryrl.instances.american_put import UNIT
from theoryrl.learners import (
    DRLSVIUCB,
    DRPVI,
    DRRPO,
    LSVIUCB,
    PEVI,
    R2PVI,
    RPO,
    VADRPVI,
    RobustUCBVI,
    WeDriveU,
)
from theoryrl.protocol import Approximation, OffDynamicsProblem, Run
from theoryrl.solvers import (
    policy_value,
    robust_policy_evaluation,
    robust_value_iteration,
    simulate_episodes,
)
from theoryrl.theory import Scope
from theoryrl.theory.evidence.robust_learning import tight_plans
from theoryrl.theory.evidence.robust_linear import PlanAudit, audited_run

PUBLISHED: dict[str, Any] = {"beta": 1.0, "ridge": 0.1}
"""Bonus factor and ridge of the public code of Liu and Xu (2024)."""

STYLE = {
    "LSVI-UCB": ("#666666", "-"),
    "DR-LSVI-UCB": ("#D55E00", "--"),
    "We-DRIVE-U style": ("#CC79A7", ":"),
    "DR-RPO, η = 0.02": ("#0072B2", "-"),
    "DR-RPO, η = 0.1": ("#009E73", "-."),
    "DR-RPO, TV at price 0.5, η = 0.02": ("#56B4E9", "--"),
    "non-robust RPO, η = 0.02": ("#999999", "-."),
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#666666")


# What the parts share.


def panels(columns: int, width: float = 4.4, height: float = 3.4) -> tuple[Figure, Any]:
    """Return a figure that needs no display, and its axes."""
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def band(
    ax: Axes, x: Sequence[float] | np.ndarray, samples: np.ndarray, colour: str, dash: str, label: str
) -> None:
    """Draw the mean over seeds (the first axis), and the range of the middle eighty percent as a band."""
    ax.plot(x, samples.mean(axis=0), color=colour, linestyle=dash, linewidth=1.6, label=label)
    low, high = np.quantile(samples, (0.1, 0.9), axis=0)
    ax.fill_between(x, low, high, color=colour, alpha=0.13, linewidth=0)


def mean_sd(samples: np.ndarray, digits: int = 3) -> str:
    """Write mean and standard deviation over seeds."""
    return f"{samples.mean():.{digits}f} ± {samples.std(ddof=1):.{digits}f}"


def summary(samples: np.ndarray) -> dict[str, list[float]]:
    """Return mean and standard deviation over seeds (the first axis)."""
    return {"mean": samples.mean(axis=0).tolist(), "sd": samples.std(axis=0, ddof=1).tolist()}


def learned_policy(problem: OffDynamicsProblem, learner: Any, episodes: int, seed: int) -> Policy:
    """Return the policy that the learner would play after the last episode."""
    finished = Run(problem, learner, episodes, seed).advance()
    return finished.learner.plan(finished.state).policy


# Values under perturbation.

LEVELS = np.linspace(0.0, 1.0, 21)
PENALISED = "DR-RPO, TV at price 0.5, η = 0.02"


def penalised(model: RobustLinearMDP) -> RobustLinearMDP:
    """Return the five states with a price for leaving the goal's factor at the first stage, not a ball."""
    prices = np.full((3, 4), 100.0)
    prices[0, 3] = 0.5
    return model.replaced(uncertainty=Uncertainty("tv", prices, penalty=True))


def tested_on_five_states(model: RobustLinearMDP, learner: Any, episodes: int, seed: int) -> np.ndarray:
    """Return the learned policy's values over the level of the perturbation."""
    policy = learned_policy(OffDynamicsProblem(model), learner, episodes, seed)
    return np.array([policy_value(five_state_target(float(q)), policy) for q in LEVELS])


def perturbation(setting: Setting) -> Part:
    """The five states: what is learned in the nominal model is worth in perturbed ones."""
    episodes, seeds = setting.scope.pick((40, 3), (120, 40))
    learners = {
        "LSVI-UCB": (0.0, LSVIUCB(**PUBLISHED)),
        "DR-LSVI-UCB": (0.0, DRLSVIUCB(**PUBLISHED)),
        "We-DRIVE-U style": (0.0, WeDriveU(**PUBLISHED)),
        "DR-RPO, η = 0.02": (0.02, DRRPO(**PUBLISHED)),
        "DR-RPO, η = 0.1": (0.1, DRRPO(**PUBLISHED)),
        PENALISED: (0.02, DRRPO(**PUBLISHED)),
        "non-robust RPO, η = 0.02": (0.02, RPO(**PUBLISHED)),
    }
    figure, axes = panels(2, width=4.8)
    rows, numbers = [], dict[str, Any]()
    shown = [0, 4, 8, 12, 16, 20]
    for name, (eta, learner) in learners.items():
        model = five_state(radius=0.6, temperature=eta)
        model = penalised(model) if name == PENALISED else model
        jobs = [(model, learner, episodes, seed) for seed in range(seeds)]
        values = np.array(setting.map(tested_on_five_states, jobs))
        band(axes[0], LEVELS, values, *STYLE[name], name)
        rows.append([name, *(mean_sd(values[:, i]) for i in shown)])
        numbers[name] = summary(values)
    for (label, radius, eta), colour in zip(
        (
            ("nominal optimum", 0.0, 0.0),
            ("robust, ρ = 0.6", 0.6, 0.0),
            ("η = 0.02", 0.6, 0.02),
            ("η = 0.1", 0.6, 0.1),
        ),
        ("#666666", "#D55E00", "#0072B2", "#009E73"),
        strict=True,
    ):
        best = robust_value_iteration(five_state(radius=radius, temperature=eta)).policy
        exact = [policy_value(five_state_target(float(q)), best) for q in LEVELS]
        axes[1].plot(LEVELS, exact, color=colour, label=label)
        numbers[f"exact, {label}"] = exact
        rows.append([f"exact, {label}", *(f"{exact[i]:.4f}" for i in shown)])
    for ax, title in zip(axes, (f"learned, K = {episodes}, {seeds} seeds", "exact optima"), strict=True):
        ax.set(xlabel="level q of the perturbation", title=title, ylim=(0.3, 1.5))
        ax.legend(frameon=False, fontsize="small", loc="lower left")
    axes[0].set_ylabel("value in the perturbed model")
    header = ["five states, ρ = 0.6", *(f"q = {LEVELS[i]:g}" for i in shown)]
    return Part(figure, header, rows, numbers)


# Where the robust and the nominal optimum separate.


def separation(setting: Setting) -> Part:
    """The price of the nominal optimum in robust value, and the radius from which on it pays to differ."""
    radii = np.linspace(0.0, 1.0, setting.scope.pick(41, 201))
    figure, (left, right) = panels(2)
    rows, numbers = [], dict[str, Any]()
    for xi, colour in zip((0.1, 0.2, 0.3), COLOURS, strict=False):
        nominal = robust_value_iteration(five_state(xi_norm=xi, radius=0.0)).policy
        models = [five_state(xi_norm=xi, radius=float(radius)) for radius in radii]
        best = np.array([robust_value_iteration(model).start_value for model in models])
        kept = np.array([robust_policy_evaluation(model, nominal).start_value for model in models])
        m, p = 0.3 + xi, 0.001
        flip = 1 - (1 - p) * (2 * m + m * (1 - m) * (1 - p)) / 2
        left.plot(radii, best, color=colour, label=f"robust optimum, ‖ξ‖ = {xi}")
        left.plot(radii, kept, color=colour, linestyle=":")
        right.plot(radii, best - kept, color=colour, label=f"‖ξ‖ = {xi}")
        right.axvline(flip, color=colour, linewidth=0.8, linestyle="--")
        found = float(radii[np.argmax(best - kept > 1e-9)])
        rows.append([f"‖ξ‖ = {xi}", f"{flip:.6f}", f"{found:.3f}", f"{(best - kept)[-1]:.4f}"])
        numbers[str(xi)] = {"flip": flip, "first difference": found, "loss at 1": float((best - kept)[-1])}
    left.set(xlabel="radius ρ", ylabel="robust value", title="dotted: the nominal optimum")
    right.set(xlabel="radius ρ", ylabel="loss of the nominal optimum", title="dashed: ρ* in closed form")
    for ax in (left, right):
        ax.legend(frameon=False, fontsize="small")
    header = ["five states", "ρ* (formula)", "first radius on the grid with a loss", "loss at ρ = 1"]
    return Part(figure, header, rows, numbers)


# The trade-off of the regulariser.


def scores(eta: float, episodes: int, seed: int) -> np.ndarray:
    """Return (robust value without the price, value in the nominal model) of what DR-RPO learns."""
    policy = learned_policy(
        OffDynamicsProblem(five_state(radius=0.6, temperature=eta)), DRRPO(**PUBLISHED), episodes, seed
    )
    robust = robust_policy_evaluation(five_state(radius=0.6), policy).start_value
    return np.array([robust, policy_value(five_state_target(0.0), policy)])


def regularisation(setting: Setting) -> Part:
    """Robust value and its spread over seeds, by the temperature."""
    episodes, seeds = setting.scope.pick((40, 3), (120, 40))
    etas = [0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    jobs = [(eta, episodes, seed) for eta in etas for seed in range(seeds)]
    found = np.array(setting.map(scores, jobs)).reshape(len(etas), seeds, 2)
    figure, (left, right) = panels(2)
    x = np.arange(len(etas))
    exact = []
    for eta in etas:
        best = robust_value_iteration(five_state(radius=0.6, temperature=eta)).policy
        exact.append(robust_policy_evaluation(five_state(radius=0.6), best).start_value)
    left.plot(x, exact, color="#666666", label="exact regularised optimum")
    left.errorbar(x, found[..., 0].mean(axis=1), yerr=found[..., 0].std(axis=1, ddof=1), color=COLOURS[0],
                  capsize=2, marker="o", markersize=4, label="learned, mean ± sd over seeds")  # fmt: skip
    left.set(ylabel="robust value, ρ = 0.6, without the price", title=f"K = {episodes}, {seeds} seeds")
    left.legend(frameon=False, fontsize="small")
    right.plot(x, found[..., 0].std(axis=1, ddof=1), "o-", color=COLOURS[1], markersize=4)
    right.set(ylabel="spread over seeds (sd)", ylim=(0, None))
    for ax in (left, right):
        ax.set_xticks(x, [f"{eta:g}" for eta in etas])
        ax.set_xlabel("temperature η")
    rows = [
        [f"η = {eta:g}", f"{exact[i]:.4f}", mean_sd(found[i, :, 0], 4), mean_sd(found[i, :, 1], 4)]
        for i, eta in enumerate(etas)
    ]
    header = ["five states, ρ = 0.6", "exact robust value", "learned robust value", "learned, nominal model"]
    numbers = {f"{eta:g}": found[i].tolist() for i, eta in enumerate(etas)} | {"exact": exact}
    return Part(figure, header, rows, numbers)


# The American put option.

RISES = np.array([6, 10, 14, 17, 20, 23, 26, 30, 34]) / 40


def tested_on_puts(radius: float, eta: float, beta: float, episodes: int, seed: int) -> np.ndarray:
    """Learn with hat functions of the price, and return values (in currency) over the true chance of a rise.

    The first price is drawn once per seed.
    """
    start = float(np.random.default_rng([seed, 7]).uniform(95, 105))
    model = american_put(radius=radius, start_price=start, temperature=eta / UNIT)
    phi, theta = price_features(start)
    told = Approximation(phi, theta, Uncertainty("tv", np.where(np.arange(22) < 20, radius, 0.0)))
    problem = OffDynamicsProblem(model, "put", told, value_bound=1.0)
    policy = learned_policy(problem, DRRPO(beta=beta / UNIT, ridge=0.1), episodes, seed)
    best = robust_value_iteration(american_put(radius=radius, start_price=start)).policy
    models = [american_put(up=float(up), start_price=start).nominal.to_episodic() for up in RISES]
    return UNIT * np.array([[policy_value(model, p) for model in models] for p in (policy, best)])


def put(setting: Setting) -> Part:
    """The American put option: exact robust policies, and learned ones, over the chance of a rise."""
    episodes, seeds = setting.scope.pick((30, 2), (400, 20))
    figure, axes = panels(2, width=4.8)
    rows, numbers = [], dict[str, Any]()
    cases = [
        ("ρ = 0", 0.0, 0.0),
        ("ρ = 0.1", 0.1, 0.0),
        ("ρ = 0.3", 0.3, 0.0),
        ("ρ = 0.1, η = 0.2", 0.1, 0.2),
    ]
    for (name, radius, eta), colour in zip(cases, COLOURS, strict=False):
        jobs = [(radius, eta, 2.0, episodes, seed) for seed in range(seeds)]
        found = np.array(setting.map(tested_on_puts, jobs))
        band(axes[0], RISES, found[:, 0], colour, "-" if eta == 0 else "--", name)
        if eta == 0:
            band(axes[1], RISES, found[:, 1], colour, "-", name)
            rows.append([f"exact, {name}", *(mean_sd(found[:, 1, i], 2) for i in (0, 2, 4, 6, 8))])
        rows.append([f"learned, {name}", *(mean_sd(found[:, 0, i], 2) for i in (0, 2, 4, 6, 8))])
        numbers[name] = {"learned": found[:, 0].tolist(), "exact": found[:, 1].tolist()}
    for ax, title in zip(
        axes, (f"learned, K = {episodes}, {seeds} seeds", "exact robust policies"), strict=True
    ):
        ax.axvline(0.5, color="black", linewidth=0.6, linestyle=":")
        ax.set(xlabel="true chance of a rise (dotted: nominal)", ylabel="value of the option", title=title)
        ax.legend(frameon=False, fontsize="small")
    header = ["American put", *(f"p = {RISES[i]:g}" for i in (0, 2, 4, 6, 8))]
    return Part(figure, header, rows, numbers)


RISES_IN_TABLE = (0.2, 0.35, 0.5, 0.65, 0.8)
PUT_CASES = {
    "ρ = 0": (0.0, 0.0),
    "ρ = 0.1": (0.1, 0.0),
    "ρ = 0.3": (0.3, 0.0),
    "ρ = 0.1, η = 0.2": (0.1, 0.2),
}


def put_values(policy: Policy) -> list[float]:
    """Return the values of a policy from the price 100 on, in currency, over the true chance of a rise."""
    models = (american_put(up=up).nominal.to_episodic() for up in RISES_IN_TABLE)
    return [UNIT * policy_value(model, policy) for model in models]


def learned_on_lattice(radius: float, eta: float, beta: float, seed: int) -> list[float]:
    """Learn for 100 episodes with a feature of its own for each price; values are at most 20."""
    model = american_put(radius=radius, temperature=eta / UNIT)
    problem = OffDynamicsProblem(model, "put", value_bound=20 / UNIT)
    return put_values(learned_policy(problem, DRRPO(beta=beta / UNIT, ridge=0.1), 100, seed))


def lattice(setting: Setting) -> Part:
    """The American put option from the price 100 on, where the model is exactly linear: by bonus factor."""
    seeds = setting.scope.pick(2, 20)
    betas = setting.scope.pick((1.0, 1.5), (0.5, 1.0, 1.5, 2.0, 4.0))
    figure, (left, right) = panels(2)
    rows, numbers = [], dict[str, Any]()
    for (name, (radius, eta)), colour in zip(PUT_CASES.items(), COLOURS, strict=False):
        jobs = [(radius, eta, beta, seed) for beta in betas for seed in range(seeds)]
        found = np.array(setting.map(learned_on_lattice, jobs)).reshape(len(betas), seeds, -1)
        chosen = found[betas.index(1.5)]
        exact = put_values(robust_value_iteration(american_put(radius=radius, temperature=eta / UNIT)).policy)
        left.plot(RISES_IN_TABLE, exact, color=colour, linestyle=":")
        band(left, RISES_IN_TABLE, chosen, colour, "-", name)
        at_low = found[..., 0]
        right.errorbar(betas, at_low.mean(axis=1), yerr=at_low.std(axis=1, ddof=1), color=colour, capsize=2,
                       marker="o", markersize=3, label=name)  # fmt: skip
        rows.append([f"exact, {name}", *(f"{value:.3f}" for value in exact)])
        rows.append([f"learned, {name}", *(mean_sd(chosen[:, i]) for i in range(chosen.shape[1]))])
        numbers[name] = {"exact": exact, "learned": chosen.tolist(), "betas": list(betas),
                         "by beta": at_low.mean(axis=1).tolist()}  # fmt: skip
    left.set(
        xlabel="true chance p of a rise",
        ylabel="value of the option",
        title=f"β = 1.5, {seeds} seeds (dotted: exact)",
    )
    right.set(xlabel="bonus factor β", ylabel="value at p = 0.2, mean ± sd", title="by bonus factor")
    right.set_xscale("log")
    right.set_xticks(betas, [f"{beta:g}" for beta in betas])
    right.minorticks_off()
    for ax in (left, right):
        ax.legend(frameon=False, fontsize="small")
    return Part(figure, ["put from 100", *(f"p = {up:g}" for up in RISES_IN_TABLE)], rows, numbers)


# The frozen lake.

SLIPS = np.linspace(0.0, 0.45, 10)
LAKE_LEARNERS = {"DR-RPO": DRRPO(beta=0.2, ridge=0.1), "robust UCB-VI": RobustUCBVI(scale=0.002)}


def learned_on_lake(name: str, radius: float, eta: float, episodes: int, seed: int) -> list[float]:
    """Return the learned policy's chance of reaching the goal, over the true slip."""
    problem = OffDynamicsProblem(frozen_lake(slip=1 / 6, radius=radius, temperature=eta))
    policy = learned_policy(problem, LAKE_LEARNERS[name], episodes, seed)
    return [policy_value(frozen_lake_target(float(slip)), policy) for slip in SLIPS]


def lake(setting: Setting) -> Part:
    """The frozen lake, exact and learned policies, tested with other slips; the nominal slip is 1/6."""
    episodes, seeds = setting.scope.pick((50, 2), (2000, 20))
    figure, axes = panels(2)
    rows, numbers = [], dict[str, Any]()
    shown = (0, 2, 4, 6, 9)
    radii = ((0.0, 0.0), (0.02, 0.0), (0.05, 0.0), (0.1, 0.0), (0.2, 0.0), (0.3, 0.0))
    for (radius, eta), colour in zip((*radii, (0.1, 0.01), (0.1, 0.1)), (*COLOURS, "#999999", "#56B4E9"),
                                     strict=True):  # fmt: skip
        best = robust_value_iteration(frozen_lake(slip=1 / 6, radius=radius, temperature=eta))
        tested = [policy_value(frozen_lake_target(float(slip)), best.policy) for slip in SLIPS]
        name = f"ρ = {radius:g}" + (f", η = {eta:g}" if eta else "")
        axes[0].plot(SLIPS, tested, color=colour, linestyle="--" if eta else "-", label=name)
        rows.append([f"exact, {name}", f"{best.start_value:.4f}", *(f"{tested[i]:.3f}" for i in shown)])
        numbers[f"exact, {name}"] = {"robust value": best.start_value, "tested": tested}
    cases = [("DR-RPO", 0.0, 0.0), ("DR-RPO", 0.1, 0.0), ("DR-RPO", 0.1, 0.01), ("DR-RPO", 0.1, 0.1),
             ("robust UCB-VI", 0.0, 0.0), ("robust UCB-VI", 0.1, 0.0)]  # fmt: skip
    for (learner, radius, eta), colour in zip(cases, COLOURS, strict=True):
        jobs = [(learner, radius, eta, episodes, seed) for seed in range(seeds)]
        found = np.array(setting.map(learned_on_lake, jobs))
        name = f"{learner}, ρ = {radius:g}" + (f", η = {eta:g}" if eta else "")
        band(axes[1], SLIPS, found, colour, "--" if "UCB" in name else "-", name)
        rows.append([name, "", *(mean_sd(found[:, i]) for i in shown)])
        numbers[name] = summary(found)
    for ax, title in zip(axes, ("exact policies", f"learned, K = {episodes}, {seeds} seeds"), strict=True):
        ax.axvline(1 / 6, color="black", linewidth=0.6, linestyle=":")
        ax.set(xlabel="true slip (dotted: nominal)", ylabel="chance of reaching the goal", title=title)
        ax.legend(frameon=False, fontsize="small")
    return Part(
        figure, ["frozen lake", "robust value", *(f"slip {SLIPS[i]:.2f}" for i in shown)], rows, numbers
    )


# From offline data.

OFFLINE: dict[str, tuple[Any, Uncertainty | None]] = {
    "PEVI": (PEVI, None),
    "DRPVI, ρ = 0.6": (DRPVI, None),
    "VA-DRPVI, ρ = 0.6": (VADRPVI, None),
    "R2PVI, TV, τ = 0.1": (R2PVI, Uncertainty("tv", 0.1, penalty=True)),
    "R2PVI, KL, τ = 0.1": (R2PVI, Uncertainty("kl", 0.1, penalty=True)),
    "R2PVI, χ², τ = 0.1": (R2PVI, Uncertainty("chi2", 0.1, penalty=True)),
}


def learned_offline(name: str, episodes: int, seed: int) -> list[float]:
    """Return the values, over the level of the perturbation, of what is learned from uniform behaviour."""
    learner, penalty = OFFLINE[name]
    model = five_state(xi_norm=0.2, radius=0.6)
    model = model if penalty is None else model.replaced(uncertainty=penalty)
    rng = np.random.default_rng([seed, 11])
    data = simulate_episodes(model.nominal.to_episodic(), Policy.uniform(5, 16), episodes, rng)
    problem = OffDynamicsProblem(model, offline=data)
    policy = learned_policy(problem, learner(beta=0.1, ridge=0.1), 1, seed)
    return [policy_value(five_state_target(float(q), xi_norm=0.2), policy) for q in LEVELS]


def offline(setting: Setting) -> Part:
    """Five states, offline data of the uniform policy: nominal, robust and penalised pessimism."""
    sizes, seeds = setting.scope.pick(((20, 50), 2), ((100, 1000), 40))
    figure, axes = panels(2)
    rows, numbers = [], dict[str, Any]()
    shown = (0, 4, 8, 12, 16, 20)
    for ax, episodes in zip(axes, sizes, strict=True):
        for name, colour, dash in zip(OFFLINE, COLOURS, ("-", "-", "--", ":", "-", "--"), strict=True):
            jobs = [(name, episodes, seed) for seed in range(seeds)]
            found = np.array(setting.map(learned_offline, jobs))
            band(ax, LEVELS, found, colour, dash, name)
            rows.append([f"{name}, {episodes} episodes", *(mean_sd(found[:, i]) for i in shown)])
            numbers[f"{name}, {episodes}"] = summary(found)
        ax.set(xlabel="level q of the perturbation", title=f"{episodes} offline episodes, {seeds} seeds")
    axes[0].set_ylabel("value in the perturbed model")
    axes[1].legend(frameon=False, fontsize="small")
    header = ["five states, ‖ξ‖ = 0.2", *(f"q = {LEVELS[i]:g}" for i in shown)]
    return Part(figure, header, rows, numbers)


# What coverage does, and what its lack does.


def gaps(model: RobustLinearMDP, learner: Any, episodes: int, seed: int) -> np.ndarray:
    """Return the gap of every episode."""
    trace = play(model, learner, episodes, seed)
    return trace.benchmark - trace.values


def coverage(setting: Setting) -> Part:
    """Gaps of blocks of episodes on covered models, by temperature; and where coverage fails."""
    episodes, seeds = setting.scope.pick((256, 2), (8192, 9))
    figure, (left, right) = panels(2)
    rows, numbers = [], dict[str, Any]()
    starts = 2 ** np.arange(4, int(np.log2(episodes)))
    for eta, colour in zip((0.3, 0.1, 0.05, 0.0), COLOURS, strict=False):
        jobs = [
            (random_robust_linear(temperature=eta, seed=seed % 3), DRRPO(beta=0.3), episodes, seed)
            for seed in range(seeds)
        ]
        found = np.array(setting.map(gaps, jobs))
        blocks = np.array([found[:, k - 1 : 2 * k - 1].mean(axis=1) for k in starts]).mean(axis=1)
        late = starts >= episodes // 16
        slope = float(np.polyfit(np.log(starts[late]), np.log(blocks[late]), 1)[0])
        left.loglog(1.5 * starts, blocks, "o-", color=colour, markersize=3, label=f"η = {eta:g}")
        rows.append([f"covered, η = {eta:g}", f"{blocks[0]:.4f}", f"{blocks[-1]:.5f}", f"{slope:.2f}"])
        numbers[f"covered, {eta:g}"] = {"blocks": blocks.tolist(), "slope": slope}
    anchor = 0.02 * starts[0]
    left.loglog(1.5 * starts, anchor / starts, color="black", linewidth=0.7, linestyle=":", label="1 / k")
    left.set(
        xlabel="episode k", ylabel="mean gap of a block", title=f"covered features, β = 0.3, {seeds} seeds"
    )
    left.legend(frameon=False, fontsize="small")
    uncovered = {
        "unobserved turn, η = 0.3": (unobserved_turn(), DRRPO(beta=1.0)),
        "repeated mixture, η = 0": (repeated_mixture(), DRRPO(beta=1.0)),
        "repeated mixture, η = 0.3": (repeated_mixture(0.3), DRRPO(beta=1.0)),
    }
    for (name, (model, learner)), colour in zip(uncovered.items(), COLOURS, strict=False):
        found = gaps(model, learner, episodes, 0)
        right.semilogx(np.arange(1, episodes + 1), found, color=colour, label=name)
        rows.append([name, f"{found[:16].mean():.4f}", f"{found[-1]:.5f}", "—"])
        numbers[name] = found[[0, episodes // 2, episodes - 1]].tolist()
    right.set(xlabel="episode k", ylabel="gap", title="not covered: linear regret", ylim=(0, 0.6))
    right.legend(frameon=False, fontsize="small")
    return Part(
        figure, ["model", "gap of the first block", "gap of the last block", "late slope"], rows, numbers
    )


# Three forms of the bonus.


def bonus(setting: Setting) -> Part:
    """How often each form of the bonus fails to cover the error of Q, when each factor's error is covered."""
    forms = {"factor": "Σ φᵢ gᵢ", "factor-l2": "(Σ φᵢ² gᵢ²)^½", "elliptic": "β ‖φ‖"}
    figure, axes = panels(3, width=3.4)
    rows, numbers = [], dict[str, Any]()
    for ax, (form, formula), colour in zip(axes, forms.items(), COLOURS, strict=False):
        scope = setting.scope if setting.scope.profile == "quick" else Scope("full", setting.scope.seed)
        plans = list(tight_plans(scope, lambda form=form, **options: DRRPO(bonus=form, **options)))
        errors, covers = (
            np.concatenate([getattr(plan, name) for plan in plans]) for name in ("errors", "covers")
        )
        known = covers > 1e-12
        ratios = errors[known] / covers[known]
        lost = np.array([plan.numbers["value_excess"] for plan in plans])
        ax.hist(ratios, bins=np.linspace(0, 2, 41) + 1e-6, color=colour)  # so that a ratio of one is below it
        ax.axvline(1.0, color="black", linewidth=0.8)
        ax.set(xlabel="error of Q / bonus", title=f"{form}: {formula}", yscale="log", ylim=(0.8, 3e4))
        failed = float((ratios > 1 + 1e-9).mean())
        rows.append([f"`{form}`", f"{100 * failed:.1f} %", f"{ratios.max():.3f}",
                     f"{100 * (lost > 1e-9).mean():.1f} %", f"{max(lost.max(), 0):.3f}"])  # fmt: skip
        numbers[form] = {
            "failed": failed,
            "largest": float(ratios.max()),
            "optimism lost": float((lost > 1e-9).mean()),
        }
    axes[0].set_ylabel("cells (h, s, a)")
    header = [
        "bonus",
        "cells not covered",
        "largest error / bonus",
        "plans without optimism",
        "largest V* − V",
    ]
    return Part(figure, header, rows, numbers)


# The theory's constants.


def bounds(setting: Setting) -> Part:
    """The gap, and the chain of bounds on it with the theory's constants: when do they begin to bite?"""
    episodes = setting.scope.pick(256, 32_768)
    model = random_robust_linear(3, 2, 3, 2, "covered", temperature=1.0, seed=0)
    learner = DRRPO(data_dependent=True)
    found = audited_run(model, learner, episodes, 0, "covered", audit=PlanAudit())
    k = np.arange(1, episodes + 1)
    lines = {
        "gap V* − V^π": found.column("gap"),
        "second-order bound": found.column("second_order"),
        "optimistic gap V^k − V^π": found.column("optimistic_gap"),
        "sum of bonuses": found.column("worst_bonuses"),
    }
    figure, (left, right) = panels(2)
    rows, numbers = [], dict[str, Any]()
    H = float(model.horizon)
    for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
        dash = ":" if name.startswith("second") else "-"
        left.loglog(k, np.maximum(values, 1e-9), color=colour, linestyle=dash, label=name)
        bites = np.flatnonzero(values < H)
        first = f"{k[bites[0]]:,}" if bites.size else "never"
        rows.append([name, f"{values[0]:.4f}", f"{values[episodes // 2]:.5f}", f"{values[-1]:.5f}", first])
        numbers[name] = values[[0, episodes // 2, episodes - 1]].tolist()
    left.axhline(H, color="black", linewidth=0.7, linestyle=":")
    left.set(xlabel="episode", title="the gap and what bounds it (dotted: H)", ylim=(1e-5, 100))
    left.legend(frameon=False, fontsize="small")
    right.semilogx(k, found.column("ratio"), color=COLOURS[0])
    right.set(
        xlabel="episode", ylabel="largest error of a factor / its bonus", title="concentration", ylim=(0, 1)
    )
    header = [
        "theory's constants",
        "k = 1",
        f"k = {episodes // 2:,}",
        f"k = {episodes:,}",
        "below H from episode",
    ]
    return Part(figure, header, rows, numbers)


PARTS = {
    "perturbation": perturbation,
    "separation": separation,
    "regularisation": regularisation,
    "put": put,
    "lattice": lattice,
    "lake": lake,
    "offline": offline,
    "coverage": coverage,
    "bonus": bonus,
    "bounds": bounds,
}

if __name__ == "__main__":
    run("dr-rpo", PARTS, __doc__)
