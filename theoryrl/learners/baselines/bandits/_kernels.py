"""Choosing an arm and learning from its reward, for every rule: one round, or a block of rounds.

A state has one row per context bin (one row without contexts): `n` pulls, `s` what the rule sums up
(rewards, or importance-weighted losses), `memo` functions of these that are worth keeping, `clock` the rounds
seen, their summed losses, and where to look first, `p` the probabilities of the latest draw. Rewards
are scaled to [0, 1] by `low` and `width`.

Each rule has a loop of its own: a rule that is looked up in every round costs several times the round
itself, in counting the references to all arrays. For the same reason steps that hand arrays to a function
stand in the loops, and not in what is compiled into them.
"""

import math

from theoryrl._numba import inlined_kernel, strict_kernel
from theoryrl.learners.baselines.bandits._clock import (
    DENSITY,
    EXPIRY,
    LEADER,
    LOSSES,
    MINE,
    OTHERS,
    PURSE,
    ROUNDS,
    SEPARATOR,
)
from theoryrl.learners.baselines.bandits._divergence import negentropy, search_and_separate, separates
from theoryrl.learners.baselines.bandits._posterior import (
    LIMIT,
    SMALLEST,
    change_of_density,
    count_other,
    draw_thompson,
    largest_cost,
)
from theoryrl.learners.baselines.bandits._search import first_largest
from theoryrl.learners.baselines.bandits._weights import draw, exponential_weights, tsallis_probabilities

UCB1, KL_UCB, THOMPSON, THOMPSON_GAUSS, EXP3, TSALLIS = range(6)
RATE, PERIODIC, ESTIMATOR, SCALE = range(4)


@inlined_kernel
def scaled(reward, scale):
    """The reward on the scale of the rule; NaN if it is outside the range."""
    low, width, bounded = scale
    x = (reward - low) / width
    return math.nan if bounded and not 0 <= x <= 1 else x


@inlined_kernel
def tick(clock, x):
    """Count a round."""
    clock[ROUNDS] += 1
    clock[LOSSES] += 1 - x


# UCB1 and Thompson sampling with normal posteriors: memo holds means and 1 / sqrt(n).


@inlined_kernel
def choose_ucb1(numbers, n, kept, roots, room, clock):
    """Arm with the largest mean plus radius; means are infinite before the first pull."""
    radius = math.sqrt(8 * math.log(max(1.0, clock[ROUNDS]))) * numbers[RATE]
    for i in range(n.shape[0]):
        room[i] = kept[i] + radius * roots[i]
    return first_largest(room)


@inlined_kernel
def choose_gauss(numbers, n, kept, roots, room, clock, rng):
    """Arm with the largest draw from its normal posterior, after each arm once."""
    if clock[ROUNDS] < n.shape[0]:
        arm = int(clock[ROUNDS])
    else:
        for i in range(n.shape[0]):
            room[i] = kept[i] + numbers[RATE] * roots[i] * rng.standard_normal()
        arm = first_largest(room)
    return arm


@inlined_kernel
def learn_mean(n, s, kept, roots, clock, arm, x):
    """Take in a reward."""
    n[arm] += 1
    s[arm] += x
    kept[arm] = s[arm] / n[arm]
    roots[arm] = 1 / math.sqrt(n[arm])
    tick(clock, x)


# KL-UCB: memo holds the negative entropies, clock the arm chosen last and what separates it.


@strict_kernel
def budget_of(numbers, rounds):
    """What the divergences of an index may add up to."""
    log_t = math.log(max(1.0, rounds))
    return log_t + numbers[RATE] * math.log(log_t) if numbers[RATE] > 0 and log_t > 1 else log_t


@inlined_kernel
def choose_kl(numbers, n, s, kept, clock):
    """Arm chosen last if its KL index is certainly the largest, else -1."""
    arm = int(clock[LEADER])
    budget = budget_of(numbers, clock[ROUNDS])
    return arm if separates(n[arm], s[arm], kept[arm], budget, clock) else -1


@strict_kernel
def search_kl(numbers, n, s, kept, clock):
    """Arm with the largest KL index, after each arm once."""
    return search_and_separate(n, s, kept, budget_of(numbers, clock[ROUNDS]), clock)


@inlined_kernel
def learn_kl(n, s, kept, clock, arm, x):
    """Take in a reward."""
    n[arm] += 1
    s[arm] += x
    kept[arm] = negentropy(n[arm], s[arm])
    tick(clock, x)


# Thompson sampling with Beta posteriors: memo holds the normalisers and the costs of the coins of all arms
# but the one with the most pulls, clock that one and what separates it.


@inlined_kernel
def choose_thompson(clock, rng):
    """Arm with the most pulls if certainly no other one's draw exceeds its draw, else -1."""
    arm, cost = -1, clock[OTHERS] + clock[MINE]
    clock[PURSE] = rng.standard_exponential()
    if clock[ROUNDS] < clock[EXPIRY] and cost <= LIMIT and cost < clock[PURSE]:
        arm = int(clock[LEADER])
    return arm


