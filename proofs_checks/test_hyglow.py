"""HyGLOW: every theorem holds in the quick profile, and every check can fail.

Mutants are deliberate errors, each run through the theorem that must catch it. Statistical verdicts report a
violation of a true statement with probability at most 1e-6 (`theoryrl.theory.statistics.FALSE_ALARM`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from theoryrl.instances import defect_class, hybrid_lock
from theoryrl.learners import HyGLOW
from theoryrl.learners.offline_fits import mabo_objective
from theoryrl.learners.population import Expectations, population_hyglow, population_mabo
from theoryrl.solvers import density_ratio, occupancy_measure
from theoryrl.theory import PAPERS, THEOREMS, Scope, Verdict, check, verify
from theoryrl.theory.evidence import density_ratios as ratios
from theoryrl.theory.evidence import hybrid
from theoryrl.theory.evidence import hybrid_audit as audit


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    return {report.theorem.key: report for report in verify(["hyglow"])}


@pytest.mark.parametrize("key", [theorem.key for theorem in PAPERS["hyglow"].theorems])
def test_theorem_holds_on_exact_models(reports: dict[str, Any], key: str) -> None:
    report = reports[key]
    assert report.verdict is Verdict.HOLDS, f"{report.verdict.value}: {report.detail}"
    assert report.instances > 0


def caught(key: str, pieces: Any) -> bool:
    """Whether the theorem refutes the evidence of a mutant."""
    report = check(THEOREMS[key], pieces)
    assert report.instances > 0
    return report.verdict is Verdict.VIOLATED


def refuted(key: str, pieces: Any = None, **changes: Any) -> bool:
    """Whether a theorem with a wrong side is refuted by true evidence."""
    return check(replace(THEOREMS[key], **changes), pieces).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("fact", range(5))
def test_half_of_a_clipping_bound_is_caught(fact: int) -> None:
    pieces = [
        replace(p, right=np.where(np.arange(6) == fact, p.right / 2, p.right))
        for p in ratios.clippings(Scope())
    ]
    assert caught("hyglow.clipping", pieces)


def test_another_value_at_equal_laws_is_caught() -> None:
    """CC(pi, d^pi, c) = min(1, c) and not c."""
    d, c = np.array([[0.5, 0.5]]), 2.0
    left, right = ratios.clipping_facts(d, d, c, 0.5)
    left[5] = abs(1.0 - c)
    assert caught("hyglow.clipping", [ratios.Sides("c = 2", left, right)])


class OtherClip(ratios.Plays):
    """Clips at gamma t^2."""

    @property
    def hybrid(self) -> np.ndarray:
        t = np.arange(1, len(self.d) + 1)
        mu = np.concatenate([self.nu[None], (self.nu + self.before[1:] / t[:-1, None]) / 2])
        w = np.minimum(density_ratio(self.d, mu), self.gamma * t[:, None] ** 2)
        return np.cumsum((self.d * w).sum(axis=1) / t)


class Unclipped(ratios.Plays):
    """Does not clip: infinite where offline data miss a pair."""

    @property
    def hybrid(self) -> np.ndarray:
        t = np.arange(1, len(self.d) + 1)
        mu = np.concatenate([self.nu[None], (self.nu + self.before[1:] / t[:-1, None]) / 2])
        return np.cumsum((self.d * density_ratio(self.d, mu)).sum(axis=1) / t)


@pytest.mark.parametrize("mutant", [OtherClip, Unclipped])
def test_another_clipping_is_caught(mutant: Callable[..., ratios.Plays]) -> None:
    """A pair that the offline data miss is visited late, when gamma t^2 is large."""
    late = "late", np.eye(2)[[0] * 300 + [1]], np.eye(2)[0], 1.0
    assert caught("hyglow.potential", [mutant(*late)])
    assert not caught("hyglow.potential", [ratios.Plays(*late)])


def test_the_potential_needs_its_constant() -> None:
    assert refuted("hyglow.potential", bound=lambda p: 0.9 * (2 + p.gamma) * p.harmonics * p.coverability)


def test_the_decomposition_needs_the_optimal_policy() -> None:
    assert refuted("hyglow.risk-decomposition", bound=lambda case: case.own)


# MABO.CR.


def without_modulus(N: Any, G: Any, weights: Any, alpha: float) -> np.ndarray:
    """Maximises the mean itself, so that a function that promises too little is never refuted."""
    linear = np.einsum("whc,hcf->wf", weights, G)
    return np.asarray((linear - alpha * np.einsum("whc,hc->w", weights**2, N)[:, None]).max(axis=0))


def population(objective: Any) -> Any:
    """Return an objective for samples as one for expectations."""

    def of(exact: Expectations, mu: Any, clip: float, a: float) -> np.ndarray:
        weights = np.minimum(density_ratio(exact.d, mu), clip)
        G = mu[..., None] * np.moveaxis(exact.residual, 0, -1)
        return np.asarray(objective(mu, G, weights, a / clip))

    return of


def three_times_alpha(exact: Expectations, mu: Any, clip: float, a: float) -> np.ndarray:
    """Regularises three times as much."""
    return population_mabo(exact, mu, clip, 3 * a)


def test_the_objective_of_the_mutants_is_the_objective() -> None:
    pieces = list(hybrid.directed_risks(population(mabo_objective)))
    assert not caught("hyglow.mabo-risk", pieces)


@pytest.mark.parametrize("objective", [population(without_modulus), three_times_alpha])
def test_a_wrong_objective_is_caught(objective: Any) -> None:
    assert caught("hyglow.mabo-risk", hybrid.directed_risks(objective))


def half_of_alpha(exact: Expectations, mu: Any, clip: float, a: float) -> np.ndarray:
    """Regularises half as much: the function that is wrong is refuted."""
    return population_mabo(exact, mu, clip, a / 2)


def test_less_regularisation_does_not_attain_the_bound() -> None:
    assert caught("hyglow.mabo-attained", hybrid.attained_risks(Scope(), half_of_alpha))
    assert refuted("hyglow.mabo-attained", measured=lambda case: (1 - 2 / case.a) * case.bound.max())
    shares = [float((piece.risk / piece.bound).max()) for piece in hybrid.attained_risks(Scope())]
    assert shares == sorted(shares)
    assert 0.997 < shares[-1] < 1


def test_the_values_of_the_same_stage_are_caught() -> None:
    """Backing up V_h for V_{h+1}: a violation in one of a hundred random classes; 600 are searched."""
    rng, pieces = np.random.default_rng(5), []
    for index in range(600):
        H, S, A = int(rng.integers(2, 4)), int(rng.integers(1, 4)), int(rng.integers(2, 4))
        model = defect_class(S, A, H, int(rng.integers(2, 25)), oracle=True, seed=int(rng.integers(2**31)))
        Q = model.hypotheses.functions.Q
        exact = Expectations.of(model.mdp, model.hypotheses.functions)
        wrong = Q - model.mdp.r - np.einsum("hsat,fht->fhsa", model.mdp.P, Q.max(axis=3))
        mutant = replace(exact, residual=wrong.reshape(exact.residual.shape))
        mu = rng.dirichlet(np.full(S * A, 0.5), size=H)
        clip, a = float(10 ** rng.uniform(0, 3)), float(10 ** rng.uniform(-2, 0))
        pieces.append(hybrid.mabo_risk(f"{index}", mutant, mu, clip, a))
    assert caught("hyglow.mabo-risk", pieces)


# H2O.


def forgetful(model: Any, nu: Any, rounds: int, gamma: float, a: float) -> Any:
    """Forgets the offline data."""
    return population_hyglow(model, nu, rounds, gamma, a, offline=False)


@pytest.mark.parametrize("key", ["hyglow.round-risk", "hyglow.population-regret"])
def test_dropping_the_offline_data_is_caught(key: str) -> None:
    model = hybrid_lock(episodes=1)
    nu = occupancy_measure(model.mdp, model.behaviour)
    piece = hybrid.hybrid_regret("lock", model, nu, 1500, 1.0, 1.0, forgetful)
    assert caught(key, [piece])
    assert piece.regret[-1] == pytest.approx(1350)


# Samples.


def test_a_sampled_objective_without_modulus_is_caught() -> None:
    assert caught("hyglow.mabo-samples", hybrid.mabo_samples(Scope(), without_modulus))


def test_most_bounds_for_samples_are_below_the_trivial_one() -> None:
    """Not all: clipped concentrability has no limit where the data hardly visit what a policy does."""
    for pieces in (hybrid.mabo_samples(Scope()), hybrid.fitted_samples(Scope())):
        assert np.mean([piece.bound < 1 for piece in pieces]) > 0.5


def test_the_worst_fits_are_caught() -> None:
    def worst(candidates: Any, sums: Any, ties: str) -> np.ndarray:
        Q = candidates.Q.reshape(1, -1, len(candidates))
        loss = sums.N[0] @ (Q[0] ** 2) - 2 * sums.backed_up(candidates)[0, :, 0] @ Q[0]
        return np.array([int(loss.argmax())])

    pieces = list(hybrid.fitted_samples(Scope(), worst, -1))
    assert caught("hyglow.fqi", pieces)
    assert caught("hyglow.likelihood", pieces)


# Sampled runs. The bound on regret is vacuous at feasible sizes; what it rests on is checked by itself: the
# concentration of the data here, MABO.CR on such data and the noise-free rounds above.


@dataclass(frozen=True)
class Forgetful(HyGLOW):
    """Does not add the offline episodes, or counts only one episode in each round."""

    counts_half: bool = False

    def update(self, state: Any, decision: Any, observation: Any) -> Any:
        if self.counts_half:
            state = super().update(state, decision, observation)
            state.sums.episodes -= 1
            return state
        state.sums.add(state.candidates, observation)
        state.counts[state.weights.policy_of[state.chosen]] += 1
        return state


@pytest.mark.parametrize("counts_half", [False, True])
def test_data_that_are_not_half_offline_do_not_concentrate(counts_half: bool) -> None:
    learner = Forgetful(gamma=audit.GAMMA, ties="last", counts_half=counts_half)
    assert caught("hyglow.concentration", [audit.audited_hyglow(learner, seed) for seed in range(6)])


def test_the_same_instance_shows_what_forgetting_costs() -> None:
    """The function with the unseen error is played for ever without the offline data."""
    forgetful, whole = (
        audit.audited_hyglow(learner, 0).trace
        for learner in (Forgetful(gamma=audit.GAMMA, ties="last"), HyGLOW(gamma=audit.GAMMA, ties="last"))
    )
    assert forgetful.final_regret == pytest.approx(0.5 * audit.ROUNDS)
    assert whole.stretch_values[-1] == pytest.approx(1.0)


def test_the_bound_on_regret_is_reported_as_vacuous(reports: dict[str, Any]) -> None:
    assert "vacuous" in reports["hyglow.regret"].detail
