"""Learners on recovering bandits: one trace however it is cut, only the spec is seen, errors are clear."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from tests.bandits import random_bandit
from theoryrl import Study
from theoryrl.instances import blocking, coin, recovering
from theoryrl.learners import (
    BlockingUCB,
    GPLookahead,
    GreedyOracle,
    InterleavedOracle,
    LookaheadOracle,
    OptimalCycle,
    PeriodicOracle,
    PeriodicUCB,
    RandomOffsetsOracle,
    RoundRobinOracle,
    UCBGreedy,
)
from theoryrl.learners.baselines.recovering._kernels import best_sequence
from theoryrl.learners.baselines.recovering.oracles import best_rotation
from theoryrl.learners.recovering import require_recovering
from theoryrl.models import RecoveringBandit, RewardNoise
from theoryrl.protocol import RecoveringProblem, Run, as_problem, play
from theoryrl.solvers import Pulls, fluid_bound, optimal_cycle, ppp_guarantee, purely_periodic
from theoryrl.solvers.recovering.exact import choices

BANDIT = recovering("monotone", n_arms=4, memory=5, seed=0)
ORACLES = [
    GreedyOracle,
    InterleavedOracle,
    LookaheadOracle,
    OptimalCycle,
    PeriodicOracle,
    RandomOffsetsOracle,
    RoundRobinOracle,
]
LEARNERS = [
    PeriodicUCB(),
    PeriodicUCB(fractional="up", reuse_first=True),
    PeriodicUCB(horizon="doubling"),
    UCBGreedy(memory=5),
    UCBGreedy(memory=3, refresh_growth=0.5),
    BlockingUCB(refresh_growth=0.2),
    GPLookahead(memory=5),
    *(make(bandit=BANDIT) for make in ORACLES),
]
every_learner = pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: repr(learner)[:60])
PROBLEM = RecoveringProblem(BANDIT, known_delays=True)
ROUNDS = 150


@every_learner
def test_fused_equals_stepwise(learner):
    assert play(PROBLEM, learner, ROUNDS).same_as(play(PROBLEM, learner, ROUNDS, stepwise=True))


@every_learner
def test_a_run_that_was_cut_and_saved_equals_one_that_was_not(learner, tmp_path):
    run = Run(PROBLEM, learner, ROUNDS)
    run.advance(37).save(tmp_path / "run")
    assert Run.load(tmp_path / "run").advance(50).advance().trace.same_as(play(PROBLEM, learner, ROUNDS))


@every_learner
def test_values_are_the_mean_rewards_and_no_run_beats_the_bound(learner):
    """At most T UB plus the rested mean of each first pull."""
    trace = play(PROBLEM, learner, ROUNDS)
    assert trace.benchmark == float(optimal_cycle(BANDIT).value)
    assert trace.values.min() >= 0
    limit = ROUNDS * float(fluid_bound(BANDIT).upper) + BANDIT.R.max(axis=1).sum()
    assert trace.values.sum() <= limit + 1e-9


@pytest.mark.parametrize("learner", LEARNERS[:7], ids=lambda learner: repr(learner)[:40])
def test_decisions_depend_on_what_is_observed_only(learner):
    """A model with other means, behind an environment that shows the first model's rewards."""

    def schedules(problem):
        seen = []

        def remember(_, state, decision):
            schedule = decision.schedule
            arrays = [value for value in vars(schedule).values() if isinstance(value, np.ndarray)]
            seen.append(b"".join(array.tobytes() for array in arrays))
            return {}

        play(problem, learner, ROUNDS, audit=remember)
        return seen

    other = RecoveringProblem(random_bandit(4, "concave", N=4, D=5, K=2), known_delays=True)
    disguised = Disguise(other, PROBLEM)
    assert schedules(PROBLEM) == schedules(disguised)


class Disguise:
    """Has the model of one problem, and the spec and the interaction stream of another."""

    def __init__(self, hidden, shown):
        self.key, self.benchmark, self.bandit = "disguise", hidden.benchmark, hidden.bandit
        self.spec, self.value, self.environment = shown.spec, hidden.value, shown.environment


