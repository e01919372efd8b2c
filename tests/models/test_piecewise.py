"""Models that change at fixed times."""

import numpy as np
import pytest

from theoryrl.instances import average_riverswim, flipping_riverswim
from theoryrl.models import AverageRewardMDP, PiecewiseStationaryMDP, RewardNoise, load, save

P = np.full((2, 2, 1, 2), 0.5)
r = np.full((2, 2, 1), 0.5)


def test_a_step_belongs_to_the_segment_that_has_begun():
    model = PiecewiseStationaryMDP(P, r, np.array([3]))
    assert model.segment_of(np.array([0, 2, 3, 100])).tolist() == [0, 0, 1, 1]
    assert (model.n_segments, model.n_states, model.n_actions) == (2, 2, 1)


def test_a_single_segment_needs_no_change_points():
    assert PiecewiseStationaryMDP(P[:1], r[:1]).change_points.size == 0


def test_segments_are_the_stationary_models_that_it_was_made_of():
    river = average_riverswim(4)
    model = PiecewiseStationaryMDP.of([river, river], [10])
    for segment in model.segments:
        np.testing.assert_array_equal(segment.P, river.dense_P())
        np.testing.assert_array_equal(segment.r, river.r)


def test_a_model_survives_its_file(tmp_path):
    model = flipping_riverswim(3, 100, 2)
    save(model, tmp_path / "model.npz")
    found = load(tmp_path / "model.npz")
    np.testing.assert_array_equal(found.P, model.P)
    np.testing.assert_array_equal(found.change_points, [33, 66])
    assert found.noise == model.noise


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"P": P + 0.1}, r"P\[0, 0, 0, :\] must sum to 1"),
        ({"r": r + 1}, r"r\[0, 0, 0\] must be in \[0, 1\]"),
        ({"change_points": np.array([0])}, r"change_points\[0\] must be above 0; got 0"),
        ({"change_points": np.array([3, 5])}, "change_points must have shape"),
        ({"change_points": np.array([1.5])}, "change_points must hold integers"),
        ({"noise": RewardNoise("gaussian", 0.1)}, r"noise must keep rewards in \[0, 1\]"),
        ({"noise": RewardNoise("uniform", 0.6)}, "must be in"),
    ],
)
def test_wrong_models_are_refused(changes, text):
    arguments = {"P": P, "r": r, "change_points": np.array([3]), **changes}
    with pytest.raises(ValueError, match=text):
        PiecewiseStationaryMDP(**arguments)


def test_change_points_increase():
    with pytest.raises(ValueError, match=r"change_points\[1\] must be above 7; got 7"):
        PiecewiseStationaryMDP(np.full((3, 2, 1, 2), 0.5), np.zeros((3, 2, 1)), np.array([7, 7]))


def test_actions_that_are_not_allowed_are_refused():
    mdp = AverageRewardMDP(
        np.full((2, 2, 2), 0.5), np.zeros((2, 2)), allowed=np.array([[True, False], [True, True]])
    )
    with pytest.raises(ValueError, match=r"segments\[0\] must allow every action"):
        PiecewiseStationaryMDP.of([mdp], [])
