"""Every constructor refuses bad arrays with the argument's name, the first offending index and the value.

The search is the same for all constructors: take valid arguments, spoil one of them, read the message.
"""

import re
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generators import random_mdp, random_mixture, random_policy, random_rows, seeds
from theoryrl.models import (
    AverageRewardMDP,
    ConservativeMDP,
    ConstrainedMDP,
    DeterministicPolicy,
    DiscountedMDP,
    EpisodicMDP,
    MatrixGame,
    MixturePolicy,
    OfflineDataset,
    Policy,
    PreferenceGame,
    RegularizedGame,
    RewardNoise,
    TrajectoryGame,
)
from theoryrl.models._validation import check_fraction, check_real

H, S, A, N = 3, 4, 2, 5


@dataclass(frozen=True)
class Constructor:
    """Valid arguments of a model's constructor, and what each array must be."""

    build: type
    arguments: dict
    real: tuple = ()
    integer: dict = field(default_factory=dict)
    distributions: tuple = ()
    bound: tuple = ()
    """Arrays whose entries depend on each other, so that not every array of numbers will do."""

    def with_argument(self, name, value):
        return self.build(**{**self.arguments, name: value})


def constructors():
    rng = np.random.default_rng(1)
    mdp = random_mdp(0, H, S, A)
    mixture = random_mixture(rng, H, S, A)
    data = {
        "states": rng.integers(S, size=(N, H + 1)),
        "actions": rng.integers(A, size=(N, H)),
        "rewards": rng.random((N, H)),
        "n_states": S,
        "n_actions": A,
    }
    return {
        "EpisodicMDP": Constructor(
            EpisodicMDP,
            {"P": mdp.P, "r": mdp.r, "rho": mdp.rho},
            real=("P", "r", "rho"),
            distributions=("P", "rho"),
        ),
        "EpisodicMDP.stationary": Constructor(
            EpisodicMDP.stationary,
            {"P": mdp.P[0], "r": mdp.r[0], "rho": mdp.rho, "horizon": H},
            real=("P", "r", "rho"),
        ),
        "Policy": Constructor(
            Policy,
            {"probabilities": random_policy(rng, H, S, A).probabilities},
            real=("probabilities",),
            distributions=("probabilities",),
        ),
        "stationary Policy": Constructor(
            Policy,
            {"probabilities": random_rows(rng, (S, A), False)},
            real=("probabilities",),
            distributions=("probabilities",),
        ),
        "DeterministicPolicy": Constructor(
            DeterministicPolicy,
            {"actions": rng.integers(A, size=(H, S)), "n_actions": A},
            integer={"actions": A},
        ),
        "MixturePolicy": Constructor(
            MixturePolicy,
            {"weights": mixture.weights, "policies": mixture.policies},
            real=("weights",),
            distributions=("weights",),
        ),
        "PreferenceGame": Constructor(
            PreferenceGame,
            {"P": np.full((2, A, A), 0.5), "rho": random_rows(rng, (2,), False)},
            real=("P", "rho"),
            distributions=("rho",),
            bound=("P",),
        ),
        "RegularizedGame": Constructor(
            RegularizedGame,
            {
                "game": PreferenceGame(np.full((A, A), 0.5)),
                "beta": 0.1,
                "log_reference": np.log(random_rows(rng, (1, A), False)),
            },
            real=("log_reference",),
            bound=("log_reference",),
        ),
        "TrajectoryGame": Constructor(
            TrajectoryGame,
            {
                "P": random_rows(rng, (S, A, S), False),
                "rho": random_rows(rng, (S,), False),
                "horizon": 1,
                "preferences": PreferenceGame(np.full((S * A, S * A), 0.5)),
            },
            real=("P", "rho"),
            distributions=("P", "rho"),
        ),
        "MatrixGame": Constructor(MatrixGame, {"payoff": rng.random((S, A))}, real=("payoff",)),
        "DiscountedMDP": Constructor(
            DiscountedMDP,
            {"P": mdp.P[0], "r": mdp.r[0], "gamma": 0.9},
            real=("P", "r"),
            distributions=("P",),
        ),
        "AverageRewardMDP": Constructor(
            AverageRewardMDP, {"P": mdp.P[0], "r": mdp.r[0]}, real=("P", "r"), distributions=("P",)
        ),
        "ConstrainedMDP": Constructor(
            ConstrainedMDP,
            {"mdp": DiscountedMDP(mdp.P[0], mdp.r[0], 0.9), "rewards": mdp.r[:2], "thresholds": [0.5, 0.5]}
            | {"rho": mdp.rho},
            real=("rewards", "rho"),
            distributions=("rho",),
        ),
        "OfflineDataset": Constructor(
            OfflineDataset, data, real=("rewards",), integer={"states": S, "actions": A}
        ),
    }