def test_the_spec_holds_no_curve():
    spec = PROBLEM.spec(10)
    assert (spec.n_arms, spec.K, spec.rounds, spec.reward_max) == (4, 2, 10, 1.0)
    assert as_problem(BANDIT).spec(10).delays is None
    arrays = [value for value in vars(spec).values() if isinstance(value, np.ndarray)]
    assert [array.tolist() for array in arrays] == [[1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("optimum", lambda b: optimal_cycle(b).value),
        ("bound", lambda b: fluid_bound(b).value),
        ("guarantee", lambda b: ppp_guarantee(b.K) * fluid_bound(b).value),
        ("planner", lambda b: purely_periodic(b).value),
    ],
)
def test_regret_is_counted_from_the_chosen_reference(reference, value):
    assert RecoveringProblem(BANDIT, reference=reference).benchmark == pytest.approx(float(value(BANDIT)))


def test_large_graphs_are_compared_with_the_bound():
    bandit = recovering()
    assert as_problem(bandit).benchmark == pytest.approx(float(fluid_bound(bandit).value))


def test_without_noise_every_estimate_is_the_true_mean():
    bandit = recovering("monotone", n_arms=5, memory=6, noise="none", seed=3)
    for learner in (PeriodicUCB(), PeriodicUCB(reuse_first=True), PeriodicUCB(fractional="up")):
        run = Run(as_problem(bandit), learner, 3000).advance()
        state = run.state
        seen = state.n > 0
        means = state.s[seen] / state.n[seen]
        # A sum of at most 3000 equal numbers.
        np.testing.assert_allclose(means, bandit.at(state.grid)[seen], rtol=3000 * 2.0**-53)
        assert seen.sum() > 5


def test_reusing_first_pulls_gives_more_samples():
    runs = [Run(PROBLEM, PeriodicUCB(reuse_first=reuse), 2000).advance() for reuse in (False, True)]
    assert runs[1].state.n.sum() > runs[0].state.n.sum()


def test_doubling_starts_anew_at_epochs_of_doubling_length():
    run = Run(PROBLEM, PeriodicUCB(horizon="doubling"), 200)
    ends = []
    for _ in range(200):
        run.advance(1)
        ends.append(run.state.end)
    assert sorted(set(ends)) == [16, 48, 112, 240]
    assert run.state.T == 128
    np.testing.assert_array_equal(run.trace.diagnostics["phase"], np.sort(run.trace.diagnostics["phase"]))


def test_a_learner_that_cannot_doubt_plays_the_planners_schedule():
    """Without noise and with tiny widths the bounds become the means of what was tried."""
    bandit = blocking(n_arms=4, delay=4)
    with pytest.warns(UserWarning, match="the guarantee is void"):
        learner = PeriodicUCB(bonus_scale=1e-6)
    trace = play(as_problem(bandit), learner, 4000)
    assert trace.values[-1000:].mean() == pytest.approx(1.0, abs=0.05)
    assert not trace.guaranteed


def test_gaussian_noise_widens_the_bounds():
    narrow, wide = (
        Run(as_problem(RecoveringBandit(BANDIT.R, 2, RewardNoise("gaussian", scale))), PeriodicUCB(), 100)
        for scale in (0.25, 1.0)
    )
    assert wide.state.radius == pytest.approx(4 * narrow.state.radius)


def test_the_search_finds_the_best_sequence():
    rng = np.random.default_rng(0)
    N, D = 3, 4
    for _ in range(20):
        table, sets = rng.random((N, D)), choices(N, 2)
        start = rng.integers(1, 6, N)

        def worth(sequence, table=table, sets=sets, start=start):
            idle, total = start.copy(), 0.0
            for c in sequence:
                for i in range(N):
                    total += table[i, min(idle[i], D) - 1] if sets[c, i] else 0.0
                    idle[i] = 1 if sets[c, i] else idle[i] + 1
            return total

        found = worth(best_sequence(table, sets, 2, start))
        assert found == max(worth(sequence) for sequence in product(range(len(sets)), repeat=2))


