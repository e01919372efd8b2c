"""Exact values of policy pairs, best responses, and visits of a Markov game.

For a policy mu of the max player and nu of the min player, with V_H = 0::

    Q_h(s, a, b)      = r_h(s, a, b) + sum_s' P_h(s' | s, a, b) V_{h+1}(s')
    V_h^{mu, nu}(s)   = sum_{a, b} mu_h(a | s) nu_h(b | s) Q_h(s, a, b)
    V_h^{mu, *}(s)    = min_b sum_a mu_h(a | s) Q_h(s, a, b)        (what mu guarantees)
    V_h^{*, nu}(s)    = max_a sum_b nu_h(b | s) Q_h(s, a, b)        (what nu concedes)

Once one policy is fixed, the other player faces an MDP: no policy that remembers the episode does better
than the best Markov one. A min player with a memory w is evaluated on the pairs (s, w).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float

from theoryrl.models import (
    DeterministicPolicy,
    EpisodicMDP,
    FiniteGameClass,
    FiniteMemoryPolicy,
    MarkovPolicy,
    Policy,
    ZeroSumMarkovGame,
)
from theoryrl.models._validation import ROW_SUM_TOLERANCE, check_choice, check_type, real_array
from theoryrl.solvers.episodic import occupancy_measure
from theoryrl.solvers.solution import Solution, rounding_unit

Opponent: TypeAlias = MarkovPolicy | FiniteMemoryPolicy
Values: TypeAlias = Float[np.ndarray, "H S"]

PLAYERS = ("min", "max")


@dataclass(frozen=True, eq=False)
class ResponseSolution(Solution):
    """A best response: `value`, `lower` and `upper` have shape [H, S].

    Attributes
    ----------
    start_value
        rho . V_0, the expected return of an episode.
    """

    meaning: ClassVar[str] = "start of an episode"
    start_value: float

    @property
    def overall(self) -> tuple[float, float, float]:
        """Value at the start of an episode, with its bounds."""
        error = float((self.upper - self.value)[0].max()) if len(self.value) else 0.0
        error *= 1 + 2 * ROW_SUM_TOLERANCE
        error += rounding_unit(self.value.shape[1] + 2) * float(np.abs(self.value[0]).max())
        return self.start_value, self.start_value - error, self.start_value + error


def best_response(game: ZeroSumMarkovGame, policy: MarkovPolicy, player: str = "min") -> ResponseSolution:
    """Return the best response of one player to a known policy of the other.

    Parameters
    ----------
    game
        The model.
    policy
        Of the other player: the max player's mu where `player` is ``"min"``, else the min player's nu.
    player
        Who responds.

    Returns
    -------
    ResponseSolution
        ``V^{mu, *}`` or ``V^{*, nu}``, a deterministic response (lowest index on ties), and bounds that
        account for rounding.

    Raises
    ------
    ValueError
        If the policy does not have the game's sizes.
    """
    check_choice("player", player, PLAYERS)
    other = stages_of(game, policy, "max" if player == "min" else "min")
    H, S = game.r.shape[:2]
    V, actions = np.zeros((H + 1, S)), np.empty((H, S), dtype=np.int64)
    for h in range(H - 1, -1, -1):
        Q = game.r[h] + game.P[h] @ V[h + 1]
        worth = seen_by(player, other[h], Q)
        actions[h] = worth.argmin(axis=1) if player == "min" else worth.argmax(axis=1)
        V[h] = worth.min(axis=1) if player == "min" else worth.max(axis=1)
    slack = rounding_of_values(game, V)
    return ResponseSolution(
        value=V[:-1],
        policy=DeterministicPolicy(actions, game.r.shape[3] if player == "min" else game.n_actions),
        lower=V[:-1] - slack[:, None],
        upper=V[:-1] + slack[:, None],
        iterations=H,
        method="backward induction",
        start_value=float(game.rho @ V[0]),
    )


def guaranteed_value(game: ZeroSumMarkovGame, mu: Float[np.ndarray, "H S A"]) -> float:
    """Return ``rho . V_0^{mu, *}`` of an array of probabilities that are known to be valid (hot loops)."""
    V = np.zeros(game.n_states)
    for h in range(game.horizon - 1, -1, -1):
        Q = game.r[h] + game.P[h] @ V
        V = seen_by("min", mu[h], Q).min(axis=1)
    return float(game.rho @ V)


class Responses(NamedTuple):
    """Best responses of the min player to one policy, in each of M games.

    Attributes
    ----------
    start
        What the policy guarantees in each game, ``rho . V_0^{mu, *}``: shape [M].
    V
        Values, with V_H = 0: shape [M, H + 1, S].
    nu
        The responses, deterministic, lowest index on ties: shape [M, H, S, B].
    """

    start: Float[np.ndarray, " M"]
    V: Float[np.ndarray, "M H1 S"]
    nu: Float[np.ndarray, "M H S B"]


def best_responses(games: FiniteGameClass, mu: Float[np.ndarray, "H S A"]) -> Responses:
    """Return the best response to `mu` in every candidate game, all at once."""
    M, H, S, A, B, _ = games.P.shape
    mu = real_array("mu", mu, (H, S, A))
    V, nu = np.zeros((M, H + 1, S)), np.empty((M, H, S, B))
    for h in range(H - 1, -1, -1):
        Q = games.r[h] + np.einsum("msabt,mt->msab", games.P[:, h], V[:, h + 1])
        worth = np.einsum("sa,msab->msb", mu[h], Q)
        V[:, h] = worth.min(axis=2)
        nu[:, h] = np.eye(B)[worth.argmin(axis=2)]
    return Responses(V[:, 0] @ games.rho, V, nu)


def seen_by(
    player: str, other: Float[np.ndarray, "S K"], Q: Float[np.ndarray, "S A B"]
) -> Float[np.ndarray, "S L"]:
    """Return the mean of Q over the other player's action, for every action of the player."""
    if player == "min":
        return np.asarray((other[:, None, :] @ Q)[:, 0, :])
    return np.asarray((Q @ other[:, :, None])[:, :, 0])


