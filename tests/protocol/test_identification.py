"""Batches of exploration: what is shown when, and what is scored."""

import warnings

import numpy as np
import pytest

from theoryrl import play
from theoryrl.instances import offline_fork, twin_lock, two_arms
from theoryrl.learners import VILCB, FTPedel, Pedel
from theoryrl.models import EpisodicMDP, FineTuningTask, PolicyClass, RewardNoise, TransitionCounts
from theoryrl.protocol import Batch, IdentificationProblem, Run, Streams, identify
from theoryrl.solvers import policy_value


def test_a_batch_is_shown_at_its_end():
    problem = IdentificationProblem(offline_fork())
    environment = problem.environment(Streams.from_seed(0))
    pi = np.full((1, 3, 6, 3), 1 / 3)
    batch = Batch(problem.task.policies[0], pi, np.array([100]))
    environment.begin(batch)
    first = environment.interact(batch, 60)
    assert (first.rounds, first.finished, first.observation.transitions) == (60, False, None)
    last = environment.interact(batch, 60)
    assert (last.rounds, last.finished) == (40, True)
    assert last.observation.transitions[0].sum() == 100


def test_one_round_at_a_time_gives_the_identical_run():
    task, learner = two_arms(0.3), FTPedel(eps=0.9, growth=0.5)
    whole, stepwise = (play(task, learner, 400, 3, stepwise=step) for step in (False, True))
    assert whole.same_as(stepwise)


def test_a_saved_run_goes_on_as_it_would_have(tmp_path):
    problem, learner = IdentificationProblem(two_arms(0.3)), FTPedel(eps=0.5)
    run = Run(problem, learner, 3000, 1).advance(200)
    run.save(tmp_path / "run")
    assert Run.load(tmp_path / "run").advance().trace.same_as(run.advance().trace)


def test_what_is_scored_is_the_recommendation():
    task = offline_fork()
    found = identify(task, FTPedel(eps=0.5), 200_000, 2)
    assert found.certified
    assert found.trace.benchmark == 1.0
    assert found.gap == pytest.approx(1 - policy_value(task.mdp, found.policy), abs=1e-12)
    assert found.episodes == found.trace.stretch_diagnostics["online"][-1]


def test_a_result_without_a_certificate_is_announced():
    with pytest.warns(UserWarning, match="FTPedel: no certificate after 50 online episodes"):
        found = identify(offline_fork(), FTPedel(eps=0.1), 50)
    assert not found.certified
    assert found.episodes == 50
    with pytest.warns(UserWarning, match="VILCB: no certificate after 0 online episodes"):
        identify(offline_fork(), VILCB(), 10)


def test_a_certificate_is_not_announced():
    with warnings.catch_warnings(action="error"):
        assert identify(two_arms(0.4), Pedel(eps=0.5), 10_000).certified


def model(**options):
    return EpisodicMDP(np.ones((1, 1, 2, 1)), np.array([[[0.5, 0.2]]]), [1.0], **options)


ARMS = PolicyClass(np.array([[[0]], [[1]]]), 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PolicyClass(np.zeros((0, 1, 1), dtype=int), 2), "actions must not be empty"),
        (lambda: PolicyClass(np.zeros((2, 1, 1), dtype=int), 2), r"actions\[1, :, :\] .* repeats policy 0"),
        (lambda: PolicyClass(np.full((1, 1, 1), 2), 2), r"actions\[0, 0, 0\] must be in \[0, 2\); got 2"),
        (lambda: PolicyClass.product(np.zeros((1, 1, 2), dtype=bool)), r"allowed\[0, 0, :\] must allow"),
        (lambda: PolicyClass.product(np.ones((9, 9, 2), dtype=bool)), "at most 200000 policies; got 2.42e"),
        (
            lambda: TransitionCounts(-np.ones((1, 1, 2, 1)), np.zeros((1, 1, 2))),
            r"transitions\[0, 0, 0, 0\] must be a count .* got -1\.0",
        ),
        (
            lambda: TransitionCounts(np.full((1, 1, 2, 1), 0.5), np.zeros((1, 1, 2))),
            r"transitions\[0, 0, 0, 0\] must be a count .* got 0\.5",
        ),
        (
            lambda: TransitionCounts(np.full((1, 1, 2, 1), np.inf), np.zeros((1, 1, 2))),
            r"transitions\[0, 0, 0, 0\] must be finite",
        ),
        (
            lambda: TransitionCounts(np.ones((1, 1, 2, 1)), np.array([[[0.0, 1.5]]])),
            r"reward_sums\[0, 0, 1\] must be in \[0, 1\], the visits of that pair; got 1\.5",
        ),
        (lambda: TransitionCounts(np.ones((1, 1, 2, 1)), np.zeros((1, 2, 1))), "reward_sums must have shape"),
        (
            lambda: FineTuningTask(model(), twin_lock().policies),
            r"policies must have \(H, S, A\) = \(1, 1, 2\)",
        ),
        (
            lambda: FineTuningTask(model(noise=RewardNoise("gaussian", 1.0)), ARMS),
            "mdp must have observed rewards in .* got noise 'gaussian'",
        ),
        (
            lambda: FineTuningTask(model(), ARMS, TransitionCounts.empty((1, 1, 3))),
            r"offline must have \(H, S, A\) = \(1, 1, 2\) of the model; got \(1, 1, 3\)",
        ),
    ],
)
def test_what_is_not_admissible_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
