"""The list of baselines that the registry of learners is filled from."""

import re

from theoryrl.learners.baselines import BASELINES


def test_every_baseline_has_its_kebab_case_key():
    assert len({key for key, _ in BASELINES}) == len(BASELINES)
    for key, learner in BASELINES:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", key)
        assert learner.key == key


def test_only_the_oracle_needs_the_model():
    assert [key for key, learner in BASELINES if getattr(learner, "needs_model", False)] == ["oracle-mixture"]
