"""The bounds of StepMix, mutated in their own source: every constant and rule is guarded by a check.

A mutant is the library's own file of kernels with one piece of text replaced, run without compilation
in place of the original. So the code that is checked is the code that runs, not a copy of it.
Mutants of decisions and of theorems' constants are in `test_stepmix.py`.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.special import gammaln

from theoryrl.instances import random_conservative
from theoryrl.learners import StepMix, _family, _kernels, learn_baseline, offline_baseline
from theoryrl.learners._family import BoundOptions, FamilyState
from theoryrl.learners.offline_baseline import LearnedBaseline
from theoryrl.models import EpisodicMDP, OfflineDataset, Policy
from theoryrl.solvers import simulate_episodes
from theoryrl.solvers.kl_ball import kl_ball
from theoryrl.theory import THEOREMS, Scope, Verdict, check
from theoryrl.theory.evidence import concentration, refresh

Patch = pytest.MonkeyPatch


def mutant(old: str, new: str) -> ModuleType:
    """Return the kernels in plain Python with one piece of their source replaced."""
    source = inspect.getsource(_kernels)
    assert source.count(old) == 1, f"{old!r} occurs {source.count(old)} times"
    plain = "def kernel(function):\n    return function\n"
    source = source.replace("from theoryrl._numba import kernel\n", plain).replace(old, new)
    module = ModuleType("mutant")
    exec(compile(source, "<mutant>", "exec"), module.__dict__)
    return module


def install(patch: Patch, module: ModuleType) -> None:
    """Let the library and its evidence use the mutant."""
    patch.setattr(_family, "family_pass", module.family_pass)
    for place in (_family, refresh):
        patch.setattr(place, "radii", module.radii)
    for place in (concentration, refresh):
        patch.setattr(place, "action_bounds", module.action_bounds)


# Golden values. S = A = 5, H = 3, delta = .05, n = 10; to 10 digits from 40-digit arithmetic.

COUNTS = np.array([4, 3, 2, 1, 0])
S, A, H, DELTA = 5, 5, 3, 0.05
BETA_STAR, BETA = 14.98778178, 36.89712904
NEXT_UPPER = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
"""With L = U / 2: phat U = 1/4, phat L = D = 1/8 and Var_phat(U) = 1/16."""

BONUS = 465.8636770028
"""3 sqrt(beta* / 160) + 14 H^2 beta / 10 + 1/24."""


def golden(modes: str = "bpi-ucbvi", share: int = 0) -> tuple[float, float]:
    n_next = np.broadcast_to(COUNTS, (H, S, A, S)).copy()
    support = np.ones((H, S, A, S), dtype=np.bool_)
    main, transport = _family.radii(BoundOptions(modes).codes, DELTA, n_next, support)
    return float(main[share, 0, 0, 0]), float(transport[share, 0, 0, 0])


def assembled() -> tuple[float, float]:
    """Return the bounds of the first stage with r = 1/2; a thousandth of the bonus keeps them untrimmed."""
    main, transport = (np.array([value]) for value in golden())
    return concentration.action_bounds(
        BoundOptions("bpi-ucbvi").codes, 1e-3, 1, H, 0, 10, 0.5, COUNTS / 10, main, transport,
        np.ones(S, dtype=np.bool_), NEXT_UPPER, NEXT_UPPER / 2, False, np.empty(S),
    )  # fmt: skip


def golden_holds() -> bool:
    expected = (0.75 + 1e-3 * BONUS, 0.625 - 1e-3 * BONUS)
    return np.allclose(golden(), (BETA_STAR, BETA), rtol=1e-8) and np.allclose(
        assembled(), expected, rtol=1e-9
    )


def test_bpi_bonus_equals_the_worked_example() -> None:
    assert golden_holds()


GOLDEN_MUTANTS = {
    "3 -> 2": ("3.0 * math.sqrt(variance * main / n)", "2.0 * math.sqrt(variance * main / n)"),
    "14 -> 7": ("14.0 * H * H * transport", "7.0 * H * H * transport"),
    "H squared -> H": ("14.0 * H * H * transport", "14.0 * H * transport"),
    "no D/H": ("14.0 * H * H * transport / n + below / H", "14.0 * H * H * transport / n"),
    "D instead of D/H": ("H * H * transport / n + below / H", "H * H * transport / n + below"),
    "variance of L": (
        "square += p[t] * (U[t] - up) * (U[t] - up)",
        "square += p[t] * (L[t] - low) * (L[t] - low)",
    ),
    "union over SAH": ("math.log(3.0 * S * A * H * H / share)", "math.log(3.0 * S * A * H / share)"),
    "3 -> 1 in the union": ("math.log(3.0 * S * A * H * H / share)", "math.log(S * A * H * H / share)"),
    "no union over n": ("math.log(8.0 * math.e * (n + 1.0))", "math.log(8.0 * math.e)"),
    "no factor e": ("math.log(8.0 * math.e * (n + 1.0))", "math.log(8.0 * (n + 1.0))"),
    "S dropped from beta": ("log_cells + size * growth", "log_cells + growth"),
}


@pytest.mark.parametrize("name", GOLDEN_MUTANTS)
def test_worked_example_catches_a_wrong_constant(name: str, monkeypatch: Patch) -> None:
    install(monkeypatch, mutant(*GOLDEN_MUTANTS[name]))
    assert not golden_holds()


def golden_bernstein() -> bool:
    return np.allclose(golden("bernstein"), (15.191755, 17.017419), atol=1e-6)


BERNSTEIN_MUTANTS = {
    "no union over n": ("8.0 * S * A * H * H * n * (n + 1.0) / share", "8.0 * S * A * H * H / share"),
    "no union over comparators": ("8.0 * S * A * H * H * n * (n", "8.0 * S * A * H * n * (n"),
    "one side": ("8.0 * S * A * H * H * n * (n", "4.0 * S * A * H * H * n * (n"),
    "all of delta for E2": ("math.log(2.0 * S * A * H / share)", "math.log(S * A * H / share)"),
}


@pytest.mark.parametrize("name", BERNSTEIN_MUTANTS)
def test_worked_example_catches_a_wrong_union_bound(name: str, monkeypatch: Patch) -> None:
    assert golden_bernstein()
    install(monkeypatch, mutant(*BERNSTEIN_MUTANTS[name]))
    assert not golden_bernstein()


# One row, and the induction over the stages, with radii that leave no slack.

ROW_MUTANTS = {
    "3 -> 2": (GOLDEN_MUTANTS["3 -> 2"], "stepmix.bpi-row-upper"),
    "14 -> 7": (GOLDEN_MUTANTS["14 -> 7"], "stepmix.bpi-row-lower"),
    "H squared -> H": (GOLDEN_MUTANTS["H squared -> H"], "stepmix.bpi-row-lower"),
    "no D/H": (GOLDEN_MUTANTS["no D/H"], "stepmix.bpi-row-lower"),
    "upper value without its bonus": (("r + up + scale * above", "r + up"), "stepmix.bpi-row-upper"),
    "bernstein: no 7/3": (("7.0 / 3.0 + H / 2.0", "H / 2.0"), "stepmix.row-upper"),
    "bernstein: no H/2": (("7.0 / 3.0 + H / 2.0", "7.0 / 3.0"), "stepmix.row-lower"),
    "bernstein: lower bound of the baseline without D/H": (
        ("return lead + below / H, lead + below / H", "return lead + below / H, lead"),
        "stepmix.row-lower",
    ),
    "bernstein: H + 7/2 -> H": (("(H + 3.5) * B", "H * B"), "stepmix.row-lower"),
}


@pytest.mark.parametrize("name", ROW_MUTANTS)
def test_single_row_catches_a_mutant_of_the_library(name: str, monkeypatch: Patch) -> None:
    change, key = ROW_MUTANTS[name]
    install(monkeypatch, mutant(*change))
    assert check(THEOREMS[key]).verdict is Verdict.VIOLATED


def inductions(
    modes: str, cases: int = 60, refreshes: int = 3, **options: Any
) -> Iterator[concentration.Induction]:
    """Yield families of one kind, refreshed several times, with running bounds."""
    rng = np.random.default_rng(0)
    for index in range(cases):
        yield from concentration.tight_inductions(rng, BoundOptions(modes, **options), refreshes, f"{index}")


RUNNING = ("max(L[h, s], low) if running and is_baseline else low", "max(L[h, s], low) if running else low")
ANY_RADIUS = ("mode, n, main[m], transport[m], variance", "mode, n, main[0], transport[0], variance")
MAXIMUM = ("L[h, s] = lower[s, greedy[h, s]]", "L[h, s] = lower[s].max()")
CLIPPED = ("U[j] = np.minimum(U[j], U[previous])", "U[previous] = np.minimum(U[j], U[previous])")
TAIL = ("U[H, H - j :], L[H, H - j :]", "U[0, H - j :], L[0, H - j :]")
INDUCTION_MUTANTS: dict[str, tuple[tuple[str, str], str, dict[str, Any]]] = {
    "bpi: 3 -> 2": (GOLDEN_MUTANTS["3 -> 2"], "upper", {"modes": "bpi-ucbvi", "cases": 400}),
    "bpi: lower bound from max over actions": (MAXIMUM, "lower", {"modes": "bpi-ucbvi"}),
    "running maximum of all members": (RUNNING, "lower", {"modes": "kl", "cases": 300, "refreshes": 8}),
    "every mode with the first one's radius": (ANY_RADIUS, "upper", {"modes": "kl+bernstein"}),
    "kl with the first mode's radius": (
        ("scale * main[m]", "scale * main[0]"),
        "lower",
        {"modes": "bpi-ucbvi+kl"},
    ),
    "clipped the wrong way": (CLIPPED, "upper", {"modes": "kl", "clip": True}),
    "optimistic tail under an optimistic head": (
        TAIL,
        "lower",
        {"modes": "kl", "orientation": "optimistic-first"},
    ),
}


@pytest.mark.parametrize("name", INDUCTION_MUTANTS)
def test_induction_catches_a_mutant_of_the_library(name: str, monkeypatch: Patch) -> None:
    change, side, options = INDUCTION_MUTANTS[name]
    theorem = THEOREMS[f"stepmix.induction-{side}"]
    assert check(theorem, inductions(**options)).verdict is Verdict.HOLDS
    install(monkeypatch, mutant(*change))
    assert check(theorem, inductions(**options)).verdict is Verdict.VIOLATED


def test_kernels_in_plain_python_are_the_compiled_ones(monkeypatch: Patch) -> None:
    """A mutant that changes nothing changes nothing: to 1e-11, as sums may be reassociated."""
    compiled = list(inductions("kl+bernstein", 20)), golden(), assembled()
    install(monkeypatch, mutant(RUNNING[0], RUNNING[0]))
    plain = list(inductions("kl+bernstein", 20)), golden(), assembled()
    for one, other in zip(compiled[0], plain[0], strict=True):
        np.testing.assert_allclose(one.U, other.U, atol=1e-11)
        np.testing.assert_allclose(one.L, other.L, atol=1e-11)
    np.testing.assert_allclose(compiled[1:], plain[1:], rtol=1e-12)


# What the bounds are made of: current counts, the current greedy policy, each share of delta once.


def _stale_greedy(original: Callable[..., None]) -> Callable[..., None]:
    def refresh_family(self: FamilyState, *arguments: Any) -> None:
        before = self.greedy.copy()
        original(self, *arguments)
        self.greedy[:] = before

    return refresh_family


def _stale_counts(original: Callable[..., None]) -> Callable[..., None]:
    seen: dict[int, tuple[FamilyState, np.ndarray]] = {}

    def refresh_family(self: FamilyState, *arguments: Any) -> None:
        current = self.n_next.copy()
        _, self.n_next[:] = seen.get(id(self), (self, current))
        self.n[:] = self.n_next.sum(axis=3)
        original(self, *arguments)
        self.n_next[:], self.n[:] = current, current.sum(axis=3)
        seen[id(self)] = self, current

    return refresh_family


@pytest.mark.parametrize("stale", [_stale_greedy, _stale_counts])
def test_bounds_of_a_stale_policy_or_of_stale_counts_are_caught(stale: Any, monkeypatch: Patch) -> None:
    monkeypatch.setattr(FamilyState, "refresh", stale(FamilyState.refresh))
    assert check(THEOREMS["stepmix.current-bounds"]).verdict is Verdict.VIOLATED


def test_running_maximum_of_all_members_is_caught_in_library_runs(monkeypatch: Patch) -> None:
    install(monkeypatch, mutant(*RUNNING))
    assert check(THEOREMS["stepmix.current-bounds"]).verdict is Verdict.VIOLATED


def test_spending_all_of_delta_on_each_mode_is_caught(monkeypatch: Patch) -> None:
    install(monkeypatch, mutant("share = delta / modes.shape[0]", "share = delta"))
    assert check(THEOREMS["stepmix.delta-over-modes"]).verdict is Verdict.VIOLATED


class FullDeltaOffline(StepMix):
    """Certifies the learned baseline at delta instead of delta / 2."""

    def _learned(self, spec: Any, threshold: float | None) -> LearnedBaseline | None:
        assert self.offline is not None
        return learn_baseline(spec.offline, spec.rewards, spec.rho, self.delta, self.offline)


class FullDeltaOnline(StepMix):
    """Bounds the episodes at delta instead of delta / 2."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_options", BoundOptions(self.bounds, self.delta))


