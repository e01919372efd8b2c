"""Objects written as text: built as written, or refused with the key, the parameter and the value."""

import contextlib
import functools
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theoryrl._registry import Registry
from theoryrl.instances import INSTANCES, hazard
from theoryrl.learners import LEARNERS
from theoryrl.study import keys
from theoryrl.study.keys import bind, build_instance, build_learner, parse


@dataclass(frozen=True)
class Part:
    scale: float = 1.0
    name: str = "x"


@dataclass(frozen=True, kw_only=True)
class Thing:
    count: int = 1
    size: float = 1.0
    flag: bool = False
    name: str = "a"
    limit: float | None = None
    mode: Literal["fast", "slow"] = "fast"
    part: Part = field(default_factory=Part)
    anything: Any = None
    hidden: int = field(init=False, default=0)
    key: ClassVar[str] = "thing"

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(f"size must be positive; got {self.size}")


@dataclass(frozen=True)
class Oracle:
    mdp: Any
    scale: float = 1.0
    needs_model: ClassVar[str] = "mdp"


def needs(count: int, size: float = 1.0):
    return (count, size)


REGISTRY = Registry("thing", [("thing", Thing), ("needs", needs), ("oracle", Oracle)])


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(keys, "LEARNERS", REGISTRY)


@pytest.mark.parametrize(
    ("text", "thing"),
    [
        ("thing", Thing()),
        ("thing:", Thing()),
        ("thing:count=3,size=0.5,flag=true,name=b", Thing(count=3, size=0.5, flag=True, name="b")),
        ("thing:size=1e-3", Thing(size=0.001)),
        ("thing:size=2", Thing(size=2.0)),
        ("thing:flag=No", Thing(flag=False)),
        ("thing:limit=0.5", Thing(limit=0.5)),
        ("thing:limit=none", Thing(limit=None)),
        ("thing:mode=slow", Thing(mode="slow")),
        ("thing:name=a=b:c", Thing(name="a=b:c")),
        ("thing:part.scale=2,part.name=y,count=2", Thing(count=2, part=Part(2.0, "y"))),
        ("needs:count=4", (4, 1.0)),
    ],
)
def test_text_is_built_as_written(text, thing):
    built = build_learner(text)
    assert built == thing
    assert all(
        type(getattr(built, name)) is type(getattr(thing, name)) for name in getattr(thing, "__dict__", {})
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thingg", "unknown thing 'thingg'; did you mean thing?"),
        ("", "unknown thing ''"),
        ("thing:size", "'thing:size': expected name=value; got 'size'"),
        ("thing:=3", "expected name=value; got '=3'"),
        ("thing:size=1,size=2", "parameter 'size' is given twice"),
        ("thing:sizes=1", "thing has no parameter 'sizes'; did you mean size?"),
        ("thing:count=1.5", "thing: parameter 'count' must be an integer; got '1.5'"),
        ("thing:size=big", "thing: parameter 'size' must be a number; got 'big'"),
        ("thing:flag=maybe", "thing: parameter 'flag' must be true or false; got 'maybe'"),
        ("thing:limit=big", "parameter 'limit' must be a number; got 'big'"),
        ("thing:mode=medium", "parameter 'mode' must be one of fast, slow; got 'medium'"),
        ("thing:size=-1", "thing:size=-1: size must be positive; got -1"),
        ("thing:hidden=1", "thing has no parameter 'hidden'"),
        ("thing:anything=1", "parameter 'anything' cannot be written as text; got '1'"),
        ("thing:part=1", "parameter 'part' cannot be written as text"),
        ("thing:count.x=1", "thing: parameter 'count' has no parts; got count.x"),
        ("thing:part.scales=1", "thing.part has no parameter 'scales'; did you mean scale?"),
        ("needs", "needs: parameter 'count' is required"),
        ("oracle:mdp=1", "oracle has no parameter 'mdp'; it has scale"),
    ],
)
def test_a_wrong_text_is_refused_with_key_parameter_and_value(text, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        build_learner(text)
    assert message in str(error.value)


def test_an_oracle_is_completed_with_the_problems_model():
    class Problem:
        mdp = "the model"

    waiting = build_learner("oracle:scale=2")
    assert isinstance(waiting, functools.partial)
    assert bind(waiting, Problem) == Oracle("the model", 2.0)
    assert bind(Thing(), Problem) == Thing()


@given(
    st.text()
    | st.builds("thing:{}={}".format, st.sampled_from([*Thing.__dataclass_fields__, "x"]), st.text())
)
def test_any_text_is_built_or_refused(text):
    with contextlib.suppress(ValueError):
        build_learner(text)


@given(st.integers(), st.floats(min_value=0, allow_infinity=False), st.booleans())
def test_numbers_survive_the_way_through_text(count, size, flag):
    _, parameters = parse(f"thing:count={count},size={size!r},flag={flag}", REGISTRY)
    assert parameters == {"count": count, "size": size, "flag": flag}


@given(st.text(alphabet="hazard:pkn=,0123456789.-e_ ", max_size=40))
def test_any_text_is_an_instance_or_refused(text):
    with contextlib.suppress(ValueError):
        build_instance("hazard:" + text)


def test_instances_are_built():
    assert build_instance("hazard:kappa=0.25,horizon=4").threshold == hazard(4, kappa=0.25).threshold


def test_every_registered_parameter_has_a_type():
    """A parameter without one would be taken for text; this is for those who register the next entry."""
    for entry in [*INSTANCES.values(), *LEARNERS.values()]:
        assert all(
            kind is not str or name in hinted(entry) for name, kind in keys._annotations(entry).items()
        )


def hinted(entry):
    return getattr(entry, "__wrapped__", entry).__annotations__ if not isinstance(entry, type) else {
        name for base in entry.__mro__ for name in getattr(base, "__annotations__", {})
    }  # fmt: skip
