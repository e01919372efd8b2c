"""Offline fits with candidates, H2O, HyGLOW and the hybrid baselines."""

import dataclasses
import itertools

import numpy as np
import pytest

from theoryrl.instances import hybrid_lock, incomplete_hybrid
from theoryrl.learners import (
    H2O,
    MABO,
    MABOCR,
    FittedQIteration,
    HyGLOW,
    HyQ,
    ModelMLE,
    OfflineAlgorithm,
    OfflineOnly,
    OnlineFQI,
    population_hyglow,
)
from theoryrl.learners.candidates import Candidates, ResidualSums
from theoryrl.learners.offline_fits import fitted_indices, mabo_objective
from theoryrl.learners.population import Expectations, population_mabo
from theoryrl.models import DeterministicPolicy, FiniteFunctionClass, OfflineDataset
from theoryrl.protocol import EpisodicProblem, Run, as_problem, play
from theoryrl.solvers import density_ratio, occupancy_measure, policy_value

RNG = np.random.default_rng(0)


def random_tables(H=2, C=3, F=4, W=5, seed=0):
    rng = np.random.default_rng(seed)
    N = rng.dirichlet(np.ones(C), size=H)
    return N, N[..., None] * rng.uniform(-1, 1, size=(H, C, F)), 3 * rng.random((W, H, C))


# The objective.


def test_the_objective_is_the_papers_term_by_term():
    """The modulus is inside the sum over stages, weights are clipped and not set to zero, bit by bit."""
    for seed in range(20):
        N, G, w = random_tables(seed=seed)
        alpha, H = 0.3, len(N)
        values = mabo_objective(N, G, w, alpha)
        for f in range(G.shape[2]):
            terms = [
                [abs(w[k, h] @ G[h, :, f]) - alpha * ((w[k, h] ** 2) @ N[h]) for h in range(H)]
                for k in range(5)
            ]
            joint, single = max(map(sum, terms)), max(map(max, terms))
            assert values[f] == pytest.approx(max(joint, single), abs=1e-14)
            assert mabo_objective(N, G, w, alpha, False)[f] == pytest.approx(joint, abs=1e-14)


def test_a_modulus_around_the_sum_is_another_objective():
    N, G, w = random_tables()
    linear = np.einsum("whc,hcf->hwf", w, G)
    square = 0.3 * np.einsum("whc,hc->w", w**2, N)
    outside = (np.abs(linear.sum(axis=0)) - square[:, None]).max(axis=0)
    assert np.abs(outside - mabo_objective(N, G, w, 0.3, False)).max() > 1e-3


def test_clipping_caps_a_weight_and_does_not_drop_it():
    model = incomplete_hybrid()
    weights = np.full((1, 2, 4, 3), np.inf)
    n = 100
    learner = MABOCR(model.hypotheses.functions, weights, gamma=0.01, c_alpha=0.5)
    data = model.offline.subset(slice(0, n))
    capped = MABOCR(model.hypotheses.functions, np.full(weights.shape, 1.0), gamma=10.0, c_alpha=0.5 * 1000)
    np.testing.assert_allclose(learner.objective(data), capped.objective(data), atol=1e-12)
    assert np.abs(learner.objective(data)).max() > 0


def test_the_population_objective_is_the_limit_of_the_sampled_one():
    model = incomplete_hybrid(episodes=20_000)
    exact = Expectations.of(model.mdp, model.hypotheses.functions)
    mu = occupancy_measure(model.mdp, model.behaviour).reshape(2, -1)
    weights = density_ratio(exact.d, mu).reshape(-1, 2, 4, 3)
    clip, n = 5.0, len(model.offline)
    sampled = MABOCR(model.hypotheses.functions, weights, clip / n, 1.0).objective(model.offline)
    # 4 standard deviations of a mean of residuals times weights of at most 5
    np.testing.assert_allclose(sampled, population_mabo(exact, mu, clip), atol=4 * 5 / np.sqrt(n))


def test_mabo_needs_finite_weights():
    functions = incomplete_hybrid().hypotheses.functions
    with pytest.raises(ValueError, match=r"weights\[0, 0, 0, 0\] must be finite"):
        MABO(functions, np.full((1, 2, 4, 3), np.inf))


# The other fits.


def test_fitted_q_iteration_is_least_squares_stage_by_stage():
    model = incomplete_hybrid()
    data, Q = model.offline.subset(slice(0, 50)), model.hypotheses.functions.Q
    candidates = Candidates.of(model.hypotheses.functions)
    chosen = fitted_indices(candidates, ResidualSums.of_data(candidates, data), "last")

    def loss(h, f, target):
        return float(((Q[f, h, data.states[:, h], data.actions[:, h]] - target) ** 2).sum())

    target = data.rewards[:, 1]
    for h in (1, 0):
        losses = [loss(h, f, target) for f in range(len(Q))]
        assert losses[chosen[h]] == pytest.approx(min(losses), abs=1e-9)
        target = data.rewards[:, 0] + Q[chosen[h], h][data.states[:, h]].max(axis=1)


