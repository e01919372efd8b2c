"""While pytest runs, the shapes and types in the signatures are checked."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from tests.generators import random_mdp
from theoryrl.models import Policy
from theoryrl.protocol import Trace
from theoryrl.solvers import Simulator, policy_value
from theoryrl.solvers.episodic import _kernels


def test_a_wrong_type_is_caught():
    with pytest.raises(TypeCheckError, match="mdp"):
        policy_value("no model", Policy.uniform(2, 2))


def test_axes_of_the_same_name_must_agree():
    trace = Trace("a", "b", 0, True, np.array([1, 2]), np.array([0.5, 0.5]), np.ones(2))
    assert trace.rounds == 3
    with pytest.raises(TypeCheckError, match="stretch_values"):
        Trace("a", "b", 0, True, np.array([1, 2]), np.array([0.5]), np.ones(2))


def test_a_method_is_checked_too():
    simulator = Simulator(random_mdp(0))
    rng = np.random.default_rng(0)
    with pytest.raises(TypeCheckError, match="budget"):
        simulator.run(Policy.uniform(3, 2), 1, rng, rng, np.zeros((3, 3, 2)))


def test_a_validating_constructor_answers_with_its_own_error():
    with pytest.raises(ValueError, match="probabilities must have shape"):
        Policy("nonsense")


def test_kernels_are_compiled_from_the_plain_function():
    assert not hasattr(_kernels.draw.py_func, "__wrapped__")
