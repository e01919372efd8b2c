"""What the learners with candidate functions share: residual sums of the data, and tests of candidates.

For a class F of functions ``f = (f_1, ..., f_H)`` with values in [0, 1] and total rewards in [0, 1], the
residual of a sample is ``f_h(s, a) - r - max_a' f_{h+1}(s', a')``. All that the algorithms ask of M
episodes are the counts ``N[h, s, a]`` and the sums ``G[h, s, a, f]`` of residuals: adding an episode costs
``O(|F| H)``, testing all pairs of functions and weights is one matrix product per stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from theoryrl.learners import _candidate_kernels
from theoryrl.models import DeterministicPolicy, FiniteFunctionClass, Hypotheses, OfflineDataset
from theoryrl.models._validation import check_choice, check_interval
from theoryrl.protocol import EpisodicSpec
from theoryrl.solvers.episodic import Trajectories

TIES = ("first", "last")
TIE = 1e-12
"""Values closer than this count as equal: the rounding of a mean of numbers in [0, 1]."""


FEW, MOST = 10_000, 0.8
"""Below this number of weights, or above this share of pairs with data, the others cost less than leaving
them out."""

UNIT_SLACK = 1e-9
"""How far above 1 a value may lie: the rounding of a backward recursion."""


class RealizabilityError(RuntimeError):
    """No candidate survives: the class does not hold Q*, or chance was unkind."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """A function class in the layout of the kernels, with its greedy policies.

    Attributes
    ----------
    Q, V
        Values [H, S, A, F], and their maxima [H+1, S, F] with zeros at the end.
    actions
        Greedy actions, the lowest index on ties: shape [F, H, S].
    policies
        The greedy policy of each function.
    """

    Q: Float[np.ndarray, "H S A F"]
    V: Float[np.ndarray, "H1 S F"]
    actions: Int[np.ndarray, "F H S"]
    policies: tuple[DeterministicPolicy, ...]

    @classmethod
    def of(cls, functions: FiniteFunctionClass) -> Candidates:
        """Prepare a class whose values lie in [0, 1]; raise ValueError for another."""
        check_interval("functions.Q", functions.Q, 0.0, 1.0 + UNIT_SLACK)
        Q = np.ascontiguousarray(np.moveaxis(functions.Q, 0, -1))
        V = np.concatenate([Q.max(axis=2), np.zeros((1, Q.shape[1], Q.shape[3]))])
        actions = functions.greedy_actions()
        return cls(Q, V, actions, tuple(DeterministicPolicy(a, functions.n_actions) for a in actions))

    def __len__(self) -> int:
        return int(self.Q.shape[3])


@dataclass(slots=True, eq=False)
class ResidualSums:
    """Counts and residual sums of the episodes seen so far.

    Attributes
    ----------
    N
        Visits of each stage and pair: shape [H, S A].
    G
        Sums of residuals: shape [H, S A, F].
    first
        Counts of first states: shape [S].
    episodes
        Number of episodes.
    """

    N: Float[np.ndarray, "H C"]
    G: Float[np.ndarray, "H C F"]
    first: Float[np.ndarray, " S"]
    episodes: int

    @classmethod
    def empty(cls, candidates: Candidates) -> ResidualSums:
        """Return the sums of no data."""
        H, S, A, F = candidates.Q.shape
        return cls(np.zeros((H, S * A)), np.zeros((H, S * A, F)), np.zeros(S), 0)

    @classmethod
    def of_data(cls, candidates: Candidates, data: OfflineDataset) -> ResidualSums:
        """Return the sums of a data set; raise ValueError if it does not have the class's shape."""
        sizes = (data.horizon, data.n_states, data.n_actions)
        if sizes != candidates.Q.shape[:3]:
            raise ValueError(f"dataset must have (H, S, A) = {candidates.Q.shape[:3]}; got {sizes}")
        sums = cls.empty(candidates)
        sums.add(candidates, Trajectories(data.states, data.actions, data.rewards))
        return sums

    def add(self, candidates: Candidates, seen: Trajectories) -> None:
        """Add episodes.

        Raises
        ------
        ValueError
            If the rewards of an episode are negative or sum to more than 1.
        """
        # Observations may be read-only views of offline data; one layout means one compiled kernel.
        states, actions, rewards = (np.require(part, requirements=["C", "W"]) for part in seen)
        bad = _candidate_kernels.add_episodes(
            states, actions, rewards, candidates.Q, candidates.V, self.N, self.G, self.first
        )
        if bad >= 0:
            row = [float(number) for number in seen.rewards[bad]]
            raise ValueError(f"rewards[{bad}] must be non-negative and sum to at most 1; got {row}")
        self.episodes += len(seen.actions)

    def backed_up(self, candidates: Candidates) -> Float[np.ndarray, "H C F"]:
        """Return the sums of the targets ``r + max f_{h+1}(s')``: shape [H, S A, F]."""
        H, S, A, F = candidates.Q.shape
        return np.asarray(self.N[..., None] * candidates.Q.reshape(H, S * A, F) - self.G)