def test_tabular_fitted_q_iteration_finds_the_optimum_of_the_lock_with_enough_data():
    model = hybrid_lock()
    uniform = play(as_problem(model), H2O("tabular-fqi"), 100)
    assert uniform.stretch_values[-1] == pytest.approx(0.9)


def test_the_likeliest_model_is_the_true_one():
    model = incomplete_hybrid()
    likelihood = ModelMLE(model.hypotheses.models).log_likelihood(model.offline)
    assert likelihood[0].argmax() == 0
    assert likelihood[0, 1] == -np.inf
    policy = ModelMLE(model.hypotheses.models).fit(model.offline)
    assert policy_value(model.mdp, policy) == pytest.approx(0.9)


def test_every_fit_is_an_offline_algorithm():
    functions = incomplete_hybrid().hypotheses.functions
    weights = np.ones((1, 2, 4, 3))
    for algorithm in (FittedQIteration(functions), MABO(functions, weights), MABOCR(functions, weights, 1.0)):
        assert isinstance(algorithm, OfflineAlgorithm)


@pytest.mark.parametrize("shape", [(1, 2, 4, 2), (0, 2, 4, 3), (2, 4, 3)])
def test_weights_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="weights must have shape"):
        MABOCR(incomplete_hybrid().hypotheses.functions, np.ones(shape), 1.0)


@pytest.mark.parametrize("number", [-1.0, np.nan])
def test_negative_weights_are_refused_by_index(number):
    weights = np.ones((1, 2, 4, 3))
    weights[0, 1, 2, 0] = number
    with pytest.raises(ValueError, match=r"weights\[0, 1, 2, 0\] must not be negative"):
        MABOCR(incomplete_hybrid().hypotheses.functions, weights, 1.0)


def test_data_of_another_shape_are_refused():
    data = hybrid_lock().offline
    model = incomplete_hybrid()
    for algorithm in (
        FittedQIteration(model.hypotheses.functions),
        ModelMLE(model.hypotheses.models),
        MABOCR(model.hypotheses.functions, np.ones((1, 2, 4, 3)), 1.0),
    ):
        with pytest.raises(ValueError, match="dataset must have"):
            algorithm.fit(data)


# The reduction.


class Recorder:
    """Remembers the data sets that it was given."""

    def __init__(self):
        self.seen = []

    def fit(self, dataset):
        self.seen.append(dataset)
        return DeterministicPolicy(np.zeros((2, 4), dtype=np.int64), 3)


def test_h2o_feeds_one_offline_and_one_online_episode_for_each_round():
    model, recorder = incomplete_hybrid(), Recorder()
    play(model, H2O(recorder), 6)
    assert [len(data) for data in recorder.seen] == [2, 4, 6, 8, 10]
    last = recorder.seen[-1]
    assert not last.independent
    np.testing.assert_array_equal(last.states[::2], model.offline.states[:5])


@pytest.mark.parametrize("offline", ["fqi", "mle", "tabular-fqi"])
def test_any_offline_algorithm_becomes_a_learner(offline):
    trace = play(incomplete_hybrid(), H2O(offline), 60)
    assert trace.rounds == 60


def test_hyglow_is_the_reduction_of_mabo_cr():
    """The objective of a round is that of the offline algorithm on the same data and weights."""
    model = incomplete_hybrid()
    learner = HyGLOW(gamma=0.3, ties="last")
    run = Run(as_problem(model), learner, 40, 2)
    hybrid = Run(as_problem(model), H2O(Recorder()), 40, 2)
    run.advance(12)
    state, t = run.state, run.state.round
    ratios = state.weights.hybrid_ratios(state.counts, state.nu).reshape(-1, 2, 4, 3)
    n = state.sums.episodes
    assert n == 2 * (t - 1) == 24
    assert hybrid.state.rounds == 0
    clip = 0.3 * t
    direct = mabo_objective(
        state.sums.N / n, state.sums.G / n, np.minimum(ratios, clip).reshape(-1, 2, 12), 8 / clip
    )
    np.testing.assert_allclose(learner.objective(state, t), direct, atol=1e-14)


@pytest.mark.parametrize("learner", [HyGLOW(gamma=0.3), H2O("fqi"), HyQ(), OnlineFQI(), OfflineOnly("fqi")])
def test_single_rounds_and_resumed_runs_give_one_trace(learner, tmp_path):
    problem = as_problem(incomplete_hybrid())
    whole = Run(problem, learner, 40, 3).advance().trace
    assert whole.same_as(Run(problem, learner, 40, 3, stepwise=True).advance().trace)
    Run(problem, learner, 40, 3).advance(13).save(tmp_path / "run")
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)


