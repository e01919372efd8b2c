"""The command line: what it prints, writes and exits with."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import theoryrl
from theoryrl import models
from theoryrl.cli import main
from theoryrl.instances import blocking, hazard, riverswim
from theoryrl.solvers import backward_induction
from theoryrl.study import load_dataset, summarise
from theoryrl.theory import THEOREMS, Verdict, check

ROOT = Path(__file__).parents[1]
KEYS = [
    "key", "paper", "mark", "kind", "verdict", "measured", "bound", "tightness", "instances", "violations",
    "seconds",
]  # fmt: skip


def call(*arguments, env=None):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], env=env)
    unexpected = result.exception is not None and not isinstance(result.exception, SystemExit)
    assert not unexpected, f"a traceback: {result.exception!r}"
    return result


def refused(*arguments):
    """Return the complaint about wrong usage."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


# Start


def test_help_answers_without_importing_anything_heavy():
    code = (
        "import sys\nfrom theoryrl.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numba', 'numpy', 'scipy', 'xarray', 'matplotlib', 'cvxpy', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_package_is_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "theoryrl", "--version"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == f"theoryrl, version {theoryrl.__version__}"


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_a_worked_example(command):
    help_text = call(command, "--help").output
    assert f"  theoryrl {command}" in help_text.split("Example:")[1]


# Catalogues


def test_papers_and_theorems_are_listed():
    assert "2306.06265" in call("papers").output
    output = call("theorems").output
    assert all(key in output for key in THEOREMS)
    key = next(iter(THEOREMS))
    statements = call("theorems", "--statements", key).output
    assert " ".join(THEOREMS[key].statement.split()) in " ".join(statements.split())


@pytest.mark.parametrize("command", ["theorems", "verify"])
def test_an_unknown_key_is_answered_with_its_neighbours(command):
    complaint = refused(command, "stepmix.safty")
    assert "unknown paper or theorem 'stepmix.safty'" in complaint
    assert "stepmix.safety" in complaint


# verify


@pytest.fixture
def verdicts(monkeypatch):
    """Let `verify` report the given verdicts, one for each theorem that is asked for."""

    def stub(*given):
        def verify(keys, profile, seed, on_report):
            calls.append((keys, profile, seed))
            theorems = list(THEOREMS.values())[: len(given)]
            reports = []
            for theorem, verdict in zip(theorems, given, strict=True):
                report = replace(
                    check(theorem, []), verdict=Verdict(verdict), measured=0.123456, bound=1.0,
                    tightness=0.123456, instances=1234567, violations=7, seconds=98.7, detail="because [so]",
                    vacuous=True,
                )  # fmt: skip
                on_report(report)
                reports.append(report)
            return tuple(reports)

        calls = []
        monkeypatch.setattr("theoryrl.theory.verify", verify)
        return calls

    return stub


@pytest.mark.parametrize(
    ("given_verdicts", "code"),
    [
        (["holds", "holds"], 0),
        (["holds", "violated"], 1),
        (["inconclusive", "violated"], 1),
        (["holds", "inconclusive"], 3),
    ],
)
def test_exit_codes(verdicts, given_verdicts, code):
    verdicts(*given_verdicts)
    assert call("verify").exit_code == code


def test_arguments_reach_the_engine(verdicts):
    calls = verdicts("holds")
    assert call("verify", "stepmix", "--profile", "full", "--seed", 5).exit_code == 0
    assert calls == [(("stepmix",), "full", 5)]


def cells_of(theorem):
    return [theorem.mark.value, theorem.kind.value, "0.123", "1 vacuous", "1234567", "7", "98.7"]


def test_a_wide_table_has_one_line_per_theorem(verdicts):
    verdicts("holds", "violated")
    lines = call("verify", env={"COLUMNS": "200"}).output.splitlines()
    for key in list(THEOREMS)[:2]:
        line = next(line for line in lines if line.startswith(f" {key} "))
        assert all(cell in line for cell in cells_of(THEOREMS[key]))


@pytest.mark.parametrize("columns", ["80", "40"])
def test_a_narrow_table_loses_nothing(verdicts, columns):
    """Without a terminal: two lines per theorem, of 80 columns at most, without escape codes."""
    verdicts(*["inconclusive"] * len(THEOREMS))
    output = call("verify", env={"COLUMNS": columns}).output
    assert "\x1b" not in output
    table = output.split("\n\n")[0].strip("\n").splitlines()
    assert max(map(len, table)) <= 80
    for key, theorem in THEOREMS.items():
        row = next(row for row, line in enumerate(table) if line.startswith(f" {key} "))
        block = " ".join(table[row : row + 2])
        assert all(cell in block for cell in ["inconclusive", *cells_of(theorem)])


def test_what_does_not_hold_is_explained(verdicts):
    verdicts("holds", "inconclusive")
    output = call("verify").output
    assert f"{list(THEOREMS)[1]} inconclusive: because [so]" in output
    assert "2 theorems: 1 holds, 1 inconclusive" in output


def test_json_and_figure_of_a_real_theorem(tmp_path):
    result = call(
        "verify",
        "stepmix.linearity-value",
        "--json",
        tmp_path / "v.json",
        "--figures",
        tmp_path / "new" / "figures",
    )
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "v.json").read_text())
    assert list(content) == ["theorems"]
    assert [list(entry) for entry in content["theorems"]] == [KEYS]
    assert content["theorems"][0]["verdict"] == "holds"
    assert (tmp_path / "new" / "figures" / "verification.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        (["--profile", "slow"], ["--profile", "slow", "quick", "full"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--seed", "x"], ["--seed", "'x'"]),
        (["--json", "/nowhere/at/all/v.json"], ["--json", "/nowhere/at/all"]),
        (["--figures", __file__], ["--figures", __file__]),
        (["--figure", "x"], ["--figure"]),
    ],
)
def test_wrong_usage_of_verify_is_refused_before_any_work(verdicts, arguments, texts):
    calls = verdicts("holds")
    complaint = refused("verify", *arguments)
    assert all(text in complaint for text in texts)
    assert not calls


