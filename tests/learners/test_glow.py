"""GLOW and GOLF: tests against plain loops, refusals, and runs that do not depend on how they are played."""

import itertools
import math
import warnings

import numpy as np
import pytest

from theoryrl.instances import defect_class, incomplete_class, incomplete_hybrid, rich_lock
from theoryrl.learners import GLOW, GOLF, RealizabilityError, population_glow
from theoryrl.learners.baselines.golf import excess_loss
from theoryrl.learners.candidates import Candidates, ResidualSums, best, residual_tests
from theoryrl.learners.glow_constants import GlowConstants, glow_regret_bound, harmonics, theory_gamma
from theoryrl.learners.population import Expectations, exact_residuals, optimistic_order
from theoryrl.models import CandidateMDP, FiniteFunctionClass, FiniteModelClass, Hypotheses, Policy
from theoryrl.protocol import EpisodicProblem, Run, as_problem, play
from theoryrl.solvers import WeightClass, coverability, policy_value, simulate_episodes

pytestmark = pytest.mark.filterwarnings("ignore:GLOW. ")
RNG = np.random.default_rng(0)


def small() -> GLOW:
    return GLOW(episodes=20, gamma=0.5, constants="sharp", ties="last")


def state_after(learner, model, episodes, seed=0):
    run = Run(as_problem(model), learner, 10 * episodes, seed)
    run.advance(episodes)
    return run.state


# The tests of a round.


