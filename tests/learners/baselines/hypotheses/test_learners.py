"""Learners over the same classes as MEX do what their names say."""

import numpy as np
import pytest

from theoryrl.instances import (
    perturbed_values,
    random_linear,
    risky_arms,
    risky_arms_class,
    riverswim,
    sparse_rewards,
)
from theoryrl.learners import (
    BPIUCBVI,
    KLUCBVI,
    LSVI,
    MEX,
    RLSVI,
    EpsilonGreedy,
    FinitePSRL,
    GreedyMLE,
    LevelSetOFU,
    ProductGOLF,
)
from theoryrl.protocol import Run, as_problem, play
from theoryrl.solvers import backward_induction

RISKY, ARMS = risky_arms(), risky_arms_class()
SPARSE = sparse_rewards()
FUNCTIONS = perturbed_values(SPARSE, size=6)

CASES = {
    "level-set": (RISKY, LevelSetOFU(hypotheses=ARMS)),
    "posterior": (RISKY, FinitePSRL(hypotheses=ARMS)),
    "feel-good": (RISKY, FinitePSRL(hypotheses=ARMS, optimism=2.0)),
    "likelihood": (RISKY, GreedyMLE(hypotheses=ARMS)),
    "golf": (SPARSE, ProductGOLF(hypotheses=FUNCTIONS)),
    "kl": (SPARSE, KLUCBVI()),
    "epsilon": (SPARSE, EpsilonGreedy()),
    "lsvi-ucb": (random_linear(), LSVI()),
    "rlsvi": (random_linear(), RLSVI()),
}


@pytest.mark.parametrize(("model", "learner"), CASES.values(), ids=CASES)
def test_a_run_is_the_same_however_it_is_cut(model, learner, tmp_path):
    whole = play(model, learner, 40, seed=3)
    assert whole.same_as(play(model, learner, 40, seed=3, stepwise=True))
    begun = Run(as_problem(model), learner, 40, 3).advance(17)
    begun.save(tmp_path / "run")
    assert whole.same_as(Run.load(tmp_path / "run").advance().trace)
    assert (whole.benchmarks - whole.values).min() >= -1e-9


def test_the_level_set_is_optimistic_as_long_as_the_truth_is_in_it():
    trace = play(RISKY, LevelSetOFU(hypotheses=ARMS), 300, seed=0)
    assert (trace.diagnostics["optimistic_value"] >= trace.benchmark - 1e-9).all()
    assert LevelSetOFU(hypotheses=ARMS).guaranteed
    assert not LevelSetOFU(hypotheses=ARMS, radius=1.0).guaranteed


def test_a_level_set_of_radius_zero_is_the_likeliest_model():
    narrow = play(RISKY, LevelSetOFU(hypotheses=ARMS, radius=1e-9), 200, seed=1)
    assert narrow.same_as(play(RISKY, GreedyMLE(hypotheses=ARMS), 200, seed=1))


def test_greedy_likelihood_is_mex_at_an_enormous_eta():
    greedy = play(RISKY, GreedyMLE(hypotheses=ARMS), 200, seed=1)
    np.testing.assert_array_equal(
        greedy.values, play(RISKY, MEX(hypotheses=ARMS, eta=1e7), 200, seed=1).values
    )


def test_the_posterior_is_drawn_with_the_weights_of_the_likelihood():
    """10^4 draws of a fixed posterior; chi-square at 15 degrees of freedom, false alarm 1e-6."""
    learner = FinitePSRL(hypotheses=ARMS)
    state = learner.init(as_problem(RISKY).spec(1), np.random.default_rng(0))
    state.models.loss[:] = np.linspace(0, 3, 16)
    draws = np.bincount([learner.choose(state) for _ in range(10_000)], minlength=16)
    weights = np.exp(-state.models.loss)
    expected = 10_000 * weights / weights.sum()
    assert np.sum((draws - expected) ** 2 / expected) < 56.5


def test_golf_keeps_the_optimal_values_and_is_optimistic():
    trace = play(SPARSE, ProductGOLF(hypotheses=FUNCTIONS), 200, seed=0)
    best = backward_induction(SPARSE).start_value
    assert (trace.diagnostics["optimistic_value"] >= best - 1e-9).all()
    assert not ProductGOLF(hypotheses=FUNCTIONS, beta=1.0).guaranteed


def test_golf_without_a_feasible_candidate_says_so():
    with pytest.raises(ValueError, match=r"beta = 0 leaves no candidate"):
        play(SPARSE, ProductGOLF(hypotheses=FUNCTIONS, beta=0.0), 100, seed=0)


def test_kl_ucbvi_is_optimism_with_the_kl_bounds():
    first, second = (play(riverswim(4, 6), learner, 50, 0) for learner in (KLUCBVI(), BPIUCBVI(bounds="kl")))
    np.testing.assert_array_equal(first.values, second.values)


def test_epsilon_one_is_uniform_and_epsilon_zero_is_greedy():
    uniform = play(SPARSE, EpsilonGreedy(epsilon=1.0), 30, seed=0)
    assert np.ptp(uniform.values) < 1e-12
    learner = EpsilonGreedy(epsilon=0.0)
    state = learner.init(as_problem(SPARSE).spec(1), np.random.default_rng(0))
    assert learner.plan(state).policy.probabilities.max(axis=2).min() == 1.0


def test_no_bonus_and_no_noise_are_the_same_regression():
    model = random_linear(seed=1)
    plain, quiet = play(model, LSVI(beta=0.0), 60, 0), play(model, RLSVI(sigma=0.0), 60, 0)
    assert plain.same_as(quiet)


def test_what_a_learner_needs_and_refuses_is_named():
    with pytest.raises(ValueError, match="lsvi needs a problem with features"):
        play(SPARSE, LSVI(), 2)
    for make, message in (
        (lambda: LSVI(beta=-1.0), "beta must be"),
        (lambda: LSVI(ridge=0.0), "ridge must be positive"),
        (lambda: RLSVI(sigma=-1.0), "sigma must be"),
        (lambda: EpsilonGreedy(epsilon=1.5), r"epsilon must be .*\[0, 1\]; got 1\.5"),
        (lambda: ProductGOLF(hypotheses=FUNCTIONS, beta=-1.0), "beta must be"),
        (lambda: LevelSetOFU(hypotheses=FUNCTIONS), "hypotheses must be a FiniteModelClass"),
        (lambda: FinitePSRL(hypotheses=ARMS, optimism=-1.0), "optimism must be"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