CONSTRUCTORS = constructors()


def targets(kind):
    """All (constructor, argument) of a kind."""
    return [
        pytest.param(constructor, name, id=f"{key}({name})")
        for key, constructor in CONSTRUCTORS.items()
        for name in getattr(constructor, kind)
    ]


arrays = pytest.mark.parametrize(("constructor", "name"), targets("real") + targets("integer"))
reals = pytest.mark.parametrize(("constructor", "name"), targets("real"))
integers = pytest.mark.parametrize(("constructor", "name"), targets("integer"))
distributions = pytest.mark.parametrize(("constructor", "name"), targets("distributions"))


def refusal(constructor, name, value):
    """The text of the ValueError that the spoilt argument raises."""
    with pytest.raises(ValueError, match=f"^{name}\\b") as caught:
        constructor.with_argument(name, value)
    return str(caught.value)


def indices(shape):
    """A few positions of an array, in any order."""
    position = st.tuples(*(st.integers(0, size - 1) for size in shape))
    return st.lists(position, min_size=1, max_size=4, unique=True)


def spoil(array, positions, value):
    spoilt = np.array(array, dtype=np.result_type(array, type(value)))
    for position in positions:
        spoilt[position] = value
    return spoilt


def at(name, position):
    return f"{name}[{', '.join(map(str, position))}]"


@pytest.mark.parametrize("constructor", CONSTRUCTORS.values(), ids=CONSTRUCTORS)
def test_the_unspoilt_arguments_are_accepted(constructor):
    constructor.build(**constructor.arguments)


