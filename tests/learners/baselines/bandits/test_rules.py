"""The bandit learners choose what their definitions say, round by round or in blocks."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from theoryrl import LossTable, RewardNoise, StochasticBandit, play
from theoryrl.instances import bernoulli_bandit
from theoryrl.learners import KLUCB, UCB1, Exp3, ThompsonSampling, TsallisINF
from theoryrl.learners.baselines.bandits._clock import (
    EXPIRY,
    LEADER,
    MINE,
    OTHERS,
    PURSE,
    ROUNDS,
    SEPARATOR,
)
from theoryrl.learners.baselines.bandits._divergence import (
    depth,
    keep_separator,
    negentropy,
    search,
    search_and_separate,
    separates,
)
from theoryrl.learners.baselines.bandits._posterior import (
    LIMIT,
    change_of_density,
    choose_by_exceptions,
    cost_of,
    draw_thompson,
    log_density,
    log_normaliser,
    mass_beyond,
    separate,
)
from theoryrl.learners.baselines.bandits._weights import tsallis_probabilities
from theoryrl.protocol import BanditProblem, BanditSpec, Run, Streams

MEANS = np.array([0.2, 0.55, 0.5, 0.8])
BANDIT = StochasticBandit(MEANS)
TABLE = LossTable(np.random.default_rng(0).random((300, 4)) * 3 + 1, (1.0, 4.0))
ALL = [
    UCB1(),
    KLUCB(),
    ThompsonSampling(),
    ThompsonSampling(prior="gaussian"),
    Exp3(),
    Exp3(rate="anytime"),
    TsallisINF(),
    TsallisINF(rate="horizon"),
    TsallisINF(estimator="reduced-variance"),
    TsallisINF(scale="running-mean"),
]
GAUSSIAN = StochasticBandit(MEANS, RewardNoise("gaussian", 0.3))


@pytest.mark.parametrize("model", [BANDIT, TABLE, StochasticBandit(MEANS, RewardNoise("uniform", 0.2))])
@pytest.mark.parametrize("learner", ALL, ids=repr)
def test_blocks_and_single_rounds_and_resumed_runs_leave_the_identical_trace(learner, model, tmp_path):
    whole = play(model, learner, 300, 3)
    assert whole.same_as(play(BanditProblem(model, blocks=False), learner, 300, 3))
    assert whole.same_as(play(model, learner, 300, 3, stepwise=True))
    Run(BanditProblem(model), learner, 300, 3).advance(113).save(tmp_path / "run")
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)


def replayed(model, learner, rounds, rule):
    """Play with a rule in plain Python on the environment's rewards, and return its arms."""
    streams = Streams.from_seed(0)
    problem = BanditProblem(model)
    environment, spec = problem.environment(streams), problem.spec(rounds)
    rewards, _ = environment._rows(rounds)
    low, high = spec.reward_range or (0.0, 1.0)
    return rule((rewards - low) / (high - low), streams.learner, rounds)


def ucb1(x, rng, T):
    K = x.shape[1]
    n, s, arms = np.zeros(K), np.zeros(K), []
    for t in range(T):
        arm = t if t < K else int(np.argmax(s / n + np.sqrt(2 * np.log(t) / n)))
        n[arm] += 1
        s[arm] += x[t, arm]
        arms.append(arm)
    return arms


def bisected(m, share):
    """-log(1 - q) of the KL index q, infinite for a mean of 1."""
    if m == 1:
        return math.inf
    low, high = -math.log1p(-m), 1e9
    for _ in range(200):
        z = (low + high) / 2
        above = (m and m * math.log(m / -math.expm1(-z))) + (1 - m) * (math.log1p(-m) + z) > share
        low, high = (low, z) if above else (z, high)
    return low