@strict_kernel
def success_of(x, rng):
    """A reward between 0 and 1 counts as a success with that probability (Agrawal and Goyal 2012)."""
    return (1.0 if rng.random() < x else 0.0) if 0 < x < 1 else x


@inlined_kernel
def learn_thompson(n, s, clock, arm, x, success):
    """Count a success or a failure; if the arm was not the leader, `count_other` must follow."""
    n[arm] += 1
    s[arm] += success
    tick(clock, x)
    if arm == int(clock[LEADER]) and clock[OTHERS] < math.inf:
        # The floor keeps it an upper bound where the true density is below the smallest numbers.
        factor = change_of_density(clock[SEPARATOR], n[arm], s[arm], success)
        clock[DENSITY] = max(SMALLEST, clock[DENSITY] * factor)
        clock[MINE] = largest_cost(1 - clock[SEPARATOR], n[arm], n[arm] - s[arm], clock[DENSITY])


# Exp3 and Tsallis-INF.


@strict_kernel
def learning_rate(numbers, t):
    """The rate of round t = 1, 2, ...: fixed, or decreasing like 1 / sqrt(t)."""
    return numbers[RATE] if numbers[PERIODIC] == 0 else numbers[RATE] / math.sqrt(t)


@inlined_kernel
def choose_exp3(numbers, s, clock, p, rng):
    """Arm drawn by exponential weights."""
    exponential_weights(s, learning_rate(numbers, clock[ROUNDS] + 1), p)
    return draw(p, rng)


@inlined_kernel
def learn_exp3(n, s, clock, p, arm, x):
    """Add the loss over its probability."""
    n[arm] += 1
    s[arm] += (1 - x) / p[arm]
    tick(clock, x)


@inlined_kernel
def choose_tsallis(numbers, s, clock, p, rng):
    """Arm drawn by the regularised leader."""
    eta = learning_rate(numbers, clock[ROUNDS] + 1)
    if numbers[SCALE] == 1 and clock[LOSSES] > 0:
        # The released code minimises over L / K_t; the same as eta / K_t with the losses as they are.
        eta *= clock[ROUNDS] / clock[LOSSES]
    tsallis_probabilities(s, eta, p)
    return draw(p, rng)


@inlined_kernel
def learn_tsallis(numbers, n, s, clock, p, arm, x):
    """Add the loss over its probability, or with reduced variance what it exceeds 1/2 by."""
    n[arm] += 1
    tick(clock, x)
    if numbers[ESTIMATOR] == 0:
        s[arm] += (1 - x) / p[arm]
        return
    # Reduced variance: losses are estimated as deviations from 1/2 where p is not tiny.
    eta = learning_rate(numbers, clock[ROUNDS])
    for i in range(n.shape[0]):
        if p[i] >= eta * eta:
            s[i] += 0.5
    base = 0.5 if p[arm] >= eta * eta else 0.0
    s[arm] += (1 - x - base) / p[arm]


# Any rule, one round at a time.


@strict_kernel
def choose(rule, numbers, n, s, kept, roots, room, clock, p, rng):
    """Arm of the coming round, and its probability (one for an arm that is not drawn)."""
    if rule == UCB1:
        return choose_ucb1(numbers, n, kept, roots, room, clock), 1.0
    if rule == KL_UCB:
        arm = choose_kl(numbers, n, s, kept, clock)
        return arm if arm >= 0 else search_kl(numbers, n, s, kept, clock), 1.0
    if rule == THOMPSON:
        arm = choose_thompson(clock, rng)
        return arm if arm >= 0 else draw_thompson(n, s, kept, roots, clock, rng), 1.0
    if rule == THOMPSON_GAUSS:
        return choose_gauss(numbers, n, kept, roots, room, clock, rng), 1.0
    arm = (
        choose_exp3(numbers, s, clock, p, rng) if rule == EXP3 else choose_tsallis(numbers, s, clock, p, rng)
    )
    return arm, p[arm]


@strict_kernel
def learn(rule, numbers, n, s, kept, roots, room, clock, p, arm, x, rng):
    """Take in the reward x of an arm, scaled to [0, 1] where rewards are bounded."""
    if rule == KL_UCB:
        learn_kl(n, s, kept, clock, arm, x)
    elif rule == THOMPSON:
        learn_thompson(n, s, clock, arm, x, success_of(x, rng))
        if arm != int(clock[LEADER]):
            count_other(n, s, kept, roots, clock, arm)
    elif rule == EXP3:
        learn_exp3(n, s, clock, p, arm, x)
    elif rule == TSALLIS:
        learn_tsallis(numbers, n, s, clock, p, arm, x)
    else:
        learn_mean(n, s, kept, roots, clock, arm, x)


@strict_kernel
def bin_of(context, first, width, bins):
    """Bin of a context; the last one includes its right end."""
    return min(bins - 1, max(0, int((context - first) / width))) if bins > 1 else 0