@pytest.mark.parametrize("wasteful", [FullDeltaOffline, FullDeltaOnline])
def test_spending_all_of_delta_on_data_or_on_episodes_is_caught(wasteful: Any) -> None:
    evidence = list(refresh.phase_splits(Scope(), wasteful))
    report = check(THEOREMS["stepmix.delta-over-phases"], evidence)
    assert report.verdict is Verdict.VIOLATED
    assert report.violations == len(evidence), "the evidence of every method and mode must show delta"


# The certificate of a learned baseline. Its bounds have slack, so most wrong constants leave it true:
# it is compared with a plain version of the formulas instead.


def plain_certificate(data: OfflineDataset, r: np.ndarray, delta: float, method: str) -> np.ndarray:
    """Return V_low[h, s] of pessimistic value iteration, in loops over the episodes."""
    H, S, A = r.shape
    V = np.zeros((H + 1, S))
    factor = {"kl": 1, "fold-hoeffding": 2, "fold-bernstein": 4}[method]
    level = math.log(factor * S * A * H * (1 if method == "kl" else len(data)) / delta)
    for h, s, a in sorted(np.ndindex(H, S, A), reverse=True):
        episodes = range(len(data)) if method == "kl" else range(h, len(data), H)
        follows = [
            data.states[i, h + 1] for i in episodes if (data.states[i, h], data.actions[i, h]) == (s, a)
        ]
        n, values, B = len(follows), V[h + 1, follows], H - h - 1.0
        if n == 0 or (method == "fold-bernstein" and n < 2 and B > 0):
            continue
        if B == 0:
            low = 0.0
        elif method == "kl":
            counts = np.bincount(follows, minlength=S)
            x = level + gammaln(n + S / 2) - gammaln(S / 2) - (gammaln(counts + 0.5) - gammaln(0.5)).sum()
            x += (counts * np.log(np.maximum(counts, 1) / n)).sum()
            low = kl_ball(counts / n, V[h + 1], x / n).lower
        elif method == "fold-hoeffding":
            low = values.mean() - B * math.sqrt(level / (2 * n))
        else:
            m = n - 1
            low = values.mean() - math.sqrt(2 * values.var() * level / m) - 7 * B * level / (3 * m)
        V[h, s] = max(V[h, s], r[h, s, a] + low)
    return V[:-1]


