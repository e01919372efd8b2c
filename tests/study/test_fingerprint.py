"""Equal content has equal fingerprints in every process; any other content has another one."""

import enum
import functools
import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study import toy
from theoryrl.instances import hazard
from theoryrl.learners import StepMix
from theoryrl.protocol import as_problem
from theoryrl.study.fingerprint import fingerprint


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Plain:
    def __init__(self, content):
        self.content = content


@dataclass(frozen=True)
class Cached:
    x: int
    derived: int = field(init=False, default=0)


DIFFERENT = [
    None, True, False, 0, 1, 1.0, "1", b"1", "", (), [], (1,), [1], (1, 2), ((1,), 2), (1, (2,)), {}, {1: 2},
    {2: 1}, {"a": {"b": 1}}, {1, 2}, {1}, np.array([1.0]), np.array([1]), np.array([[1.0]]),
    np.array([1.0, 2.0]),
    np.array(["a"]), np.float64(1), np.int64(1), Colour.RED, Colour.BLUE, toy.Greedy, toy.Greedy(),
    toy.Greedy(0.2), toy.Greedy(unset="x"), Plain(1), Plain(2), functools.partial(toy.Greedy, epsilon=0.1),
    functools.partial(toy.Greedy, epsilon=0.2), functools.partial(toy.Greedy), fingerprint, len, Cached(1),
    hazard(), hazard(kappa=0.2), hazard(p=0.4), as_problem(hazard(), "a"), as_problem(hazard(), "b"),
    StepMix(), StepMix(delta=0.1), StepMix(bounds="bernstein"),
]  # fmt: skip


def test_no_two_of_these_are_the_same():
    assert len({fingerprint(value) for value in DIFFERENT}) == len(DIFFERENT)


CONTENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(CONTENT)
def test_a_rebuilt_object_has_the_same_fingerprint(content):
    def rebuilt(value):
        if isinstance(value, dict):
            return {key: rebuilt(value[key]) for key in reversed(list(value))}
        return type(value)(map(rebuilt, value)) if isinstance(value, list | tuple) else value

    assert fingerprint(rebuilt(content)) == fingerprint(content)
    assert fingerprint(Plain(rebuilt(content))) == fingerprint(Plain(content))


def test_what_is_derived_or_cached_does_not_count():
    other = Cached(1)
    object.__setattr__(other, "derived", 5)
    assert fingerprint(other) == fingerprint(Cached(1))
    problem = as_problem(hazard())
    before = fingerprint(problem)
    assert problem.benchmark > 0
    assert fingerprint(problem) == before


def test_the_memory_layout_of_an_array_does_not_count():
    array = np.arange(6.0).reshape(2, 3)
    assert fingerprint(np.asfortranarray(array)) == fingerprint(array)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_agrees(hash_seed):
    imports = "from theoryrl.study.fingerprint import fingerprint"
    code = f"{imports}; print(fingerprint({{'a': {{'x', 'y', 'z'}}, 'b': [1.5]}}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": hash_seed},
    )
    assert done.stdout.strip() == fingerprint({"b": [1.5], "a": {"z", "y", "x"}})


@pytest.mark.parametrize("kind", ["list", "dict", "object"])
def test_an_object_that_contains_itself_is_refused(kind):
    value = {"list": [], "dict": {}, "object": Plain(None)}[kind]
    if kind == "list":
        value.append(value)
    elif kind == "dict":
        value["self"] = value
    else:
        value.content = value
    with pytest.raises(TypeError, match="contains itself"):
        fingerprint(value)
