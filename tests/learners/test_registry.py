"""The registry of learners."""

import dataclasses
import re

from theoryrl.learners import LEARNERS


def test_every_learner_is_registered_under_its_own_kebab_case_key():
    for key, learner in LEARNERS.items():
        assert re.fullmatch(r"[a-z]+([0-9]+[a-z]*)?(-[a-z]+)*", key)
        assert learner.key == key


def test_only_oracles_need_the_model():
    oracles = {key: learner for key, learner in LEARNERS.items() if getattr(learner, "needs_model", "")}
    assert set(oracles) == {
        "greedy-oracle",
        "interleaved-oracle",
        "lookahead-oracle",
        "optimal-cycle",
        "oracle-mixture",
        "oracle-restarts",
        "periodic-oracle",
        "random-offsets-oracle",
        "round-robin-oracle",
    }
    for learner in oracles.values():
        assert learner.needs_model in {field.name for field in dataclasses.fields(learner)}
