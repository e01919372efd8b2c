"""What the docs show of fine-tuning is what the FTPedel page claims, and what was measured independently.

The reference numbers come from a prototype that shares no code with the library; numbers of episodes lie on a
grid of factor 1.1, one step of which is the least that two runs can differ by.
"""

import json

import numpy as np
import pytest
from _parts import FIGURES

NUMBERS = json.loads((FIGURES / "ftpedel" / "numbers.json").read_text())
STEP = 1.11


def test_all_certified_runs_on_the_forks_are_optimal():
    rows = [row for name, row in NUMBERS["fork"].items() if name != "VI-LCB"]
    assert all(row["certified"] and row["gap"] <= 1e-12 for row in rows)
    assert NUMBERS["fork"]["VI-LCB"] == {"M−": 0.0, "M+": pytest.approx(0.805)}


@pytest.mark.parametrize(
    ("row", "reference"),
    [
        ("M−, FTPedel", [5922, 6514, 6514]),
        ("M−, Pedel (no data)", [124941, 521893, 2180065]),
        ("M−, uniform + data", [18575, 18575, 20432]),
        ("M+, FTPedel", [137435, 631490, 2637878]),
        ("M+, uniform + data", [324057, 1489016, 6219972]),
    ],
)
def test_the_fork_agrees_with_an_independent_implementation(row, reference):
    found = np.mean(NUMBERS["fork"][row]["episodes"], axis=1)
    assert (found <= STEP * np.array(reference)).all()
    assert (found >= np.array(reference) / STEP).all()


def test_the_slopes_on_the_forks_are_those_of_the_page():
    slope = {name: row["slope"] for name, row in NUMBERS["fork"].items() if name != "VI-LCB"}
    assert abs(slope["M−, FTPedel"]) < 0.2
    assert slope["M−, Pedel (no data)"] == pytest.approx(-2, abs=0.2)
    assert slope["M+, FTPedel"] == pytest.approx(-2, abs=0.2)


def test_the_design_adds_a_factor_of_about_three_and_gap_ucbvi_is_ahead_on_the_covered_fork():
    mean = {
        name: np.mean(row["episodes"], axis=1) for name, row in NUMBERS["fork"].items() if name != "VI-LCB"
    }
    assert (mean["M−, uniform + data"] / mean["M−, FTPedel"] > 2.5).all()
    assert (mean["M−, gap UCBVI"] < mean["M−, FTPedel"]).all()
    assert mean["M+, gap UCBVI"][-1] > mean["M+, FTPedel"][-1]


def test_data_that_do_not_help_hurt_unless_there_are_two_certificates():
    sizes = NUMBERS["offline_size"]
    FTPedel, two = (np.mean(sizes[f"M+, {n}"]["episodes"], axis=1) for n in ("FTPedel", "two certificates"))
    assert FTPedel[-1] > 1.2 * FTPedel[0]
    assert two[-1] < STEP * two[0]


@pytest.mark.parametrize(
    ("data", "reference"),
    [("no data", [19, 45, 97, 229, 593, 1399]), ("twins offline", [2.4, 2.4, 3.6, 8.1, 17, 45])],
)
def test_the_ratio_of_uniform_actions_to_the_design_grows(data, reference):
    ratio = np.array(NUMBERS["locks"][f"{data}, uniform : design"])
    assert (ratio / np.array(reference) < STEP**1.1).all()
    assert (ratio / np.array(reference) > STEP**-1.1).all()
    growth = ratio[1:] / ratio[:-1]
    if data == "no data":
        assert (growth[2:] > 2).all()
    assert (growth >= 1).all()


def test_only_design_and_data_together_are_flat_and_small():
    rows = NUMBERS["separation"]
    for H in (3, 5):
        FTPedel, Pedel, uniform = (
            np.array(rows[f"H = {H}, {name}"]["episodes"])
            for name in ("FTPedel", "Pedel (no data)", "uniform + data")
        )
        assert FTPedel[-1] < STEP**2 * FTPedel[0]
        assert (FTPedel < uniform / 2).all()
        assert Pedel[-1] > 10 * Pedel[0]


def test_unverifiable_learning_is_free_and_right_and_certifies_nothing():
    rows = NUMBERS["verifiability"]
    assert rows["unverifiable: VI-LCB"] == {"certified": 0.0, "episodes": [0.0] * 4, "gap": 0.0}
    for name in ("verifiable: FTPedel", "verifiable: gap UCBVI"):
        assert rows[name]["certified"] == 1
        assert (np.array(rows[name]["episodes"]) > np.array(rows["lower bound"])).all()
