"""The registry of learners."""

import re

from theoryrl.learners import LEARNERS


def test_every_learner_is_registered_under_its_own_kebab_case_key():
    for key, learner in LEARNERS.items():
        assert re.fullmatch(r"[a-z]+[0-9]*(-[a-z]+)*", key)
        assert learner.key == key


def test_only_the_oracle_needs_the_model():
    assert [key for key, learner in LEARNERS.items() if getattr(learner, "needs_model", False)] == [
        "oracle-mixture"
    ]
