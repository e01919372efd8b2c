"""Models of robust decision making: what is accepted, what is refused, and what survives a file."""

import copy
import pickle

import numpy as np
import pytest

from theoryrl.instances import five_state
from theoryrl.models import (
    DiscountedMDP,
    EpisodicMDP,
    LinearMDP,
    Policy,
    RobustLinearMDP,
    RobustMDP,
    Uncertainty,
    load,
    save,
)

NAN, INF = float("nan"), float("inf")


def linear(**changes):
    """Two states, the second one absorbing and without reward."""
    fields = {
        "phi": [[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.0, 1.0]]],
        "theta": [[0.7, 0.0], [0.2, 0.0]],
        "mu": [[[0.8, 0.2], [0.0, 1.0]], [[0.5, 0.5], [0.0, 1.0]]],
        "rho": [1.0, 0.0],
    }
    return LinearMDP(**{name: np.array(value) for name, value in (fields | changes).items()})


def tabular():
    return EpisodicMDP(np.full((2, 2, 2, 2), 0.5), np.full((2, 2, 2), 0.5), np.array([1.0, 0.0]))


def test_the_tables_of_a_linear_model_are_its_products():
    model = linear()
    tables = model.to_episodic()
    np.testing.assert_allclose(tables.P[0, 0, 1], [0.4, 0.6])
    np.testing.assert_allclose(tables.r[0], [[0.7, 0.35], [0.0, 0.0]])
    assert model.has_simplex_features
    again = LinearMDP.from_episodic(tables)
    np.testing.assert_allclose(again.to_episodic().P, tables.P)
    assert again.dimension == 4


def test_signed_factors_are_a_linear_model_but_not_a_robust_one():
    """phi = (0.6, 0.8), mu = (p / 0.6 - 0.8 m, 0.6 m): the product does not depend on m."""
    p, m = np.array([0.5, 0.5]), np.array([1.0, -1.0])
    model = LinearMDP(
        np.full((2, 1, 2), [0.6, 0.8]), [[0.5, 0.2]], [[p / 0.6 - 0.8 * m, 0.6 * m]], [1.0, 0.0]
    )
    np.testing.assert_allclose(model.to_episodic().P[0, :, 0], [p, p])
    assert not model.has_simplex_features
    with pytest.raises(ValueError, match="phi"):
        RobustLinearMDP(model, Uncertainty("tv", 0.1))