def test_an_interrupted_verification_has_no_verdict(monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("theoryrl.theory.verify", interrupt)
    assert call("verify").exit_code == 130


# run and plot


def run_arguments(store, **changes):
    options = {
        "--instance": ["hazard:kappa=0.3"],
        "--learner": ["stepmix:refresh_growth=0.5", "budget:refresh_growth=0.5"],
        "--rounds": 300,
        "--seeds": 2,
        "--store": store,
        **changes,
    }
    pairs = [
        (name, value)
        for name, given in options.items()
        for value in (given if isinstance(given, list) else [given])
    ]
    return ["run", *(part for pair in pairs for part in pair)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    result = call(*run_arguments(directory / "store", **{"--json": directory / "run.json"}))
    assert result.exit_code == 0, result.output
    return directory, result


def test_run_writes_dataset_figures_and_json(finished):
    directory, _ = finished
    dataset = load_dataset(directory / "store")
    assert dict(dataset.sizes) == {"learner": 2, "instance": 1, "seed": 2, "round": 300}
    for name in ("regret.png", "values.png"):
        assert (directory / "store" / name).read_bytes().startswith(b"\x89PNG")
    records = json.loads((directory / "run.json").read_text())
    for record, summary in zip(records, summarise(dataset), strict=True):
        assert (record["learner"], record["instance"]) == (summary.learner, summary.instance)
        assert record["final_regret"] == summary.final_regret.estimate
        assert record["final_regret_interval"] == list(summary.final_regret[1:])
        assert record["slope_interval"] == list(summary.slope[1:])
        assert (record["violations"], record["seeds"], record["rounds"]) == (summary.violations, 2, 300)


def test_run_prints_a_row_per_learner(finished):
    _, result = finished
    rows = [line.strip() for line in result.stdout.splitlines()]
    for learner in ("stepmix:refresh_growth=0.5", "budget:refresh_growth=0.5"):
        row = next(index for index, line in enumerate(rows) if line.startswith(learner))
        assert rows[row - 1].startswith("hazard:kappa=0.3 ")


def test_plot_redraws_from_a_store(finished):
    directory, result = finished
    (directory / "store" / "regret.png").unlink()
    again = call("plot", directory / "store")
    assert again.exit_code == 0
    assert again.stdout == result.stdout
    assert (directory / "store" / "regret.png").exists()


def test_two_workers_print_the_same(finished, tmp_path):
    directory, _ = finished
    call(*run_arguments(tmp_path, **{"--workers": 2, "--json": tmp_path / "run.json"}))
    mine, other = (json.loads((path / "run.json").read_text()) for path in (tmp_path, directory))
    for record in mine + other:
        del record["seconds"]
    assert mine == other


def test_another_study_in_the_store_is_wrong_usage(finished):
    directory, _ = finished
    complaint = refused(*run_arguments(directory / "store", **{"--rounds": 301}))
    assert "--store" in complaint
    assert "rounds = 300 there, 301 here" in complaint


def test_one_seed_is_recorded_without_interval(tmp_path):
    call(*run_arguments(tmp_path, **{"--seeds": 1, "--rounds": 5, "--json": tmp_path / "run.json"}))
    record = json.loads((tmp_path / "run.json").read_text())[0]
    assert record["final_regret_interval"] == [None, None]


def test_a_learner_that_does_not_fit_the_instance_is_refused_before_anything_runs(tmp_path):
    store = tmp_path / "store"
    complaint = refused(*run_arguments(store, **{"--instance": ["hazard", "riverswim"], "--rounds": 3}))
    assert "--learner" in complaint
    assert "stepmix:refresh_growth=0.5 cannot play riverswim" in complaint
    assert "threshold" in complaint
    assert not store.exists()


def test_ctrl_c_tells_how_to_go_on(tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("theoryrl.study.core.run_cell", interrupt)
    result = call(*run_arguments(tmp_path))
    assert result.exit_code == 130
    assert "the same command goes on" in result.stderr


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"--rounds": -5}, ["--rounds", "-5"]),
        ({"--rounds": "many"}, ["--rounds", "'many'"]),
        ({"--seeds": 0}, ["--seeds", "0"]),
        ({"--seeds": 10**11}, ["--seeds", "100000000000", "at most 1000000"]),
        ({"--rounds": 10**20}, ["--rounds", "100000000000000000000"]),
        ({"--workers": 0}, ["--workers", "0"]),
        ({"--instance": ["hazzard"]}, ["--instance", "unknown instance 'hazzard'", "did you mean hazard"]),
        ({"--instance": ["hazard:p=2"]}, ["--instance", "p must be", "2"]),
        ({"--instance": ["hazard:p=x"]}, ["--instance", "hazard", "'p' must be a number", "'x'"]),
        ({"--instance": ["hazard:q=1"]}, ["--instance", "hazard has no parameter 'q'"]),
        ({"--instance": ["hazard", "hazard"]}, ["--instance", "'hazard' is given twice"]),
        ({"--instance": []}, ["--instance"]),
        ({"--learner": ["stepmixx"]}, ["--learner", "unknown learner 'stepmixx'", "stepmix"]),
        ({"--learner": ["stepmix:delta=2"]}, ["--learner", "delta must be in (0, 1)", "2"]),
        ({"--learner": ["stepmix:n_min=1.5"]}, ["--learner", "'n_min' must be an integer", "'1.5'"]),
        ({"--learner": ["stepmix:delta"]}, ["--learner", "expected name=value", "'delta'"]),
        ({"--store": __file__}, ["--store", __file__]),
        ({"--json": "/nowhere/at/all.json"}, ["--json", "/nowhere/at"]),
    ],
)
def test_wrong_usage_of_run_names_option_key_and_value(tmp_path, changes, texts):
    complaint = refused(*run_arguments(tmp_path / "store", **changes))
    assert all(text in complaint for text in texts), complaint
    assert not (tmp_path / "store").exists()


