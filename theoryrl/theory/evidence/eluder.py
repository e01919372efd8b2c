"""Evidence on generalized eluder coefficients: sequences of hypotheses, and the cells they are made of.

The statements are deterministic: they hold for *any* sequence, so the sequences are chosen to be hard
(one hypothesis repeated, deterministic rows, cycles), not learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.learners import gec
from theoryrl.models import EpisodicMDP
from theoryrl.solvers import backward_induction
from theoryrl.theory.core import Evidence, Scope
from theoryrl.theory.evidence._occupancies import deterministic_occupancies, start_values


@dataclass(frozen=True, eq=False)
class Sequence(Evidence):
    """A sequence of hypotheses f^1, f^2, ... on a true model.

    Attributes
    ----------
    cells
        S A.
    overestimates
        V_{f^k} - V^{pi_k}: shape [K].
    energies
        sum_{i<k} E_{pi_i} of the squared discrepancy of f^k, by stage: shape [K, H].
    """

    cells: int
    overestimates: Float[np.ndarray, " K"]
    energies: Float[np.ndarray, "K H"]

    @property
    def horizon(self) -> int:
        """H."""
        return self.energies.shape[1]

    @property
    def total(self) -> Float[np.ndarray, " K"]:
        """sum_{k <= K} V_{f^k} - V^{pi_k}, for every K."""
        return np.asarray(np.cumsum(self.overestimates))

    def potential(self, weights: Float[np.ndarray, " H"], burn_in: float) -> Float[np.ndarray, " K"]:
        """Return burn-in + sum_h weight_h sqrt(c0 S A ln K E_h), for every K."""
        E = np.cumsum(self.energies, axis=0)
        K = np.arange(1, len(E) + 1)
        logs = np.log(np.maximum(K, 2))[:, None]
        return np.asarray(burn_in + np.sqrt(gec.C0 * self.cells * logs * E) @ weights)

    def model_based(self, refined: bool = False) -> Float[np.ndarray, " K"]:
        """Return the bound for models."""
        burn = gec.model_based_burn_in(self.cells, self.horizon, refined)
        return self.potential(math.sqrt(2) * gec.spans(self.horizon, refined), burn)

    def model_free(self) -> Float[np.ndarray, " K"]:
        """Return the bound for action-value functions."""
        return self.potential(np.ones(self.horizon), gec.model_free_burn_in(self.cells, self.horizon))


def model_sequence(name: str, truth: EpisodicMDP, kernels: Float[np.ndarray, "N H S A S"],
                   order: np.ndarray) -> Sequence:  # fmt: skip
    """Return the sequence of models `kernels[order]`, with optimal policies."""
    _, S, A = truth.r.shape
    models = [EpisodicMDP(P, truth.r, truth.rho) for P in kernels]
    solved = [backward_induction(model) for model in models]
    policies = np.array([solution.policy.actions for solution in solved])
    D2 = np.maximum(0.0, 1 - np.sqrt(kernels * truth.P).sum(axis=4))
    over = np.array([
        solution.start_value - start_values(truth, actions)
        for solution, actions in zip(solved, policies, strict=True)
    ])  # fmt: skip
    return Sequence(name, S * A, over[order], _past(truth, policies, D2, order))


def function_sequence(name: str, truth: EpisodicMDP, tables: Float[np.ndarray, "N H S A"],
                      order: np.ndarray) -> Sequence:  # fmt: skip
    """Return the sequence of action-value functions `tables[order]`, with greedy policies."""
    _, S, A = truth.r.shape
    policies = tables.argmax(axis=3)
    V = np.concatenate([tables.max(axis=3)[:, 1:], np.zeros((len(tables), 1, S))], axis=1)
    errors = tables - truth.r - np.einsum("hsat,nht->nhsa", truth.P, V)
    start = tables[:, 0].max(axis=2) @ truth.rho
    over = np.array([v - start_values(truth, actions) for v, actions in zip(start, policies, strict=True)])
    return Sequence(name, S * A, over[order], _past(truth, policies, errors**2, order))


def _past(truth: EpisodicMDP, policies: np.ndarray, squares: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return sum_{i<k} E_{pi_i} squares of f^k: shape [K, H]."""
    A = truth.n_actions
    d = deterministic_occupancies(truth.P, truth.rho, policies)
    full = d[..., None] * (policies[..., None] == np.arange(A))
    pairs = np.einsum("nhsa,mhsa->nmh", full, squares)
    counts = np.cumsum(np.eye(len(policies))[order], axis=0) - np.eye(len(policies))[order]
    return np.asarray(np.einsum("kn,knh->kh", counts, pairs[:, order].transpose(1, 0, 2)))