def kl_ucb(x, rng, T):
    K = x.shape[1]
    n, s, arms = np.zeros(K), np.zeros(K), []
    for t in range(T):
        arm = t
        if t >= K:
            log_t = math.log(t)
            budget = log_t + (3 * math.log(log_t) if log_t > 1 else 0)
            index = [bisected(s[i] / n[i], budget / n[i]) for i in range(K)]
            arm = next(i for i in range(K) if index[i] >= max(index) * (1 - 1e-12))
        n[arm] += 1
        s[arm] += x[t, arm]
        arms.append(arm)
    return arms


class Thinning:
    """The largest of draws from Beta posteriors, by thinning from arm to arm: the kernel without its bounds.

    Only where the separator lies is taken from the kernel.
    """

    def __init__(self, n, s, rng):
        self.n, self.s, self.rng = n, s, rng

    def choose(self, x, E):
        """The arm of the largest draw, for a separator x and a purse E."""
        n, s, rng, leader = self.n, self.s, self.rng, int(np.argmax(self.n))
        low, E = self.exception(1 - x, n[leader], n[leader] - s[leader], E)
        above = {}
        for i in range(len(n)):
            if i != leader:
                draw, E = self.exception(x, n[i], s[i], E)
                if draw:
                    above[i] = draw
        if low and not above:
            draws = {i: self.below(x, i) for i in range(len(n)) if i != leader} | {leader: 1 - low}
        elif above and not low:
            mine = 0.0
            while mine < x:
                mine = rng.beta(1 + s[leader], 1 + n[leader] - s[leader])
            draws = above | {leader: mine}
        else:
            draws = above or {leader: 1.0}
        return max(draws, key=draws.get)

    def below(self, x, i):
        """A draw of an arm, given that it is below x."""
        draw = 1.0
        while draw > x:
            draw = self.rng.beta(1 + self.s[i], 1 + self.n[i] - self.s[i])
        return draw

    def exception(self, x, n, s, E):
        """A draw beyond x, or 0; and what is left of E."""
        f, rest = n - s, 1 - x
        rate = f / rest - s / x
        log_f = math.lgamma(n + 2) - math.lgamma(s + 1) - math.lgamma(f + 1)
        log_f += s * math.log(x) + f * math.log1p(-x)
        width = rest if rate * rest < 1e-9 else -math.expm1(-rate * rest) / rate
        cost = -math.log1p(-math.exp(log_f) * width)
        if cost < E:
            return 0.0, E - cost
        u = self.rng.random()
        z = u * rest if rate * rest < 1e-9 else -math.log1p(u * math.expm1(-rate * rest)) / rate
        accepted = s * math.log1p(z / x) + f * math.log1p(-z / rest) + rate * z
        draw = x + z if math.log(self.rng.random()) <= accepted else 0.0
        return draw, self.rng.standard_exponential()


def costs_at(x, n, s):
    """Bounds on the costs of all coins at x, the leader's from below."""
    leader = int(np.argmax(n))
    s = np.where(np.arange(len(n)) == leader, n - s, s)
    return [
        cost_of(1 - x if i == leader else x, n[i], s[i], log_normaliser(n[i], s[i])) for i in range(len(n))
    ]


def beta_thompson(x, rng, T):
    K = x.shape[1]
    n, s, arms = np.zeros(K), np.zeros(K), []
    leader, expiry, separator = 0, 0.0, 0.0
    for t in range(T):
        E = rng.standard_exponential()
        if t >= expiry:
            clock = np.zeros(9)
            clock[LEADER], clock[ROUNDS] = leader, t
            normalisers = np.array([log_normaliser(*arm) for arm in zip(n, s, strict=True)])
            separate(n, s, normalisers, np.zeros(K), clock)
            separator, expiry = clock[SEPARATOR], clock[EXPIRY]
            apart = separator > 0 and sum(costs_at(separator, n, s)) <= LIMIT
        if apart and sum(costs_at(separator, n, s)) <= LIMIT:
            arm = Thinning(n, s, rng).choose(separator, E)
        else:
            arm = int(np.argmax([rng.beta(1 + s[i], 1 + n[i] - s[i]) for i in range(K)]))
        n[arm] += 1
        s[arm] += x[t, arm] == 1
        arms.append(arm)
        if int(np.argmax(n)) != leader:
            leader, expiry = int(np.argmax(n)), 0.0
    return arms


