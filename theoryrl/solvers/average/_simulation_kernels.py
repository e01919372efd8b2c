"""Compiled steps of an average-reward MDP that changes."""

from theoryrl._numba import strict_kernel

BERNOULLI, UNIFORM = 1, 3
"""Codes of `RewardNoise` that the kernel knows; without noise the mean is observed."""


@strict_kernel
def walk(sums, successors, r, noise, scale, ends, step, policy, exploration, budget, uniforms,
          states, actions, rewards, means):  # fmt: skip
    """Fill the last four arrays step by step; return the number of steps, and whether the budget is spent."""
    A = r.shape[2]
    segment = 0
    s = states[0]
    for i in range(uniforms.shape[0]):
        while step + i >= ends[segment]:
            segment += 1
        a = policy[s]
        if uniforms[i, 2] < exploration:
            a = min(int(uniforms[i, 2] / exploration * A), A - 1)
        k = 0
        while uniforms[i, 0] >= sums[segment, s, a, k]:
            k += 1
        mean = r[segment, s, a]
        reward = mean
        if noise == BERNOULLI:
            reward = 1.0 if uniforms[i, 1] < mean else 0.0
        elif noise == UNIFORM:
            reward = mean + scale * (2.0 * uniforms[i, 1] - 1.0)
        budget[s, a] -= 1
        actions[i], rewards[i], means[i] = a, reward, mean
        s = successors[segment, s, a, k]
        states[i + 1] = s
        if budget[s, policy[s]] <= 0:
            return i + 1, True
    return uniforms.shape[0], False
