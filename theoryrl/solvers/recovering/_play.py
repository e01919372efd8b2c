"""Compiled play of a schedule on a recovering bandit."""

import numpy as np

from theoryrl._numba import kernel
from theoryrl.solvers.episodic._kernels import noisy_reward

PERIODIC, OFFSETS, SEQUENCE, INDEX = 0, 1, 2, 3
NEVER = -(1 << 62)
"""Time of the last pull of an arm that was never pulled; its idle time is reported as 0, for unknown."""


@kernel
def take_best(scores, K, chosen):
    """Put the at most K positions of largest positive score into `chosen`; return how many there are."""
    count = 0
    while count < K:
        best = -1
        highest = 0.0
        for i in range(scores.shape[0]):
            if scores[i] > highest:
                best, highest = i, scores[i]
        if best < 0:
            break
        chosen[count] = best
        scores[best] = 0.0
        count += 1
    return count


@kernel
def play(
    kind, numbers, weights, table, K, R, noise, scale, rng, now, clock, last, budget, log, rewards, means
):
    """Play one period for each entry of `means`, fewer if the budget of pulls runs out.

    Parameters
    ----------
    kind, numbers, weights, table
        The schedule: periods and offsets in the rows of `numbers` (with `weights` as priorities for
        OFFSETS), the sets of a SEQUENCE, or the index table.
    now, clock
        Time of the process, and since the schedule was taken over.
    last
        Time of each arm's last pull, updated.
    budget
        Pulls left for each (arm, idle time), counted down; without entries: no budget.
    log, rewards
        Receive (period since `clock`, arm, idle time) and the observed reward of each pull.
    means
        Receives the mean reward of each period.

    Returns (periods, pulls, whether the budget ran out); -1 pulls if a PERIODIC schedule has more than K.
    """
    N, D = R.shape
    due, chosen, scores = np.empty(N, dtype=np.int64), np.empty(N, dtype=np.int64), np.zeros(N)
    if kind <= OFFSETS:
        for i in range(N):
            d = numbers[0, i]
            due[i] = clock + (numbers[1, i] - clock) % d if d > 0 else -1
    pulls, limited, spent = 0, budget.size > 0, False
    for step in range(means.shape[0]):
        t, count = clock + step, 0
        means[step] = 0.0
        if kind == PERIODIC:
            for i in range(N):
                if due[i] == t:
                    if count == K:
                        return step, -1, False
                    due[i] += numbers[0, i]
                    chosen[count] = i
                    count += 1
        elif kind == SEQUENCE:
            for k in range(numbers.shape[1]):
                arm = numbers[t % numbers.shape[0], k]
                if arm >= 0:
                    chosen[count] = arm
                    count += 1
        else:
            for i in range(N):
                scores[i] = 0.0
                if kind == INDEX:
                    scores[i] = table[i, min(now + step - last[i], table.shape[1]) - 1]
                elif due[i] == t:
                    due[i] += numbers[0, i]
                    scores[i] = weights[i]
            count = take_best(scores, K, chosen)
        for k in range(count):
            i = chosen[k]
            idle = min(now + step - last[i], D)
            mean = R[i, idle - 1]
            log[pulls, 0], log[pulls, 1] = step, i
            log[pulls, 2] = 0 if last[i] == NEVER else now + step - last[i]
            rewards[pulls] = noisy_reward(mean, noise, scale, rng)
            means[step] += mean
            pulls += 1
            last[i] = now + step
            if limited:
                cell = min(idle, budget.shape[1]) - 1
                budget[i, cell] -= 1
                spent = spent or budget[i, cell] <= 0
        if spent:
            return step + 1, pulls, True
    return means.shape[0], pulls, False