@pytest.mark.parametrize("learner", [HyGLOW(), H2O()])
def test_too_few_offline_episodes_are_refused(learner):
    with pytest.raises(ValueError, match=r"one offline episode for each of 20 rounds; spec.offline has 10"):
        play(incomplete_hybrid(episodes=10), learner, 20)


def test_missing_parts_of_a_hybrid_problem_are_named():
    model = incomplete_hybrid()
    bare = EpisodicProblem(model.mdp, hypotheses=model.hypotheses)
    for learner in (HyGLOW(), H2O(), HyQ(), OfflineOnly()):
        with pytest.raises(ValueError, match="offline"):
            play(bare, learner, 5)
    unknown = EpisodicProblem(model.mdp, hypotheses=model.hypotheses, offline=model.offline)
    with pytest.raises(ValueError, match="behaviour is None"):
        play(unknown, HyGLOW(), 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HyGLOW(gamma=2.0), "gamma must be"),
        (lambda: HyGLOW(delta=0.0), "delta must be"),
        (lambda: HyGLOW(c_alpha=0.0), "c_alpha must be positive"),
        (lambda: H2O("sarsa"), "offline must be one of"),
        (lambda: H2O(3), r"offline must have fit\(dataset\)"),
        (lambda: OfflineOnly(ties="x"), "ties must be one of"),
    ],
)
def test_a_wrong_parameter_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_another_factor_voids_the_guarantee():
    with pytest.warns(UserWarning, match="HyGLOW: the guarantee is void .*c_alpha = 1 is not 8"):
        assert not HyGLOW(c_alpha=1.0).guaranteed


def test_offline_episodes_that_depend_on_each_other_void_the_guarantee():
    model = incomplete_hybrid(episodes=20)
    assert play(model, HyGLOW(gamma=0.2), 20).guaranteed
    data = model.offline
    parts = data.states, data.actions, data.rewards, data.n_states, data.n_actions
    dependent = dataclasses.replace(model, offline=OfflineDataset(*parts, independent=False))
    assert not play(dependent, HyGLOW(gamma=0.2), 20).guaranteed


# What tells them apart.


def test_the_incomplete_class_fools_fitted_q_iteration_for_ever_and_not_hyglow():
    model = incomplete_hybrid()
    fooled = play(model, HyQ(ties="last"), 400)
    assert (fooled.values == fooled.values[0]).all()
    assert fooled.final_regret == pytest.approx(0.45 * 400)
    hybrid = play(model, HyGLOW(gamma=0.2, ties="last"), 600)
    assert hybrid.stretch_values[-1] == pytest.approx(0.9)


def test_the_class_holds_the_optimum_and_lacks_a_backup():
    model = incomplete_hybrid()
    Q = model.hypotheses.functions.Q
    exact = Expectations.of(model.mdp, model.hypotheses.functions)
    assert exact.best == 0
    backup = np.einsum("sat,t->sa", model.mdp.P[0], Q[1, 1].max(axis=1))
    assert min(np.abs(Q[f, 0, 0] - backup[0]).max() for f in range(len(Q))) > 0.4


def test_without_noise_the_compiled_rounds_are_those_of_a_plain_loop():
    model = incomplete_hybrid(episodes=1)
    exact = Expectations.of(model.mdp, model.hypotheses.functions)
    nu = occupancy_measure(model.mdp, model.behaviour)
    for ties, gamma in itertools.product(("first", "last"), (0.05, 1.0)):
        run = population_hyglow(model, nu, 30, gamma, 1.0, ties)
        past, law = np.zeros(exact.d.shape[1:]), nu.reshape(exact.d.shape[1:])
        for t in range(1, 31):
            mu = law if t == 1 else (law + past / (t - 1)) / 2
            values = population_mabo(exact, mu, gamma * t)
            lowest = np.flatnonzero(values <= values.min() + 1e-12)
            assert run.played[t - 1] == lowest[0 if ties == "first" else -1]
            past = past + exact.d[exact.policy_of[run.played[t - 1]]]


def test_functions_that_promise_nothing_are_played_for_ever_without_offline_data():
    model = hybrid_lock(spurious=0, episodes=1)
    nu = occupancy_measure(model.mdp, model.behaviour)
    assert population_hyglow(model, nu, 100, 1.0).regret[-1] < 10
    assert population_hyglow(model, nu, 100, 1.0, offline=False).regret[-1] == pytest.approx(90)
    assert isinstance(model.hypotheses.functions, FiniteFunctionClass)
