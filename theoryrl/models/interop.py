"""Models from and to the tabular formats of other libraries.

*Gymnasium*: environments whose ``env.unwrapped.P[state][action]`` lists (probability, next state,
reward, terminated). *Toolbox*: the layout of the MDP toolboxes, P[A, S, S] and R of shape [S],
[S, A] or [A, S, S].

An episodic MDP knows expected rewards r(s, a) only: a reward that depends on the next state is
averaged over it. Values and occupancies are those of the source; the law of a single observed reward
is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from theoryrl.models._validation import (
    at,
    check_count,
    check_distribution,
    check_memory,
    check_real,
    first_index,
    real_array,
)
from theoryrl.models.episodic import EpisodicMDP, RewardNoise

if TYPE_CHECKING:
    from theoryrl.models._gymnasium import EpisodicEnv

_ADVICE = "Gymnasium is not installed; install it with: pip install theoryrl[gymnasium]"


class Outcome(NamedTuple):
    """One entry of `env.P`, with where it is found."""

    state: int
    action: int
    probability: float
    next_state: int
    reward: float
    terminated: bool


def from_gymnasium(
    env: Any,
    horizon: int,
    *,
    rho: Any = None,
    reward_range: tuple[float, float] | None = None,
    noise: RewardNoise | None = None,
) -> EpisodicMDP:
    """Return the first `horizon` steps of a tabular Gymnasium environment as an MDP.

    The environment's own time limit plays no role, and Gymnasium itself is not needed: any object
    with such a table will do.

    A state that only terminated transitions enter becomes absorbing with reward zero, whatever the
    table says of it. If an episode from `rho` can also enter such a state alive (or start in it), one
    absorbing state is added after the others, index S, and the terminated transitions lead there.
    Either way the law of an episode from `rho` is the environment's.

    Parameters
    ----------
    env
        The environment; `env.unwrapped.P` must describe its steps completely.
    horizon
        Number of stages H; the kernel repeats at each.
    rho
        Distribution of the first state: shape [S]. Default: `env.unwrapped.initial_state_distrib`.
    reward_range
        Bounds on the expected rewards. Default: computed from the data, namely (0, 1) if every
        r(s, a) lies in it, else the smallest and the largest r(s, a).
    noise
        Law of an observed reward around its mean; default none.

    Returns
    -------
    EpisodicMDP
        With the environment's numbering of states and actions.

    Raises
    ------
    ValueError
        If there is no table, it has a gap, states have different numbers of actions, or its numbers
        are not those of an MDP.
    """
    check_count("horizon", horizon)
    outcomes, S, A = _read_table(env)
    start = _initial_distribution(env, rho, S)
    alive = _states_entered_alive(outcomes, start)
    ends = {outcome.next_state for outcome in outcomes if outcome.terminated and outcome.probability > 0}
    extra = bool(ends & alive)
    n_states = S + extra
    check_memory("P", horizon, n_states, A, n_states)
    P, r = np.zeros((n_states, A, n_states)), np.zeros((n_states, A))
    for outcome in outcomes:
        target = S if extra and outcome.terminated else outcome.next_state
        P[outcome.state, outcome.action, target] += outcome.probability
        r[outcome.state, outcome.action] += outcome.probability * outcome.reward
    absorbing = [S] if extra else sorted(ends)
    P[absorbing], r[absorbing] = 0.0, 0.0
    P[absorbing, :, absorbing] = 1.0
    return EpisodicMDP.stationary(
        P,
        r,
        np.append(start, np.zeros(n_states - S)),
        horizon,
        reward_range=_range_of(r, reward_range),
        noise=noise or RewardNoise(),
    )


def to_gymnasium(mdp: EpisodicMDP) -> EpisodicEnv:
    """Return a Gymnasium environment that draws episodes of the model.

    An episode terminates after exactly H steps. The kernel may change from stage to stage, so the
    state alone is not Markov: the observation is the number h * S + s in ``Discrete((H + 1) * S)``
    of the pair (stage h, state s), and ``divmod(observation, S)`` gives the pair back; `info` holds
    it too, as ``info["stage"]`` and ``info["state"]``, and after a step the mean of the reward as
    ``info["expected_reward"]``. Rewards are drawn with the model's noise.

    Raises
    ------
    ImportError
        If Gymnasium is not installed (`pip install theoryrl[gymnasium]`).
    """
    try:
        from theoryrl.models._gymnasium import EpisodicEnv
    except ImportError as error:
        raise ImportError(_ADVICE) from error
    return EpisodicEnv(mdp)


def from_toolbox(
    P: Any,
    R: Any,
    horizon: int,
    rho: Any,
    *,
    reward_range: tuple[float, float] | None = None,
    noise: RewardNoise | None = None,
) -> EpisodicMDP:
    """Return the MDP of a toolbox's arrays, repeated at each of `horizon` stages.

    Parameters
    ----------
    P
        Transition probabilities P[a, s, s']: shape [A, S, S], or a sequence of A matrices, dense or
        sparse.
    R
        Rewards R[s], R[s, a] or R[a, s, s'] (one array, or a sequence of A matrices); rewards of
        transitions are averaged over P.
    horizon
        Number of stages H.
    rho
        Distribution of the first state: shape [S].
    reward_range
        Bounds on the expected rewards. Default: computed from the data, namely (0, 1) if every
        r(s, a) lies in it, else the smallest and the largest r(s, a).
    noise
        Law of an observed reward around its mean; default none.

    Raises
    ------
    ValueError
        On a wrong shape, or numbers that are not those of an MDP.
    """
    check_count("horizon", horizon)
    kernel = real_array("P", _dense(P), ("A", "S", "S"))
    check_distribution("P", kernel)
    r = _expected_rewards(kernel, _dense(R))
    return EpisodicMDP.stationary(
        kernel.transpose(1, 0, 2),
        r,
        rho,
        horizon,
        reward_range=_range_of(r, reward_range),
        noise=noise or RewardNoise(),
    )


def to_toolbox(mdp: EpisodicMDP) -> tuple[Float[np.ndarray, "A S S"], Float[np.ndarray, "S A"]]:
    """Return (P[a, s, s'], R[s, a]) of a stationary model; its horizon and rho are left out.

    Raises
    ------
    ValueError
        If a kernel or a reward differs from the one at stage 0; the text names the first such stage,
        state and action.
    """
    differs = (mdp.P != mdp.P[0]).any(axis=-1) | (mdp.r != mdp.r[0])
    if differs.any():
        h, s, a = first_index(differs)
        array, symbol = (mdp.r, "r") if mdp.r[h, s, a] != mdp.r[0, s, a] else (mdp.P, "P")
        raise ValueError(
            f"mdp must be stationary, but {at(symbol, (h, s, a))} = {array[h, s, a]} "
            f"differs from {at(symbol, (0, s, a))} = {array[0, s, a]}"
        )
    return np.ascontiguousarray(mdp.P[0].transpose(1, 0, 2)), mdp.r[0].copy()


def _read_table(env: Any) -> tuple[list[Outcome], int, int]:
    """Return the entries of `env.P` in order, and the numbers of states and actions."""
    model = getattr(env, "unwrapped", env)
    table = getattr(model, "P", None)
    if not isinstance(table, Mapping) or not table:
        raise ValueError(f"env must have a table env.unwrapped.P; got {type(model).__name__}")
    if getattr(model, "fickle_passenger", False):
        raise ValueError("env has a fickle passenger, who changes destination outside env.P")
    S, A = len(table), len(_at(table, 0, "env.P[0]"))
    return list(_walk(table, S, A)), S, A


def _walk(table: Mapping[int, Any], S: int, A: int) -> Iterator[Outcome]:
    for s in range(S):
        actions = _at(table, s, f"env.P[{s}]")
        if len(actions) != A or A == 0:
            raise ValueError(f"env.P[{s}] has {len(actions)} actions; env.P[0] has {A}")
        for a in range(A):
            for entry in _at(actions, a, f"env.P[{s}][{a}]"):
                yield _outcome(s, a, entry, S)


def _outcome(s: int, a: int, entry: Any, S: int) -> Outcome:
    place = f"env.P[{s}][{a}]"
    if len(entry) != 4:
        raise ValueError(f"{place} must list (probability, next state, reward, terminated); got {entry!r}")
    probability, next_state, reward, terminated = entry
    return Outcome(
        state=s,
        action=a,
        probability=check_real(f"probability in {place}", probability, low=0.0),
        next_state=check_count(f"next state in {place}", next_state, low=0, high=S - 1),
        reward=check_real(f"reward in {place}", reward),
        terminated=bool(terminated),
    )


def _at(table: Any, key: int, name: str) -> Any:
    try:
        return table[key]
    except (KeyError, IndexError):
        raise ValueError(f"{name} is missing: states and actions are numbered from 0 without gaps") from None


def _initial_distribution(env: Any, rho: Any, S: int) -> Float[np.ndarray, " S"]:
    if rho is None:
        rho = getattr(getattr(env, "unwrapped", env), "initial_state_distrib", None)
    if rho is None:
        raise ValueError("rho must be given: the environment has no initial_state_distrib")
    start = real_array("rho", rho, (S,))
    check_distribution("rho", start)
    return start


def _states_entered_alive(outcomes: Sequence[Outcome], rho: np.ndarray) -> set[int]:
    """Return the states in which an episode from `rho` can be while it is still going on."""
    followers: dict[int, set[int]] = {}
    for outcome in outcomes:
        if outcome.probability > 0 and not outcome.terminated:
            followers.setdefault(outcome.state, set()).add(outcome.next_state)
    alive = {int(s) for s in np.flatnonzero(rho)}
    frontier = list(alive)
    while frontier:
        new = followers.get(frontier.pop(), set()) - alive
        alive |= new
        frontier.extend(new)
    return alive


def _expected_rewards(P: np.ndarray, R: Any) -> np.ndarray:
    """Return r[s, a] for rewards on states, on pairs, or on transitions."""
    A, S, _ = P.shape
    if np.ndim(R) == 1:
        return np.repeat(real_array("R", R, (S,))[:, None], A, axis=1)
    if np.ndim(R) == 3:
        return np.asarray(np.einsum("ast,ast->sa", P, real_array("R", R, (A, S, S))))
    return real_array("R", R, (S, A))


def _dense(matrices: Any) -> Any:
    """Return sparse matrices, or a sequence of them, as dense arrays; leave anything else alone."""
    if hasattr(matrices, "toarray"):
        return matrices.toarray()
    if isinstance(matrices, tuple | list):
        return [_dense(matrix) for matrix in matrices]
    return matrices


def _range_of(r: np.ndarray, given: tuple[float, float] | None) -> tuple[float, float]:
    if given is not None:
        return given
    low, high = float(r.min()), float(r.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