def orders(rng: np.random.Generator, size: int, length: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield one repeated, cyclic, in blocks, and at random."""
    yield "repeated", np.zeros(length, dtype=np.int64)
    yield "cyclic", np.arange(length) % size
    yield "blocks", np.sort(rng.integers(size, size=length))
    yield "random", rng.integers(size, size=length)


def random_truth(rng: np.random.Generator) -> EpisodicMDP:
    """Return a small model, in every third case with deterministic rows."""
    S, A, H = int(rng.integers(2, 5)), int(rng.integers(2, 4)), int(rng.integers(1, 6))
    P = rng.dirichlet(np.full(S, float(rng.uniform(0.3, 2))), size=(H, S, A))
    if rng.random() < 1 / 3:
        P = np.eye(S)[P.argmax(axis=3)]
    rho = np.zeros(S)
    rho[0] = 1.0
    return EpisodicMDP(P, rng.random((H, S, A)), rho)


def model_sequences(scope: Scope) -> Iterator[Sequence]:
    """Yield hard and random sequences of models, and the chain on which the span shows."""
    rng = np.random.default_rng([scope.seed, 21])
    for index in range(scope.pick(40, 400)):
        truth = random_truth(rng)
        S = truth.n_states
        kernels = rng.dirichlet(np.full(S, 0.3), size=(6, *truth.r.shape))
        if index % 2:
            kernels = np.eye(S)[kernels.argmax(axis=4)]
        for name, order in orders(rng, 6, scope.pick(80, 400)):
            yield model_sequence(f"{index}, {name}", truth, kernels, order)
    yield absorbing_chain()


def absorbing_chain(horizon: int = 10, rounds: int = 300) -> Sequence:
    """Two absorbing states, reward in one: a wrong first row is believed for the rest of the episode.

    The truth goes to the good state with probability .15, the hypothesis believes .85.
    """
    P = np.zeros((horizon, 2, 1, 2))
    P[:, 0, 0, 0] = 1.0
    P[:, 1, 0, 1] = 1.0
    P[0, 1, 0] = 0.15, 0.85
    r = np.zeros((horizon, 2, 1))
    r[1:, 0] = 1.0
    truth = EpisodicMDP(P, r, np.array([0.0, 1.0]))
    wrong = P.copy()
    wrong[0, 1, 0] = 0.85, 0.15
    return model_sequence("absorbing chain", truth, wrong[None], np.zeros(rounds, dtype=np.int64))


def function_sequences(scope: Scope) -> Iterator[Sequence]:
    """Yield sequences of arbitrary tables in [0, H-h], among them the largest ones."""
    rng = np.random.default_rng([scope.seed, 22])
    for index in range(scope.pick(40, 400)):
        truth = random_truth(rng)
        H, S, A = truth.r.shape
        ranges = (H - np.arange(H))[:, None, None]
        tables = rng.random((6, H, S, A)) * ranges
        if index % 2:
            tables[0] = ranges * np.ones((H, S, A))
            truth = EpisodicMDP(truth.P, 0 * truth.r, truth.rho)
        for name, order in orders(rng, 6, scope.pick(80, 400)):
            yield function_sequence(f"{index}, {name}", truth, tables, order)


# The links of the proof.


@dataclass(frozen=True, eq=False)
class SimulationCase(Evidence):
    """A model, its optimal policy, and a true model: both sides of the simulation lemma."""

    difference: float
    expectation: float


def simulations(scope: Scope, along_truth: bool = True) -> Iterator[SimulationCase]:
    """Yield V_f - V^pi and the expected sum of (P_f - P*) V_f along the policy, in random models.

    The expectation is under the true model; under the hypothesis the lemma is false.
    """
    rng = np.random.default_rng([scope.seed, 23])
    for index in range(scope.pick(60, 600)):
        truth = random_truth(rng)
        H, S, _ = truth.r.shape
        P = rng.dirichlet(np.full(S, 0.4), size=truth.r.shape)
        solution = backward_induction(EpisodicMDP(P, truth.r, truth.rho))
        actions = solution.policy.actions
        d = deterministic_occupancies(truth.P if along_truth else P, truth.rho, actions[None])[0]
        V = np.vstack([solution.value[1:], np.zeros((1, S))])
        moves = np.einsum("hsat,ht->hsa", P - truth.P, V)
        taken = moves[np.arange(H)[:, None], np.arange(S), actions]
        yield SimulationCase(
            f"model {index}", solution.start_value - start_values(truth, actions), float(np.sum(d * taken))
        )


@dataclass(frozen=True, eq=False)
class Rows(Evidence):
    """Pairs of rows with values: (p - q) V, span, total variation and Hellinger distance, each [N]."""

    moves: Float[np.ndarray, " N"]
    span: Float[np.ndarray, " N"]
    tv: Float[np.ndarray, " N"]
    hellinger: Float[np.ndarray, " N"]


def row_pairs(scope: Scope) -> Iterator[Rows]:
    """Yield random and deterministic pairs of rows; every other V is the worst one, sign(p - q)."""
    rng = np.random.default_rng([scope.seed, 24])
    for S in (2, 3, 5, 9):
        n = scope.pick(300, 3000)
        p, q = rng.dirichlet(np.full(S, 0.3), size=(2, n))
        p[::7] = np.eye(S)[rng.integers(S, size=len(p[::7]))]
        V = rng.random((n, S)) * 5
        V[::2] = (p > q)[::2]
        D = np.sqrt(np.maximum(0.0, 1 - np.sqrt(p * q).sum(axis=1)))
        yield Rows(
            f"S = {S}",
            np.abs(((p - q) * V).sum(axis=1)),
            np.ptp(V, axis=1),
            np.abs(p - q).sum(axis=1) / 2,
            D,
        )


@dataclass(frozen=True, eq=False)
class Cell(Evidence):
    """One cell: occupancies d_k in [0, 1] and discrepancies D_k in [0, 1]: shape [K]."""

    d: Float[np.ndarray, " K"]
    D: Float[np.ndarray, " K"]

    @property
    def past(self) -> Float[np.ndarray, " K"]:
        """sum_{i<k} d_i."""
        return np.asarray(np.cumsum(self.d) - self.d)

    @property
    def total(self) -> Float[np.ndarray, " K"]:
        """sum_{i <= k} d_i D_i."""
        return np.asarray(np.cumsum(self.d * self.D))

    @property
    def energy(self) -> Float[np.ndarray, " K"]:
        """sum_{i <= k} past_i D_i^2."""
        return np.asarray(np.cumsum(self.past * self.D**2))

    def bound(self, burn_in: float = 2.0) -> Float[np.ndarray, " K"]:
        """Burn-in + sqrt(c0 ln max(n, 1) energy), n = sum_{i <= k} d_i."""
        logs = np.log(np.maximum(np.cumsum(self.d), 1.0))
        return np.asarray(burn_in + np.sqrt(gec.C0 * logs * self.energy))


def cell_sequences(scope: Scope) -> Iterator[Cell]:
    """Yield full visits, rare visits, growing and shrinking discrepancies, and random ones."""
    rng = np.random.default_rng([scope.seed, 25])
    for index in range(scope.pick(300, 4000)):
        K = int(rng.integers(1, 200))
        d = rng.random(K) ** float(rng.choice([0.0, 0.3, 1.0, 5.0]))
        D = rng.random(K) if index % 3 else np.minimum(1.0, 1 / np.sqrt(1 + np.cumsum(d)))
        if index % 3 == 1:
            D = np.ones(K)
        yield Cell(f"cell {index}", d, D)


@dataclass(frozen=True, eq=False)
class OneStep(Evidence):
    """One step of the model-free lemma, next values y in {0, 1}: E exp(-lambda X) and its bound, on a grid.

    X = (f - y)^2 - (p - y)^2 for a target of mean p; H = 1.
    """

    side: str
    moment: Float[np.ndarray, " N"]
    bound: Float[np.ndarray, " N"]


def one_steps(scope: Scope, truth_rate: float = 2.0, candidate_rate: float = 1.0,
              averaged_rate: float = 0.747) -> Iterator[OneStep]:  # fmt: skip
    """Yield E e^{-lambda X} against 1, e^{-lambda E X / 2}, and for averages over two cells the same half."""
    p, f = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 1, 201), np.linspace(0, 1, 201)))
    moment = one_step_moment(p, f, truth_rate)
    yield OneStep("truth", "truth", moment, np.ones_like(moment))
    moment = one_step_moment(p, f, candidate_rate)
    yield OneStep("candidate", "candidate", moment, np.exp(-candidate_rate * (f - p) ** 2 / 2))
    # The cells of an average may differ: a share w of them has error (f - p), the others none.
    for share in (0.1, 0.5, 1.0):
        single = one_step_moment(p, f, averaged_rate)
        moment = share * single + (1 - share)
        bound = np.exp(-averaged_rate * share * (f - p) ** 2 / 2)
        yield OneStep(f"average, {share:g}", "average", moment, bound)


def one_step_moment(p: np.ndarray, f: np.ndarray, rate: float) -> np.ndarray:
    """Return E exp(-rate ((f - y)^2 - (p - y)^2)) for y = 1 with probability p, else 0."""
    up = np.exp(-rate * ((f - 1) ** 2 - (p - 1) ** 2))
    down = np.exp(-rate * (f**2 - p**2))
    return np.asarray(p * up + (1 - p) * down)