@reals
@given(data=st.data(), value=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_numbers_that_are_not_finite(constructor, name, data, value):
    array = constructor.arguments[name]
    positions = data.draw(indices(array.shape))
    text = refusal(constructor, name, spoil(array, positions, value))
    assert text == f"{at(name, min(positions))} must be finite; got {value}"


@distributions
@given(data=st.data(), value=st.floats(-1e300, -5e-324))
def test_negative_probabilities(constructor, name, data, value):
    array = constructor.arguments[name]
    positions = data.draw(indices(array.shape))
    text = refusal(constructor, name, spoil(array, positions, value))
    assert text == f"{at(name, min(positions))} must be a probability; got {value!r}"


@distributions
@given(data=st.data(), factor=st.one_of(st.floats(0.0, 1 - 1e-9), st.floats(1 + 1e-9, 1e300)))
def test_rows_that_do_not_sum_to_one(constructor, name, data, factor):
    array = np.array(constructor.arguments[name])
    rows = data.draw(indices(array.shape[:-1])) if array.ndim > 1 else [()]
    for row in rows:
        array[row] *= factor
    total = float(array.sum(axis=-1)[min(rows)])
    place = at(name, (*min(rows), ":")) if array.ndim > 1 else name
    assert refusal(constructor, name, array) == f"{place} must sum to 1; it sums to {total!r}"


@integers
@given(data=st.data())
def test_indices_outside_their_range(constructor, name, data):
    bound = constructor.integer[name]
    value = data.draw(
        st.sampled_from([-1, bound]) | st.integers(-(2**63), -1) | st.integers(bound, 2**63 - 1)
    )
    array = constructor.arguments[name]
    positions = data.draw(indices(array.shape))
    text = refusal(constructor, name, spoil(array, positions, value))
    assert text == f"{at(name, min(positions))} must be in [0, {bound}); got {value}"


@reals
@pytest.mark.parametrize("dtype", ["bool", "complex128", "object", "U8", "S8", "datetime64[s]", "longdouble"])
def test_numbers_of_a_type_that_would_have_to_be_cast(constructor, name, dtype):
    if np.dtype(dtype) == np.float64:
        pytest.skip("long double is float64 on this machine")
    array = np.zeros(constructor.arguments[name].shape, dtype)
    assert re.search(
        rf"must hold real numbers .*got dtype {re.escape(str(array.dtype))}",
        str(refusal(constructor, name, array)),
    )


@integers
@pytest.mark.parametrize("dtype", ["bool", "float64", "complex128", "object", "U8"])
def test_indices_that_are_no_integers(constructor, name, dtype):
    array = np.zeros(constructor.arguments[name].shape, dtype)
    assert refusal(constructor, name, array) == f"{name} must hold integers; got dtype {array.dtype}"


@arrays
@given(data=st.data())
def test_wrong_shapes(constructor, name, data):
    array = np.asarray(constructor.arguments[name])
    # A data set may be without episodes.
    axis = data.draw(st.integers(constructor.build is OfflineDataset, array.ndim - 1), label="axis")
    spoilt = data.draw(
        st.sampled_from(
            [
                array[None, None],
                array[..., None, None],
                array.ravel()[0],
                np.delete(array, np.s_[:], axis=axis),
            ]
        )
    )
    text = refusal(constructor, name, spoilt)
    assert "shape" in text
    assert str(spoilt.shape) in text or f"got {spoilt.ndim} axes" in text


@pytest.mark.parametrize(
    ("key", "name", "axis"),
    [
        ("EpisodicMDP", "P", 1),
        ("EpisodicMDP", "P", 3),
        ("EpisodicMDP", "r", 0),
        ("EpisodicMDP", "r", 1),
        ("EpisodicMDP", "r", 2),
        ("EpisodicMDP", "rho", 0),
        ("MixturePolicy", "weights", 0),
        ("OfflineDataset", "states", 0),
        ("OfflineDataset", "states", 1),
        ("OfflineDataset", "rewards", 0),
        ("OfflineDataset", "rewards", 1),
    ],
)
@pytest.mark.parametrize("change", [-1, 1])
def test_sizes_that_disagree(key, name, axis, change):
    constructor = CONSTRUCTORS[key]
    array = np.asarray(constructor.arguments[name])
    size = array.shape[axis] + change
    spoilt = np.take(array, np.arange(size) % array.shape[axis], axis=axis)
    text = refusal(constructor, name, spoilt)
    assert re.match(rf"{name} must have shape \(.*\); got shape {re.escape(str(spoilt.shape))}", text)


@arrays
def test_ragged_lists(constructor, name):
    assert re.match(f"{name} is not an array: ", refusal(constructor, name, [[1, 2], [3]]))


@pytest.mark.parametrize(
    ("key", "name", "shape"),
    [
        ("EpisodicMDP", "P", (10**4, 10**6, 2, 10**6)),
        ("EpisodicMDP.stationary", "P", (10**7, 2, 10**7)),
        ("Policy", "probabilities", (10**7, 10**7, 2)),
        ("DeterministicPolicy", "actions", (10**8, 10**8)),
        ("OfflineDataset", "actions", (10**8, 10**8)),
    ],
)
def test_arrays_that_no_machine_holds_are_refused_before_they_are_copied(key, name, shape):
    dtype = np.int64 if name == "actions" else np.float64
    text = refusal(CONSTRUCTORS[key], name, np.broadcast_to(np.zeros((), dtype), shape))
    assert re.match(rf"{name} of shape .* needs .* GiB; this machine has .* GiB", text)


def test_sizes_that_no_machine_holds():
    with pytest.raises(ValueError, match=r"P of shape .* needs .* GiB"):
        EpisodicMDP.stationary(np.full((2, 1, 2), 0.5), np.zeros((2, 1)), [1.0, 0.0], 10**20)
    with pytest.raises(ValueError, match=r"probabilities of shape .* needs .* GiB"):
        Policy.uniform(10**10, 10**10)
    data = OfflineDataset([[0, 0]], [[0]], [[0.0]], n_states=10**9, n_actions=10)
    with pytest.raises(ValueError, match=r"transition_counts of shape .* needs .* GiB"):
        _ = data.transition_counts


@arrays
def test_the_callers_array_is_not_aliased_and_the_models_is_read_only(constructor, name):
    mine = np.array(constructor.arguments[name])
    before = mine.copy()
    kept = getattr(constructor.with_argument(name, mine), name)
    assert kept.dtype == (np.float64 if name in constructor.real else np.int64)
    assert kept.flags.c_contiguous
    assert not np.shares_memory(mine, kept)
    mine[...] = 0
    np.testing.assert_array_equal(kept if kept.shape == before.shape else kept[0], before)
    with pytest.raises(ValueError, match="read-only"):
        kept[...] = 0


@arrays
def test_lists_narrower_numbers_and_strides_are_taken_exactly(constructor, name):
    array = np.asarray(constructor.arguments[name])
    expected = getattr(constructor.with_argument(name, array), name)
    for same in (array.tolist(), np.asfortranarray(array), np.repeat(array, 2, axis=-1)[..., ::2]):
        np.testing.assert_array_equal(getattr(constructor.with_argument(name, same), name), expected)
    if name in constructor.bound:
        return
    zeros_and_ones = np.zeros(array.shape, np.int8 if name in constructor.real else np.uint16)
    zeros_and_ones[..., 0] = 1
    model = constructor.with_argument(name, zeros_and_ones)
    assert set(np.unique(getattr(model, name))) <= {0, 1}


@given(seed=seeds, value=st.one_of(st.floats(-1e300, -1e-9), st.floats(1 + 1e-9, 1e300)))
def test_rewards_outside_the_range(seed, value):
    mdp = random_mdp(0, H, S, A)
    r = mdp.r.copy()
    index = tuple(int(i) for i in np.random.default_rng(seed).integers([H, S, A]))
    r[index] = value
    with pytest.raises(ValueError, match=r"^r\[") as caught:
        EpisodicMDP(mdp.P, r, mdp.rho)
    assert str(caught.value) == f"{at('r', index)} must be in [0, 1]; got {value!r}"
    assert EpisodicMDP(mdp.P, r, mdp.rho, reward_range=(min(value, 0), max(value, 1))).r[index] == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reward_range": (1.0, 0.0)}, "reward_range must be increasing"),
        ({"reward_range": (0.0,)}, "reward_range must be a pair"),
        ({"reward_range": 1.0}, "reward_range must be a pair"),
        ({"reward_range": (0.0, np.nan)}, r"reward_range\[1\] must be a finite number"),
        ({"reward_range": ("0", 1.0)}, r"reward_range\[0\] must be a real number; got '0'"),
        ({"noise": "gaussian"}, "noise must be a RewardNoise; got str"),
    ],
)
def test_options_of_an_mdp(options, message):
    mdp = random_mdp(0)
    with pytest.raises(ValueError, match=f"^{message}"):
        EpisodicMDP(mdp.P, mdp.r, mdp.rho, **options)


