"""Every learner with a bonus_scale checks it, and says in one way when it voids the theory."""

import dataclasses
import subprocess
import sys
import warnings

import pytest

from theoryrl.learners import LEARNERS, UCBVI, FixedMixture, StepMix

SCALED = {
    key: learner
    for key, learner in LEARNERS.items()
    if any(field.name == "bonus_scale" for field in dataclasses.fields(learner))
}
every_scaled_learner = pytest.mark.parametrize("learner", SCALED.values(), ids=SCALED)


def test_the_learners_with_bonuses_are_these():
    assert {"stepmix", "epsmix", "bpi-ucbvi", "budget", "ucbvi", "dope", "opt-cmdp", "opt-pess-lp"} <= set(
        SCALED
    )


@every_scaled_learner
def test_bonuses_below_those_of_the_theory_are_announced_once(learner):
    message = rf"{learner.__name__}: the guarantee is void \(bonus_scale = 0.5 is below 1\)"
    with pytest.warns(UserWarning, match=message) as caught:
        built = learner(bonus_scale=0.5)
    assert len(caught) == 1
    assert not built.guaranteed


def test_the_warning_points_to_the_line_that_built_the_learner(tmp_path):
    """In a process of its own: here the shape checks add frames that belong to nobody."""
    script = tmp_path / "script.py"
    script.write_text(
        "from theoryrl.learners import Budget, StepMix\nStepMix(bonus_scale=0.5)\nBudget(bonus_scale=0.5)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    for line, name in ((2, "StepMix"), (3, "Budget")):
        assert f"{script}:{line}: UserWarning: {name}: the guarantee is void" in done.stderr


@every_scaled_learner
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_bonuses_at_least_those_of_the_theory_are_not(learner, scale):
    """They leave the guarantee as it is by default: some learners have none at all."""
    with warnings.catch_warnings(action="error"):
        assert learner(bonus_scale=scale).guaranteed == learner().guaranteed


@every_scaled_learner
@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_factor_that_is_not_a_positive_number_is_refused(learner, scale):
    with pytest.raises(ValueError, match="bonus_scale"):
        learner(bonus_scale=scale)


def test_a_mixture_inherits_the_reservation_of_its_optimistic_part():
    with pytest.warns(UserWarning, match="UCBVI: the guarantee is void"):
        mixture = FixedMixture(optimist=UCBVI(bonus_scale=0.5))
    assert not mixture.guaranteed


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"offline": "vi-lcb"}, r"\(offline = 'vi-lcb' has no stated confidence\)"),
        ({"offline": "kl", "allow_uncertified": True}, r"\(allow_uncertified is set\)"),
        ({"bonus_scale": 0.1, "offline": "vi-lcb"}, r"below 1; offline = 'vi-lcb'"),
    ],
)
def test_every_reason_is_named(options, reason):
    with pytest.warns(UserWarning, match=f"StepMix: the guarantee is void .*{reason}"):
        assert not StepMix(**options).guaranteed
