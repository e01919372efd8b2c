"""The ledger of a run: constant decisions are run-length encoded, changing ones are kept round by round."""

import numpy as np
import pytest

from theoryrl.protocol.trace import Ledger

WHO = {"learner": "l", "problem": "p", "seed": 0, "guaranteed": True}


def test_a_held_decision_is_one_stretch():
    ledger = Ledger()
    ledger.open({"bonus": 2.0}, 0.5, 1.0)
    ledger.enter(3)
    ledger.enter(4)
    ledger.open({"bonus": 1.0}, 0.75, 1.0)
    ledger.enter(1)
    trace = ledger.trace(**WHO)
    assert trace.lengths.tolist() == [7, 1]
    assert trace.diagnostics["bonus"].tolist() == [2.0] * 7 + [1.0]
    assert trace.benchmark == 1.0
    assert trace.final_regret == 7 * 0.5 + 0.25


def test_values_that_change_with_the_round_are_kept_with_their_benchmarks():
    ledger = Ledger()
    ledger.open({"epoch": 0.0}, None, None)
    ledger.enter(2, np.array([0.1, 0.2]), np.array([0.5, 0.5]))
    ledger.enter(1, np.array([0.3]), np.array([0.8]))
    ledger.open({"epoch": 1.0}, None, None)
    ledger.enter(1, np.array([0.4]), np.array([0.8]))
    trace = ledger.trace(**WHO)
    assert trace.values.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert trace.benchmarks.tolist() == [0.5, 0.5, 0.8, 0.8]
    assert trace.diagnostics["epoch"].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert trace.benchmark == pytest.approx(0.65)
    np.testing.assert_allclose(trace.regret, [0.4, 0.7, 1.2, 1.6])
    np.testing.assert_allclose(trace.regret_at(np.array([2, 4])), [0.7, 1.6])


def test_one_side_may_change_while_the_other_is_constant():
    ledger = Ledger()
    ledger.open({}, None, 1.0)
    ledger.enter(2, values=np.array([0.1, 0.2]))
    ledger.open({}, 0.5, None)
    ledger.enter(2, benchmarks=np.array([0.6, 0.7]))
    trace = ledger.trace(**WHO)
    assert trace.values.tolist() == [0.1, 0.2, 0.5, 0.5]
    assert trace.benchmarks.tolist() == [1.0, 1.0, 0.6, 0.7]


def test_a_round_without_a_value_is_refused():
    ledger = Ledger()
    ledger.open({}, None, 1.0)
    with pytest.raises(ValueError, match="the value of a round is missing"):
        ledger.enter(1)
    ledger.open({}, 1.0, None)
    with pytest.raises(ValueError, match="the benchmark of a round is missing"):
        ledger.enter(1)


def test_values_that_are_not_one_for_each_round_are_refused():
    ledger = Ledger()
    ledger.open({}, None, 1.0)
    with pytest.raises(ValueError, match=r"values must have shape \(2,\), one for each round; got \(3,\)"):
        ledger.enter(2, values=np.zeros(3))


def test_constant_rounds_after_changing_ones_of_the_same_decision_do_not_touch_them():
    ledger = Ledger()
    ledger.open({}, 0.5, 1.0)
    ledger.enter(2, values=np.array([0.1, 0.2]))
    ledger.enter(3)
    ledger.enter(1)
    trace = ledger.trace(**WHO)
    assert trace.lengths.tolist() == [1, 1, 4]
    assert trace.values.tolist() == [0.1, 0.2, 0.5, 0.5, 0.5, 0.5]