def test_bernoulli_noise_needs_rewards_that_are_probabilities():
    mdp = random_mdp(0, signed=True)
    first = next(zip(*np.nonzero(mdp.r < 0), strict=True))
    with pytest.raises(ValueError, match=re.escape(at("r (with Bernoulli noise)", first))):
        EpisodicMDP(mdp.P, mdp.r, mdp.rho, mdp.reward_range, RewardNoise("bernoulli"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cauchy",), "noise.kind must be one of none, bernoulli, gaussian, uniform; got 'cauchy'"),
        (("gaussian", -0.1), r"noise.scale must be a finite number in \[0, inf\]; got -0.1"),
        (("gaussian", np.nan), "noise.scale must be a finite number"),
        (("gaussian", "1"), "noise.scale must be a real number; got '1'"),
    ],
)
def test_noise(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        RewardNoise(*arguments)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None, np.nan])
def test_counts(value):
    mdp = random_mdp(0)
    for name, build in {
        "horizon": lambda: EpisodicMDP.stationary(mdp.P[0], mdp.r[0], mdp.rho, value),
        "n_states": lambda: Policy.uniform(value, 2),
        "n_actions": lambda: DeterministicPolicy([0], value),
        "n_folds": lambda: OfflineDataset([[0, 0]], [[0]], [[0.0]], 1, 1).folds(value),
    }.items():
        with pytest.raises((ValueError, TypeError), match=name) as caught:
            build()
        if value in (0, -1):
            assert str(caught.value) == f"{name} must be at least 1; got {value}"


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, np.nan, np.inf, 10**400, -(10**400)])
def test_probabilities_of_failure_lie_strictly_between_zero_and_one(value):
    with pytest.raises(ValueError, match=r"^delta must be in \(0, 1\); got"):
        check_fraction("delta", value)


