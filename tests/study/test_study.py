"""A study is a faithful, reproducible collection of runs, whoever executes them."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.study import toy
from theoryrl.learners import StepMix
from theoryrl.protocol import play
from theoryrl.study import CellError, Study, round_grid
from theoryrl.study.store import CELLS

ROOT = Path(__file__).parents[2]


def without_time(dataset):
    return dataset.drop_vars("seconds")


@pytest.fixture(scope="module")
def dataset():
    return toy.study().run(progress=False)


def test_curves_and_scalars_are_those_of_the_single_runs(dataset):
    for learner_name, learner in toy.learners().items():
        for instance, problem in toy.problems().items():
            for seed in range(toy.SEEDS):
                trace = play(problem, learner, toy.ROUNDS, seed)
                run = dataset.sel(learner=learner_name, instance=instance, seed=seed)
                np.testing.assert_array_equal(run["value"], trace.values)
                np.testing.assert_allclose(run["regret"], trace.regret, rtol=0, atol=1e-12)
                assert float(run["final_regret"]) == trace.final_regret
                assert float(run["benchmark"]) == 0.8
                assert bool(run["guaranteed"])


def test_violations_are_counted_over_all_rounds_and_only_under_a_threshold(dataset):
    safe = dataset.sel(instance="safe")
    np.testing.assert_array_equal(safe["violations"], (safe["value"] < 0.4).sum("round"))
    assert float(safe["violations"].sum()) > 0
    assert np.isnan(dataset["violations"].sel(instance="plain")).all()
    np.testing.assert_array_equal(dataset["threshold"], [np.nan, 0.4])


def test_rounding_below_the_threshold_is_no_violation():
    means = np.array([0.3, np.nextafter(0.3, 0)])
    ds = toy.study(problems={"edge": toy.Bandit(means, "edge", threshold=0.3)}).run(progress=False)
    assert not ds["violations"].any()


def test_a_diagnostic_is_nan_for_learners_without_it_and_renamed_where_its_name_is_taken(dataset):
    assert np.isnan(dataset["arm"].sel(learner="bold")).all()
    greedy = dataset.sel(learner="greedy", instance="plain")
    np.testing.assert_array_equal(greedy["diagnostic_value"], greedy["arm"])
    np.testing.assert_array_equal(
        greedy["value"], np.array([0.2, 0.5, 0.8])[greedy["arm"].values.astype(int)]
    )


def test_a_long_horizon_keeps_first_and_last_round_and_exact_scalars():
    study = toy.study(
        problems={"safe": toy.problems()["safe"]}, learners={"greedy": toy.Greedy()}, rounds=5000, seeds=[7]
    )
    run = study.run(progress=False).isel(learner=0, instance=0, seed=0)
    trace = play(study.problems["safe"], toy.Greedy(), 5000, 7)
    rounds = run["round"].values
    assert (rounds[0], rounds[-1], run.attrs["rounds"]) == (1, 5000, 5000)
    np.testing.assert_array_equal(run["value"], trace.values[rounds - 1])
    np.testing.assert_allclose(run["regret"], trace.regret[rounds - 1], rtol=1e-12)
    assert int(run["violations"]) == (trace.values < 0.4).sum()


@pytest.mark.parametrize("rounds", [1, 2, 1999, 2000, 2001, 10_000, 1_000_000, 10**9])
def test_the_grid_is_increasing_and_complete_up_to_two_thousand_rounds(rounds):
    grid = round_grid(rounds)
    assert (grid[0], grid[-1]) == (1, rounds)
    assert (np.diff(grid) > 0).all()
    assert len(grid) == rounds if rounds <= 2000 else 700 <= len(grid) <= 1000


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_give_the_same_dataset(dataset, workers):
    assert without_time(toy.study().run(workers=workers, progress=False)).identical(without_time(dataset))


def test_any_executor_gives_the_same_dataset(dataset):
    with ThreadPoolExecutor(3) as executor:
        result = toy.study().run(executor, progress=False)
    assert without_time(result).identical(without_time(dataset))


def test_a_paper_algorithm_gives_the_same_dataset_in_another_process():
    study = Study({"hazard": "hazard:kappa=0.3"}, {"stepmix": StepMix(refresh_growth=0.5)}, 200, 2)
    here = study.run(progress=False)
    assert without_time(study.run(workers=2, progress=False)).identical(without_time(here))


def test_seeds_are_counted_or_listed(dataset):
    chosen = toy.study(seeds=[2, 0]).run(progress=False)
    np.testing.assert_array_equal(chosen["seed"], [2, 0])
    assert without_time(chosen).identical(without_time(dataset.sel(seed=[2, 0])))


def audit_arm(problem, state, decision):
    return {"mean": float(problem.means[decision.arm])}


def test_an_audit_adds_its_numbers_in_other_processes_too():
    result = toy.study(audit=audit_arm).run(workers=2, progress=False)
    np.testing.assert_array_equal(result["mean"], result["value"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_cell_is_named_and_no_other_is_lost(tmp_path, monkeypatch, workers):
    """The bold learner pulls arm 0 in its runs; the other, which never explores, does not."""
    study = toy.study(
        learners={"calm": toy.Greedy(0.0), "bold": toy.Greedy(0.9)},
        problems={"plain": toy.Bandit(np.ones(3))},
    )
    monkeypatch.setenv(toy.FAIL, "2")
    with pytest.raises(
        CellError, match=r"learner 'bold', instance 'plain', seed 0.* ValueError: arm 2 is stuck"
    ):
        study.run(store=tmp_path, workers=workers, progress=False)
    assert len(list((tmp_path / CELLS).iterdir())) == 3
    monkeypatch.delenv(toy.FAIL)
    monkeypatch.setenv(toy.LOG, str(tmp_path / "log"))
    study.run(store=tmp_path, progress=False)
    assert toy.runs_started(tmp_path / "log") == 3


def test_what_cannot_be_pickled_is_refused_before_anything_runs(tmp_path):
    class Local(toy.Greedy):
        pass

    study = toy.study(learners={"local": Local()})
    with pytest.raises(TypeError, match=r"Local.* cannot be sent to another process.*workers=1"):
        study.run(workers=2, progress=False)


def environment(log, **settings):
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        toy.LOG: str(log),
        **{key: str(value) for key, value in settings.items()},
    }


SCRIPT = """
import sys
from tests.study import toy
if __name__ == "__main__":
    toy.study().run(store=sys.argv[1], workers=int(sys.argv[2]), progress=False)
