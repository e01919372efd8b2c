"""The tuner solves what it is given, learns from counts only, and says what went wrong."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from theoryrl import RelaxationTuner, play
from theoryrl.instances import shifted_laplacian
from theoryrl.instances.linear_systems import laplacian
from theoryrl.learners import BinnedTsallisINF, ChebCB, FixedArm, TsallisINF
from theoryrl.protocol import BanditProblem, relaxation_table
from theoryrl.solvers import LinearSolveError, iteration_table, sor

SEQUENCE = shifted_laplacian(side=6, rounds=80, seed=1)


def stream(tuning):
    systems = tuning.systems
    for t, (A, b) in enumerate(systems):
        yield A, b, None if systems.contexts is None else systems.contexts[t]


@pytest.mark.parametrize("method", ["sor", "ssor", "ssor-pcg"])
def test_every_system_of_a_stream_is_solved(method):
    tuner = RelaxationTuner(method)
    for A, b, _ in stream(SEQUENCE):
        x = tuner.solve(A, b)
        np.testing.assert_allclose(x, spsolve(A.tocsc(), b), atol=1e-5)
        assert tuner.last.residual <= 1e-8 * np.linalg.norm(b)
    assert len(tuner.counts) == len(tuner.omegas) == 80
    assert tuner.counts.sum() == int(repr(tuner).split(", ")[-1].split()[0])


@pytest.mark.parametrize("learner", [ChebCB(), BinnedTsallisINF(scale="running-mean"), TsallisINF()])
def test_the_tuner_does_what_play_does_on_the_table_of_counts(learner):
    """Same learner, same seed of its stream: the same arms and counts, solve by solve."""
    table = relaxation_table(SEQUENCE)
    problem = BanditProblem(table, blocks=False)
    trace = play(problem, learner, 80, seed=4)
    tuner = RelaxationTuner(
        "sor", learner, SEQUENCE.omegas, context_range=(-0.15, 0.65), largest_count=int(table.loss_range[1])
    )
    spec = problem.spec(80)
    stream_seed = np.random.SeedSequence(4).spawn(3)[2]
    tuner._state = learner.init(spec, np.random.default_rng(stream_seed))
    for A, b, context in stream(SEQUENCE):
        tuner.solve(A, b, context=context)
    np.testing.assert_array_equal(tuner.counts, -trace.values)


def test_the_table_has_the_counts_of_single_solves():
    counts = iteration_table(SEQUENCE)
    for t in (0, 7, 33):
        A, b = SEQUENCE.systems.system(t)
        for i in (0, 9, 19):
            assert sor(A, b, float(SEQUENCE.omegas[i])).iterations == counts[t, i]


def test_on_random_shifts_the_tuner_saves_a_third_of_the_iterations_of_gauss_seidel():
    """Every parameter of the grid but the first saves more than that on average; the seed is fixed."""
    tuning = shifted_laplacian(side=8, rounds=300, seed=0)
    gauss_seidel = iteration_table(tuning)[:, 0].sum()
    tuner = RelaxationTuner("sor")
    for A, b, _ in stream(tuning):
        tuner.solve(A, b)
    assert tuner.counts.sum() < 2 / 3 * gauss_seidel


def test_a_solve_that_fails_raises_with_its_history_and_is_learnt_from():
    tuner = RelaxationTuner("sor", max_iterations=3)
    A, b = SEQUENCE.systems.system(0)
    with pytest.raises(LinearSolveError, match="did not converge in 3 iterations") as caught:
        tuner.solve(A, b)
    assert len(caught.value.solution.residuals) == 4
    assert tuner.counts.tolist() == [4]


@pytest.mark.parametrize("method", ["sor", "ssor", "ssor-pcg"])
def test_the_learner_is_charged_the_count_less_one(method):
    tuner = RelaxationTuner(method, max_iterations=1000)
    for A, b, _ in stream(SEQUENCE):
        tuner.solve(A, b)
    charged = tuner._state.clock[0, 1] * 1000  # the width of the range [1, max_iterations + 1]
    assert charged == pytest.approx((tuner.counts - 1).sum(), rel=1e-12)


@pytest.mark.parametrize("method", ["sor", "ssor", "ssor-pcg"])
def test_a_stream_may_change_its_size_and_go_on_after_failures(method):
    """Sizes 9 to 64, sparse and dense; an indefinite matrix and a solve that gives up in between."""
    tuner = RelaxationTuner(method, max_iterations=400)
    for index, side in enumerate((3, 8, 5, 8, 3, 6)):
        A, b = laplacian(side) + 0.1 * index * sparse.eye_array(side * side), np.ones(side * side)
        x = tuner.solve(A if index % 2 else A.toarray(), b, x0=None if index % 3 else 0.5 * b)
        np.testing.assert_allclose(A @ x, b, atol=1e-6)
        with pytest.raises(ValueError, match="positive definite"):
            tuner.solve(A - 4 * sparse.eye_array(side * side) + sparse.diags_array(np.full(side**2, 0.1)), b)
    assert len(tuner.counts) == 6
    hard = sparse.csr_array(laplacian(40))
    tuner.max_iterations = 5
    with pytest.raises(LinearSolveError, match="did not converge in 5 iterations") as caught:
        tuner.solve(hard, np.ones(1600))
    residuals = caught.value.solution.residuals
    assert len(residuals) == 6
    assert not caught.value.solution.converged
    assert caught.value.solution.residual == pytest.approx(residuals[-1], rel=1e-6)
    tuner.max_iterations = 400
    tuner.solve(laplacian(4), np.ones(16))
    assert tuner.counts[-2] == 6
    assert len(tuner.counts) == len(tuner.omegas) == 8


def test_a_start_of_another_size_is_named():
    tuner = RelaxationTuner()
    tuner.solve(laplacian(3), np.ones(9))
    with pytest.raises(ValueError, match="x0"):
        tuner.solve(laplacian(4), np.ones(16), x0=np.ones(9))
    with pytest.raises(ValueError, match="b must"):
        tuner.solve(laplacian(4), np.ones(9))
    assert len(tuner.counts) == 1


def test_bad_systems_teach_nothing():
    tuner = RelaxationTuner("sor")
    for A, b, message in (
        (np.ones((2, 3)), np.ones(2), "A must be square"),
        (-np.eye(2), np.ones(2), r"A\[0, 0\] must be positive"),
        (np.eye(2), np.array([1.0, np.nan]), r"b\[1\] must be finite"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2), "positive definite"),
    ):
        with pytest.raises(ValueError, match=message):
            tuner.solve(A, b)
    assert len(tuner.counts) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RelaxationTuner("jacobi"), "method must be one of sor, ssor, ssor-pcg; got 'jacobi'"),
        (lambda: RelaxationTuner(omegas=[1.0, 2.0]), r"omegas\[1\] must be in \(0, 2\); got 2\.0"),
        (lambda: RelaxationTuner(omegas=[1.5, 1.0]), r"omegas\[1\] must be larger"),
        (lambda: RelaxationTuner(tol=1.0), "tol must be in"),
        (lambda: RelaxationTuner(learner=ChebCB()), "cheb-cb needs contexts"),
        (lambda: RelaxationTuner(learner=TsallisINF(rate="horizon")), "horizon must be given"),
        (lambda: RelaxationTuner(context_range=(1.0, 0.0)), "context_range must be increasing"),
    ],
)
def test_bad_options_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_contexts_are_given_always_or_never_and_within_their_range():
    A, b = SEQUENCE.systems.system(0)
    with pytest.raises(ValueError, match="context and context_range go together"):
        RelaxationTuner("sor").solve(A, b, context=0.0)
    tuner = RelaxationTuner("sor", ChebCB(), context_range=(0.0, 1.0))
    with pytest.raises(ValueError, match="go together"):
        tuner.solve(A, b)
    with pytest.raises(ValueError, match=r"context\[0\] must be in \[0, 1\]; got 2\.0"):
        tuner.solve(A, b, context=2.0)


def test_a_count_above_the_promised_bound_is_refused():
    A, b = SEQUENCE.systems.system(0)
    with pytest.raises(ValueError, match="largest_count must be at least"):
        RelaxationTuner("sor", TsallisINF(), largest_count=3).solve(A, b)


@pytest.mark.parametrize("method", ["sor", "ssor", "ssor-pcg"])
def test_a_system_that_its_start_solves_counts_zero_and_teaches_nothing(method):
    A, b = SEQUENCE.systems.system(0)
    tuner, other = RelaxationTuner(method), RelaxationTuner(method)
    np.testing.assert_array_equal(tuner.solve(A, 0 * b), 0)
    assert tuner.counts.tolist() == [0]
    assert tuner._state.clock[0, 0] == 0
    other.solve(A, b)
    assert other._state.clock[0, 0] == 1


def test_a_learner_without_contexts_may_be_given_some():
    A, b = SEQUENCE.systems.system(0)
    tuner = RelaxationTuner("sor", FixedArm(3), context_range=(0.0, 1.0))
    tuner.solve(A, b, context=0.5)
    assert tuner.omegas[0] == tuner.grid[3]


def test_a_rate_made_for_a_known_number_of_systems_is_not_made_for_one():
    learner = ChebCB(exploration="theory")
    with pytest.raises(ValueError, match="horizon must be given"):
        RelaxationTuner("sor", learner, context_range=(0.0, 1.0))
    RelaxationTuner("sor", learner, context_range=(0.0, 1.0), horizon=50)