@pytest.mark.parametrize("mode", ["models", "self", "full"])
def test_the_tests_of_a_round_are_those_of_the_paper_loop_by_loop(mode):
    with warnings.catch_warnings(action="ignore"):
        learner = GLOW(weights=mode, episodes=5, gamma=0.5, scales=2, ties="last")
    model = incomplete_hybrid()
    run = Run(as_problem(model), learner, 200, 1)
    seen = []
    original = run._environment.interact

    def interact(decision, rounds):
        outcome = original(decision, rounds)
        seen.append(outcome.observation)
        return outcome

    run._environment.interact = interact
    run.advance(30)
    state, t = run.state, run.state.round
    Q = model.hypotheses.functions.Q
    weights = learner.clipped(state, t)
    gamma_t, alpha = 0.5 * t, 8 / (0.5 * t)
    F, H = len(Q), model.mdp.horizon
    rows = [(o.states[i], o.actions[i], o.rewards[i]) for o in seen for i in range(len(o.actions))]
    assert len(rows) == 30
    excess = learner.excess(state, t)
    A = model.mdp.n_actions
    for h, w, f in itertools.product(range(H), range(excess.shape[1]), range(F)):
        table = weights[w, f, h] if mode == "self" else weights[w, h]
        assert table.max() <= gamma_t
        terms = []
        for s, a, r in rows:
            following = Q[f, h + 1, s[h + 1]].max() if h + 1 < H else 0.0
            weight = table[s[h] * A + a[h]]
            terms.append((Q[f, h, s[h], a[h]] - r[h] - following) * weight - alpha * weight**2)
        assert excess[h, w, f] == pytest.approx(np.mean(terms), abs=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("pairs", [3, 400])
def test_pairs_without_data_may_be_kept_or_left_out(share, pairs):
    rng = np.random.default_rng(7)
    N = rng.integers(1, 9, size=(3, pairs)) * (rng.random((3, pairs)) < share)
    G = rng.normal(size=(3, pairs, 5)) * (N > 0)[..., None]
    weights = rng.random((30, 3, pairs))
    linear, square = residual_tests(N.astype(float), G, weights, 0.7)
    np.testing.assert_allclose(linear, np.einsum("whc,hcf->hwf", weights, G), atol=1e-12)
    np.testing.assert_allclose(square, 0.7 * np.einsum("whc,hc->hw", weights**2, N), atol=1e-12)


def test_the_radius_is_the_papers():
    learner = GLOW(episodes=20, gamma=0.5)
    state = state_after(learner, incomplete_class(), 60)
    L = math.log(6 * 2 * 30 * 2 / 0.05) + state.weights.log_size(30)
    assert state.L == pytest.approx(L)
    assert learner.radius(state, 4) == pytest.approx(36 * 0.5 * 4 * L / 60)


def test_a_confidence_of_experiment_a_is_25_and_the_bad_function_lives_368_rounds():
    """log(6 |F| |W| T H / delta) with two policies and 600 rounds; the prediction is about 370."""
    learner = GLOW(weights="mixture", episodes=400, gamma=0.07, ties="last")
    run = Run(as_problem(incomplete_class(oracle=True)), learner, 600 * 400, 0)
    assert run.state.L == pytest.approx(25.4, abs=0.05)
    trace = run.advance(400 * 400).trace
    assert int((trace.stretch_values < 0.5).sum()) in range(360, 380)
    assert (trace.diagnostics["oracle_weights"] == 1).all()


def test_candidate_weights_are_not_called_oracle():
    trace = play(incomplete_class(), small(), 40)
    assert (trace.diagnostics["oracle_weights"] == 0).all()


def test_the_first_round_keeps_everything_and_obeys_the_tie_rule():
    for ties, function in (("first", 0), ("last", 1)):
        trace = play(incomplete_class(), GLOW(gamma=0.5, ties=ties), 1)
        assert trace.diagnostics["version_space"][0] == 2
        assert trace.diagnostics["function"][0] == function


def test_the_most_optimistic_survivor_is_played():
    values, alive = np.array([0.2, 0.9, 0.5, 0.5]), np.array([True, False, True, True])
    assert best(values, alive, "first") == 2
    assert best(values, alive, "last") == 3


def test_an_empty_version_space_names_the_most_violated_test():
    """The class holds only the function that promises too much."""
    model = incomplete_class(oracle=True)
    bad = FiniteFunctionClass(model.hypotheses.functions.Q[1:])
    lacking = CandidateMDP(model.mdp, Hypotheses(bad, model.hypotheses.models, oracle=True))
    with pytest.warns(UserWarning, match="no candidate function is the optimal one"):
        problem = as_problem(lacking)
    with pytest.raises(RealizabilityError, match=r"round \d+: .* \(f, w, h\) = \(0, 0, 0\).* exceeds beta"):
        play(problem, GLOW(weights="mixture", episodes=2000, gamma=1.0, constants="sharp"), 40 * 2000)
    for weights in ("mixture", "self"):
        # The error is .47 at w = 1, and alpha_3 = 1/3.
        with pytest.raises(RealizabilityError, match=r"round 3: .* = \(0, 0, 0\), whose mean 0.136667"):
            population_glow(lacking, 100, 1.0, weights=weights)


def test_equal_promises_are_ties_wherever_they_lie():
    """Rounding to multiples of the tolerance would part numbers on both sides of a boundary."""
    start = np.array([0.5 + 5e-13, 0.3, 0.5 + 5e-13 - 2e-16, 0.5 + 5e-13 + 2e-16, 0.7])
    assert list(optimistic_order(start, "first")) == [4, 0, 2, 3, 1]
    assert list(optimistic_order(start, "last")) == [4, 3, 2, 0, 1]


def test_the_output_is_the_mixture_of_the_rounds():
    learner = small()
    model = incomplete_class()
    run = Run(as_problem(model), learner, 400, 0).advance()
    mixture = learner.output(run.state)
    assert policy_value(model.mdp, mixture) == pytest.approx(run.trace.values.mean())
    with pytest.raises(ValueError, match="at least one finished round"):
        learner.output(learner.init(as_problem(model).spec(400), RNG))


def test_gamma_is_the_theorems_where_none_is_given():
    model = rich_lock(10)
    state = Run(as_problem(model), GLOW(episodes=20), 10**6, 0).state
    T = 10**6 // 20
    most = max(
        coverability(
            model.hypotheses.models[m], list(Candidates.of(model.hypotheses.functions).policies)
        ).value
        for m in range(0, 32, 8)
    )
    assert state.gamma >= theory_gamma(most, T, state.L, 20) * (1 - 1e-9)
    assert 0 < state.gamma <= 1


# Runs.


@pytest.mark.parametrize(
    "learner",
    [small(), GLOW(weights="self", episodes=7, gamma=0.5, ties="last"), GOLF(episodes=3, ties="last")],
)
def test_blocks_single_episodes_and_resumed_runs_give_one_trace(learner, tmp_path):
    problem = as_problem(incomplete_class())
    whole = Run(problem, learner, 100, 3).advance().trace
    assert whole.same_as(Run(problem, learner, 100, 3, stepwise=True).advance().trace)
    Run(problem, learner, 100, 3).advance(33).save(tmp_path / "run")
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)