def gaussian_thompson(x, rng, T):
    """Normal posteriors of variance s^2 / n, with s = 1/2 for rewards in [0, 1], after each arm once."""
    K = x.shape[1]
    n, s, arms = np.zeros(K), np.zeros(K), []
    for t in range(T):
        arm = (
            t if t < K else int(np.argmax([rng.normal(s[i] / n[i], 0.5 / math.sqrt(n[i])) for i in range(K)]))
        )
        n[arm] += 1
        s[arm] += x[t, arm]
        arms.append(arm)
    return arms


def running_mean(x, rng, T):
    """The released code: the whole past is divided by the mean loss so far, 1 before any loss."""
    L, paid, arms = np.zeros(x.shape[1]), [], []
    for t in range(1, T + 1):
        scale = np.mean(paid) if any(paid) else 1.0
        p = tsallis(lambda t, T: 2 / math.sqrt(t))(L / scale, t, T)
        arm = int(np.searchsorted(np.cumsum(p), rng.random() * p.sum(), side="right"))
        paid.append(1 - x[t - 1, arm])
        L[arm] += paid[-1] / p[arm]
        arms.append(arm)
    return arms


def weights(probabilities, estimate):
    def rule(x, rng, T):
        L, arms = np.zeros(x.shape[1]), []
        for t in range(T):
            p = probabilities(L, t + 1, T)
            arm = int(np.searchsorted(np.cumsum(p), rng.random() * p.sum(), side="right"))
            estimate(L, p, arm, 1 - x[t, arm], t + 1)
            arms.append(arm)
        return arms

    return rule


def exponential(squared):
    """Exponential weights with the given square of eta times d / log d."""

    def probabilities(L, t, T):
        p = np.exp(-math.sqrt(squared(t, T) * math.log(len(L)) / len(L)) * (L - L.min()))
        return p / p.sum()

    return probabilities


def tsallis(rate):
    def probabilities(L, t, T):
        eta, low, high = rate(t, T), L.min() - 2e9, L.min()
        for _ in range(300):
            x = (low + high) / 2
            low, high = (x, high) if (4 / (eta * (L - x)) ** 2).sum() < 1 else (low, x)
        return 4 / (eta * (L - low)) ** 2

    return probabilities


def importance(L, p, arm, loss, t):
    L[arm] += loss / p[arm]


def reduced(L, p, arm, loss, t):
    base = np.where(p >= 16 / t, 0.5, 0.0)
    L += base
    L[arm] += (loss - base[arm]) / p[arm]


DEFINITIONS = pytest.mark.parametrize(
    ("learner", "rule"),
    [
        (UCB1(), ucb1),
        (KLUCB(), kl_ucb),
        (ThompsonSampling(), beta_thompson),
        (ThompsonSampling(prior="gaussian"), gaussian_thompson),
        (Exp3(), weights(exponential(lambda t, T: 2 / T), importance)),
        (Exp3(rate="anytime"), weights(exponential(lambda t, T: 1 / t), importance)),
        (TsallisINF(), weights(tsallis(lambda t, T: 2 / math.sqrt(t)), importance)),
        (TsallisINF(rate="horizon"), weights(tsallis(lambda t, T: math.sqrt(8 / T)), importance)),
        (TsallisINF(scale="running-mean"), running_mean),
        (
            TsallisINF(estimator="reduced-variance"),
            weights(tsallis(lambda t, T: 4 / math.sqrt(t)), reduced),
        ),
    ],
    ids=lambda part: part.key if hasattr(part, "key") else "",
)


@DEFINITIONS
def test_a_learner_pulls_the_arms_that_its_definition_in_plain_python_pulls(learner, rule):
    trace = play(BANDIT, learner, 250, 0)
    assert trace.diagnostics["arm"].astype(int).tolist() == replayed(BANDIT, learner, 250, rule)


