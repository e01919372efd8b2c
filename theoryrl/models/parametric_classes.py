"""Hypothesis classes that are too large to list: all kernels, all tables, linear functions, mixtures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_distribution, check_interval, check_real, real_array


@dataclass(frozen=True, eq=False)
class TabularModelClass(Frozen):
    """Every kernel P[h, s, a, s']; the rewards are those that the problem tells.

    Parameters
    ----------
    support
        Where transitions may go, if that is known: shape [H, S, A, S]. Default: anywhere.
    """

    support: Bool[np.ndarray, "H S A S"] | None = None

    def __post_init__(self) -> None:
        if self.support is None:
            return
        support = np.array(self.support, dtype=np.bool_, order="C")
        if support.ndim != 4:
            raise ValueError(f"support must have shape (H, S, A, S); got shape {support.shape}")
        empty = ~support.any(axis=3)
        if empty.any():
            index = tuple(int(i) for i in np.argwhere(empty)[0])
            raise ValueError(f"support{list(index)} must allow at least one next state; it allows none")
        support.setflags(write=False)
        object.__setattr__(self, "support", support)

    def __repr__(self) -> str:
        return f"TabularModelClass(support={'all' if self.support is None else 'known'})"


@dataclass(frozen=True)
class TabularQClass:
    """Every table of action values with 0 <= Q_h(s, a) <= H - h; the auxiliary class is the same."""


@dataclass(frozen=True)
class LinearQClass:
    """Functions Q_h(s, a) = <phi(s, a), w_h>, fitted by ridge regression; values are clipped to [0, H-h].

    Parameters
    ----------
    ridge
        lambda > 0.
    """

    ridge: float = 1.0

    def __post_init__(self) -> None:
        if check_real("ridge", self.ridge, low=0.0) == 0.0:
            raise ValueError("ridge must be positive; got 0")


@dataclass(frozen=True, eq=False)
class LinearMixtureClass(Frozen):
    """Kernels P_theta,h = sum_i theta_{h,i} P_{i,h} with theta_h on the simplex.

    Parameters
    ----------
    P
        Base kernels P[i, h, s, a, s']: shape [d, H, S, A, S].
    r
        Known rewards in [0, 1]: shape [H, S, A].
    """

    P: Float[np.ndarray, "d H S A S"]
    r: Float[np.ndarray, "H S A"]

    def __post_init__(self) -> None:
        P = real_array("P", self.P, ("d", "H", "S", "A", "S"))
        r = real_array("r", self.r, P.shape[1:4])
        check_distribution("P", P)
        check_interval("r", r, 0.0, 1.0)
        object.__setattr__(self, "P", P)
        object.__setattr__(self, "r", r)

    def mixture(self, theta: Float[np.ndarray, "H d"]) -> Float[np.ndarray, "H S A S"]:
        """Return P_theta."""
        weights = real_array("theta", theta, (self.P.shape[1], self.P.shape[0]))
        check_distribution("theta", weights)
        return np.einsum("hi,ihsat->hsat", weights, self.P)

    def __repr__(self) -> str:
        d, H, S, A, _ = self.P.shape
        return f"LinearMixtureClass(d={d}, H={H}, S={S}, A={A})"