def residual_tests(
    N: Float[np.ndarray, "H C"],
    G: Float[np.ndarray, "H C F"],
    weights: Float[np.ndarray, "W H C"],
    alpha: float,
) -> tuple[Float[np.ndarray, "H W F"], Float[np.ndarray, "H W"]]:
    """Return the sums of ``w G`` for all weights and functions, and ``alpha`` times those of ``N w^2``.

    The weights are finite. Pairs without data play no part.
    """
    H, W, F = len(N), len(weights), G.shape[2]
    if weights.size < FEW or np.count_nonzero(N) > MOST * N.size:
        staged = weights.swapaxes(0, 1)
        return staged @ G, alpha * ((staged * staged) @ N[..., None])[..., 0]
    linear, square = np.empty((H, W, F)), np.empty((H, W))
    for h in range(H):
        seen = np.flatnonzero(N[h])
        w = weights[:, h, seen]
        linear[h] = w @ G[h, seen]
        square[h] = alpha * ((w * w) @ N[h, seen])
    return linear, square


def own_residual_tests(
    N: Float[np.ndarray, "H C"],
    G: Float[np.ndarray, "H C F"],
    weights: Float[np.ndarray, "M F H C"],
    alpha: float,
) -> tuple[Float[np.ndarray, "H M F"], Float[np.ndarray, "H M F"]]:
    """Return the same for weights [M, F, H, S A] that belong to one function each."""
    H, M, F = len(N), len(weights), G.shape[2]
    linear, square = np.empty((H, M, F)), np.empty((H, M, F))
    for h in range(H):
        seen = np.flatnonzero(N[h])
        w = weights[:, :, h, seen]
        linear[h] = np.einsum("mfc,cf->mf", w, G[h, seen])
        square[h] = alpha * ((w * w) @ N[h, seen])
    return linear, square


def best(values: Float[np.ndarray, " F"], allowed: Bool[np.ndarray, " F"], ties: str) -> int:
    """Return the first or last of the allowed entries that are largest (within `TIE`)."""
    top = float(values[allowed].max())
    winners = np.flatnonzero(allowed & (values >= top - TIE * max(1.0, abs(top))))
    return int(winners[0] if ties == "first" else winners[-1])


def nothing_left(excess: Float[np.ndarray, "H W F"], beta: float, t: int) -> str:
    """Return what to say of round t when every function fails a test: the most violated one."""
    h, w, f = (int(i) for i in np.unravel_index(int(excess.argmax()), excess.shape))
    last = int(excess.max(axis=(0, 1)).argmin())
    return (
        f"no function survives round {t}: the most violated test is (f, w, h) = ({f}, {w}, {h}), whose mean "
        f"{excess[h, w, f]:.6g} exceeds beta = {beta:.6g}; function {last} comes closest, with "
        f"{excess[..., last].max():.6g}"
    )


def check_ties(ties: str) -> str:
    """Return the tie rule if it is one."""
    return check_choice("ties", ties, TIES)


def require_hypotheses(spec: EpisodicSpec, learner: str) -> Hypotheses:
    """Return the candidates of a problem."""
    if spec.hypotheses is None:
        raise ValueError(f"{learner} needs a problem with candidate functions; spec.hypotheses is None")
    shape = spec.hypotheses.functions.Q.shape[1:]
    if shape != spec.shape:
        raise ValueError(f"spec.hypotheses must have (H, S, A) = {spec.shape}; got {shape}")
    return spec.hypotheses
