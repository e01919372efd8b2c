"""MEX plays what its objective says, over every class, and says what it needs."""

import itertools

import numpy as np
import pytest

from theoryrl.instances import (
    nearby_models,
    perturbed_values,
    random_dirichlet,
    random_linear,
    risky_arms,
    risky_arms_class,
    riverswim,
    sparse_rewards,
)
from theoryrl.learners import MEX, gec
from theoryrl.learners.mex import play_whole, run_whole
from theoryrl.models import (
    EpisodicMDP,
    FiniteModelClass,
    LinearMixtureClass,
    LinearQClass,
    ProductQClass,
    TabularModelClass,
    TabularQClass,
)
from theoryrl.protocol import EpisodicProblem, Run, as_problem, play

RISKY, ARMS = risky_arms(), risky_arms_class()
SPARSE = sparse_rewards()
FUNCTIONS = perturbed_values(SPARSE, size=6)
SMALL = random_dirichlet(3, 2, 3, 0.5, seed=1)
BASES = np.stack([random_dirichlet(3, 2, 3, 0.5, seed=seed).P for seed in (1, 2, 3)])

CASES = {
    "finite": (RISKY, MEX(hypotheses=ARMS)),
    "finite, anytime": (RISKY, MEX(hypotheses=ARMS, schedule="anytime")),
    "finite, with an error": (RISKY, MEX(hypotheses=ARMS, error=0.2)),
    "product": (SPARSE, MEX(hypotheses=FUNCTIONS)),
    "product, anytime": (SPARSE, MEX(hypotheses=FUNCTIONS, schedule="anytime")),
    "kernels": (SMALL, MEX(hypotheses=TabularModelClass(), eta=0.2)),
    "tables": (SMALL, MEX()),
    "mixtures": (SMALL, MEX(hypotheses=LinearMixtureClass(BASES, SMALL.r), eta=0.1)),
    "linear": (random_linear(), MEX(hypotheses=LinearQClass(), eta=0.3)),
}
every_case = pytest.mark.parametrize(("model", "learner"), CASES.values(), ids=CASES)


@every_case
def test_a_run_is_the_same_however_it_is_cut(model, learner, tmp_path):
    whole = play(model, learner, 40, seed=3)
    assert whole.same_as(play(model, learner, 40, seed=3, stepwise=True))
    begun = Run(as_problem(model), learner, 40, 3).advance(17)
    begun.save(tmp_path / "run")
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)


@every_case
def test_regret_is_never_negative_and_a_stated_gap_never_either(model, learner):
    trace = play(model, learner, 60, seed=0)
    assert (trace.benchmarks - trace.values).min() >= -1e-9
    if "gap" in trace.diagnostics:
        assert trace.diagnostics["gap"].min() >= 0
        assert (trace.diagnostics["upper"] >= trace.diagnostics["objective"] - 1e-9).all()


@pytest.mark.parametrize("options", [{}, {"schedule": "anytime"}, {"error": 0.2}, {"eta": 0.3}])
def test_the_compiled_run_gives_the_trace_of_the_stepwise_one(options):
    problem, learner = EpisodicProblem(RISKY, "risky arms"), MEX(hypotheses=ARMS, delta=0.1, **options)
    assert play_whole(problem, learner, 400, 5).same_as(play(problem, learner, 400, 5))


def test_eta_is_the_theorys_and_that_of_the_reference_run():
    """The dossier's 0.167: H = 5, S A = 20, K = 4000, 16 models, delta = 0.1."""
    learner = MEX(hypotheses=ARMS, delta=0.1)
    assert learner.price(0, 4000) == pytest.approx(0.167, abs=5e-4)
    d = gec.model_based_gec(20, 5, 4000)
    assert d == pytest.approx(2 / np.log(2) * 125 * 20 * np.log(4000), rel=1e-12)
    bound = gec.model_based_regret(
        d, gec.model_based_burn_in(20, 5), 5, 4000, gec.model_based_iota(16, 5, 0.1)
    )
    assert bound == pytest.approx(90849, rel=1e-3)