def test_the_posterior_is_that_of_a_gaussian_process():
    """Against the textbook formula with one row of the kernel matrix per sample."""
    rng = np.random.default_rng(0)
    learner, noise = GPLookahead(memory=5, length_scale=1.5), 0.4
    n = rng.integers(0, 4, (2, 5))
    s = np.where(n > 0, rng.random((2, 5)) * n, 0.0)
    mean, deviation = learner.posterior(n, s, noise)
    d = np.arange(1.0, 6.0)
    C = 0.25 * np.exp(-((d[:, None] - d) ** 2) / (2 * 1.5**2))
    for i in range(2):
        where = np.repeat(np.arange(5), n[i])
        y = np.repeat(s[i] / np.maximum(n[i], 1), n[i])
        gain = np.linalg.solve(C[np.ix_(where, where)] + noise**2 * np.eye(len(where)), C[where]).T
        # Condition numbers below 100.
        np.testing.assert_allclose(mean[i], 0.5 + gain @ (y - 0.5), atol=1e-12)
        np.testing.assert_allclose(deviation[i] ** 2, np.diag(C - gain @ C[where]), atol=1e-12)


def test_the_best_rotation_is_the_best_of_all_sizes():
    """With K = 1 the rotation of m arms earns the average of their R_i(m)."""
    for seed in range(20):
        bandit = random_bandit(seed, "monotone", K=1)
        order = np.argsort(-bandit.R[:, -1], kind="stable")
        D = bandit.R.shape[1]
        values = [bandit.R[order[:m], min(m, D) - 1].mean() for m in range(1, bandit.n_arms + 1)]
        assert best_rotation(bandit)[1] == pytest.approx(max(values), abs=1e-12)


def test_greedy_leaves_blocked_arms_alone():
    """On one arm that pays every third period, greedy earns 1/3; pulling it always would earn nothing."""
    bandit = blocking(n_arms=1, delay=3)
    trace = play(as_problem(bandit), GreedyOracle(bandit=bandit), 300)
    assert Fraction(trace.values.sum() / 300).limit_denominator(100) == Fraction(1, 3)


def test_interleaving_keeps_the_relaxed_frequencies():
    bandit = recovering()
    rates = fluid_bound(bandit).policy
    pulled = np.zeros(bandit.n_arms)
    run = Run(as_problem(bandit), InterleavedOracle(bandit=bandit), 8192)

    class Counting(InterleavedOracle):
        def update(self, state, decision, observation):
            np.add.at(pulled, observation.arms, 1)
            return state

    run.learner = Counting(bandit=bandit)
    run.advance()
    np.testing.assert_allclose(pulled / 8192, rates, atol=2 / 8192 * bandit.n_arms)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PeriodicUCB(classes=0), "classes must be at least 1; got 0"),
        (lambda: PeriodicUCB(phase_length=1), "phase_length must be at least 2; got 1"),
        (lambda: PeriodicUCB(delta=1.0), r"delta must be in \(0, 1\); got 1\.0"),
        (lambda: PeriodicUCB(bonus_scale=0.0), "bonus_scale must be positive; got 0"),
        (lambda: PeriodicUCB(fractional="down"), "fractional must be one of up, best; got 'down'"),
        (lambda: PeriodicUCB(horizon="unknown"), "horizon must be one of known, doubling; got 'unknown'"),
        (lambda: UCBGreedy(memory=0), "memory must be at least 1; got 0"),
        (lambda: UCBGreedy(refresh_growth=-1.0), "refresh_growth must be .* got -1.0"),
        (lambda: GPLookahead(length_scale=0.0), "length_scale must be positive; got 0"),
        (lambda: GPLookahead(width=-1.0), "width must be .* got -1.0"),
        (lambda: LookaheadOracle(bandit=BANDIT, depth=0), "depth must be at least 1; got 0"),
        (lambda: PeriodicOracle(bandit=BANDIT, method="both"), "method must be one of grid, round, best"),
        (lambda: RecoveringProblem(BANDIT, reference="best"), "reference must be one of auto, optimum"),
    ],
)
def test_a_bad_parameter_is_named_together_with_its_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("problem", "learner", "message"),
    [
        (as_problem(BANDIT), BlockingUCB(), "blocking-ucb needs known delays"),
        (as_problem(blocking()), GreedyOracle(bandit=BANDIT), r"bandit must have \(N, K\) = \(5, 1\); got"),
        (PROBLEM, GPLookahead(depth=9), "depth must keep the tree below"),
        (as_problem(recovering(n_arms=60, max_pulls=20)), GPLookahead(), "depth must keep the tree below"),
        (
            as_problem(RecoveringBandit(np.array([[0.5, 0.4]]))),
            PeriodicOracle(bandit=RecoveringBandit(np.array([[0.5, 0.4]]))),
            "needs non-decreasing curves",
        ),
    ],
)
def test_a_learner_that_does_not_fit_the_problem_is_refused(problem, learner, message):
    with pytest.raises(ValueError, match=message):
        play(problem, learner, 10)