@settings(max_examples=60)
@given(
    option=st.sampled_from(["--instance", "--learner"]),
    key=st.sampled_from(["hazard", "stepmix", "x", ""]),
    rest=st.text(alphabet="pkaetdl=,:.-0123456789 \n[]é", max_size=25),
)
def test_no_text_makes_a_traceback(option, key, rest):
    """A store that cannot be made ends those few that are right by accident."""
    arguments = run_arguments(Path(__file__) / "store", **{option: [f"{key}:{rest}"], "--rounds": 1})
    assert option in refused(*arguments) or "--store" in refused(*arguments)


def test_plot_needs_a_finished_store(tmp_path):
    assert "STORE" in refused("plot", tmp_path / "none")
    assert "dataset.npz" in refused("plot", tmp_path)


# solve


def test_solve_prints_the_value_between_its_bounds():
    result = call("solve", "riverswim:horizon=7", "--json")
    answer = json.loads(result.stdout)
    assert answer["lower"] <= backward_induction(riverswim(horizon=7)).start_value <= answer["upper"]
    assert answer["gap"] == answer["upper"] - answer["lower"]
    assert (answer["method"], answer["iterations"]) == ("backward induction", 7)


@pytest.mark.parametrize("method", ["auto", "backward-induction", "linear-program"])
def test_solve_reads_a_file_and_any_method(tmp_path, method):
    models.save(hazard(), tmp_path / "model.npz")
    output = call("solve", tmp_path / "model.npz", "--method", method).output
    assert {line.split()[0] for line in output.splitlines()} == {
        "model", "method", "value", "interval", "policy", "iterations", "time"
    }  # fmt: skip
    value = float(next(line.split()[1] for line in output.splitlines() if line.startswith("value")))
    # Certified to better than this by both methods on five stages of two states.
    assert value == pytest.approx(2.8, abs=1e-9)


