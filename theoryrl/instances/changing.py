"""Average-reward problems that change, and stationary ones of bounded diameter to change between."""

import numpy as np

from theoryrl.instances._build import check_positive
from theoryrl.instances.endless import average_riverswim
from theoryrl.instances.gridworld import MOVES
from theoryrl.instances.riverswim import RIGHT
from theoryrl.models import AverageRewardMDP, PiecewiseStationaryMDP
from theoryrl.models._validation import check_count, check_memory, check_real


def even_changes(rounds: int, changes: int) -> np.ndarray:
    """Return change points that cut `rounds` steps into changes + 1 parts of equal length, rounded."""
    check_count("rounds", rounds, low=changes + 1)
    check_count("changes", changes, low=0)
    return np.array([(k + 1) * rounds // (changes + 1) for k in range(changes)], dtype=np.int64)


def six_arms(rarest: float = 0.01) -> AverageRewardMDP:
    """Six arms: one room, six doors that open more and more rarely, each onto a better reward.

    From room 0 action a leads to room a + 1 with probability (1, .15, .1, .05, .03, rarest)[a], and stays
    otherwise. In room k action k - 1 stays for certain and pays (50, 133, 300, 800, 1660, 6000)[k - 1]
    divided by 6000; every other action goes back to room 0 and pays nothing.

    Parameters
    ----------
    rarest
        Probability that the best door opens, in (0, 1]; .01 in the source.

    Returns
    -------
    AverageRewardMDP
        S = 7, A = 6, communicating. The optimal gain is 1, and the diameter 101 by default.

    Notes
    -----
    Strehl and Littman (2008); rewards are divided by the largest.
    """
    doors = np.array([1.0, 0.15, 0.1, 0.05, 0.03, check_positive("rarest", rarest, 1.0)])
    payments = np.array([50.0, 133.0, 300.0, 800.0, 1660.0, 6000.0]) / 6000.0
    P, r = np.zeros((7, 6, 7)), np.zeros((7, 6))
    for a in range(6):
        P[0, a, a + 1], P[0, a, 0] = doors[a], 1 - doors[a]
        P[1:, a, 0] = 1.0
        P[a + 1, a, 0], P[a + 1, a, a + 1] = 0.0, 1.0
        r[a + 1, a] = payments[a]
    return AverageRewardMDP(P, r)


def average_gridworld(width: int = 4, height: int = 4, slip: float = 0.1, goal: int = -1) -> AverageRewardMDP:
    """Walk to a goal again and again.

    The moves of `gridworld` on an open floor. The goal pays 1, and whatever is done there leads to the
    top left corner (or, if that is the goal, to the bottom right one).

    Parameters
    ----------
    width, height
        Columns and rows, at least two cells.
    slip
        Probability of going sideways, in [0, 1).
    goal
        Cell of the goal in reading order; negative ones count from the end.

    Returns
    -------
    AverageRewardMDP
        Dense, A = 4, communicating.
    """
    columns, rows = check_count("width", width), check_count("height", height)
    S = check_count("width * height", columns * rows, low=2)
    check_memory("P", S, 4, S)
    p = check_real("slip", slip, 0.0, 1.0)
    if p == 1.0:
        raise ValueError("slip must be below 1; got 1.0")
    place = check_count("goal", goal, low=-S, high=S - 1) % S
    row, column = np.divmod(np.arange(S), columns)
    P = np.zeros((S, 4, S))
    for a in range(4):
        for direction, weight in ((a, 1 - p), ((a + 1) % 4, p / 2), ((a - 1) % 4, p / 2)):
            down, right = MOVES[direction]
            after = np.clip(row + down, 0, rows - 1) * columns + np.clip(column + right, 0, columns - 1)
            P[np.arange(S), a, after] += weight  # one entry for each cell, so that none is added twice
    P[place] = 0.0
    P[place, :, 0 if place else S - 1] = 1.0
    r = np.zeros((S, 4))
    r[place] = 1.0
    return AverageRewardMDP(P, r)


def random_average(
    n_states: int = 5, n_actions: int = 3, mixing: float = 0.05, concentration: float = 0.5, seed: int = 0
) -> AverageRewardMDP:
    """A random model of bounded diameter.

    Rows are (1 - mixing) Dirichlet(concentration) + mixing / S, rewards uniform in [0, 1].

    Parameters
    ----------
    n_states, n_actions
        Sizes.
    mixing
        Weight of the uniform law, in (0, 1]: the diameter is at most S / mixing.
    concentration
        Parameter of the Dirichlet law of the rows, positive.
    seed
        Names one model for good.

    Returns
    -------
    AverageRewardMDP
        Dense and communicating; every state is reached with probability mixing / S in every step.
    """
    S, A = check_count("n_states", n_states), check_count("n_actions", n_actions)
    check_memory("P", S, A, S)
    share = check_positive("mixing", mixing, 1.0)
    if check_real("concentration", concentration) <= 0:
        raise ValueError(f"concentration must be positive; got {concentration!r}")
    rng = np.random.default_rng([check_count("seed", seed, low=0), 0x61766772])
    rows = rng.dirichlet(np.full(S, concentration), size=(S, A))
    rows = (1 - share) * rows + share / S
    return AverageRewardMDP(rows / rows.sum(axis=-1, keepdims=True), rng.random((S, A)))


def flipping_riverswim(n_states: int = 4, rounds: int = 100_000, changes: int = 3) -> PiecewiseStationaryMDP:
    """RiverSwim whose two actions change their meanings.

    Parameters
    ----------
    n_states
        Length of the river, at least 2.
    rounds, changes
        The changes cut `rounds` steps into changes + 1 parts.

    Returns
    -------
    PiecewiseStationaryMDP
        Every pair changes at every change; gain and diameter stay those of `average-riverswim`.

    Notes
    -----
    Ours. Rewards change with the meanings, so that kernels and rewards tell of the change.
    """
    river = average_riverswim(n_states)
    P, r = river.dense_P(), river.r
    flipped = [(P, r) if k % 2 == 0 else (P[:, ::-1], r[:, ::-1]) for k in range(changes + 1)]
    kernels, rewards = (np.stack(column) for column in zip(*flipped, strict=True))
    return PiecewiseStationaryMDP(kernels, rewards, even_changes(rounds, changes))


def switching_random(
    n_states: int = 5,
    n_actions: int = 3,
    mixing: float = 0.05,
    rounds: int = 100_000,
    changes: int = 3,
    seed: int = 0,
) -> PiecewiseStationaryMDP:
    """A fresh random model of bounded diameter after every change.

    Parameters
    ----------
    n_states, n_actions, mixing
        As of `random_average`.
    rounds, changes
        The changes cut `rounds` steps into changes + 1 parts.
    seed
        Names one sequence of models for good.

    Returns
    -------
    PiecewiseStationaryMDP
        Every pair changes at every change.
    """
    check_count("seed", seed, low=0)
    check_count("changes", changes, low=0)
    segments = [random_average(n_states, n_actions, mixing, seed=1000 * seed + k) for k in range(changes + 1)]
    return PiecewiseStationaryMDP.of(segments, even_changes(rounds, changes))


def moving_goal(
    width: int = 4, height: int = 4, slip: float = 0.1, rounds: int = 100_000, changes: int = 3
) -> PiecewiseStationaryMDP:
    """A grid world whose goal moves from corner to corner: few pairs change.

    Parameters
    ----------
    width, height, slip
        As of `average_gridworld`.
    rounds, changes
        The changes cut `rounds` steps into changes + 1 parts.

    Returns
    -------
    PiecewiseStationaryMDP
        The goal is in turn in the bottom right, the bottom left and the top right corner. Only the pairs
        of the old and the new goal change.
    """
    S = check_count("width", width) * check_count("height", height)
    corners = (S - 1, S - width, width - 1)
    segments = [average_gridworld(width, height, slip, corners[k % 3]) for k in range(changes + 1)]
    return PiecewiseStationaryMDP.of(segments, even_changes(rounds, changes))


def unseen_change(rounds: int = 40_000, better: float = 0.95) -> PiecewiseStationaryMDP:
    """A change that the played policy cannot see: the arm that nobody pulls becomes the best one.

    One state and two actions with means (.6, .2), and (.6, better) in the second half.

    Parameters
    ----------
    rounds
        Number of steps T.
    better
        Mean of the second action after the change, in [0, 1].

    Returns
    -------
    PiecewiseStationaryMDP
        S = 1, A = 2.

    Notes
    -----
    Ours: an optimistic learner pulls the second action ever more rarely, so that a detector on its rewards
    learns of the change late or never.
    """
    r = np.array([[[0.6, 0.2]], [[0.6, check_real("better", better, 0.0, 1.0)]]])
    return PiecewiseStationaryMDP(np.ones((2, 1, 2, 1)), r, even_changes(rounds, 1))


def harmless_change(rounds: int = 60_000, changes: int = 3) -> PiecewiseStationaryMDP:
    """Changes after which the optimal policy stays the same: forgetting costs more than it gains.

    RiverSwim with four states, where only the row of (state 2, right) alternates between
    (0, .05, .6, .35) and (0, .5, .4, .1): the gain between .431 and .089.

    Parameters
    ----------
    rounds, changes
        The changes cut `rounds` steps into changes + 1 parts.

    Returns
    -------
    PiecewiseStationaryMDP
        S = 4, A = 2.
    """
    river = average_riverswim(4)
    harder = river.dense_P().copy()
    harder[2, RIGHT] = 0.0, 0.5, 0.4, 0.1
    segments = [river if k % 2 == 0 else AverageRewardMDP(harder, river.r) for k in range(changes + 1)]
    return PiecewiseStationaryMDP.of(segments, even_changes(rounds, changes))


def one_pair_change(
    rounds: int = 60_000, before: float = 1.0, after: float = 0.05, bank: float = 0.25
) -> PiecewiseStationaryMDP:
    """RiverSwim with four states, whose far bank loses its reward half-way: one pair changes.

    Parameters
    ----------
    rounds
        Number of steps T.
    before, after
        Reward of the far bank before and after the change, in [0, 1].
    bank
        Reward of the near bank.

    Returns
    -------
    PiecewiseStationaryMDP
        S = 4, A = 2. With the default rewards the optimal policy turns round.
    """
    river = average_riverswim(4)
    r = np.stack([river.r, river.r])
    r[:, 0, 1 - RIGHT] = check_real("bank", bank, 0.0, 1.0)
    r[0, -1, RIGHT] = check_real("before", before, 0.0, 1.0)
    r[1, -1, RIGHT] = check_real("after", after, 0.0, 1.0)
    P = river.dense_P()
    return PiecewiseStationaryMDP(np.stack([P, P]), r, even_changes(rounds, 1))


def dying_arm(rounds: int = 20_000) -> PiecewiseStationaryMDP:
    """A bandit whose best arm turns bad half-way: means (.9, .5), then (.1, .5).

    Parameters
    ----------
    rounds
        Number of steps T.

    Returns
    -------
    PiecewiseStationaryMDP
        S = 1, A = 2: only rewards can tell of the change.
    """
    r = np.array([[[0.9, 0.5]], [[0.1, 0.5]]])
    return PiecewiseStationaryMDP(np.ones((2, 1, 2, 1)), r, even_changes(rounds, 1))