@strict_kernel
def choose_arm(rule, numbers, row, n, s, memo, clock, p, rng):
    """One choice, for learners that play round by round."""
    return choose(rule, numbers, n[row], s[row], memo[row, 0], memo[row, 1], memo[row, 2], clock[row], p, rng)


@strict_kernel
def learn_reward(rule, numbers, row, n, s, memo, clock, p, arm, x, rng):
    """One reward, for learners that play round by round."""
    learn(rule, numbers, n[row], s[row], memo[row, 0], memo[row, 1], memo[row, 2], clock[row], p, arm, x, rng)


# Blocks of rounds.


@strict_kernel
def play_ucb1(numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances):
    """Play rows of `rewards`; return the first one that is outside the range, else -1."""
    for t in range(first, last):
        arm = choose_ucb1(numbers, n, kept, roots, room, clock)
        arms[t], chances[t] = arm, 1.0
        x = scaled(rewards[t, arm], scale)
        if math.isnan(x):
            return t
        learn_mean(n, s, kept, roots, clock, arm, x)
    return -1


@strict_kernel
def play_kl(numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances):
    """Play rows of `rewards`; return the first one that is outside the range, else -1."""
    for t in range(first, last):
        arm = choose_kl(numbers, n, s, kept, clock)
        if arm < 0:
            arm = search_kl(numbers, n, s, kept, clock)
        arms[t], chances[t] = arm, 1.0
        x = scaled(rewards[t, arm], scale)
        if math.isnan(x):
            return t
        learn_kl(n, s, kept, clock, arm, x)
    return -1


@strict_kernel
def play_thompson(
    numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances
):
    """Play rows of `rewards`; return the first one that is outside the range, else -1."""
    for t in range(first, last):
        arm = choose_thompson(clock, rng)
        if arm < 0:
            arm = draw_thompson(n, s, kept, roots, clock, rng)
        arms[t], chances[t] = arm, 1.0
        x = scaled(rewards[t, arm], scale)
        if math.isnan(x):
            return t
        learn_thompson(n, s, clock, arm, x, success_of(x, rng))
        if arm != int(clock[LEADER]):
            count_other(n, s, kept, roots, clock, arm)
    return -1


@strict_kernel
def play_gauss(numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances):
    """Play rows of `rewards`; return the first one that is outside the range, else -1."""
    for t in range(first, last):
        arm = choose_gauss(numbers, n, kept, roots, room, clock, rng)
        arms[t], chances[t] = arm, 1.0
        x = scaled(rewards[t, arm], scale)
        if math.isnan(x):
            return t
        learn_mean(n, s, kept, roots, clock, arm, x)
    return -1


@strict_kernel
def play_exp3(numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances):
    """Play rows of `rewards`; return the first one that is outside the range, else -1."""
    for t in range(first, last):
        arm = choose_exp3(numbers, s, clock, p, rng)
        arms[t], chances[t] = arm, p[arm]
        x = scaled(rewards[t, arm], scale)
        if math.isnan(x):
            return t
        learn_exp3(n, s, clock, p, arm, x)
    return -1


@strict_kernel
def play_tsallis(numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances):
    """Play rows of `rewards`; return the first one that is outside the range, else -1."""
    for t in range(first, last):
        arm = choose_tsallis(numbers, s, clock, p, rng)
        arms[t], chances[t] = arm, p[arm]
        x = scaled(rewards[t, arm], scale)
        if math.isnan(x):
            return t
        learn_tsallis(numbers, n, s, clock, p, arm, x)
    return -1


@strict_kernel
def play_rounds(
    rule, numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances
):
    """Play rows of `rewards` with one row of the state; return the first one that cannot be, else -1."""
    if rule == UCB1:
        return play_ucb1(
            numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances
        )
    if rule == KL_UCB:
        return play_kl(
            numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances
        )
    if rule == THOMPSON:
        return play_thompson(
            numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances
        )
    if rule == THOMPSON_GAUSS:
        return play_gauss(
            numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances
        )
    if rule == EXP3:
        return play_exp3(
            numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances
        )
    return play_tsallis(
        numbers, scale, n, s, kept, roots, room, clock, p, rewards, first, last, rng, arms, chances
    )


@strict_kernel
def play_block(rule, numbers, scale, bins, n, s, memo, clock, p, rewards, contexts, rng, arms, chances):
    """Play the rows of `rewards`; return the first round whose reward is outside its range, else -1."""
    rounds, rows = rewards.shape[0], n.shape[0]
    first = 0
    while first < rounds:
        row = bin_of(contexts[first], bins[0], bins[1], rows)
        last = first + 1 if rows > 1 else rounds
        failed = play_rounds(
            rule,
            numbers,
            scale,
            n[row],
            s[row],
            memo[row, 0],
            memo[row, 1],
            memo[row, 2],
            clock[row],
            p,
            rewards,
            first,
            last,
            rng,
            arms,
            chances,
        )
        if failed >= 0:
            return failed
        first = last
    return -1
