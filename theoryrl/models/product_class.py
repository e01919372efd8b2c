"""Product classes of action-value functions: any f_0 with any f_1, ..., and auxiliary functions.

The candidates are all (f_0, ..., f_{H-1}) in F_0 x ... x F_{H-1}: `prod N` of them, listed as H layers
of N functions. The auxiliary class G_h holds F_h and, where the class is *complete*, every Bellman
backup T_h f_{h+1} = r_h + P_h max_a f_{h+1}.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import check_interval, check_type, real_array
from theoryrl.models.episodic import EpisodicMDP

MEMBER_TOLERANCE = 1e-8
"""How far a function may be from a member of a class to count as that member (sup norm)."""


@dataclass(frozen=True, eq=False)
class ProductQClass(Frozen):
    """A product class F with an auxiliary class G that contains it.

    Parameters
    ----------
    F
        F[h, i, s, a], the value of the i-th function of layer h, in [0, H-h]: shape [H, N, S, A].
    G
        G[h, j, s, a] in [0, H-h]: shape [H, M, S, A]. Default: F itself.

    Raises
    ------
    ValueError
        On a wrong shape, a value outside [0, H-h], or a member of F_h that is not in G_h (the loss could be
        negative then).
    """

    F: Float[np.ndarray, "H N S A"]
    G: Float[np.ndarray, "H M S A"] | None = None

    def __post_init__(self) -> None:
        F = real_array("F", self.F, ("H", "N", "S", "A"))
        G = F if self.G is None else real_array("G", self.G, (F.shape[0], "M", *F.shape[2:]))
        for name, layers in (("F", F), ("G", G)):
            check_interval(name, layers, 0.0, np.inf)
            for h, layer in enumerate(layers):
                check_interval(f"{name}[{h}]", layer, 0.0, float(len(F) - h))
        for h in range(len(F)):
            missing = _first_outside(F[h], G[h])
            if missing is not None:
                raise ValueError(f"F[{h}, {missing}] must be in G[{h}]; it is not (losses could be negative)")
        object.__setattr__(self, "F", F)
        object.__setattr__(self, "G", G)

    @classmethod
    def completed(cls, F: Float[np.ndarray, "H N S A"], mdp: EpisodicMDP) -> ProductQClass:
        """Return the class with G_h = F_h and all backups T_h f_{h+1} of a model."""
        check_type("mdp", mdp, EpisodicMDP)
        layers = real_array("F", F, (mdp.horizon, "N", mdp.n_states, mdp.n_actions))
        return cls(layers, np.concatenate([layers, backups(layers, mdp)], axis=1))

    @property
    def auxiliary(self) -> Float[np.ndarray, "H M S A"]:
        """G."""
        assert self.G is not None  # set by the constructor
        return self.G

    @property
    def values(self) -> Float[np.ndarray, "H N S"]:
        """V[h, i, s] = max_a F[h, i, s, a]."""
        return np.ascontiguousarray(self.F.max(axis=3))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, S, A)."""
        H, _, S, A = self.F.shape
        return H, S, A

    @property
    def size(self) -> int:
        """Number of candidates (f_0, ..., f_{H-1})."""
        return int(self.F.shape[1]) ** len(self.F)

    def position(self, Q: Float[np.ndarray, "H S A"]) -> tuple[int, ...] | None:
        """Return the index in each layer of the functions Q_h, or None if one is in no layer."""
        found = []
        for h, layer in enumerate(self.F):
            distance = np.abs(layer - Q[h]).max(axis=(1, 2))
            found.append(int(distance.argmin()))
            if distance.min() > MEMBER_TOLERANCE:
                return None
        return tuple(found)

    def check_complete(self, mdp: EpisodicMDP) -> None:
        """Raise unless every T_h f_{h+1} is in G_h, to within 1e-8.

        Raises
        ------
        ValueError
            Naming the first backup that is missing.
        """
        targets = backups(self.F, mdp)
        for h in range(len(self.F)):
            missing = _first_outside(targets[h], self.auxiliary[h])
            if missing is not None:
                raise ValueError(
                    f"G[{h}] must hold the backup of F[{h + 1}, {missing}]; it does not: "
                    "the class is not complete"
                )

    def __repr__(self) -> str:
        H, N, S, A = self.F.shape
        return f"ProductQClass(H={H}, N={N}, M={self.auxiliary.shape[1]}, S={S}, A={A})"


def backups(F: Float[np.ndarray, "H N S A"], mdp: EpisodicMDP) -> Float[np.ndarray, "H N S A"]:
    """Return T_h f = r_h + P_h max_a f_{h+1} for all f in F_{h+1}."""
    following = np.zeros(F.shape[:3])
    following[:-1] = F[1:].max(axis=3)
    return np.asarray(mdp.r[:, None] + np.einsum("hsat,hnt->hnsa", mdp.P, following))


def _first_outside(functions: np.ndarray, layer: np.ndarray) -> int | None:
    """Return the index of the first function without a member of `layer` close to it."""
    for i, f in enumerate(functions):
        if np.abs(layer - f).max(axis=(1, 2)).min() > MEMBER_TOLERANCE:
            return i
    return None