@functools.cache
def logged() -> tuple[EpisodicMDP, OfflineDataset]:
    """Return enough data of a dense model that no bound is trimmed everywhere."""
    mdp = random_conservative(seed=0).mdp
    return mdp, simulate_episodes(mdp, Policy.uniform(5, 5), 8000, np.random.default_rng(0))


def certificate_is_plain(method: str, episodes: int) -> bool:
    mdp, data = logged()
    data = data.subset(slice(episodes))
    learned = offline_baseline.learn_baseline(data, mdp.r, mdp.rho, 0.05, method)
    return np.allclose(learned.lower, plain_certificate(data, mdp.r, 0.05, method), atol=1e-9)


OFFLINE = ("kl", "fold-hoeffding", "fold-bernstein")


@pytest.mark.parametrize("episodes", [60, 8000])
@pytest.mark.parametrize("method", OFFLINE)
def test_pessimistic_values_are_those_of_the_formulas(method: str, episodes: int) -> None:
    assert certificate_is_plain(method, episodes)


OFFLINE_MUTANTS = {
    "kl: half the radius": ("kl", "threshold / n)", "threshold / (2 * n))"),
    "hoeffding: 2 n -> 4 n": ("fold-hoeffding", "log_term / (2.0 * n)", "log_term / (4.0 * n)"),
    "hoeffding: no range": ("fold-hoeffding", "mean - B * math.sqrt", "mean - math.sqrt"),
    "bernstein: 2 -> 1": ("fold-bernstein", "2.0 * variance * log_term", "variance * log_term"),
    "bernstein: n - 1 -> n": (
        "fold-bernstein",
        "2.0 * variance * log_term / (n - 1.0)",
        "2.0 * variance * log_term / n",
    ),
    "bernstein: 7/3 -> 1": ("fold-bernstein", "7.0 * B * log_term / (3.0", "B * log_term / (1.0"),
}