EXTREMES = {
    "one arm": [0.3],
    "two fair coins": [0.5, 0.5],
    "never and always": [0.0, 1.0, 1.0, 0.0],
    "all sure to lose": [0.0, 0.0, 0.0],
    "all sure to win": [1.0, 1.0, 1.0],
    "a rare success": [0.0, 1e-3, 0.999, 1.0],
}


def test_kl_ucb_tells_arms_apart_whose_indices_all_round_to_one():
    """Counts of some ten iterations, charged on a scale that allows for ten thousand."""
    losses = np.tile([9.0, 10.0, 11.0, 12.0], (400, 1))
    model = LossTable(losses, (1.0, 10_001.0))
    arms = play(model, KLUCB(), 400, 0).diagnostics["arm"].astype(int)
    assert arms.tolist() == replayed(model, KLUCB(), 400, kl_ucb)
    assert (np.diff(np.bincount(arms)) <= 0).all()
    assert np.bincount(arms).min() > 50


@pytest.mark.parametrize("means", EXTREMES.values(), ids=EXTREMES)
@DEFINITIONS
def test_sure_rewards_ties_and_a_single_arm_are_no_exceptions(learner, rule, means):
    model = StochasticBandit(np.array(means))
    for rounds in (1, len(means), 150):
        whole = play(model, learner, rounds, 0)
        assert whole.diagnostics["arm"].astype(int).tolist() == replayed(model, learner, rounds, rule)
        assert whole.same_as(play(BanditProblem(model, blocks=False), learner, rounds, 0))


@pytest.mark.parametrize("learner", ALL, ids=repr)
def test_a_run_may_be_saved_before_every_arm_was_pulled(learner, tmp_path):
    whole = play(BANDIT, learner, 40, 5)
    for stop in (1, 3, 4, 5):
        Run(BanditProblem(BANDIT), learner, 40, 5).advance(stop).save(tmp_path / f"{stop}")
        assert whole.same_as(Run.load(tmp_path / f"{stop}").advance().trace)


def test_what_separated_the_arms_before_never_changes_the_choice_of_kl_ucb():
    """Ten thousand rounds against the search that begins anew in each."""
    model = bernoulli_bandit(n_arms=20)
    trace = play(model, KLUCB(), 10_000, 0)
    environment = BanditProblem(model).environment(Streams.from_seed(0))
    rewards, _ = environment._rows(10_000)
    n, s = np.zeros(20), np.zeros(20)
    for t, arm in enumerate(trace.diagnostics["arm"].astype(int)):
        if t >= 20:
            log_t = math.log(t)
            budget = log_t + (3 * math.log(log_t) if log_t > 1 else 0)
            kept = np.array([negentropy(*pair) for pair in zip(n, s, strict=True)])
            assert search(n, s, kept, budget, 0)[0] == arm
        n[arm] += 1
        s[arm] += rewards[t, arm]


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(1e-3, 1 - 1e-3))
@example(0, 0.0, 0.2)
@example(10, 0.0, 0.999)
def test_the_bound_on_the_cost_of_a_coin_is_above_it_wherever_it_is_small(n, share, x):
    s = float(round(n * share))
    normaliser = log_normaliser(n, s)
    bound = cost_of(x, n, s, normaliser)
    assert bound >= 0
    if bound <= LIMIT:
        mass = mass_beyond(x, n, s, log_density(x, n, s, normaliser))
        assert mass >= stats.beta(1 + s, 1 + n - s).sf(x) * (1 - 1e-9)
        assert bound >= -math.log1p(-mass)


SCRIPTS = {
    "the leader fails, the others keep level": ([0.9, 0.5], 6000, 12_000, lambda share, level: [0.0, level]),
    "the leader succeeds for long, then fails": (
        [0.5, 0.49],
        1_000_000,
        96_000,
        lambda share, level: [float(share < 0.4), 0.0],
    ),
    "all turn": ([0.3, 0.7, 0.6], 3000, 12_000, lambda share, level: [1.0, 0.0, level]),
}