"""


@pytest.mark.parametrize(
    ("workers", "kind", "number"),
    [
        (1, toy.KILL_SELF, signal.SIGKILL),
        (2, toy.KILL_PARENT, signal.SIGKILL),
        (1, toy.INTERRUPT_SELF, signal.SIGINT),
        (2, toy.INTERRUPT_PARENT, signal.SIGINT),
    ],
)
def test_a_killed_or_interrupted_study_resumes_to_the_same_dataset(
    dataset, tmp_path, monkeypatch, workers, kind, number
):
    """The process dies by a real signal in the middle of its sixth run.

    A worker that sends the signal then waits for ever. That the call returns at all shows that no worker
    outlives the study, since all of them hold its output pipe.
    """
    script, store, log = tmp_path / "script.py", tmp_path / "store", tmp_path / "log"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, store, str(workers)],
        env=environment(log, **{toy.SIGNAL: kind, toy.SIGNAL_RUN: 6, toy.STORED: store / CELLS}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == -number, done.stderr
    assert "InvalidStateError" not in done.stderr
    finished = len(list((store / CELLS).glob("*.npz")))
    assert 1 <= finished < toy.CELLS

    log.unlink()
    monkeypatch.setenv(toy.LOG, str(log))
    resumed = toy.study().run(store=store, progress=False)
    assert toy.runs_started(log) == toy.CELLS - finished
    assert without_time(resumed).identical(without_time(dataset))


def test_a_worker_that_dies_is_a_failure_of_its_cell(tmp_path, monkeypatch):
    monkeypatch.setenv(toy.LOG, str(tmp_path / "log"))
    monkeypatch.setenv(toy.SIGNAL, toy.KILL_SELF)
    monkeypatch.setenv(toy.SIGNAL_RUN, "2")
    with pytest.raises(CellError, match="BrokenProcessPool"):
        toy.study().run(store=tmp_path / "store", workers=2, progress=False)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"rounds": 0}, ValueError, "rounds must be at least 1 and at most 9007199254740992; got 0"),
        ({"rounds": 10**20}, ValueError, "rounds must be at least 1 and at most 9007199254740992; got 1000"),
        ({"seeds": 10**11}, ValueError, "seeds must be at least 1 and at most 1000000; got 100000000000"),
        ({"seeds": 0}, ValueError, "seeds must be at least 1 and at most 1000000; got 0"),
        ({"seeds": [0, -1]}, ValueError, r"seeds\[1\] must be at least 0; got -1"),
        ({"seeds": [3, 4, 3]}, ValueError, r"seeds\[2\] repeats 3"),
        ({"seeds": []}, ValueError, "seeds must not be empty"),
        ({"learners": []}, ValueError, "learners must not be empty"),
        ({"learners": ["budget", "budget"]}, ValueError, r"learners\[1\] repeats 'budget'"),
        ({"learners": {"x": toy.Greedy}}, TypeError, r"learners\['x'\] must be a learner"),
        ({"learners": ["stepmixx"]}, ValueError, "unknown learner 'stepmixx'; did you mean stepmix"),
        ({"problems": {"x": 3}}, TypeError, "expected a model or a problem; got int"),
    ],
)
def test_bad_arguments_are_named(changes, error, text):
    with pytest.raises(error, match=text):
        toy.study(**changes)


def test_workers_must_be_positive():
    with pytest.raises(ValueError, match="workers must be at least 1; got 0"):
        toy.study().run(workers=0)


def test_the_environment_is_left_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    toy.study(seeds=1).run(workers=2, progress=False)
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ


def test_importing_the_wing_needs_neither_matplotlib_nor_cvxpy():
    code = "import sys, theoryrl, theoryrl.study; print({'matplotlib', 'cvxpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
