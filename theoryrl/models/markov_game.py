"""Two-player zero-sum Markov games, finite lists of them, and policies with a memory.

A game (S, A, B, H, P, r, rho) starts in s_0 ~ rho. At stage h = 0, ..., H-1 both players, who see state s,
choose at the same time: the max player an action a, the min player an action b. The max player receives
r_h(s, a, b) from the min player, and the game moves to s' ~ P_h(. | s, a, b). The value of a pair of policies
is the expected sum of the H rewards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from theoryrl.models._frozen import Frozen
from theoryrl.models._validation import (
    check_count,
    check_distribution,
    check_interval,
    check_memory,
    check_type,
    first_index,
    index_array,
    real_array,
)
from theoryrl.models.policy import DeterministicPolicy, MarkovPolicy, Policy


@dataclass(frozen=True, eq=False)
class ZeroSumMarkovGame(Frozen):
    """A tabular finite-horizon game with stage-dependent kernel and rewards.

    Parameters
    ----------
    P
        Transition probabilities P[h, s, a, b, s']: shape [H, S, A, B, S].
    r
        Rewards of the max player in [0, 1], deterministic: shape [H, S, A, B].
    rho
        Distribution of the first state: shape [S].

    Raises
    ------
    ValueError
        On a wrong shape, a number that is not finite, a row that is not a distribution, or a reward outside
        [0, 1].
    """

    P: Float[np.ndarray, "H S A B S"]
    r: Float[np.ndarray, "H S A B"]
    rho: Float[np.ndarray, " S"]

    def __post_init__(self) -> None:
        P = real_array("P", self.P, ("H", "S", "A", "B", "S"))
        r = real_array("r", self.r, P.shape[:4])
        rho = real_array("rho", self.rho, (P.shape[1],))
        check_distribution("P", P)
        check_distribution("rho", rho)
        check_interval("r", r, 0.0, 1.0)
        for name, value in (("P", P), ("r", r), ("rho", rho)):
            object.__setattr__(self, name, value)

    @property
    def horizon(self) -> int:
        """Number of stages H."""
        return int(self.P.shape[0])

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return int(self.P.shape[1])

    @property
    def n_actions(self) -> int:
        """Number of actions A of the max player."""
        return int(self.P.shape[2])

    @property
    def n_opponent_actions(self) -> int:
        """Number of actions B of the min player."""
        return int(self.P.shape[3])

    def __repr__(self) -> str:
        return f"ZeroSumMarkovGame({_sizes(self)})"


@dataclass(frozen=True, eq=False)
class FiniteGameClass(Frozen):
    """M candidate games with the same rewards and first state's law.

    Whether the truth is among them is an assumption of theorems, not of the class.

    Parameters
    ----------
    P
        Transition probabilities P[m, h, s, a, b, s']: shape [M, H, S, A, B, S].
    r
        Rewards that all candidates share, in [0, 1]: shape [H, S, A, B].
    rho
        Distribution of the first state: shape [S].
    """

    P: Float[np.ndarray, "M H S A B S"]
    r: Float[np.ndarray, "H S A B"]
    rho: Float[np.ndarray, " S"]

    def __post_init__(self) -> None:
        P = real_array("P", self.P, ("M", "H", "S", "A", "B", "S"))
        r = real_array("r", self.r, P.shape[1:5])
        rho = real_array("rho", self.rho, (P.shape[2],))
        check_distribution("P", P)
        check_distribution("rho", rho)
        check_interval("r", r, 0.0, 1.0)
        for name, value in (("P", P), ("r", r), ("rho", rho)):
            object.__setattr__(self, name, value)

    @classmethod
    def from_games(cls, games: Sequence[ZeroSumMarkovGame]) -> FiniteGameClass:
        """Collect games that agree in shape, rewards and the first state's law."""
        if len(games) == 0:
            raise ValueError("games must hold at least one ZeroSumMarkovGame; got none")
        for m, game in enumerate(games):
            check_type(f"games[{m}]", game, ZeroSumMarkovGame)
            for name in ("P", "r", "rho"):
                array, first = getattr(game, name), getattr(games[0], name)
                if array.shape != first.shape:
                    raise ValueError(
                        f"games[{m}].{name} has shape {array.shape}; games[0].{name} has {first.shape}"
                    )
                if name != "P" and not np.array_equal(array, first):
                    index = first_index(array != first)
                    raise ValueError(
                        f"games[{m}].{name}{list(index)} must equal that of games[0], "
                        f"{float(first[index])!r}; got {float(array[index])!r}"
                    )
        return cls(np.stack([game.P for game in games]), games[0].r, games[0].rho)

    def __len__(self) -> int:
        return int(self.P.shape[0])

    def __getitem__(self, m: int) -> ZeroSumMarkovGame:
        return ZeroSumMarkovGame(self.P[m], self.r, self.rho)

    def index(self, game: ZeroSumMarkovGame) -> int | None:
        """Position of the first candidate that equals `game` in every number, or None."""
        check_type("game", game, ZeroSumMarkovGame)
        if not (np.array_equal(game.r, self.r) and np.array_equal(game.rho, self.rho)):
            return None
        return next((m for m in range(len(self)) if np.array_equal(self.P[m], game.P)), None)

    def __repr__(self) -> str:
        return f"FiniteGameClass(M={len(self)}, {_sizes(self[0])})"


@dataclass(frozen=True, eq=False)
class CandidateGame(Frozen):
    """A game to be learned by someone who is told a list of candidates.

    Parameters
    ----------
    game
        The truth.
    candidates
        The list, of the same sizes, rewards and first state's law. It need not contain the truth.
    """

    game: ZeroSumMarkovGame
    candidates: FiniteGameClass

    def __post_init__(self) -> None:
        check_type("game", self.game, ZeroSumMarkovGame)
        check_type("candidates", self.candidates, FiniteGameClass)
        check_candidates(self.game, self.candidates)

    @property
    def truth(self) -> int | None:
        """Position of the truth among the candidates; None if it is not realizable."""
        return self.candidates.index(self.game)

    def __repr__(self) -> str:
        return f"CandidateGame(M={len(self.candidates)}, {_sizes(self.game)})"


def check_candidates(game: ZeroSumMarkovGame, candidates: FiniteGameClass) -> None:
    """Raise unless the candidates have the sizes, the rewards and the first state's law of the game."""
    if candidates.P.shape[1:] != game.P.shape:
        raise ValueError(f"candidates have P of shape {candidates.P.shape[1:]}; the game {game.P.shape}")
    for name in ("r", "rho"):
        if not np.array_equal(getattr(candidates, name), getattr(game, name)):
            raise ValueError(f"candidates.{name} must be the game's {name}: it is known to the players")


@dataclass(frozen=True, eq=False)
class FiniteMemoryPolicy(Frozen):
    """A policy of the min player that depends on the history of the episode through a memory w.

    The memory starts at 0 and moves after every step as a function of what was seen. With enough memory
    every policy that depends on the whole history of an episode has this form.

    Parameters
    ----------
    probabilities
        nu_h(b | s, w): shape [H, S, W, B].
    memory
        Next memory ``memory[h, s, a, b, w]``, in [0, W): shape [H, S, A, B, W].
    """

    probabilities: Float[np.ndarray, "H S W B"]
    memory: Int[np.ndarray, "H S A B W"]

    def __post_init__(self) -> None:
        nu = real_array("probabilities", self.probabilities, ("H", "S", "W", "B"))
        check_distribution("probabilities", nu)
        H, S, W, B = nu.shape
        moves = index_array("memory", self.memory, (H, S, "A", B, W), W)
        object.__setattr__(self, "probabilities", nu)
        object.__setattr__(self, "memory", moves)

    @classmethod
    def forgetful(cls, policy: MarkovPolicy, n_actions: int, horizon: int) -> FiniteMemoryPolicy:
        """Return a Markov policy as one whose memory never leaves 0, for a max player with A actions."""
        check_type("policy", policy, Policy, DeterministicPolicy)
        nu = policy.stages(check_count("horizon", horizon))
        H, S, B = nu.shape
        shape = (H, S, check_count("n_actions", n_actions), B, 1)
        check_memory("memory", *shape)
        return cls(nu[:, :, None, :], np.zeros(shape, dtype=np.int64))

    @property
    def n_memories(self) -> int:
        """Number of memories W."""
        return int(self.probabilities.shape[2])

    def __repr__(self) -> str:
        H, S, W, B = self.probabilities.shape
        return f"FiniteMemoryPolicy(H={H}, S={S}, W={W}, B={B})"


@dataclass(frozen=True, eq=False)
class PolicyPair(Frozen):
    """A policy for each player.

    Parameters
    ----------
    probabilities
        mu_h(a | s) of the max player: shape [H, S, A].
    opponent
        nu_h(b | s) of the min player: shape [H, S, B].
    """

    probabilities: Float[np.ndarray, "H S A"]
    opponent: Float[np.ndarray, "H S B"]

    def __post_init__(self) -> None:
        mu = real_array("probabilities", self.probabilities, ("H", "S", "A"))
        nu = real_array("opponent", self.opponent, (*mu.shape[:2], "B"))
        check_distribution("probabilities", mu)
        check_distribution("opponent", nu)
        object.__setattr__(self, "probabilities", mu)
        object.__setattr__(self, "opponent", nu)

    @property
    def horizon(self) -> int:
        """Number of stages H."""
        return int(self.probabilities.shape[0])

    @property
    def row(self) -> Policy:
        """The max player's policy."""
        return Policy(self.probabilities)

    @property
    def column(self) -> Policy:
        """The min player's policy."""
        return Policy(self.opponent)

    def __repr__(self) -> str:
        H, S, A = self.probabilities.shape
        return f"PolicyPair(H={H}, S={S}, A={A}, B={self.opponent.shape[2]})"


def _sizes(game: ZeroSumMarkovGame) -> str:
    H, S, A, B = game.r.shape
    return f"H={H}, S={S}, A={A}, B={B}"
