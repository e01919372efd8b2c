"""Models with candidates: what their docstrings promise."""

import numpy as np
import pytest

from theoryrl.instances import (
    INSTANCES,
    defect_class,
    hybrid_lock,
    incomplete_class,
    incomplete_hybrid,
    rich_lock,
)
from theoryrl.learners.population import Expectations, exact_residuals
from theoryrl.models import CandidateMDP, load, save
from theoryrl.solvers import backward_induction, concentrability, coverability, occupancy_measure, solve

KEYS = [key for key in INSTANCES if isinstance(INSTANCES[key](), CandidateMDP)]
every_instance = pytest.mark.parametrize("key", KEYS)


@every_instance
def test_the_first_function_is_the_optimum_and_the_first_model_the_truth(key):
    model = INSTANCES[key]()
    best = backward_induction(model.mdp).action_values
    np.testing.assert_array_equal(model.hypotheses.functions.Q[0], best)
    assert model.hypotheses.models.index(model.mdp) == 0


@every_instance
def test_no_episode_can_pay_more_than_one(key):
    """Rewards are paid at the last stage only."""
    r = INSTANCES[key]().mdp.r
    assert r[:-1].max(initial=0.0) == 0
    assert r.max() <= 1


@every_instance
def test_candidates_are_not_the_truth_alone_unless_asked(key):
    assert not INSTANCES[key]().hypotheses.oracle


@every_instance
def test_a_model_with_candidates_is_solved_and_stored(key, tmp_path):
    model = INSTANCES[key]()
    assert solve(model).start_value == backward_induction(model.mdp).start_value
    save(model, tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.hypotheses.functions.Q, model.hypotheses.functions.Q)
    np.testing.assert_array_equal(again.mdp.P, model.mdp.P)


def test_the_two_functions_are_those_of_the_design():
    model = incomplete_class(oracle=True)
    exact = Expectations.of(model.mdp, model.hypotheses.functions)
    assert exact.start == pytest.approx([0.725, 0.745])
    assert exact.gaps == pytest.approx([0, 0.45])
    assert exact.coverability == pytest.approx(1.5)
    own = (exact.d[1] * exact.residual[1]).sum(axis=1)
    assert own[0] == pytest.approx(0.47)
    # as a fit of the backup (.05, .5) of the bad function's second stage
    backup, Q = np.array([0.05, 0.5]), model.hypotheses.functions.Q
    errors = ((Q[:, 0, :, 0] - backup) ** 2).sum(axis=1)
    assert errors == pytest.approx([0.9**2, 2 * 0.47**2])


@pytest.mark.parametrize("observations", [10, 40])
def test_the_coverability_of_the_rich_lock_does_not_grow(observations):
    assert coverability(rich_lock(observations, decoders=1).mdp).value == pytest.approx(4)


def test_spurious_functions_tie_with_the_optimum_on_the_data():
    model = hybrid_lock(episodes=10)
    nu = occupancy_measure(model.mdp, model.behaviour)
    delta = exact_residuals(model.mdp, model.hypotheses.functions)
    assert np.abs((nu * delta[1:-1]).sum(axis=(2, 3))).max() < 1e-12
    assert np.abs((nu * delta[1:-1]) ** 2).max() < 1e-24
    exact = Expectations.of(model.mdp, model.hypotheses.functions)
    assert exact.gaps[1:] == pytest.approx(0.9)


@pytest.mark.parametrize(("make", "star"), [(hybrid_lock, 1.0), (incomplete_hybrid, 2.0)])
def test_the_offline_data_cover_the_optimal_policy(make, star):
    model = make(episodes=1)
    nu = occupancy_measure(model.mdp, model.behaviour)
    best = backward_induction(model.mdp).policy
    exact = Expectations.of(model.mdp, model.hypotheses.functions)
    reached = exact.best_occupancy > 0
    assert (exact.best_occupancy[reached] / nu.reshape(reached.shape)[reached]).max() == pytest.approx(star)
    assert concentrability(model.mdp, nu, [best]).value >= star - 1e-12


def test_functions_with_defects_are_consistent_elsewhere():
    model = defect_class(oracle=True, functions=30, defects=3)
    delta = exact_residuals(model.mdp, model.hypotheses.functions)
    assert (np.abs(delta) > 1e-9).sum(axis=(1, 2, 3)).max() <= 3


@pytest.mark.parametrize(
    ("key", "parameters", "message"),
    [
        ("rich-lock", {"observations": 7}, "observations must be even; got 7"),
        ("rich-lock", {"observations": 1}, "observations must be at least 2"),
        ("rich-lock", {"horizon": 9}, "horizon must be"),
        ("rich-lock", {"decoders": 0}, "decoders must be at least 1"),
        ("rich-lock", {"observations": 10**6}, "P of shape .* needs .* GiB"),
        ("hybrid-lock", {"horizon": 1}, "horizon must be at least 2"),
        ("hybrid-lock", {"n_actions": 1}, "n_actions must be at least 2"),
        ("hybrid-lock", {"spurious": -1}, "spurious must be at least 0"),
        ("hybrid-lock", {"episodes": 0}, "episodes must be at least 1"),
        ("incomplete-hybrid", {"spurious": 0}, "spurious must be at least 1"),
        ("defect-class", {"functions": 0}, "functions must be at least 1"),
        ("defect-class", {"defects": 0}, "defects must be at least 1"),
        ("defect-class", {"n_states": 0}, "n_states must be at least 1"),
    ],
)
def test_a_bad_parameter_is_named_together_with_its_value(key, parameters, message):
    with pytest.raises(ValueError, match=message):
        INSTANCES[key](**parameters)
