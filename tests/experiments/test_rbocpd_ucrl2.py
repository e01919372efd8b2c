"""What the page of R-BOCPD-UCRL2 says of its figures is what their numbers say."""

import json

import numpy as np
import pytest
from _parts import FIGURES

NUMBERS = json.loads((FIGURES / "rbocpd-ucrl2" / "numbers.json").read_text())


@pytest.mark.parametrize("rule", ["safe", "universal"])
def test_proven_rules_raise_no_false_alarm_and_miss_no_change(rule):
    cell = NUMBERS["detector"][rule]
    assert cell["false alarms, O = 2"] <= 0.05
    assert cell["false alarms, O = 3"] <= 0.05
    assert cell["missed"] == 0
    assert cell["extra"] == 0


def test_plug_in_rules_raise_false_alarms():
    assert NUMBERS["detector"]["1/n"]["false alarms, O = 2"] > 0.4
    assert NUMBERS["detector"]["1/T"]["false alarms, O = 2"] > 0.08


def test_delays_are_those_of_an_independent_program():
    """Means over 100 streams of another program, within three of their standard errors."""
    reference = {
        "safe": [(74.0, 38), (44.6, 12), (53.8, 25)],
        "universal": [(59.9, 38), (37.4, 12), (43.9, 25)],
        "icml2020": [(63.6, 38), (40.0, 12), (45.9, 25)],
    }
    for rule, expected in reference.items():
        for delay, (mean, sd) in zip(NUMBERS["detector"][rule]["delays"], expected, strict=True):
            assert abs(delay - mean) < 3 * sd * np.sqrt(1 / 100 + 1 / 300), rule


def test_survival_stays_below_its_exact_bound():
    """Three standard errors of 400 streams, computed from the bound."""
    for survived, bound in NUMBERS["delays"]["survival"].values():
        assert survived <= bound + 3 * np.sqrt(bound * (1 - bound) / 400) + 1e-12


def test_the_plug_in_estimate_is_within_a_tenth_of_the_mean_delay():
    found = NUMBERS["delays"]
    assert np.allclose(found["plug_in"], found["measured"], rtol=0.1)


def finals(name, key):
    return float(np.mean(NUMBERS["regret"][name][key]["final"]))


@pytest.mark.parametrize("model", ["RiverSwim(4), actions flip", "random models, S = 5, A = 3"])
def test_detecting_is_nearly_as_good_as_being_told_and_better_than_the_rest(model):
    for c in ("0.2", "1"):
        key = f"{model}, c = {c}"
        ours = finals("R-BOCPD-UCRL2", key)
        assert ours <= 1.25 * finals("oracle restarts", key)
        rest = set(NUMBERS["regret"]) - {"R-BOCPD-UCRL2", "R-BOCPD-UCRL2, universal", "oracle restarts"}
        assert all(ours < finals(name, key) for name in rest)
    assert NUMBERS["regret"]["R-BOCPD-UCRL2"][f"{model}, c = 0.2"]["restarts"] == 3


def test_without_a_proven_rule_there_are_hundreds_of_restarts():
    assert NUMBERS["regret"]["R-BOCPD-UCRL2, 1/n"]["random models, S = 5, A = 3, c = 0.2"]["restarts"] > 300


def test_slopes_of_regret():
    assert NUMBERS["slope"]["R-BOCPD-UCRL2"]["slope in T"][2] <= 0.6
    assert NUMBERS["slope"]["UCRL2"]["slope in T"][1] >= 0.85
    assert NUMBERS["slope"]["R-BOCPD-UCRL2"]["slope in K + 1"][2] <= 1.05


def test_an_unseen_change_is_missed_without_exploration_and_seen_with_it():
    found = NUMBERS["visibility"]
    assert found["0"]["seen"] < 0.6
    assert found["0.02"]["seen"] == found["0.1"]["seen"] == 1
    assert found["0"]["regret"] > 3 * found["0.02"]["regret"]


def test_forgetting_pays_only_where_the_policy_turns_round():
    turns, stays = "the optimal policy turns round", "the optimal policy stays the same"
    mean = {
        name: {key: np.mean(v) for key, v in cells.items()} for name, cells in NUMBERS["forgetting"].items()
    }
    assert mean["global reset"][turns] < 0.3 * mean["no restart"][turns]
    assert mean["no restart"][stays] < mean["local reset"][stays] < mean["global reset"][stays]
