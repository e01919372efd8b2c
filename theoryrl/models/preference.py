"""Preference games: in context x, action i is preferred to action j with probability P[x, i, j].

``P[x, i, j] + P[x, j, i] = 1``, so the game is symmetric, its value is 1/2, and all that matters is the
skew part A = P - 1/2. A policy is a distribution over the n actions for each of the X contexts, which
are drawn from rho; `pi` is preferred to `mu` with probability ``E_x pi^T P mu``.

The regularised game charges each player beta times the divergence from a reference policy:

    P_beta(pi > mu) = P(pi > mu) - beta KL_rho(pi || ref) + beta KL_rho(mu || ref).

Source: Munos et al. (2024), "Nash Learning from Human Feedback", equation (2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logsumexp

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    at,
    check_count,
    check_distribution,
    check_interval,
    check_memory,
    check_real,
    check_type,
    count_axes,
    first_index,
    real_array,
)

SKEW_TOLERANCE = 1e-12
"""How far P + P^T may be from 1 (rounding of a few hundred operations)."""

Tensor = Float[np.ndarray, "n n"] | Float[np.ndarray, "X n n"]


@dataclass(frozen=True, eq=False)
class PreferenceGame(Frozen):
    """Probabilities that one action is preferred to another.

    Parameters
    ----------
    P
        P[i, j] or P[x, i, j], in [0, 1], with ``P + P^T = 1`` up to 1e-12: shape [n, n] or [X, n, n].
    rho
        Distribution of the context: shape [X]. Default: uniform.

    Raises
    ------
    ValueError
        Naming the worst pair where ``P + P^T`` is not 1.
    """

    P: Tensor
    rho: Float[np.ndarray, " X"] | None = None

    def __post_init__(self) -> None:
        dims = count_axes("P", self.P)
        if dims not in (2, 3):
            raise ValueError(f"P must have shape (n, n) or (X, n, n); got {dims} axes")
        P = real_array("P", self.P, ("X", "n", "n")[3 - dims :])
        check_interval("P", P, 0.0, 1.0)
        _check_pairs("P", P, 1.0)
        X = P.shape[0] if dims == 3 else 1
        rho = real_array("rho", np.full(X, 1 / X) if self.rho is None else self.rho, (X,))
        check_distribution("rho", rho)
        object.__setattr__(self, "P", P)
        object.__setattr__(self, "rho", rho)

    @classmethod
    def from_skew(cls, A: Any, rho: Any = None) -> PreferenceGame:
        """Return the game with skew part A = P - 1/2: entries in [-1/2, 1/2], ``A + A^T = 0``."""
        dims = count_axes("A", A)
        if dims not in (2, 3):
            raise ValueError(f"A must have shape (n, n) or (X, n, n); got {dims} axes")
        skew = real_array("A", A, ("X", "n", "n")[3 - dims :])
        check_interval("A", skew, -0.5, 0.5)
        _check_pairs("A", skew, 0.0)
        return cls(0.5 + skew, rho)

    @classmethod
    def from_bradley_terry(cls, r: Any, rho: Any = None) -> PreferenceGame:
        """Return the transitive game ``P[i, j] = sigma(r_i - r_j)`` of rewards r[n] or r[X, n].

        Source: Bradley and Terry (1952).
        """
        dims = count_axes("r", r)
        if dims not in (1, 2):
            raise ValueError(f"r must have shape (n,) or (X, n); got {dims} axes")
        rewards = real_array("r", r, ("X", "n")[2 - dims :])
        check_memory("P", *rewards.shape, rewards.shape[-1])
        return cls(expit(rewards[..., :, None] - rewards[..., None, :]), rho)

    @classmethod
    def from_low_rank(cls, Z: Any, scale: float = 10.0, rho: Any = None) -> PreferenceGame:
        """Return the intransitive game ``P[i, j] = sigma(scale z_i^T J z_j)`` of embeddings Z.

        Parameters
        ----------
        Z
            One embedding of even dimension for each action: shape [n, d] or [X, n, d].
        scale
            Positive factor.
        rho
            Distribution of the context.

        Notes
        -----
        J is block diagonal with blocks ((0, 1), (-1, 0)), hence skew.
        """
        dims = count_axes("Z", Z)
        if dims not in (2, 3):
            raise ValueError(f"Z must have shape (n, d) or (X, n, d); got {dims} axes")
        z = real_array("Z", Z, ("X", "n", "d")[3 - dims :])
        if z.shape[-1] % 2:
            raise ValueError(f"Z must have an even last axis; got shape {z.shape}")
        if check_real("scale", scale, low=0.0) == 0:
            raise ValueError("scale must be positive; got 0")
        check_memory("P", *z.shape[:-1], z.shape[-2])
        product = z[..., 0::2] @ np.swapaxes(z[..., 1::2], -1, -2)
        return cls(expit(scale * (product - np.swapaxes(product, -1, -2))), rho)

    @classmethod
    def from_tournament(cls, wins: Any, rho: Any = None) -> PreferenceGame:
        """Return the game in which i surely beats j where ``wins[i, j]`` is 1, and neither where both are 0.

        Parameters
        ----------
        wins
            Zeros and ones: shape [n, n] or [X, n, n]; at most one of ``wins[i, j]`` and ``wins[j, i]`` is 1.
        rho
            Distribution of the context.
        """
        dims = count_axes("wins", wins)
        if dims not in (2, 3):
            raise ValueError(f"wins must have shape (n, n) or (X, n, n); got {dims} axes")
        given = np.asarray(wins)
        numbers = given.astype(np.float64) if given.dtype == np.bool_ else given
        beats = real_array("wins", numbers, ("X", "n", "n")[3 - dims :])
        wrong = (beats != 0) & (beats != 1)
        if wrong.any():
            index = first_index(wrong)
            raise ValueError(f"{at('wins', index)} must be 0 or 1; got {float(beats[index])!r}")
        both = (beats == 1) & (np.swapaxes(beats, -1, -2) == 1)
        if both.any():
            index = first_index(both)
            raise ValueError(f"{at('wins', index)} and its mirror must not both be 1")
        return cls(0.5 + (beats - np.swapaxes(beats, -1, -2)) / 2, rho)

    @classmethod
    def from_win_counts(cls, counts: Any, prior: float = 0.0, rho: Any = None) -> PreferenceGame:
        """Return the game of observed frequencies: ``P[i, j] = (W_ij + prior) / (W_ij + W_ji + 2 prior)``.

        Parameters
        ----------
        counts
            W[i, j], how often i won against j: shape [n, n] or [X, n, n]. The diagonal is ignored.
        prior
            Wins that each side of a pair is given before the data, at least 0.
        rho
            Distribution of the context.

        Notes
        -----
        A pair without data, and without a prior, has P = 1/2.
        """
        dims = count_axes("counts", counts)
        if dims not in (2, 3):
            raise ValueError(f"counts must have shape (n, n) or (X, n, n); got {dims} axes")
        W = real_array("counts", counts, ("X", "n", "n")[3 - dims :])
        check_interval("counts", W, 0.0, np.inf)
        check_real("prior", prior, low=0.0)
        mirrored = np.swapaxes(W, -1, -2)
        mean = W / 2 + mirrored / 2 + prior  # halves, for the sum of the largest floats is infinite
        quarter = W / 4 - mirrored / 4
        A = np.divide(quarter, mean, out=np.zeros_like(mean), where=mean > 0)
        return cls(0.5 + A, rho)

    @classmethod
    def random(cls, n: int, rng: np.random.Generator, contexts: int | None = None) -> PreferenceGame:
        """Return the game whose entries below the diagonal are independent and uniform on [0, 1].

        The protocol of the simulations of Zhou et al. (2025), "Extragradient Preference Optimization".
        """
        check_count("n", n)
        shape = (n, n) if contexts is None else (check_count("contexts", contexts), n, n)
        check_memory("P", *shape)
        lower = np.tril(rng.random(shape), -1)
        upper = np.triu(1 - np.swapaxes(lower, -1, -2), 1)
        return cls(lower + upper + np.eye(n) / 2)

    @cached_property
    def skew(self) -> Float[np.ndarray, "X n n"]:
        """A = (P - P^T) / 2, exactly skew, with an axis for the contexts even if there is only one."""
        P = self.P.reshape(self.n_contexts, self.n_actions, self.n_actions)
        A: np.ndarray = (P - np.swapaxes(P, -1, -2)) / 2
        A.setflags(write=False)
        return A

    @property
    def context_weights(self) -> Float[np.ndarray, " X"]:
        """`rho`, which is an array once the game is built."""
        assert self.rho is not None
        return self.rho

    @property
    def n_contexts(self) -> int:
        """Number of contexts X."""
        return int(self.P.shape[0]) if self.P.ndim == 3 else 1

    @property
    def n_actions(self) -> int:
        """Number of actions n."""
        return int(self.P.shape[-1])

    @property
    def shape(self) -> tuple[int, int]:
        """(X, n), the shape of a policy."""
        return self.n_contexts, self.n_actions

    def regularized(self, beta: float, reference: Any = None) -> RegularizedGame:
        """Return the regularised game.

        Parameters
        ----------
        beta
            Weight of the divergence, positive.
        reference
            Probabilities of the reference policy, all positive: shape [n] or [X, n]. Default: uniform.
        """
        if reference is None:
            return RegularizedGame(self, beta, np.full(self.shape, -np.log(self.n_actions)))
        ref = real_array("reference", np.atleast_2d(np.asarray(reference)), self.shape)
        check_distribution("reference", ref)
        if (ref <= 0).any():
            index = first_index(ref <= 0)
            raise ValueError(
                f"{at('reference', index)} must be positive: the reference needs full support; "
                f"got {float(ref[index])!r}"
            )
        logits = np.log(ref)
        return RegularizedGame(self, beta, logits - logsumexp(logits, axis=1, keepdims=True))

    def __repr__(self) -> str:
        return f"PreferenceGame(X={self.n_contexts}, n={self.n_actions})"


@dataclass(frozen=True, eq=False)
class RegularizedGame(Frozen):
    """A preference game with a reference policy and the weight of the divergence from it.

    Parameters
    ----------
    game
        The preferences.
    beta
        Weight of the divergence, positive. For beta = 0 solve `game` itself.
    log_reference
        Logarithms of the reference's probabilities, normalised, so that probabilities below the range
        of floats are possible: shape [X, n]. `PreferenceGame.regularized` takes probabilities.
    """

    game: PreferenceGame
    beta: float
    log_reference: Float[np.ndarray, "X n"]

    def __post_init__(self) -> None:
        check_type("game", self.game, PreferenceGame)
        beta = check_real("beta", self.beta)
        if beta <= 0:
            raise ValueError(
                f"beta must be positive; got {self.beta!r} (without regularisation solve the PreferenceGame)"
            )
        logits = log_policy_array("log_reference", self.log_reference, self.game.shape)
        object.__setattr__(self, "beta", beta)
        object.__setattr__(self, "log_reference", logits)

    @property
    def shape(self) -> tuple[int, int]:
        """(X, n), the shape of a policy."""
        return self.game.shape

    def __repr__(self) -> str:
        return f"RegularizedGame(X={self.shape[0]}, n={self.shape[1]}, beta={self.beta:g})"


@dataclass(frozen=True, eq=False)
class MatrixGame(Frozen):
    """A zero-sum game: the row player receives ``payoff[i, j]`` from the column player.

    Parameters
    ----------
    payoff
        Shape [n, m].
    """

    payoff: Float[np.ndarray, "n m"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "payoff", real_array("payoff", self.payoff, ("n", "m")))

    def __repr__(self) -> str:
        return f"MatrixGame(n={self.payoff.shape[0]}, m={self.payoff.shape[1]})"


def log_policy_array(name: str, value: Any, shape: tuple[int, int]) -> Float[np.ndarray, "X n"]:
    """Return `value` as the finite, normalised logarithms of a policy of this shape; raise if it is none."""
    logits = real_array(name, value, shape)
    total = logsumexp(logits, axis=1)
    wrong = np.abs(total) > SKEW_TOLERANCE
    if wrong.any():
        (x,) = first_index(wrong)
        mass = float(np.exp(total[x]))
        raise ValueError(f"{name}[{x}, :] must be normalised; its probabilities sum to {mass!r}")
    return logits


def _check_pairs(name: str, array: np.ndarray, total: float) -> None:
    """Raise, naming the worst pair, unless the entries of each pair (i, j), (j, i) sum to `total`."""
    error = np.abs(array + np.swapaxes(array, -1, -2) - total)
    worst = tuple(int(i) for i in np.unravel_index(int(np.argmax(error)), error.shape))
    if error[worst] > SKEW_TOLERANCE:
        mirror = (*worst[:-2], worst[-1], worst[-2])
        raise ValueError(
            f"{at(name, worst)} + {at(name, mirror)} must be {total:g}; "
            f"got {float(array[worst])!r} + {float(array[mirror])!r}"
        )
