"""A safe baseline learned from offline data, with a certificate for its value.

Pessimistic value iteration on the data gives a policy pihat and a number c with V^{pihat} >= c,
with probability at least 1 - delta. The gate: pihat may serve as a baseline for the threshold gamma
if c >= gamma. The proofs (StepMix page, "A learned baseline") differ by how the next value, which
depends on the data, is kept from spoiling the confidence bound of the row that it multiplies:

* ``kl``: the confidence set of the row holds for all values at once, so one data set serves all
  stages. Adaptive data are allowed.
* ``fold-hoeffding``, ``fold-bernstein``: stage h uses only fold h of the episodes, so that the value
  of stage h + 1 is independent of the row. The episodes must be independent draws of one policy.
* ``vi-lcb``: two-fold subsampling of Li et al. (2022), arXiv 2204.05275, as recalled, with the bonus
  min(sqrt(c log(N H / delta) Var / n) + c H log(N H / delta) / n, H), N the number of episodes and
  c = 16. The paper leaves the absolute constant c open, so no certificate at a stated delta is
  claimed. As for the other methods, a visited pair is worth r at the last stage, without a bonus: r
  is known there and nothing follows.

Using the fold bonuses on one undivided data set is wrong; `proofs_checks` shows it on ``coupon``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from theoryrl.learners._kernels import pessimistic_values
from theoryrl.models import DeterministicPolicy, OfflineDataset
from theoryrl.models._validation import (
    at,
    check_choice,
    check_distribution,
    check_fraction,
    check_interval,
    first_index,
    real_array,
)
from theoryrl.protocol import EpisodicSpec

METHODS = ("kl", "fold-hoeffding", "fold-bernstein", "vi-lcb")
VI_LCB_CONSTANT = 16.0
"""c_b of VI-LCB; commonly used, not fixed by the paper."""


@dataclass(frozen=True, eq=False)
class LearnedBaseline:
    """A policy learned offline.

    Attributes
    ----------
    policy
        pihat, deterministic; lowest index on ties.
    certificate
        c, the pessimistic value averaged over the first state.
    lower
        V_low[h, s], pessimistic values: shape [H, S].
    method
        How the rows were bounded.
    """

    policy: DeterministicPolicy
    certificate: float
    lower: Float[np.ndarray, "H S"]
    method: str


def learn_baseline(
    data: OfflineDataset,
    rewards: Float[np.ndarray, "H S A"] | None,
    rho: Float[np.ndarray, " S"],
    delta: float,
    method: str = "kl",
) -> LearnedBaseline:
    """Learn a policy by pessimistic value iteration.

    Parameters
    ----------
    data
        Episodes of a behaviour policy; independent ones for the methods that split them.
    rewards
        Known expected rewards in [0, 1]: shape [H, S, A]. None: the observed rewards, which must be
        free of noise.
    rho
        Distribution of the first state: shape [S].
    delta
        Probability that the certificate exceeds the policy's true value, at most.
    method
        ``"kl"``, ``"fold-hoeffding"``, ``"fold-bernstein"`` or ``"vi-lcb"``.

    Returns
    -------
    LearnedBaseline
        Policy and certificate (for ``vi-lcb`` the certificate has no stated confidence).

    Raises
    ------
    ValueError
        If the data are too few to split, dependent where independence is needed, disagree with the
        rewards' shape, or show two rewards of one (h, s, a) where the rewards are not given.
    """
    check_choice("method", method, METHODS)
    check_fraction("delta", delta)
    H, S, A = data.horizon, data.n_states, data.n_actions
    known = observed_rewards(data) if rewards is None else real_array("rewards", rewards, (H, S, A))
    check_interval("rewards", known, 0.0, 1.0)
    start = real_array("rho", rho, (S,))
    check_distribution("rho", start)
    if method != "kl" and not data.independent:
        raise ValueError(f"data.independent must be true for method {method!r}, which splits the episodes")
    counts, log_term = _counts_and_log_term(data, delta, method)
    V, actions = np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
    pessimistic_values(METHODS.index(method), log_term, counts, known, V, actions)
    return LearnedBaseline(DeterministicPolicy(actions, A), float(start @ V[0]), V[:-1], method)


def _counts_and_log_term(
    data: OfflineDataset, delta: float, method: str
) -> tuple[Int[np.ndarray, "H S A S"], float]:
    H, S, A, n = data.horizon, data.n_states, data.n_actions, len(data)
    if method == "kl":
        return data.transition_counts, math.log(S * A * H / delta)
    if method == "vi-lcb":
        return _subsampled_counts(data, delta), VI_LCB_CONSTANT * math.log(n * H / delta)
    if n < H:
        raise ValueError(f"data must have at least {H} episodes, one per stage, for {method!r}; got {n}")
    counts = np.stack([fold.transition_counts[h] for h, fold in enumerate(data.folds(H))])
    factor = 2 if method == "fold-hoeffding" else 4
    return counts, math.log(factor * S * A * H * n / delta)


def _subsampled_counts(data: OfflineDataset, delta: float) -> Int[np.ndarray, "H S A S"]:
    """Keep the first N_trim(h, s) transitions of the main half, N_trim from the auxiliary half."""
    H, S, A = data.horizon, data.n_states, data.n_actions
    main, auxiliary = data.folds(2)
    visits = auxiliary.transition_counts.sum(axis=(2, 3))
    trim = np.maximum(visits - 10 * np.sqrt(visits * math.log(H * S / delta)), 0).astype(np.int64)
    counts = np.zeros((H, S, A, S), dtype=np.int64)
    for h in range(H):
        for s in range(S):
            kept = np.flatnonzero(main.states[:, h] == s)[: trim[h, s]]
            np.add.at(counts, (h, s, main.actions[kept, h], main.states[kept, h + 1]), 1)
    return counts


def observed_rewards(data: OfflineDataset) -> Float[np.ndarray, "H S A"]:
    """Return the rewards seen in the data; 0 where a pair was never visited.

    Raises
    ------
    ValueError
        If some (h, s, a) has two different rewards: the certificate is for rewards without noise.
    """
    rewards = np.zeros((data.horizon, data.n_states, data.n_actions))
    stage = np.broadcast_to(np.arange(data.horizon), data.actions.shape)
    cells = stage, data.states[:, :-1], data.actions
    rewards[cells] = data.rewards
    noisy = rewards[cells] != data.rewards
    if noisy.any():
        index = first_index(noisy)
        raise ValueError(
            f"{at('data.rewards', index)} must be free of noise where the rewards are not given; got "
            f"{float(data.rewards[index])!r}, and {float(rewards[cells][index])!r} in the same (h, s, a)"
        )
    return rewards


def warm_start_counts(spec: EpisodicSpec) -> Int[np.ndarray, "H S A S"]:
    """Return the transition counts of the spec's offline data."""
    if spec.offline is None:
        raise ValueError("warm_start needs spec.offline; the problem has no data")
    return spec.offline.transition_counts


def sufficient_episodes(H: int, S: int, A: int, delta: float, margin: float) -> float:
    """Return n with n >= 4 H^3 (H-1)^2 S A log(2 S A H n / delta) / margin^2.

    With so many behaviour episodes (and a burn-in for rare pairs) the ``fold-hoeffding`` certificate
    is at least V^mu - margin / 2. Ours; proof on the StepMix page.
    """
    factor = 4 * H**3 * (H - 1) ** 2 * S * A / margin**2
    n = max(factor, 2.0)
    for _ in range(100):
        n = max(factor * math.log(2 * S * A * H * n / delta), 2.0)
    return n