def test_curves_that_fall_are_refused_by_the_learner_whose_bounds_need_them_to_rise():
    problem = as_problem(RecoveringBandit(np.array([[0.5, 0.4], [0.2, 0.9]])))
    with pytest.raises(ValueError, match="periodic-ucb needs non-decreasing curves"):
        play(problem, PeriodicUCB(), 10)


def test_greedy_bounds_hold_for_curves_that_fall_too():
    """A longer rest must not lower the bound of a shorter one."""
    bandit = RecoveringBandit(np.array([[0.9, 0.1], [0.2, 0.3]]), 1, RewardNoise("none"))
    trace = play(as_problem(bandit), UCBGreedy(memory=2), 4000)
    assert trace.values[-500:].mean() == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("learner", [PeriodicUCB(), UCBGreedy(), GPLookahead()], ids=lambda who: who.key)
def test_a_reward_out_of_range_is_named(learner):
    run = Run(PROBLEM, learner, 10)
    decision = run.learner.plan(run.state)
    three = np.zeros(3, dtype=np.int64)
    for value in (1.5, -0.1, float("nan")):
        pulls = Pulls(3, three, three, three, np.array([0.5, value, 0.5]))
        with pytest.raises(ValueError, match=r"rewards\[1\] must be in \[0, 1\]; got"):
            run.learner.update(run.state, decision, pulls)


def test_an_infinite_reward_is_refused_under_unbounded_noise():
    bandit = RecoveringBandit(BANDIT.R, BANDIT.K, RewardNoise("gaussian", 0.1))
    run = Run(as_problem(bandit), PeriodicUCB(), 10)
    decision = run.learner.plan(run.state)
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match=r"rewards\[0\] must be finite; got inf"):
        run.learner.update(run.state, decision, Pulls(1, one, one, one, np.array([np.inf])))


@pytest.mark.parametrize("rounds", [1, 2, 3, 5, 17])
@pytest.mark.parametrize("learner", [PeriodicUCB(), PeriodicUCB(horizon="doubling"), UCBGreedy()], ids=repr)
def test_short_runs_are_possible_also_with_one_arm(rounds, learner):
    for bandit in (BANDIT, RecoveringBandit(np.array([[0.5]]))):
        assert play(as_problem(bandit), learner, rounds).rounds == rounds


def test_a_study_completes_oracles_with_the_model():
    instances, learners = ["recovering:n_arms=3,memory=4"], ["greedy-oracle", "periodic-ucb:fractional=up"]
    dataset = Study(instances, learners, rounds=100, seeds=2).run(progress=False)
    assert dataset["guaranteed"].values.all()
    assert np.isfinite(dataset["final_regret"].values).all()
    with pytest.raises(ValueError, match="GreedyOracle needs a problem with 'bandit'"):
        Study(["coin"], ["greedy-oracle"], rounds=10, seeds=1)


def test_a_recovering_learner_on_another_problem_says_so():
    with pytest.raises(ValueError, match="periodic-ucb plays recovering bandits; got a EpisodicSpec"):
        require_recovering(as_problem(coin()).spec(5), "periodic-ucb")


def test_the_default_phase_and_confidence_follow_the_horizon():
    state = Run(PROBLEM, PeriodicUCB(), 10_000).state
    assert state.phase_length == 100
    assert state.grid.tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert state.radius == pytest.approx(0.5 * math.sqrt(2 * math.log(2 * 4 * 7 * 10_000**2)))