def test_without_noise_the_compiled_rounds_are_those_of_a_plain_loop():
    for seed, own in ((0, False), (1, False), (2, True)):
        model = defect_class(3, 2, 2, 10, oracle=True, seed=seed)
        exact = Expectations.of(model.mdp, model.hypotheses.functions)
        gamma, a, T = 0.3, 0.5, 40
        run = population_glow(model, T, gamma, a, "self" if own else "mixture", count_alive=True)
        past, order = np.zeros(exact.d.shape[1:]), optimistic_order(exact.start, "last")
        for t in range(1, T + 1):
            alive = []
            for f in range(len(exact.residual)):
                ok = True
                for n in [exact.policy_of[f]] if own else range(len(exact.d)):
                    d = exact.d[n]
                    w = np.divide(t * d, past + d, out=np.zeros_like(d), where=d > 0)
                    w = np.minimum(w, gamma * t)
                    test = past / max(t - 1, 1) * (exact.residual[f] * w - a / (gamma * t) * w**2)
                    ok &= t == 1 or bool((test.sum(axis=1) <= 1e-12).all())
                alive.append(ok)
            chosen = next(f for f in order if alive[f])
            assert (run.played[t - 1], run.alive[t - 1]) == (chosen, sum(alive))
            past = past + exact.d[exact.policy_of[chosen]]


def test_golf_keeps_the_wrong_function_of_an_incomplete_class_for_ever():
    trace = play(incomplete_class(), GOLF(episodes=100, c=1e-3, ties="last"), 20_000)
    assert trace.final_regret / 20_000 == pytest.approx(0.45)


def test_golf_drops_it_where_the_backups_are_in_the_other_class():
    model = incomplete_class()
    Q = model.hypotheses.functions.Q
    backup = Q[1:].copy()
    backup[0, 0] = [[0.05, 0.05], [0.5, 0.5]]
    backup[0, 1] = Q[0, 1]
    complete = Hypotheses(
        model.hypotheses.functions, model.hypotheses.models, FiniteFunctionClass(np.concatenate([Q, backup]))
    )
    trace = play(CandidateMDP(model.mdp, complete), GOLF(episodes=100, ties="last"), 20_000)
    assert trace.stretch_values[-1] == pytest.approx(trace.benchmark)


def test_golfs_excess_is_a_difference_of_sums_of_squares():
    model = incomplete_class()
    learner = GOLF(episodes=10, ties="last")
    state = state_after(learner, model, 10)
    data = simulate_episodes(model.mdp, Policy.uniform(2, 2), 200, np.random.default_rng(4))
    state.sums = ResidualSums.of_data(state.candidates, data)
    Q, excess = model.hypotheses.functions.Q, excess_loss(state)
    for h, f in itertools.product(range(2), range(2)):

        def loss(g, h=h, f=f):
            s, a = data.states[:, h], data.actions[:, h]
            following = Q[f, 1, data.states[:, 1]].max(axis=1) if h == 0 else 0.0
            return float(((Q[g, h, s, a] - data.rewards[:, h] - following) ** 2).sum())

        assert excess[h, f] == pytest.approx(loss(f) - min(loss(0), loss(1)), abs=1e-10)


# Constants.