@pytest.mark.parametrize("case", SCRIPTS.values(), ids=SCRIPTS)
def test_the_bound_on_all_costs_holds_whatever_the_rewards(case):
    """Also where the leader's density leaves the numbers of double precision, up or down."""
    means, calm, later, script = case
    rng = np.random.default_rng(3)
    state = ThompsonSampling().init(BanditSpec(len(means), calm + later, (0.0, 1.0)), rng)
    for _ in range(max(1, calm // 1_000_000)):
        rounds = min(calm, 1_000_000)
        state.play((rng.random((rounds, len(means))) < means).astype(float), np.zeros(rounds))
    n, s, clock = state.n[0], state.s[0], state.clock[0]
    clock[EXPIRY] = 0.0  # the script begins with a new separator, as early in its life as can be
    piece, checked = later // 2000, 0
    for k in range(2000):
        level = float(s[1] * n[0] <= s[0] * n[1])
        rewards = np.tile(script(k / 2000, level), (piece, 1))
        state.play(rewards, np.zeros(piece))
        cost = clock[OTHERS] + clock[MINE]
        assert cost >= 0
        if cost <= LIMIT:
            assert cost >= sum(costs_at(clock[SEPARATOR], n, s)) * (1 - 1e-6)
            checked += 1
    assert checked > 0


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.01, 0.99), st.sampled_from([0.0, 1.0]))
def test_a_reward_changes_the_density_by_the_factor(n, share, x, success):
    s = max(success, min(n - 1 + success, float(round(n * share))))
    before = log_density(x, n - 1, s - success, log_normaliser(n - 1, s - success))
    after = log_density(x, n, s, log_normaliser(n, s))
    limit = 64 * np.finfo(float).eps * (n + 1) * 20  # of the logarithms of the normaliser
    assert abs(after - before - math.log(change_of_density(x, n, s, success))) < limit


POSTERIORS = {
    "no data on two arms": ([0, 0], [0, 0]),
    "no data": ([0, 0, 0], [0, 0, 0]),
    "equal": ([10, 10, 10, 10], [6, 6, 6, 6]),
    "a leader far ahead": ([4000, 60, 30, 5], [3600, 48, 20, 2]),
    "the most pulled arm is bad": ([300, 12, 7, 0], [60, 7, 6, 0]),
    "sure successes and failures": ([40, 40, 3, 2], [40, 0, 3, 0]),
    "close": ([900, 800, 700], [450, 410, 360]),
}


def laws_of(n, s):
    """Exact probabilities that each of independent draws is the largest."""
    laws = [stats.beta(1 + a, 1 + b) for a, b in zip(s, n - s, strict=True)]

    def largest(i):
        others = [law for j, law in enumerate(laws) if j != i]
        nodes = laws[i].ppf((np.arange(20_000) + 0.5) / 20_000)
        return np.prod([law.cdf(nodes) for law in others], axis=0).mean()

    exact = np.array([largest(i) for i in range(len(n))])
    assert abs(exact.sum() - 1) < 1e-3
    return exact / exact.sum()


def check_choices(choose, exact):
    """Pearson's statistic of 100,000 choices, where five are expected; false alarm 1e-7."""
    draws = 100_000
    chosen = np.bincount([choose() for _ in range(draws)], minlength=len(exact))
    expected = draws * exact
    frequent = expected >= 5
    assert chosen[~frequent].sum() < 60
    statistic = ((chosen - expected)[frequent] ** 2 / expected[frequent]).sum()
    assert statistic < stats.chi2(max(1, frequent.sum() - 1)).isf(1e-7)


