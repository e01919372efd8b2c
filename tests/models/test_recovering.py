"""Recovering bandits and their schedules: what is accepted, what is refused, what is kept."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generators import seeds
from theoryrl.models import (
    IndexRule,
    OffsetSchedule,
    PeriodicSchedule,
    PullSequence,
    RecoveringBandit,
    RewardNoise,
    load,
    save,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.1, NAN]],), r"R\[0, 1\] must be finite; got nan"),
        (([[0.1], [-0.5]],), r"R\[1, 0\] must be in \[0, 1\]; got -0\.5"),
        (([[0.1], [1.5]],), r"R\[1, 0\] must be in \[0, 1\]; got 1\.5"),
        (([],), r"R must have shape \(N, D\)"),
        ((np.zeros((2, 0)),), r"R must not be empty"),
        (([[0.1]], 0), "K must be at least 1 and at most 1; got 0"),
        (([[0.1], [0.2]], 3), "K must be at least 1 and at most 2; got 3"),
        (([[0.1]], 1.0), "K must be an integer; got 1.0"),
        (([[0.1]], 1, "bernoulli"), "noise must be a RewardNoise"),
        (([[0.1]], 1, RewardNoise(), 0.0), "reward_max must be positive; got 0"),
        (([[0.1]], 1, RewardNoise(), -1.0), "reward_max must be .* got -1.0"),
        (([[2.0]], 1, RewardNoise("bernoulli"), 3.0), r"R \(with Bernoulli noise\)\[0, 0\] .* got 2\.0"),
    ],
)
def test_a_bad_bandit_is_refused_with_index_and_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        RecoveringBandit(*arguments)


@given(
    value=st.one_of(
        st.floats(allow_nan=True, allow_infinity=True), st.integers(-5, 5), st.text(max_size=2), st.none()
    ),
    K=st.one_of(st.integers(-2, 4), st.floats(), st.none(), st.booleans()),
)
def test_whatever_is_given_a_bandit_is_valid_or_refused(value, K):
    try:
        bandit = RecoveringBandit([[0.0, 0.5], [0.1, value]], K)
    except ValueError:
        return
    assert 1 <= bandit.K <= 2
    assert isinstance(bandit.K, int)
    assert np.isfinite(bandit.R).all()
    assert bandit.R.min() >= 0
    assert bandit.R.max() <= 1


def test_curves_of_different_lengths_stay_at_their_last_value():
    bandit = RecoveringBandit.from_curves([[0.1, 0.2, 0.2], [0.5], [0, 0, 0, 1.0]], 2)
    np.testing.assert_array_equal(bandit.memory, [2, 1, 4])
    np.testing.assert_array_equal(bandit.at(np.array([1, 2, 99])), [[0.1, 0.2, 0.2], [0.5] * 3, [0, 0, 1]])
    with pytest.raises(ValueError, match=r"curves\[1\] must not be empty"):
        RecoveringBandit.from_curves([[0.1], []])
    with pytest.raises(ValueError, match="curves must not be empty"):
        RecoveringBandit.from_curves([])


def test_who_needs_monotone_curves_says_where_they_fall():
    bandit = RecoveringBandit([[0.1, 0.2, 0.3], [0.4, 0.5, 0.45]])
    assert not bandit.is_monotone
    with pytest.raises(ValueError, match=r"planning needs non-decreasing curves: R\[1, 2\] = 0\.45 is below"):
        bandit.require_monotone("planning")


@pytest.mark.parametrize(
    ("noise", "parameter"), [("none", 1.5), ("bernoulli", 0.5), ("gaussian", 0.2), ("uniform", 0.2)]
)
def test_the_sub_gaussian_parameter_is_that_of_the_noise(noise, parameter):
    bandit = RecoveringBandit([[0.5]], 1, RewardNoise(noise, 0.2), 3.0 if noise == "none" else 1.0)
    assert bandit.sub_gaussian == parameter


def test_arrays_are_read_only_also_after_a_pickle():
    for model in (RecoveringBandit([[0.5]]), PeriodicSchedule([2], [0], [0], 1), IndexRule([[0.5]], 1)):
        for copy in (model, pickle.loads(pickle.dumps(model))):
            arrays = [value for value in vars(copy).values() if isinstance(value, np.ndarray)]
            assert arrays
            assert not any(array.flags.writeable for array in arrays)


MODELS = {
    "bandit": lambda: RecoveringBandit([[0.1, 0.7], [0.3, 0.4]], 2, RewardNoise("gaussian", 0.5), 0.9),
    "periodic": lambda: PeriodicSchedule([4, 0, 2], [1, 0, 0], [0, -1, 0], 1),
    "offsets": lambda: OffsetSchedule([4, 2], [1, 0], [0.5, 1.0], 1),
    "sequence": lambda: PullSequence([[0, -1], [1, 0]], 2),
    "index": lambda: IndexRule([[0.5, 0.7], [0.1, 0.2]], 1),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_file_gives_back_what_was_saved(make, tmp_path):
    model = make()
    save(model, tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert type(again) is type(model)
    for name, value in vars(model).items():
        np.testing.assert_array_equal(getattr(again, name), value)


REFUSED = [
    (PeriodicSchedule, ([4], [4], [0], 1), r"offsets\[0\] must be below periods\[0\] = 4; got 4"),
    (PeriodicSchedule, ([0], [0], [0], 1), r"machines\[0\] must be -1 \(its period is 0\); got 0"),
    (PeriodicSchedule, ([3], [0], [1], 1), r"machines\[0\] must be in \[0, 1\); got 1"),
    (PeriodicSchedule, ([-1], [0], [0], 1), r"periods\[0\] must be in .* got -1"),
    (PeriodicSchedule, ([1.5], [0], [0], 1), "periods must hold integers"),
    (PeriodicSchedule, ([4, 6], [1, 3], [0, 0], 1), "arms 0 and 1 of machine 0 collide, first at t = 9"),
    (OffsetSchedule, ([4], [4], [1.0], 1), r"offsets\[0\] must be below periods\[0\] = 4; got 4"),
    (OffsetSchedule, ([0], [1], [1.0], 1), r"offsets\[0\] must be 0 \(its period is 0\); got 1"),
    (OffsetSchedule, ([4], [0], [0.0], 1), r"priorities\[0\] must be positive; got 0\.0"),
    (PullSequence, ([[0, 2]], 2), r"sets\[0, 1\] must be in \[-1, 2\); got 2"),
    (PullSequence, ([[0, 1], [1, 1]], 2), r"sets\[1\] must not repeat an arm"),
    (IndexRule, ([[NAN]], 1), r"table\[0, 0\] must be finite"),
    (IndexRule, ([[0.5]], 2), "K must be at least 1 and at most 1; got 2"),
]


@pytest.mark.parametrize(("kind", "arguments", "message"), REFUSED)
def test_a_bad_schedule_is_refused_with_index_and_value(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(*arguments)


@given(seed=seeds)
def test_a_collision_is_found_exactly_when_two_arms_of_a_machine_meet(seed):
    """Against the pulls of one whole cycle, machine by machine."""
    rng = np.random.default_rng(seed)
    N, K = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    periods = rng.integers(1, 9, N)
    offsets, machines = rng.integers(periods), rng.integers(K, size=N)
    t = np.arange(math.lcm(*periods.tolist()))
    pulled = (t[:, None] - offsets) % periods == 0
    crowded = np.stack([pulled[:, machines == m].sum(axis=1) for m in range(K)]).max(axis=0) > 1
    if crowded.any():
        with pytest.raises(ValueError, match="collide, first at t = ") as caught:
            PeriodicSchedule(periods, offsets, machines, K)
        arms = [int(word) for word in str(caught.value).replace(",", "").split() if word.isdigit()]
        i, j, _, first = arms
        assert first == np.flatnonzero(pulled[:, i] & pulled[:, j])[0]
    else:
        schedule = PeriodicSchedule(periods, offsets, machines, K)
        for now in t[:20]:
            np.testing.assert_array_equal(schedule.pulls(int(now)), np.flatnonzero(pulled[now]))
        assert schedule.density == pytest.approx(pulled.sum() / len(t), abs=1e-12)