def test_a_number_without_limits_is_not_said_to_have_any():
    for value in (np.nan, -np.inf, 10**400):
        with pytest.raises(ValueError, match=r"^scale must be a finite number; got"):
            check_real("scale", value)


def test_a_masked_entry_is_refused_and_not_uncovered():
    mdp = random_mdp(0)
    mask = np.zeros(mdp.r.shape, dtype=bool)
    mask[0, 1, 1] = True
    with pytest.raises(ValueError, match=r"^r\[0, 1, 1\] must be a number; it is masked"):
        EpisodicMDP(mdp.P, np.ma.array(mdp.r, mask=mask), mdp.rho)


def test_mixtures_of_policies_that_do_not_fit():
    good = Policy.uniform(2, 3)
    with pytest.raises(
        ValueError, match=r"^policies\[1\] has \(S, A\) = \(2, 4\); policies\[0\] has \(2, 3\)"
    ):
        MixturePolicy([0.5, 0.5], [good, Policy.uniform(2, 4)])
    with pytest.raises(ValueError, match=r"^policies\[1\] must be a Policy or DeterministicPolicy; got str"):
        MixturePolicy([0.5, 0.5], [good, "uniform"])
    with pytest.raises(ValueError, match=r"^policies must be a Sequence; got Policy"):
        MixturePolicy([1.0], good)
    with pytest.raises(ValueError, match=r"^weights must not be empty"):
        MixturePolicy([], [])


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ({"threshold": -0.1}, r"threshold must be in \[0, 3\); got -0.1"),
        ({"threshold": 3.0}, r"threshold must be in \[0, 3\); got 3.0"),
        ({"threshold": np.nan}, "threshold must be a finite number"),
        ({"threshold": "1"}, "threshold must be a real number; got '1'"),
        ({"baseline": Policy.uniform(4, 3)}, r"baseline has \(S, A\) = \(4, 3\); the model has \(4, 2\)"),
        ({"baseline": Policy(np.ones((2, 4, 2)) / 2)}, "policy has 2 stages; the model has 3"),
        ({"baseline": None}, "baseline must be a Policy or DeterministicPolicy; got NoneType"),
        ({"mdp": "riverswim"}, "mdp must be a EpisodicMDP; got str"),
    ],
)
def test_conservative_problems(spoilt, message):
    valid = {"mdp": random_mdp(0, H, S, A), "baseline": Policy.uniform(S, A), "threshold": 0.5}
    ConservativeMDP(**valid)
    with pytest.raises(ValueError, match=f"^{message}"):
        ConservativeMDP(**{**valid, **spoilt})