def test_refined_constants_are_smaller_by_the_sum_of_squares():
    assert gec.model_based_gec(6, 4, 100, refined=True) == pytest.approx(
        gec.model_based_gec(6, 4, 100) * (9 + 4 + 1) / 64, rel=1e-12
    )
    assert gec.model_based_burn_in(6, 4, refined=True) == pytest.approx(np.sqrt(2) * 4 * 3 * 6, rel=1e-12)


def test_epochs_double_and_each_has_its_own_eta():
    learner = MEX(hypotheses=ARMS, schedule="anytime")
    etas = [learner.price(k, 10) for k in range(15)]
    # ln(2^{m+1}) / 2^m is ln 2 for m = 0 and for m = 1: the first two epochs share their eta.
    assert [len(list(group)) for _, group in itertools.groupby(etas)] == [3, 4, 8]
    iota, d = gec.model_based_iota(16, 5, 0.05), gec.model_based_gec(20, 5, 16)
    assert etas[7] == pytest.approx(np.sqrt(d / (16 * 5 * 8 * iota)), rel=1e-12)


def test_the_product_class_is_played_by_enumeration_over_all_candidates():
    """6^4 candidates with losses recomputed from the trajectories."""
    problem, learner, rounds = EpisodicProblem(SPARSE), MEX(hypotheses=FUNCTIONS, eta=0.3), 30
    run = Run(problem, learner, rounds, seed=2)
    F, G = FUNCTIONS.F, FUNCTIONS.auxiliary
    seen = []
    for _ in range(rounds):
        run.advance(1)
        objective = run.trace.diagnostics["objective"][-1]
        assert objective == pytest.approx(best_by_listing(F, G, seen, 0.3), abs=1e-9)
        replay = play_states(problem, learner, run.played, 2)
        seen = replay
    assert len(seen) == rounds


def play_states(problem, learner, rounds, seed):
    """The trajectories of the first episodes, from a second run that records them."""
    from theoryrl.protocol import Streams

    streams = Streams.from_seed(seed)
    state, environment = learner.init(problem.spec(30), streams.learner), problem.environment(streams)
    found = []
    for _ in range(rounds):
        decision = learner.plan(state)
        environment.begin(decision)
        observation = environment.interact(decision, 1).observation
        found.append(
            (observation.states[0].copy(), observation.actions[0].copy(), observation.rewards[0].copy())
        )
        state = learner.update(state, decision, observation)
    return found


def best_by_listing(F, G, seen, eta):
    H, N = F.shape[:2]
    losses = np.zeros((H, N, N))
    for h in range(H):
        for j in range(N):

            def squares(layer, h=h, j=j):
                total = np.zeros(len(layer))
                for s, a, r in seen:
                    following = F[h + 1, j, s[h + 1]].max() if h + 1 < H else 0.0
                    total += (layer[:, s[h], a[h]] - r[h] - following) ** 2
                return total

            losses[h, :, j] = squares(F[h]) - squares(G[h]).min()
    V = F[0, :, 0].max(axis=1)
    return max(
        V[c[0]] - eta * sum(losses[h, c[h], c[h + 1] if h + 1 < H else 0] for h in range(H))
        for c in itertools.product(range(N), repeat=H)
    )


def test_ties_go_to_the_lowest_index_so_the_order_of_a_class_decides_against_the_truth():
    trace = play(RISKY, MEX(hypotheses=ARMS), 1, seed=0)
    assert trace.diagnostics["index"][0] == 1
    assert ARMS.index(RISKY) == 15


def test_only_the_theorys_eta_is_guaranteed():
    assert MEX(hypotheses=ARMS).guaranteed
    assert MEX(hypotheses=FUNCTIONS, schedule="anytime").guaranteed
    assert not MEX(hypotheses=ARMS, eta=0.1).guaranteed
    assert not MEX().guaranteed
    assert not play(SMALL, MEX(hypotheses=TabularModelClass()), 3).guaranteed


