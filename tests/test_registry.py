"""Look-up by key."""

import pytest

from theoryrl._registry import Registry, UnknownKeyError

FRUIT = Registry("fruit", [("apple", 1), ("apricot", 2), ("pear", 3)])


def test_it_is_a_mapping_in_the_order_of_the_list():
    assert dict(FRUIT) == {"apple": 1, "apricot": 2, "pear": 3}
    assert list(FRUIT) == ["apple", "apricot", "pear"]
    assert len(FRUIT) == 3
    assert "pear" in FRUIT
    assert "plum" not in FRUIT


def test_a_near_miss_is_answered_with_what_was_meant():
    with pytest.raises(UnknownKeyError, match=r"^unknown fruit 'aple'; did you mean apple") as caught:
        FRUIT["aple"]
    assert str(caught.value) == caught.value.args[0]


def test_a_far_miss_is_answered_with_all_keys():
    with pytest.raises(KeyError, match=r"unknown fruit 'zzz'; known: apple, apricot, pear"):
        FRUIT["zzz"]


def test_get_has_a_default():
    assert FRUIT.get("zzz") is None


def test_a_key_is_registered_once():
    with pytest.raises(ValueError, match="fruit 'fig' is registered twice"):
        Registry("fruit", [("fig", 1), ("fig", 2)])