def rounding_of_values(game: ZeroSumMarkovGame, V: Float[np.ndarray, "H1 S"]) -> Float[np.ndarray, " H"]:
    """Bound the rounding of a recursion through both players' actions, whose values are V, at every stage."""
    H, S, A, B = game.r.shape
    unit = rounding_unit(S + 2 * (A + B) + 4)  # a policy was divided by its sum before it was averaged over
    error = np.zeros(H + 1)
    for h in range(H - 1, -1, -1):
        scale = float(np.abs(game.r[h]).max() + np.abs(V[h + 1]).max())
        error[h] = (1 + 3 * ROW_SUM_TOLERANCE) * (error[h + 1] + unit * scale)
    return np.asarray(error[:-1] * (1 + 1e-12))


def pair_evaluation(game: ZeroSumMarkovGame, mu: MarkovPolicy, nu: MarkovPolicy) -> Values:
    """Return V_h^{mu, nu}(s): shape [H, S]."""
    row, column = stages_of(game, mu, "max"), stages_of(game, nu, "min")
    V = np.zeros((game.horizon + 1, game.n_states))
    for h in range(game.horizon - 1, -1, -1):
        Q = game.r[h] + game.P[h] @ V[h + 1]
        V[h] = (seen_by("min", row[h], Q) * column[h]).sum(axis=1)
    return V[:-1]


def pair_value(game: ZeroSumMarkovGame, mu: MarkovPolicy, nu: Opponent) -> float:
    """Return the expected return rho . V_0^{mu, nu} of an episode; nu may have a memory."""
    if not isinstance(nu, FiniteMemoryPolicy):
        return float(game.rho @ pair_evaluation(game, mu, nu)[0])
    row = stages_of(game, mu, "max")
    check_memory_sizes(game, nu)
    S, W = game.n_states, nu.n_memories
    V = np.zeros((S, W))
    for h in range(game.horizon - 1, -1, -1):
        later = V[:, nu.memory[h]].transpose(1, 2, 3, 4, 0)  # [S, A, B, W, S']
        Q = game.r[h][..., None] + np.einsum("sabt,sabwt->sabw", game.P[h], later)
        V = np.einsum("sa,swb,sabw->sw", row[h], nu.probabilities[h], Q)
    return float(game.rho @ V[:, 0])