@pytest.mark.parametrize(
    ("pair", "k", "slack"),
    [((8, 36), 3, (40 / 3, 55)), ((1, 10), 8, (2, 20)), ((8 / 3, 41 / 3), 3, None), ((2, 8), 4, None)],
)
def test_the_proven_pairs_are_those_of_some_k(pair, k, slack):
    constants = GlowConstants(*map(float, pair))
    assert constants.k() == pytest.approx(k)
    if slack:
        assert constants.slack == pytest.approx(slack)


def test_signed_weights_need_k_of_at_least_four():
    assert GlowConstants(8.0, 36.0).k(signed=True) == 4
    assert GlowConstants(8 / 3, 41 / 3).k(signed=True) == pytest.approx(4)
    assert GlowConstants(2.0, 8.0).k(signed=True) == 4
    assert GlowConstants(8 / 3, 7.99).k(signed=True) is None
    with warnings.catch_warnings(action="ignore"):
        assert GLOW(weights="signed").slack == pytest.approx((13, 56))
        assert GLOW(weights="full").slack == pytest.approx((40 / 3, 55))


def test_signed_weights_are_differences_clipped_at_both_ends():
    model = incomplete_class()
    with pytest.warns(UserWarning, match="mode 'signed' need not hold mixtures"):
        learner = GLOW(weights="signed", episodes=50, gamma=0.01, ties="last")
    assert not learner.guaranteed
    state = state_after(learner, model, 50)
    Q = model.hypotheses.functions.Q
    weights = learner.clipped(state, 2)
    pairs = itertools.product(range(2), range(2))
    for w, (f, g) in zip(weights, pairs, strict=True):
        np.testing.assert_array_equal(w, np.clip(Q[f] - Q[g], -0.02, 0.02).reshape(2, 4))
    assert weights.min() == -0.02
    assert weights.max() == 0.02
    assert state.L == pytest.approx(math.log(6 * 2 * 4 * 10 * 2 / 0.05))


def test_the_class_of_tuples_has_the_weights_of_the_models_and_pays_for_all_tuples():
    run = play(incomplete_class(), GLOW(weights="tuples", episodes=20, gamma=0.5, ties="last"), 100)
    assert run.guaranteed
    states = [
        state_after(GLOW(weights=mode, episodes=20, gamma=0.5, ties="last"), incomplete_class(), 100)
        for mode in ("tuples", "models")
    ]
    learner = GLOW(episodes=20, gamma=0.5)
    np.testing.assert_array_equal(*(learner.clipped(state, 6) for state in states))
    T = 50
    assert states[0].weights.log_size(T) == pytest.approx(T * math.log(2 * 2 * 2**2))
    assert states[0].weights.log_size(T) > states[1].weights.log_size(T)


def test_the_default_gamma_of_listed_weights_is_that_of_the_models():
    model = incomplete_class()
    one = WeightClass.explicit(np.ones((1, 2, 2, 2)), model.hypotheses.functions)
    with warnings.catch_warnings(action="ignore"):
        state = GLOW(weights=one, episodes=20).init(as_problem(model).spec(2 * 10**6), RNG)
    assert state.gamma == pytest.approx(theory_gamma(1.5, 10**5, state.L, 20))


@pytest.mark.parametrize("pair", [(0.99, 10.0), (1.0, 9.99), (2.0, 7.99), (0.3, 0.02)])
def test_smaller_pairs_are_not_covered(pair):
    assert GlowConstants(*pair).k() is None
    assert GlowConstants(*pair).slack is None


def test_a_pair_that_no_proof_covers_voids_the_guarantee():
    with pytest.warns(UserWarning, match="GLOW: the guarantee is void .*no proof covers c_alpha = 0.3"):
        learner = GLOW(constants="practical", c_alpha=0.3, c_beta=0.02)
    assert not learner.guaranteed
    with pytest.raises(ValueError, match="covered by the proof"):
        glow_regret_bound(10, 2, 1.5, 0.5, 10.0, 1, GlowConstants(0.3, 0.02))