@pytest.mark.parametrize("name", OFFLINE_MUTANTS)
def test_formulas_catch_a_mutant_of_the_certificate(name: str, monkeypatch: Patch) -> None:
    method, old, new = OFFLINE_MUTANTS[name]
    monkeypatch.setattr(offline_baseline, "pessimistic_values", mutant(old, new).pessimistic_values)
    assert not certificate_is_plain(method, 8000)


LEVEL_MUTANTS = {
    "kl: no union over cells": ("kl", 1 / 75),
    "hoeffding: one side": ("fold-hoeffding", 1 / 2),
    "hoeffding: no union over n": ("fold-hoeffding", 1 / 8000),
    "bernstein: one side": ("fold-bernstein", 1 / 2),
}


@pytest.mark.parametrize("name", LEVEL_MUTANTS)
def test_formulas_catch_a_wrong_union_bound_of_the_certificate(name: str, monkeypatch: Patch) -> None:
    method, factor = LEVEL_MUTANTS[name]
    original = offline_baseline._counts_and_log_term

    def cheaper(data: OfflineDataset, delta: float, method: str) -> Any:
        counts, log_term = original(data, delta, method)
        return counts, log_term + math.log(factor)

    monkeypatch.setattr(offline_baseline, "_counts_and_log_term", cheaper)
    assert not certificate_is_plain(method, 8000)