@pytest.mark.parametrize("n_and_s", POSTERIORS.values(), ids=POSTERIORS)
def test_thompsons_choice_has_the_law_of_the_largest_of_independent_draws(n_and_s):
    n, s = (np.array(part, dtype=float) for part in n_and_s)
    rng, clock = np.random.default_rng(7), np.zeros(9)
    clock[LEADER] = np.argmax(n)
    kept = np.array([log_normaliser(a, b) for a, b in zip(n, s, strict=True)])

    def choose():
        clock[PURSE] = rng.standard_exponential()
        return draw_thompson(n, s, kept, np.empty(len(n)), clock, rng)

    check_choices(choose, laws_of(n, s))


SEPARATED = {
    "in the middle": ([60, 12, 9], [48, 5, 2], 0.69),
    "below the leader": ([300, 40, 40], [200, 14, 20], 0.61),
    "above half of the leader's draws": ([200, 30, 30], [150, 18, 16], 0.73),
    "one other arm": ([9, 9], [8, 3], 0.61),
}


@pytest.mark.parametrize("case", SEPARATED.values(), ids=SEPARATED)
def test_exceptions_on_both_sides_of_any_separator_leave_the_law_as_it_is(case):
    """Coins that show heads in more than two rounds of a hundred, on either side and on both."""
    n, s, x = np.array(case[0], dtype=float), np.array(case[1], dtype=float), case[2]
    rng = np.random.default_rng(8)
    kept = np.array([log_normaliser(a, b) for a, b in zip(n, s, strict=True)])
    others = [
        mass_beyond(x, a, b, log_density(x, a, b, c)) for a, b, c in zip(n[1:], s[1:], kept[1:], strict=True)
    ]
    low = mass_beyond(1 - x, n[0], n[0] - s[0], log_density(x, n[0], s[0], kept[0]))
    assert 0.02 < low < 1
    assert 0.02 < sum(others) < 1
    check_choices(
        lambda: choose_by_exceptions(x, rng.standard_exponential(), n, s, kept, 0, rng), laws_of(n, s)
    )


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1)), min_size=2, max_size=8), st.data())
def test_the_arm_of_the_largest_kl_index_does_not_depend_on_where_the_search_begins(arms, data):
    n = np.array([float(count) for count, _ in arms])
    s = np.array([round(count * share) * 1.0 for count, share in arms])
    budget = data.draw(st.floats(0.01, 20))
    guess = data.draw(st.integers(0, len(n) - 1))
    separator = data.draw(st.floats(1e-6, 40))
    indices = np.array([depth(m, b) for m, b in zip(s / n, budget / n, strict=True)])
    kept = np.array([negentropy(a, b) for a, b in zip(n, s, strict=True)])

    def certain(i, clock):
        return separates(n[i], s[i], kept[i], budget, clock)

    clock, other = np.zeros(9), np.zeros(9)
    clock[[LEADER, ROUNDS]] = other[[LEADER, ROUNDS]] = guess, n.sum()
    arm = search_and_separate(n, s, kept, budget, clock)
    assert indices[arm] >= indices.max() * (1 - 1e-12)
    assert clock[LEADER] == arm
    keep_separator(n, s, kept, guess, separator, other)
    if certain(guess, other):
        assert guess == arm
    if certain(arm, clock):
        assert indices[arm] >= clock[SEPARATOR] > np.delete(indices, arm).max()


@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=40),
    st.floats(1e-4, 2.0),
    st.floats(-1e6, 1e6),
)
def test_tsallis_probabilities_are_the_minimiser_and_do_not_depend_on_a_common_loss(losses, eta, shift):
    L = np.array(losses)
    p, q = np.empty(len(L)), np.empty(len(L))
    steps = tsallis_probabilities(L, eta, p)
    assert steps < 40
    assert abs(p.sum() - 1) < 1e-12
    levels = L - 2 / (eta * np.sqrt(p))  # the multiplier x, the same for every arm
    assert np.ptp(levels) <= 1e-12 * max(1 / eta, np.abs(L).max()) * len(L)
    tsallis_probabilities(L[::-1].copy(), eta, q)
    np.testing.assert_allclose(q[::-1], p, rtol=1e-12)
    moved = L + shift
    tsallis_probabilities(moved, eta, q)
    lost = np.spacing(np.abs(moved).max()) * eta / np.sqrt(p)  # what the shift rounds away, relatively
    assert (np.abs(q / p - 1) <= 4 * lost.max() + 1e-12).all()


