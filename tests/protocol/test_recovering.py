"""What the environment of a recovering bandit makes of a decision."""

import numpy as np
import pytest

from theoryrl.instances import blocking, recovering
from theoryrl.models import IndexRule, PeriodicSchedule, RecoveringBandit
from theoryrl.protocol import RecoveringDecision, RecoveringProblem, Streams, as_problem

PERIODIC = PeriodicSchedule(np.array([2, 0]), np.array([0, 0]), np.array([0, -1]), 1)


def started(decision, bandit=None):
    environment = as_problem(bandit or blocking(n_arms=2, delay=2)).environment(Streams.from_seed(0))
    environment.begin(decision)
    return environment


def test_a_decision_is_held_for_its_rounds():
    decision = RecoveringDecision(PERIODIC, 5)
    environment = started(decision)
    first, second = environment.interact(decision, 3), environment.interact(decision, 100)
    assert (first.rounds, first.finished) == (3, False)
    assert (second.rounds, second.finished) == (2, True)
    np.testing.assert_array_equal(np.concatenate([first.values, second.values]), [1, 0, 1, 0, 1])


def test_a_decision_is_held_until_a_cell_has_its_visits_and_is_left_as_it_was():
    visits = np.array([[9, 3], [9, 9]])
    decision = RecoveringDecision(PERIODIC, None, visits)
    outcome = started(decision).interact(decision, 1000)
    # The first pull counts as rested, so the third one fills the cell.
    assert (outcome.rounds, outcome.finished) == (5, True)
    np.testing.assert_array_equal(visits, [[9, 3], [9, 9]])


def test_a_long_hold_is_played_in_blocks(monkeypatch):
    monkeypatch.setattr("theoryrl.protocol.recovering.MAX_BLOCK", 7)
    decision = RecoveringDecision(PERIODIC)
    environment = started(decision)
    assert [environment.interact(decision, 100).rounds for _ in range(3)] == [7, 7, 7]


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (RecoveringDecision(PERIODIC, 0), "decision.rounds must be at least 1; got 0"),
        (RecoveringDecision(PERIODIC, None, np.ones((3, 2), dtype=int)), r"decision.visits must have shape"),
        (RecoveringDecision(PERIODIC, None, np.array([[1], [-1]])), r"decision.visits\[1, 0\] must be in"),
        (RecoveringDecision(IndexRule(np.ones((3, 1)), 1)), "schedule is made for 3 arms"),
        (
            RecoveringDecision(IndexRule(np.ones((2, 1)), 2)),
            "pulls up to 2 arms at once; the bandit allows 1",
        ),
    ],
)
def test_a_decision_that_cannot_be_played_is_refused(decision, message):
    with pytest.raises(ValueError, match=message):
        started(decision)


def test_the_environment_tells_the_value_of_each_round_and_the_problem_does_not():
    problem = RecoveringProblem(recovering(n_arms=3, memory=4))
    assert problem.value(RecoveringDecision(PERIODIC)) is None
    assert problem.benchmark > 0


def test_many_sets_of_arms_make_the_relaxation_the_default_reference():
    """Thirty arms without memory have one state, and 6 * 10^8 sets of arms."""
    curves = np.random.default_rng(0).random((30, 1))
    bandit = RecoveringBandit(curves, 15)
    assert as_problem(bandit).benchmark == pytest.approx(np.sort(curves, axis=None)[-15:].sum())
    assert as_problem(bandit).benchmark == RecoveringProblem(bandit, reference="bound").benchmark