def test_solve_takes_games():
    answer = json.loads(call("solve", "rock-paper-scissors", "--json").output)
    assert answer["value"] == answer["upper"] == 0.5
    assert 0 < answer["gap"] < 1e-15
    output = call(
        "solve", "intransitive-contexts:n_contexts=3", "--method", "mirror-prox", "--tol", "1e-9"
    ).output
    assert "(context " in output
    assert "by context: " in output


@pytest.mark.parametrize("key", ["replacement", "inventory", "discounted-random", "growth:n_capital=10"])
def test_solve_proves_the_values_of_models_without_a_horizon(key, tmp_path):
    result = call("solve", key, "--tol", "1e-7", "--output", tmp_path / "answer.npz", "--json", "--progress")
    answer = json.loads(result.stdout)
    assert answer["gap"] <= 2e-7
    assert "proven error" in result.stderr
    with np.load(tmp_path / "answer.npz") as arrays:
        assert (arrays["upper"] - arrays["lower"]).max() == answer["gap"]
        for name, find in (("lowest", np.argmin), ("highest", np.argmax)):
            state = answer[name]["state"]
            assert state == find(arrays["value"])
            assert answer[name]["value"] == arrays["value"][state]
        assert arrays["policy"].shape == arrays["value"].shape
    assert "plus or minus" in call("solve", key).output


def test_solve_says_when_the_tolerance_is_not_proven():
    result = call("solve", "replacement:gamma=0.999", "--tol", "1e-15")
    assert result.exit_code == 1
    assert "rounding in float64 prevents an error of 1e-15" in result.stderr
    assert "plus or minus" in result.stdout


def test_an_interrupted_solve_prints_its_bounds(monkeypatch):
    from theoryrl.solvers.discounted import _operators

    whole, calls = _operators.Tabular.bellman, []

    def press(self, *arguments):
        calls.append(None)
        if len(calls) == 5:
            raise KeyboardInterrupt
        whole(self, *arguments)

    monkeypatch.setattr(_operators.Tabular, "bellman", press)
    result = call("solve", "replacement", "--method", "value-iteration")
    assert result.exit_code == 130
    assert "iterations  4" in result.stdout
    assert "interrupted" in result.stderr


def test_a_constrained_model_in_a_file_is_solved(tmp_path):
    mdp = models.DiscountedMDP(np.ones((1, 2, 1)), np.array([[1.0, 0.0]]), 0.5)
    problem = models.ConstrainedMDP(mdp, np.array([[[0.0, 1.0]]]), np.array([1.0]), np.ones(1))
    models.save(problem, tmp_path / "model.npz")
    answer = json.loads(call("solve", tmp_path / "model.npz", "--json").stdout)
    assert answer["value"] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("text", ["tv:0.1", "kl:0.05", "chi2:0.1", "wasserstein:0.2", "l1-penalty:1"])
def test_solve_answers_for_the_worst_kernel_of_a_set(text):
    plain = json.loads(call("solve", "riverswim:horizon=7", "--json").output)
    robust = json.loads(call("solve", "riverswim:horizon=7", "--uncertainty", text, "--json").output)
    assert robust["method"] == "robust value iteration"
    assert robust["lower"] <= robust["value"] <= robust["upper"]
    assert robust["lower"] <= plain["upper"]


def test_solve_knows_both_kinds_of_rectangularity_and_robust_instances():
    shared = ("--uncertainty", "l1:0.2", "--rectangularity", "s")
    answers = [json.loads(call("solve", "hazard", *o, "--json").output) for o in (shared, shared[:2])]
    assert answers[0]["value"] >= answers[1]["value"]
    known = json.loads(call("solve", "five-state:radius=0.6", "--json").output)
    assert known["value"] == pytest.approx(0.99098, abs=1e-5)
    ascent = call("solve", "five-state:temperature=0.1", "--method", "robust-mirror-ascent")
    assert "robust mirror ascent" in ascent.output


@pytest.mark.parametrize("text", ["tv:0.1", "kl:0.1", "chi2-penalty:2", "wasserstein:0.3"])
def test_solve_puts_a_set_around_each_factor_of_a_linear_model(text):
    plain = json.loads(call("solve", "five-state:radius=0", "--json").output)["value"]
    found = json.loads(call("solve", "five-state:radius=0", "--uncertainty", text, "--json").output)
    assert found["lower"] <= found["value"] <= found["upper"] <= plain
    soft = ("--temperature", "0.1")
    less = json.loads(call("solve", "five-state", "--uncertainty", text, *soft, "--json").output)
    assert less["value"] < found["value"]