def pair_occupancy(game: ZeroSumMarkovGame, mu: MarkovPolicy, nu: Opponent) -> Float[np.ndarray, "H S A B"]:
    """Return d[h, s, a, b] = Pr(s_h = s, a_h = a, b_h = b); each stage sums to one."""
    H, S, A, B = game.r.shape
    memory = nu if isinstance(nu, FiniteMemoryPolicy) else None
    model = joint_model(game, memory)
    W = model.n_states // S
    d = occupancy_measure(model, joint_policy(game, mu, nu))
    return np.asarray(d.reshape(H, S, W, A, B).sum(axis=2))


def nash_gap(game: ZeroSumMarkovGame, mu: MarkovPolicy, nu: MarkovPolicy) -> float:
    """Return ``V^{*, nu} - V^{mu, *} >= 0`` at the start: how much both players could gain together."""
    conceded = best_response(game, nu, "max").start_value
    return conceded - best_response(game, mu, "min").start_value


def joint_model(game: ZeroSumMarkovGame, nu: FiniteMemoryPolicy | None = None) -> EpisodicMDP:
    """Return the game as an MDP whose actions are the pairs (a, b), with number ``a B + b``.

    Its states are those of the game, or with a memory the pairs (s, w), with number ``s W + w``.
    """
    H, S, A, B = game.r.shape
    if nu is None:
        return EpisodicMDP(game.P.reshape(H, S, A * B, S), game.r.reshape(H, S, A * B), game.rho)
    check_memory_sizes(game, nu)
    W = nu.n_memories
    move = np.eye(W)[nu.memory]  # [H, S, A, B, W, W']
    P = np.einsum("hsabt,hsabwv->hswabtv", game.P, move).reshape(H, S * W, A * B, S * W)
    r = np.broadcast_to(game.r[:, :, None], (H, S, W, A, B)).reshape(H, S * W, A * B)
    rho = np.zeros((S, W))
    rho[:, 0] = game.rho
    return EpisodicMDP(P, r, rho.ravel())


def joint_policy(game: ZeroSumMarkovGame, mu: MarkovPolicy, nu: Opponent) -> Policy:
    """Return the pair as one policy of `joint_model`: independent draws in every state."""
    row = stages_of(game, mu, "max")
    H, S = row.shape[:2]
    if isinstance(nu, FiniteMemoryPolicy):
        check_memory_sizes(game, nu)
        joint = row[:, :, None, :, None] * nu.probabilities[:, :, :, None, :]
        return Policy.trusted(joint.reshape(H, S * nu.n_memories, -1))
    column = stages_of(game, nu, "min")
    return Policy.trusted((row[..., None] * column[:, :, None, :]).reshape(H, S, -1))


def stages_of(game: ZeroSumMarkovGame, policy: MarkovPolicy, player: str) -> Float[np.ndarray, "H S K"]:
    """Return the probabilities of a player's policy at every stage; raise if its sizes are not the game's."""
    check_type("game", game, ZeroSumMarkovGame)
    check_type("policy", policy, Policy, DeterministicPolicy)
    n = game.n_actions if player == "max" else game.n_opponent_actions
    if (policy.n_states, policy.n_actions) != (game.n_states, n):
        raise ValueError(
            f"policy of the {player} player has {policy.n_states} states and {policy.n_actions} actions; "
            f"the game has {game.n_states} and {n}"
        )
    return policy.stages(game.horizon)


def check_memory_sizes(game: ZeroSumMarkovGame, nu: FiniteMemoryPolicy) -> None:
    """Raise unless a policy with a memory has the sizes of the game."""
    H, S, A, B = game.r.shape
    if nu.memory.shape[:4] != (H, S, A, B):
        raise ValueError(f"policy has (H, S, A, B) = {nu.memory.shape[:4]}; the game has {(H, S, A, B)}")
