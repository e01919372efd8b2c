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
from theoryrl.learners.baselines.bandits._divergence import (
    depth,
    divergence,
    negentropy,
    search,
    search_and_separate,
    separates,
)
from theoryrl.learners.baselines.bandits._posterior import (
    log_normaliser,
    mass_beyond,
    sum_is_below,
    thompson,
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


def thinned(n, s, rng):
    """The largest draw by thinning, from arm to arm: what the kernel does, without its shortcut."""
    leader = int(np.argmax(n))
    x = rng.beta(1 + s[leader], 1 + n[leader] - s[leader])
    E, best, top, rest = rng.standard_exponential(), leader, x, 1 - x
    for i in range(len(n)):
        if i == leader:
            continue
        f = n[i] - s[i]
        rate = f / rest - s[i] / x
        height = log_normaliser.py_func(n[i], s[i]) + s[i] * math.log(x) + f * math.log(rest)
        width = rest if rate * rest < 1e-9 else -math.expm1(-rate * rest) / rate
        mass = math.exp(height) * width if rate >= 0 else 1.0
        if mass > 0.5:
            draw = rng.beta(1 + s[i], 1 + f)
        elif -math.log1p(-mass) < E:
            E += math.log1p(-mass)
            continue
        else:
            u = rng.random()
            z = u * rest if rate * rest < 1e-9 else -math.log1p(u * math.expm1(-rate * rest)) / rate
            accepted = s[i] * math.log1p(z / x) + f * math.log1p(-z / rest) + rate * z
            draw = x + z if math.log(rng.random()) <= accepted else 0.0
            E = rng.standard_exponential()
        if draw > top:
            best, top = i, draw
    return best


def beta_thompson(x, rng, T):
    K = x.shape[1]
    n, s, arms = np.zeros(K), np.zeros(K), []
    for t in range(T):
        arm = thinned(n, s, rng)
        n[arm] += 1
        s[arm] += x[t, arm] == 1
        arms.append(arm)
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
            assert search(n, s, budget, 0)[0] == arm
        n[arm] += 1
        s[arm] += rewards[t, arm]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1)), min_size=2, max_size=6),
    st.floats(0.01, 0.99),
    st.floats(1e-3, 30),
)
@example([(0, 0.0), (0, 0.0)], 0.2, 7.0)
@example([(10, 0.6), (10, 0.6)], 0.61, 12.0)
def test_the_shortcut_of_thompsons_choice_passes_only_over_coins_that_show_tails(arms, x, E):
    """Leader 0 at x: no other arm has a mass above 1/2, which is drawn, and all coins cost less than E."""
    n = np.array([float(count) for count, _ in arms])
    s = np.round(n * [share for _, share in arms])
    falling = s * (1 - x) <= (n - s) * x
    f = [log_normaliser(a, b) + b * math.log(x) + (a - b) * math.log1p(-x) for a, b in zip(n, s, strict=True)]
    heights = np.where(falling, f, np.inf)
    heights[0] = -np.inf
    if sum_is_below(E, x, math.log1p(-x), n, s, heights):
        others = zip(n[1:], s[1:], heights[1:], strict=True)
        masses = np.array([mass_beyond(x, *other) for other in others])
        assert (masses <= 0.5).all()
        assert -np.log1p(-masses).sum() < E


POSTERIORS = {
    "no data on two arms": ([0, 0], [0, 0]),
    "no data": ([0, 0, 0], [0, 0, 0]),
    "equal": ([10, 10, 10, 10], [6, 6, 6, 6]),
    "a leader far ahead": ([4000, 60, 30, 5], [3600, 48, 20, 2]),
    "the most pulled arm is bad": ([300, 12, 7, 0], [60, 7, 6, 0]),
    "sure successes and failures": ([40, 40, 3, 2], [40, 0, 3, 0]),
    "close": ([900, 800, 700], [450, 410, 360]),
}


@pytest.mark.parametrize("n_and_s", POSTERIORS.values(), ids=POSTERIORS)
def test_thompsons_choice_has_the_law_of_the_largest_of_independent_draws(n_and_s):
    """Pearson's statistic against exact probabilities, where they expect five choices; false alarm 1e-7."""
    n, s = (np.array(part, dtype=float) for part in n_and_s)
    laws = [stats.beta(1 + a, 1 + b) for a, b in zip(s, n - s, strict=True)]

    def largest(i):
        others = [law for j, law in enumerate(laws) if j != i]
        nodes = laws[i].ppf((np.arange(20_000) + 0.5) / 20_000)
        return np.prod([law.cdf(nodes) for law in others], axis=0).mean()

    exact = np.array([largest(i) for i in range(len(n))])
    assert abs(exact.sum() - 1) < 1e-3
    draws, rng = 100_000, np.random.default_rng(7)
    kept = np.array([log_normaliser(a, b) for a, b in zip(n, s, strict=True)])
    leader, room = int(np.argmax(n)), np.empty(len(n))
    chosen = np.bincount([thompson(n, s, kept, leader, room, rng) for _ in range(draws)], minlength=len(n))
    expected = draws * exact / exact.sum()
    frequent = expected >= 5
    assert chosen[~frequent].sum() < 60
    statistic = ((chosen - expected)[frequent] ** 2 / expected[frequent]).sum()
    assert statistic < stats.chi2(max(1, frequent.sum() - 1)).isf(1e-7)


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1)), min_size=2, max_size=8), st.data())
def test_the_arm_of_the_largest_kl_index_does_not_depend_on_where_the_search_begins(arms, data):
    n = np.array([float(count) for count, _ in arms])
    s = np.array([round(count * share) * 1.0 for count, share in arms])
    budget = data.draw(st.floats(0.01, 20))
    guess = data.draw(st.integers(0, len(n) - 1))
    separator = data.draw(st.floats(0, 40))
    indices = np.array([depth(m, b) for m, b in zip(s / n, budget / n, strict=True)])
    kept = np.array([negentropy(a, b) for a, b in zip(n, s, strict=True)])
    room = np.empty(len(n))
    arm, between = search_and_separate(n, s, kept, budget, guess, room)
    assert indices[arm] >= indices.max() * (1 - 1e-12)
    if separates(n, s, kept, n.sum(), budget, guess, separator, room):
        assert guess == arm
    if separates(n, s, kept, n.sum(), budget, arm, between, room):
        assert indices[arm] >= between > np.delete(indices, arm).max()


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
