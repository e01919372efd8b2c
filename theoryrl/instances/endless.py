"""Problems without a horizon or a discount: rivers, queues, islands, and paths to a goal."""

import numpy as np

from theoryrl.instances._build import check_positive
from theoryrl.instances.gridworld import MOVES
from theoryrl.instances.riverswim import LEFT, RIGHT
from theoryrl.models import AverageRewardMDP, SparseTransitions, TotalRewardMDP
from theoryrl.models._validation import check_count, check_memory, check_real


def average_riverswim(n_states: int = 6) -> AverageRewardMDP:
    """RiverSwim for ever: the chain of `riverswim`, judged by its average reward.

    Parameters
    ----------
    n_states
        Length of the river, at least 2.

    Returns
    -------
    AverageRewardMDP
        Sparse and communicating.

    Notes
    -----
    Swimming right is optimal; its stationary law w has w_1 / w_0 = 0.6 / 0.05 (0.6 / 0.4 if
    n_states = 2), ratios 7 within and 0.35 / 0.4 at the end, and the optimal gain is w at the last
    state: 0.428622 for six states, 3/7 in the limit.
    """
    S = check_count("n_states", n_states, low=2)
    check_memory("P", S, 8)
    s = np.arange(S)
    # Entries of (s, right): down, stay, up; a step over the edge has no weight.
    weights = np.tile([0.05, 0.6, 0.35], (S, 1))
    weights[0], weights[-1] = (0.0, 0.4, 0.6), (0.4, 0.6, 0.0)
    targets = np.clip(s[:, None] + np.array([-1, 0, 1]), 0, S - 1)
    entries = np.hstack([np.ones((S, 1)), weights])
    next_states = np.hstack([np.maximum(s - 1, 0)[:, None], targets])
    starts = np.append(np.stack([4 * s, 4 * s + 1], axis=1).ravel(), 4 * S)
    kept = entries.ravel() > 0
    places = np.append(0, np.cumsum(kept))[starts]
    P = SparseTransitions(entries.ravel()[kept], next_states.ravel()[kept], places, S)
    r = np.zeros((S, 2))
    r[0, LEFT] = 5 / 1000
    r[-1, RIGHT] = 1.0
    return AverageRewardMDP(P, r)


def queue(
    capacity: int = 20, speeds: int = 4, arrival: float = 0.4, service: float = 0.6
) -> AverageRewardMDP:
    """Admit customers to a queue, and choose how fast to serve them.

    The state is the number of customers 0, ..., capacity. Action 2 i + m serves at speed
    i = 0, ..., speeds - 1 and admits arrivals if m = 1. In one step a customer arrives with
    probability `arrival` (and is lost if refused, or if there is no room), or else one leaves with
    probability `service` (i + 1) / speeds. The reward, in [0, 1], is

        1/2 + 1/2 [an arrival would be admitted] - 1/4 state / capacity - 1/4 i / max(speeds - 1, 1).

    Parameters
    ----------
    capacity
        Largest number of customers, at least 1.
    speeds
        Number of speeds, at least 1.
    arrival, service
        Probabilities, positive, with arrival + service <= 1.

    Returns
    -------
    AverageRewardMDP
        Sparse and communicating, with capacity + 1 states and 2 `speeds` actions.

    Notes
    -----
    A uniformised M/M/1 queue with controlled admission and service (Puterman 1994, section 11.5). For
    one action it is a birth-death chain with a geometric law. The optimum has no closed form.
    """
    S, K = check_count("capacity", capacity) + 1, check_count("speeds", speeds)
    up, down = check_positive("arrival", arrival, 1.0), check_positive("service", service, 1.0)
    if up + down > 1:
        raise ValueError(f"arrival + service must be at most 1; got {up!r} + {down!r}")
    check_memory("P", S, K, 6)
    s, i, m = np.arange(S)[:, None, None], np.arange(K)[:, None], np.arange(2)
    born = np.broadcast_to(up * m * (s < S - 1), (S, K, 2))
    died = np.broadcast_to(down * (i + 1) / K * (s > 0), (S, K, 2))
    weights = np.stack([died, 1 - born - died, born], axis=-1)
    next_states = np.clip(s[..., None] + np.array([-1, 0, 1]), 0, S - 1)
    next_states = np.broadcast_to(next_states, weights.shape)
    kept = weights.ravel() > 0
    starts = np.append(0, np.cumsum(kept))[::3]
    P = SparseTransitions(weights.ravel()[kept], next_states.ravel()[kept], starts, S)
    r = 0.5 + 0.5 * m * (s < S - 1) - 0.25 * s / (S - 1) - 0.25 * i / max(K - 1, 1)
    return AverageRewardMDP(P, r.reshape(S, 2 * K))