def test_single_ratios_void_the_guarantee_of_the_regret_theorem():
    with pytest.warns(UserWarning, match="mode 'full' need not hold mixtures"):
        assert not GLOW(weights="full").guaranteed


def test_weights_that_cannot_refute_anything_are_announced():
    problem = as_problem(incomplete_class())
    with pytest.warns(UserWarning, match="leave alpha >= 1 throughout"):
        GLOW(gamma=0.1).init(problem.spec(80), RNG)


def test_harmonic_numbers():
    assert harmonics(3) == pytest.approx([1, 1.5, 11 / 6])


# Refusals.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 1.5}, "gamma must be"),
        ({"gamma": -0.1}, "gamma must be"),
        ({"episodes": 0}, "episodes must be at least 1; got 0"),
        ({"delta": 0.0}, r"delta must be in \(0, 1\)"),
        ({"delta": 1.0}, r"delta must be in \(0, 1\)"),
        ({"weights": "some"}, "weights must be one of"),
        ({"constants": "loose"}, "constants must be one of"),
        ({"constants": "practical", "c_alpha": 0.0}, "c_alpha must be positive"),
        ({"ties": "random"}, "ties must be one of"),
        ({"scales": -1}, "scales must be at least 0"),
    ],
)
def test_a_wrong_parameter_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        GLOW(**options)


@pytest.mark.parametrize(("gamma", "a"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0)])
def test_noise_free_runs_need_positive_parameters(gamma, a):
    with pytest.raises(ValueError, match="must be"):
        population_glow(incomplete_class(), 10, gamma, a)


def test_values_above_one_are_refused_and_rounding_is_not():
    Q = np.full((1, 1, 1, 1), 1.1)
    with pytest.raises(ValueError, match=r"functions.Q\[0, 0, 0, 0\] must be in \[0, 1\]; got 1.1"):
        Candidates.of(FiniteFunctionClass(Q))
    Candidates.of(FiniteFunctionClass(Q / 1.1 + 1e-15))


def test_an_episode_that_pays_more_than_one_is_refused():
    model = incomplete_class(oracle=True)
    from theoryrl.models import EpisodicMDP

    rich = EpisodicMDP(model.mdp.P, np.full((2, 2, 2), 0.8), model.mdp.rho)
    problem = EpisodicProblem(rich, hypotheses=model.hypotheses)
    with pytest.raises(ValueError, match=r"rewards\[0\] must be non-negative and sum to at most 1"):
        play(problem, small(), 20)


def test_a_problem_without_candidates_is_refused():
    problem = EpisodicProblem(incomplete_class().mdp)
    for learner in (small(), GOLF()):
        with pytest.raises(ValueError, match=r"needs a problem with candidate functions"):
            play(problem, learner, 10)


def test_weights_for_another_shape_are_refused():
    other = incomplete_hybrid()
    weights = WeightClass.from_models(other.hypotheses.models, other.hypotheses.functions)
    with pytest.raises(ValueError, match="weights must be made for"):
        play(incomplete_class(), GLOW(weights=weights), 10)


def test_candidates_that_are_the_truth_must_say_so():
    model = incomplete_class(oracle=True)
    silent = Hypotheses(model.hypotheses.functions, FiniteModelClass.from_models([model.mdp]))
    with pytest.raises(ValueError, match=r"hypotheses.oracle must be True"):
        CandidateMDP(model.mdp, silent)


def test_candidates_without_the_truth_are_announced():
    model = incomplete_class()
    others = FiniteModelClass.from_models([model.hypotheses.models[1]])
    with pytest.warns(UserWarning, match="no candidate model is the true one"):
        as_problem(CandidateMDP(model.mdp, Hypotheses(model.hypotheses.functions, others)))


def test_exact_residuals_of_the_optimum_are_zero():
    model = rich_lock(10)
    assert np.abs(exact_residuals(model.mdp, model.hypotheses.functions)[0]).max() < 1e-14