REFUSED_LINEAR = [
    ({"phi": [[[1.0, 0.5]], [[0.0, 1.0]]]}, r"phi\[0, 0, :\] must have norm at most 1; it has 1\.118"),
    ({"phi": [[[1.0, NAN]], [[0.0, 1.0]]]}, r"phi\[0, 0, 1\] must be finite"),
    ({"theta": [[1.7, 0.0], [0.2, 0.0]]}, r"<phi, theta>\[0, 0, 0\] must be in \[-1e-10, 1\]; got 1\.7"),
    ({"theta": [[0.7], [0.2]]}, "theta must have shape"),
    ({"mu": [[[0.8, 0.1], [0.0, 1.0]]] * 2}, r"<phi, mu>\[0, 0, 0, :\] must sum to 1; it sums to 0\.9"),
    ({"mu": [[[1.2, -0.2], [0.0, 1.0]]] * 2}, r"<phi, mu>\[0, 0, 0, 1\] must be a probability; got -0\.2"),
    ({"rho": [0.5, 0.6]}, "rho must sum to 1"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED_LINEAR)
def test_a_linear_model_that_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        linear(**changes)


REFUSED_ROBUST_LINEAR = [
    ({"fail_state": 2}, "fail_state must be at least 0 and at most 1; got 2"),
    ({"fail_state": 0}, r"fail_state 0 must be absorbing; mu\[0, 0, 0\] = .*0\.8"),
    ({"fail_state": 1, "uncertainty": Uncertainty("tv", 0.1)}, "fail_state 1 must not be perturbed; .* 0.1"),
    (
        {"nominal": linear(theta=[[0.7, 0.0], [0.2, 0.3]]), "fail_state": 1},
        r"must pay nothing; theta\[1, 1\]",
    ),
    ({"temperature": -0.1}, "temperature must be a finite number"),
    ({"temperature": NAN}, "temperature must be a finite number"),
    (
        {"temperature": 0.1, "reference": Policy(np.array([[1.0, 0.0], [0.5, 0.5]]))},
        r"reference\[0, 1\] must be positive",
    ),
    ({"reference": Policy.uniform(3, 2)}, "reference must fit the model"),
    ({"uncertainty": Uncertainty("tv", np.array([0.1, 0.2, 0.3]))}, "does not broadcast"),
    ({"nominal": tabular()}, "nominal must be a LinearMDP; got EpisodicMDP"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED_ROBUST_LINEAR)
def test_a_robust_linear_model_that_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RobustLinearMDP(
            **({"nominal": linear(), "uncertainty": Uncertainty("tv", np.array([0.1, 0.0]))} | changes)
        )


REFUSED_ROBUST = [
    ({"rectangularity": "none"}, "rectangularity must be one of sa, s; got 'none'"),
    ({"rectangularity": "s"}, "rectangularity 's' is for the divergence 'l1'; got 'tv'"),
    (
        {"rectangularity": "s", "uncertainty": Uncertainty("l1", 0.1), "temperature": 0.1},
        "temperature must be 0",
    ),
    ({"uncertainty": 0.1}, "uncertainty must be a Uncertainty; got float"),
    ({"policy_radius": -0.1}, "policy_radius must be a finite number"),
    ({"policy_radius": 0.1, "temperature": 0.1}, "temperature must be 0 with a policy_radius"),
    (
        {"policy_radius": 0.1, "rectangularity": "s", "uncertainty": Uncertainty("l1", 0.1)},
        "policy_radius is for",
    ),
    (
        {"uncertainty": Uncertainty("wasserstein", 0.1, cost=np.zeros((3, 3)))},
        r"cost must have shape \(2, 2\)",
    ),
    ({"reference": Policy(np.full((3, 2, 2), 0.5))}, "reference must fit the model"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED_ROBUST)
def test_a_robust_model_that_is_none_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RobustMDP(**({"nominal": tabular(), "uncertainty": Uncertainty("tv", 0.1)} | changes))


REFUSED_SETS = [
    (("tvv", 0.1), {}, "divergence must be one of tv, l1, .*; got 'tvv'"),
    (("tv", -0.1), {}, r"radius must be a finite number in \[0, 1\]; got -0\.1"),
    (("tv", 1.1), {}, r"radius must be a finite number in \[0, 1\]; got 1\.1"),
    (("l1", 2.1), {}, r"radius must be a finite number in \[0, 2\]"),
    (("kl", np.array([0.1, -1.0])), {}, r"radius\[1\] must be in \[0, inf\]; got -1\.0"),
    (("kl", INF), {}, "radius must be a finite number"),
    (("tv", NAN), {}, "radius must be a finite number"),
    (("kl", 0.0), {"penalty": True}, "radius of a penalty must be positive"),
    (("contamination", 0.1), {"penalty": True}, "'contamination' has no penalised form"),
    (("wasserstein", 0.1), {}, "cost is needed"),
    (("tv", 0.1), {"cost": np.zeros((2, 2))}, "cost is for the divergence 'wasserstein' only"),
    (("wasserstein", 0.1), {"cost": np.ones((2, 2))}, r"cost\[0, 0\] must be 0"),
    (("wasserstein", 0.1), {"cost": -np.eye(2)[::-1]}, r"cost\[0, 1\] must be in \[0, inf\]"),
    (("wasserstein", 0.1), {"cost": np.ones((2, 3))}, "cost must have shape"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), REFUSED_SETS)
def test_a_set_that_is_none_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        Uncertainty(*arguments, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [("tv", "expected tv:RADIUS"), ("tv:", "expected tv:RADIUS"), ("tv:x", "a number after the colon"),
     ("ball:1", "uncertainty must be one of"), ("tv:2", r"radius must be a finite number in \[0, 1\]"),
     ("contamination-penalty:1", "no penalised form")],
)  # fmt: skip
def test_a_text_that_names_no_set_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Uncertainty.parse(text, 3)


def test_texts_name_sets():
    assert (Uncertainty.parse("tv:0.1", 3).radius, Uncertainty.parse("kl-penalty:2", 3).penalty) == (
        0.1,
        True,
    )
    np.testing.assert_array_equal(Uncertainty.parse("wasserstein:1", 3).cost[0], [0, 1, 2])
    assert repr(Uncertainty("tv", np.array([0.1, 0.2]))) == "Uncertainty('tv', radii of shape (2,))"


def test_robust_models_survive_a_file_a_copy_and_a_pickle(tmp_path):
    discounted = DiscountedMDP(np.full((2, 2, 2), 0.5), np.ones((2, 2)), 0.9)
    models = [
        RobustLinearMDP(linear(), Uncertainty("tv", np.array([0.1, 0.0])), fail_state=1, temperature=0.2),
        RobustMDP(tabular(), Uncertainty("l1", 0.1), rectangularity="s"),
        RobustMDP(discounted, Uncertainty.parse("wasserstein:1", 2)),
    ]
    for index, model in enumerate(models):
        save(model, tmp_path / f"{index}.npz")
        for again in (
            load(tmp_path / f"{index}.npz"),
            copy.deepcopy(model),
            pickle.loads(pickle.dumps(model)),
        ):
            assert repr(again) == repr(model)
            np.testing.assert_array_equal(again.uncertainty.radius, model.uncertainty.radius)
            np.testing.assert_array_equal(again.reference.probabilities, model.reference.probabilities)


def test_a_robust_model_can_be_changed_in_one_field():
    model = RobustLinearMDP(linear(), Uncertainty("tv", np.array([0.1, 0.0])), fail_state=1)
    changed = model.replaced(temperature=0.5)
    assert (changed.temperature, changed.fail_state, changed.nominal) == (0.5, 1, model.nominal)


def test_another_set_leaves_the_factors_of_the_fail_state_alone():
    model = five_state(radius=0.3)
    ball = model.surrounded(Uncertainty("tv", 0.2))
    np.testing.assert_array_equal(ball.uncertainty.radii((3, 4))[0], [0.2, 0.2, 0.0, 0.2])
    assert model.surrounded(Uncertainty("kl", 0.2)).uncertainty.radius == 0.2
    assert model.surrounded(Uncertainty("tv", 2.0, penalty=True)).uncertainty.penalty
    without = RobustLinearMDP(model.nominal, model.uncertainty)
    assert without.surrounded(Uncertainty("tv", 0.2)).uncertainty.radius == 0.2