def test_equal_losses_give_equal_probabilities():
    p = np.empty(7)
    tsallis_probabilities(np.full(7, 3.0), 0.5, p)
    np.testing.assert_allclose(p, 1 / 7, rtol=1e-14)


def divergence(p, z):
    """KL divergence of Bernoulli laws with chances p < 1 and 1 - exp(-z), 0 log 0 = 0."""
    return (p and p * (math.log(p) - math.log(-math.expm1(-z)))) + (1 - p) * (math.log1p(-p) + z)


@given(st.floats(0, 1, exclude_max=True), st.floats(1e-8, 1e6))
@example(1 - 2**-53, 50.0)
@example(5e-324, 1e-8)
def test_the_kl_index_spends_its_budget(p, budget):
    """The four terms of the divergence are below 1, 1, 1 and budget + 1, and cost a few roundings each."""
    z = depth(p, budget)
    assert -math.log1p(-p) <= z < math.inf
    assert abs(divergence(p, z) - budget) <= 16 * np.finfo(float).eps * (4 + budget)


def test_ucb1_keeps_its_regret_bound_on_average():
    """The mean of 40 runs is several times below the bound on it, so a false alarm is out of the question."""
    T, gaps = 5000, MEANS.max() - MEANS
    wrong = gaps[gaps > 0]
    bound = 8 * np.log(T) * (1 / wrong).sum() + (1 + np.pi**2 / 3) * wrong.sum()
    regret = np.mean([play(BANDIT, UCB1(), T, seed).final_regret for seed in range(40)])
    assert 0 < regret < bound


def test_gaussian_rewards_are_for_rules_that_need_no_limits():
    for learner in (UCB1(), ThompsonSampling(prior="gaussian")):
        assert play(GAUSSIAN, learner, 2000, 0).final_regret < 2000 * 0.6 / 4
    for learner in (KLUCB(), ThompsonSampling(), Exp3(), TsallisINF()):
        with pytest.raises(ValueError, match=r"needs rewards with known limits"):
            play(GAUSSIAN, learner, 10, 0)


def test_a_reward_outside_the_range_that_the_spec_promised_is_refused():
    spec = BanditSpec(2, 10, (0.0, 1.0))
    state = TsallisINF().init(spec, np.random.default_rng(0))
    decision = TsallisINF().plan(state)
    with pytest.raises(ValueError, match=r"reward must be in \[0, 1\]; got 1\.5"):
        state.learn(decision.arm, 1.5, None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UCB1(bonus_scale=-1.0), r"bonus_scale must be .* got -1\.0"),
        (lambda: KLUCB(c=math.nan), "c must be a finite number.* got nan"),
        (lambda: ThompsonSampling(prior="x"), "prior must be one of beta, gaussian; got 'x'"),
        (lambda: Exp3(rate="x"), "rate must be one of anytime, horizon; got 'x'"),
        (lambda: Exp3(rate_scale=0.0), "rate_scale must be positive"),
        (lambda: TsallisINF(estimator="x"), "estimator must be one of"),
        (lambda: TsallisINF(scale="running-mean", estimator="reduced-variance"), "goes with estimator"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_options_outside_the_theory_are_marked():
    assert not KLUCB(c=0.0).guaranteed
    assert not TsallisINF(scale="running-mean").guaranteed
    assert not TsallisINF(rate="horizon", estimator="reduced-variance").guaranteed
    assert TsallisINF(estimator="reduced-variance").guaranteed
    assert not Exp3(rate_scale=2.0).guaranteed
    assert all(learner.guaranteed for learner in (UCB1(), KLUCB(), TsallisINF(), Exp3()))