def islands(n_islands: int = 3, length: int = 4, safety: float = 0.9) -> AverageRewardMDP:
    """Sail from a harbour to one of several islands, none of which can be left: gains differ.

    State 0 is the harbour. Island i = 0, ..., n_islands - 1 is a cycle of `length` states that is
    walked round for ever, and pays (i + 1) / n_islands once per round. From the harbour, action i sails
    to island i and gets there with probability safety^i; otherwise it strands on island 0. On an
    island every action is the same.

    Parameters
    ----------
    n_islands
        Number of islands and of actions, at least 1.
    length
        States of each island, at least 1: the period of its only chain.
    safety
        In [0, 1].

    Returns
    -------
    AverageRewardMDP
        Sparse: n_islands communicating classes, periodic if length > 1, and a transient state.

    Notes
    -----
    Ours, for the traps of the average reward. The gain on island i is (i + 1) / (n_islands length),
    and in the harbour (1 + max_i i safety^i) / (n_islands length).
    """
    K, L = check_count("n_islands", n_islands), check_count("length", length)
    p = check_real("safety", safety, 0.0, 1.0)
    S = 1 + K * L
    check_memory("P", S, K)
    first = 1 + L * np.arange(K)
    rows = [([first[i], first[0]], [p**i, 1 - p**i]) if i else ([first[0]], [1.0]) for i in range(K)]
    place = np.arange(K * L)
    following = 1 + (place // L) * L + (place + 1) % L
    next_states = np.concatenate([*(targets for targets, _ in rows), np.repeat(following, K)])
    weights = np.concatenate([*(chances for _, chances in rows), np.ones(K * L * K)])
    sizes = [len(targets) for targets, _ in rows] + [1] * (K * L * K)
    P = SparseTransitions(weights, next_states, np.append(0, np.cumsum(sizes)), S)
    r = np.zeros((S, K))
    r[first] = ((np.arange(K) + 1) / K)[:, None]
    return AverageRewardMDP(P, r)


def path_grid(width: int = 10, height: int = 10, slip: float = 0.1, pit: bool = False) -> TotalRewardMDP:
    """Walk to a goal in as few steps as possible: a stochastic shortest path.

    The moves of `gridworld` on an open floor, from the cells in reading order to the goal in the
    bottom right corner. Each step costs 1 until the goal is reached, which keeps itself at no cost.

    Parameters
    ----------
    width, height
        Columns and rows.
    slip
        Probability of going sideways, in [0, 1].
    pit
        Whether the bottom left corner is a pit that is never left, at 1 per step for ever: from where
        falling into it cannot be ruled out, the value is minus infinity.

    Returns
    -------
    TotalRewardMDP
        Sparse, A = 4; values are minus the expected number of steps.

    Notes
    -----
    A text-book model (Bertsekas and Tsitsiklis 1991). With slip = 0 the number of steps is the
    distance in rows plus that in columns.
    """
    columns, lines = check_count("width", width), check_count("height", height)
    p = check_real("slip", slip, 0.0, 1.0)
    S = columns * lines
    check_memory("P", S, 12)
    row, column = np.divmod(np.arange(S), columns)
    after = [
        np.clip(row + down, 0, lines - 1) * columns + np.clip(column + right, 0, columns - 1)
        for down, right in MOVES
    ]
    next_states = np.empty((S, 4, 3), dtype=np.int64)
    for a in range(4):
        for k, direction in enumerate((a, (a + 1) % 4, (a - 1) % 4)):
            next_states[:, a, k] = after[direction]
    next_states[S - 1] = S - 1
    if pit and lines > 1:
        next_states[S - columns] = S - columns
    weights = np.broadcast_to([1 - p, p / 2, p / 2], (S, 4, 3))
    P = SparseTransitions(weights.ravel(), next_states.ravel(), np.arange(0, 12 * S + 1, 3), S)
    r = np.full((S, 4), -1.0)
    r[S - 1] = 0.0
    return TotalRewardMDP(P, r)