@pytest.mark.parametrize("eta", [0.0, -1.0, float("inf"), float("nan")])
def test_an_eta_that_is_not_a_positive_number_is_refused(eta):
    with pytest.raises(ValueError, match="eta must be"):
        MEX(eta=eta)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 1.0}, r"delta must be in \(0, 1\); got 1\.0"),
        ({"schedule": "weekly"}, "schedule must be one of horizon, anytime"),
        ({"schedule": "anytime"}, "schedule = 'anytime' is for the theory's eta of a FiniteModelClass"),
        ({"hypotheses": ARMS, "schedule": "anytime", "eta": 1.0}, r"got eta = 1\.0"),
        ({"error": 0.1}, "error is for a FiniteModelClass"),
        ({"hypotheses": "all"}, "hypotheses must be a .*TabularQClass.*; got str"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        MEX(**options)


def test_a_class_that_does_not_fit_the_problem_is_refused():
    other = nearby_models(SMALL, size=3)
    with pytest.raises(ValueError, match=r"hypotheses must have \(H, S, A\) = \(5, 4, 5\)"):
        play(RISKY, MEX(hypotheses=other), 3)
    with pytest.raises(ValueError, match=r"hypotheses must have \(H, S, A\) = \(5, 4, 5\)"):
        play(RISKY, MEX(hypotheses=FUNCTIONS), 3)
    moved = EpisodicMDP(SMALL.P, SMALL.r, np.array([0.0, 1.0, 0.0]))
    with pytest.raises(ValueError, match=r"hypotheses\.rho must be the law"):
        play(moved, MEX(hypotheses=other), 3)
    paid = EpisodicMDP(SMALL.P, SMALL.r / 2, SMALL.rho)
    with pytest.raises(ValueError, match=r"hypotheses\.r must be the rewards"):
        play(paid, MEX(hypotheses=other), 3)
    unequal = FiniteModelClass(other.P, np.stack([SMALL.r, SMALL.r, SMALL.r / 2]), SMALL.rho)
    with pytest.raises(ValueError, match="hypotheses must share their rewards"):
        play(SMALL, MEX(hypotheses=unequal), 3)
    with pytest.raises(ValueError, match=r"needs a problem with features"):
        play(SMALL, MEX(hypotheses=LinearQClass()), 3)
    with pytest.raises(ValueError, match=r"needs known rewards; spec\.rewards"):
        play(EpisodicProblem(SMALL, known_rewards=False), MEX(hypotheses=TabularModelClass()), 3)
    with pytest.raises(ValueError, match=r"hypotheses\.r must be the rewards"):
        play(SMALL, MEX(hypotheses=LinearMixtureClass(BASES, SMALL.r / 2)), 3)
    with pytest.raises(ValueError, match="must be 0 for this class"):
        MEX(eta=1.0).init(as_problem(SMALL).spec(3), np.random.default_rng()).losses.plan(1.0, 0.1)


def deterministic(target):
    P = np.zeros((2, 2, 1, 2))
    P[..., target] = 1.0
    return EpisodicMDP(P, np.full((2, 2, 1), 0.5), np.array([1.0, 0.0]))


def test_a_class_in_which_every_model_has_become_impossible_says_so():
    family = FiniteModelClass.from_models([deterministic(0)])
    learner = MEX(hypotheses=family)
    with pytest.raises(ValueError, match="every model gives the data probability zero"):
        play(deterministic(1), learner, 2)
    with pytest.raises(ValueError, match="every model gives the data probability zero"):
        run_whole(EpisodicProblem(deterministic(1)), learner, 2, 0)


def test_an_impossible_model_is_dropped_and_the_others_stay():
    family = FiniteModelClass.from_models([deterministic(0), deterministic(1)])
    trace = play(deterministic(1), MEX(hypotheses=family), 3)
    assert trace.diagnostics["index"].tolist() == [0.0, 1.0, 1.0]


def test_on_riverswim_the_tabular_forms_leave_undirected_exploration_behind():
    """150 of 1500 episodes: a fact about fixed seeds, not a statistical claim."""
    from theoryrl.learners import EpsilonGreedy

    regret = {
        name: np.mean([play(riverswim(), learner, 300, seed).final_regret for seed in range(2)])
        for name, learner in {"mex": MEX(eta=1.0), "greedy": EpsilonGreedy(epsilon=0.0)}.items()
    }
    assert regret["mex"] < 0.5 * regret["greedy"]


def test_the_smallest_horizon_has_a_finite_eta():
    trace = play(RISKY, MEX(hypotheses=ARMS), 1)
    assert np.isfinite(trace.diagnostics["eta"]).all()
    assert isinstance(MEX().hypotheses, TabularQClass)
    assert isinstance(FUNCTIONS, ProductQClass)