def test_solve_bounds_the_robust_values_of_a_discounted_model(tmp_path):
    model = models.DiscountedMDP(np.full((2, 1, 2), 0.5), np.array([[0.0], [1.0]]), 0.5)
    models.save(model, tmp_path / "model.npz")
    found = json.loads(call("solve", tmp_path / "model.npz", "--uncertainty", "tv:0.1", "--json").output)
    # V = r + (0.6 V_0 + 0.4 V_1) / 2 has V_1 = V_0 + 1, so V_0 = 0.4.
    lowest = found["lowest"]
    assert lowest["state"] == 0
    assert lowest["lower"] <= 0.4 <= lowest["upper"]
    assert found["gap"] <= 2e-9


def test_wrong_usage_of_robust_solving():
    for text, complaint in (
        ("tv:2", "radius must be"), ("ball:1", "must be one of"), ("tv", "expected tv:RADIUS"),
    ):  # fmt: skip
        assert complaint in refused("solve", "hazard", "--uncertainty", text)
    assert "needs an episodic" in refused("solve", "queue", "--uncertainty", "tv:0.1")
    complaint = refused("solve", "five-state", "--uncertainty", "l1:0.1", "--rectangularity", "s")
    assert "a linear model has a set for each factor" in complaint
    shared = ("--uncertainty", "tv:0.1", "--rectangularity", "s")
    assert "rectangularity 's'" in refused("solve", "hazard", *shared)
    assert "is needed with" in refused("solve", "hazard", "--temperature", "0.1")


@pytest.mark.parametrize("method", ["auto", "policy-iteration", "periodic"])
def test_solve_takes_a_recovering_bandit_by_name_and_from_a_file(tmp_path, method):
    """Two arms that pay again after one period of rest, K = 1: pulled in turn they earn 1."""
    models.save(blocking(n_arms=2, delay=2), tmp_path / "bandit.npz")
    for source in ("blocking:n_arms=2,delay=2", tmp_path / "bandit.npz"):
        answer = json.loads(call("solve", source, "--method", method, "--json").stdout)
        assert answer["lower"] <= 1 <= answer["upper"]
        assert answer["gap"] < 1e-12
        assert ("Schedule" if method == "periodic" else "Sequence") in answer["policy"]
    assert "in the long run" in call("solve", "blocking").output
    assert "more than max_states" in refused("solve", "recovering")


def test_run_plays_learners_and_oracles_on_a_recovering_bandit(tmp_path):
    learners = ["--learner", "periodic-ucb", "--learner", "greedy-oracle"]
    result = call(
        "run", "--instance", "recovering:n_arms=3,memory=4", *learners, "--rounds", 200, "--seeds", 2,
        "--store", tmp_path / "store", "--json", tmp_path / "table.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    records = json.loads((tmp_path / "table.json").read_text())
    assert [record["learner"] for record in records] == ["periodic-ucb", "greedy-oracle"]
    assert all(record["guaranteed"] for record in records)


def test_wrong_usage_of_solve(tmp_path):
    assert "does not take it" in refused("solve", "hazard", "--tol", "1e-3")
    (tmp_path / "noise.npz").write_bytes(b"noise")
    models.save(models.Policy(np.ones((1, 1))), tmp_path / "policy.npz")
    assert "none.npz" in refused("solve", tmp_path / "none.npz")
    assert "noise.npz" in refused("solve", tmp_path / "noise.npz")
    assert "not a model that can be solved" in refused("solve", tmp_path / "policy.npz")
    assert "unknown instance 'hazzard'" in refused("solve", "hazzard")
    complaint = refused("solve", "hazard", "--method", "simplex")
    assert "--method" in complaint
    assert "'simplex'" in complaint
    assert "linear-program" in complaint


# Output of every kind


def test_a_warning_is_one_line_for_people(tmp_path):
    """In a process of its own: pytest turns warnings into errors."""
    command = run_arguments(
        tmp_path, **{"--learner": ["stepmix:bonus_scale=0.5"], "--rounds": 2, "--seeds": 1}
    )
    done = subprocess.run(
        [sys.executable, "-m", "theoryrl", *map(str, command)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("warning: StepMix: the guarantee is void (bonus_scale = 0.5 is below 1)")
    assert ".py:" not in done.stderr
    assert "(no guarantee)" in done.stdout
