"""Offline algorithms with candidates: anything with ``fit(dataset) -> policy``.

`MABOCR` is minimax average Bellman optimisation with clipping and regularisation: for n episodes,
``c = gamma n``, ``alpha = c_alpha / c`` and weights ``w' = min(w, c)``::

    min over f of max over w of  sum_h ( |mean(w'_h residual_h(f))| - alpha mean(w'_h^2) ),

where w runs over the class and over its members kept at one stage only. It needs Q* in F and the ratios
of the policies to the law of the data in W; no coverage of all policies, no completeness. `MABO` has
neither clipping nor regularisation. `FittedQIteration` regresses stage by stage and needs completeness,
`ModelMLE` picks the likeliest model of each stage.

Source: Amortila, Foster, Jiang, Sekhari and Xie (2024), Equation (13) and appendix F; Xie and Jiang (2020)
for MABO.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners.candidates import (
    Candidates,
    ResidualSums,
    best,
    check_ties,
    residual_tests,
)
from theoryrl.models import (
    DeterministicPolicy,
    EpisodicMDP,
    FiniteFunctionClass,
    FiniteModelClass,
    MarkovPolicy,
    OfflineDataset,
)
from theoryrl.models._validation import check_real, check_type, first_index
from theoryrl.solvers.episodic import backward_induction


@runtime_checkable
class OfflineAlgorithm(Protocol):
    """What the reduction from hybrid to offline learning takes."""

    def fit(self, dataset: OfflineDataset) -> MarkovPolicy:
        """Return a policy learned from the data."""


def mabo_objective(
    N: Float[np.ndarray, "H C"],
    G: Float[np.ndarray, "H C F"],
    weights: Float[np.ndarray, "W H C"],
    alpha: float,
    single_stages: bool = True,
) -> Float[np.ndarray, " F"]:
    """Return ``max_w sum_h (|sum w G| - alpha sum N w^2)`` of each function.

    Parameters
    ----------
    N, G
        Law of the data and residuals under it, or their empirical versions divided by the number of
        episodes: shapes [H, S A] and [H, S A, F].
    weights
        Clipped weights: shape [W, H, S A].
    alpha
        Weight of the quadratic term.
    single_stages
        Whether the class also holds each weight kept at one stage only, as in the paper.
    """
    linear, square = residual_tests(N, G, weights, alpha)
    terms = np.abs(linear) - square[..., None]
    joint = terms.sum(axis=0).max(axis=0)
    if not single_stages:
        return np.asarray(joint)
    return np.maximum(joint, terms.max(axis=(0, 1)))


@dataclass(frozen=True, eq=False)
class MABOCR:
    """Minimax average Bellman optimisation with clipping and regularisation.

    Parameters
    ----------
    functions
        The class F, values in [0, 1].
    weights
        Density ratios ``w[k, h, s, a] >= 0``, infinity allowed: shape [W, H, S, A].
    gamma
        Scale of the clipping, positive.
    c_alpha
        Factor of the quadratic term; 8 in the paper.
    single_stages
        Whether to add the weights kept at one stage.
    ties
        Which of several minimisers is returned.
    """

    functions: FiniteFunctionClass
    weights: Float[np.ndarray, "W H S A"]
    gamma: float
    c_alpha: float = 8.0
    single_stages: bool = True
    ties: str = "first"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", checked_weights(self.weights, self.functions))
        for name, value in (("gamma", self.gamma), ("c_alpha", self.c_alpha)):
            if check_real(name, value, low=0.0) == 0:
                raise ValueError(f"{name} must be positive; got {value!r}")
        check_ties(self.ties)

    def objective(self, dataset: OfflineDataset) -> Float[np.ndarray, " F"]:
        """Return the objective of each function on at least one episode."""
        candidates, n = Candidates.of(self.functions), _episodes(dataset)
        sums = ResidualSums.of_data(candidates, dataset)
        clip = self.gamma * n
        weights = np.minimum(self.weights, clip).reshape(len(self.weights), dataset.horizon, -1)
        return mabo_objective(sums.N / n, sums.G / n, weights, self.c_alpha / clip, self.single_stages)

    def fit(self, dataset: OfflineDataset) -> DeterministicPolicy:
        """Return the greedy policy of the minimiser."""
        return greedy(self.functions, smallest(self.objective(dataset), self.ties))


@dataclass(frozen=True, eq=False)
class MABO:
    """Minimax average Bellman optimisation: ``min over f of max over w of |sum_h mean(w_h residual_h)|``.

    Parameters
    ----------
    functions
        The class F, values in [0, 1].
    weights
        Finite density ratios: shape [W, H, S, A].
    ties
        Which of several minimisers is returned.
    """

    functions: FiniteFunctionClass
    weights: Float[np.ndarray, "W H S A"]
    ties: str = "first"

    def __post_init__(self) -> None:
        weights = checked_weights(self.weights, self.functions)
        if np.isinf(weights).any():
            index = first_index(np.isinf(weights))
            raise ValueError(f"weights{list(index)} must be finite (MABO does not clip); got inf")
        object.__setattr__(self, "weights", weights)
        check_ties(self.ties)

    def objective(self, dataset: OfflineDataset) -> Float[np.ndarray, " F"]:
        """Return the objective of each function on at least one episode."""
        candidates, n = Candidates.of(self.functions), _episodes(dataset)
        sums = ResidualSums.of_data(candidates, dataset)
        linear, _ = residual_tests(
            sums.N, sums.G, self.weights.reshape(len(self.weights), *sums.N.shape), 0.0
        )
        return np.asarray(np.abs(linear.sum(axis=0) / n).max(axis=0))

    def fit(self, dataset: OfflineDataset) -> DeterministicPolicy:
        """Return the greedy policy of the minimiser."""
        return greedy(self.functions, smallest(self.objective(dataset), self.ties))


@dataclass(frozen=True, eq=False)
class FittedQIteration:
    """Fitted Q-iteration over a finite class, stage by stage: ``f_h`` may come from any of its functions.

    Parameters
    ----------
    functions
        The class F, values in [0, 1]; None for all tabular functions, which gives the optimal policy of the
        empirical model (0 for pairs without data).
    ties
        Which of several minimisers is returned.
    """

    functions: FiniteFunctionClass | None = None
    ties: str = "first"

    def __post_init__(self) -> None:
        check_ties(self.ties)

    def fit(self, dataset: OfflineDataset) -> DeterministicPolicy:
        """Return the greedy policy of the regressions, from the last stage to the first."""
        if self.functions is None:
            return _empirical_optimum(dataset)
        candidates = Candidates.of(self.functions)
        sums = ResidualSums.of_data(candidates, dataset)
        return fitted_policy(candidates, sums, self.ties)


@dataclass(frozen=True, eq=False)
class ModelMLE:
    """The likeliest model of each stage, and its optimal policy.

    Parameters
    ----------
    models
        The candidates. Transitions count with their likelihood, rewards with that of Bernoulli rewards
        (which for other rewards in [0, 1] is a quasi-likelihood that the true mean maximises too).
    ties
        Which of several maximisers is returned.
    """

    models: FiniteModelClass
    ties: str = "first"

    def __post_init__(self) -> None:
        check_type("models", self.models, FiniteModelClass)
        check_ties(self.ties)

    def fit(self, dataset: OfflineDataset) -> DeterministicPolicy:
        """Return the optimal policy of the model that is put together from the stages."""
        chosen = [
            best(row, np.ones(len(row), dtype=np.bool_), self.ties) for row in self.log_likelihood(dataset)
        ]
        stages = np.arange(len(chosen))
        model = EpisodicMDP(self.models.P[chosen, stages], self.models.r[chosen, stages], self.models.rho)
        policy = backward_induction(model).policy
        assert isinstance(policy, DeterministicPolicy)
        return policy

    def log_likelihood(self, dataset: OfflineDataset) -> Float[np.ndarray, "H M"]:
        """Return the mean log likelihood of each stage and model; minus infinity if impossible."""
        sizes = (dataset.horizon, dataset.n_states, dataset.n_actions)
        if sizes != self.models.r.shape[1:]:
            raise ValueError(f"dataset must have (H, S, A) = {self.models.r.shape[1:]}; got {sizes}")
        n, earned = transition_sums(dataset)
        return log_likelihoods(self.models, n, earned) / max(len(dataset), 1)


def transition_sums(
    dataset: OfflineDataset,
) -> tuple[Float[np.ndarray, "H S A S"], Float[np.ndarray, "H S A"]]:
    """Return the counts of transitions and the sums of rewards."""
    n = dataset.transition_counts.astype(np.float64)
    earned = np.zeros(n.shape[:3])
    stage = np.broadcast_to(np.arange(dataset.horizon), dataset.actions.shape)
    np.add.at(earned, (stage, dataset.states[:, :-1], dataset.actions), dataset.rewards)
    return n, earned


def log_likelihoods(
    models: FiniteModelClass, n: Float[np.ndarray, "H S A S"], earned: Float[np.ndarray, "H S A"]
) -> Float[np.ndarray, "H M"]:
    """Return the log likelihood of each stage and model for counts and sums of rewards."""
    moves = _cross_entropy(n, models.P).sum(axis=(2, 3, 4))
    losses = n.sum(axis=3) - earned
    wins = _cross_entropy(earned, models.r) + _cross_entropy(losses, 1 - models.r)
    return np.asarray((moves + wins.sum(axis=(2, 3))).T)


def fitted_policy(candidates: Candidates, sums: ResidualSums, ties: str) -> DeterministicPolicy:
    """Return the greedy policy of fitted Q-iteration on residual sums."""
    chosen = fitted_indices(candidates, sums, ties)
    actions = np.stack([candidates.actions[f, h] for h, f in enumerate(chosen)])
    return DeterministicPolicy(actions, candidates.Q.shape[2])


def fitted_indices(candidates: Candidates, sums: ResidualSums, ties: str) -> Int[np.ndarray, " H"]:
    """Return which function fitted Q-iteration takes at each stage."""
    H, F = len(sums.N), len(candidates)
    Y = sums.backed_up(candidates)
    Q = candidates.Q.reshape(H, -1, F)
    chosen, following = np.empty(H, dtype=np.int64), 0
    everyone = np.ones(F, dtype=np.bool_)
    for h in range(H - 1, -1, -1):
        loss = sums.N[h] @ (Q[h] * Q[h]) - 2 * Y[h, :, following] @ Q[h]
        following = best(-loss / max(sums.episodes, 1), everyone, ties)
        chosen[h] = following
    return chosen


def smallest(objective: Float[np.ndarray, " F"], ties: str) -> int:
    """Return the first or last minimiser."""
    return best(-objective, np.ones(len(objective), dtype=np.bool_), ties)


def greedy(functions: FiniteFunctionClass, f: int) -> DeterministicPolicy:
    """Return the greedy policy of one function."""
    return DeterministicPolicy(functions.Q[f].argmax(axis=2), functions.n_actions)


def checked_weights(weights: Any, functions: FiniteFunctionClass) -> Float[np.ndarray, "W H S A"]:
    """Return non-negative weights of the class's shape; infinity is allowed."""
    check_type("functions", functions, FiniteFunctionClass)
    array, shape = np.array(weights, dtype=np.float64), functions.Q.shape[1:]
    if array.ndim != 4 or not len(array) or array.shape[1:] != shape:
        raise ValueError(
            f"weights must have shape (W, {', '.join(map(str, shape))}), W >= 1; got {array.shape}"
        )
    bad = ~(array >= 0)
    if bad.any():
        index = first_index(bad)
        raise ValueError(f"weights{list(index)} must not be negative; got {float(array[index])!r}")
    array.setflags(write=False)
    return array


def _episodes(dataset: OfflineDataset) -> int:
    if not len(dataset):
        raise ValueError("dataset must hold at least one episode; got none")
    return len(dataset)


def _cross_entropy(counts: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return counts * log p, with 0 log 0 := 0."""
    with np.errstate(divide="ignore"):
        logs = np.log(p)
    return np.where(counts > 0, counts, 1.0) * np.where(counts > 0, logs, 0.0)


def _empirical_optimum(dataset: OfflineDataset) -> DeterministicPolicy:
    n, earned = transition_sums(dataset)
    visits = np.maximum(n.sum(axis=3), 1)
    H, S, A = earned.shape
    actions, V = np.empty((H, S), dtype=np.int64), np.zeros(S)
    for h in range(H - 1, -1, -1):
        Q = (earned[h] + n[h] @ V) / visits[h]
        actions[h], V = Q.argmax(axis=1), Q.max(axis=1)
    return DeterministicPolicy(actions, A)
