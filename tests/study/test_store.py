"""A stored run is used if it is whole and belongs to the study, and never otherwise."""

import json
import shutil
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import theoryrl
from tests.study import toy
from theoryrl._files import DamagedFileError, seal, unseal, write_atomically
from theoryrl.study import StoreError
from theoryrl.study.store import CELLS, MANIFEST, Store


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store with all cells, and its dataset."""
    store = tmp_path_factory.mktemp("finished")
    return store, toy.study().run(store=store, progress=False)


@pytest.fixture
def store(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "store")


def cell_files(store):
    return sorted((store / CELLS).iterdir())


def test_a_finished_store_runs_nothing(store, finished, tmp_path, monkeypatch):
    monkeypatch.setenv(toy.LOG, str(tmp_path / "log"))
    again = toy.study().run(store=store, progress=False)
    assert toy.runs_started(tmp_path / "log") == 0
    assert again.identical(finished[1]), "even the times are those of the first run"


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "append"])
def test_a_damaged_cell_is_reported_by_name_and_repeated(store, finished, tmp_path, monkeypatch, damage):
    victim = cell_files(store)[4]
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(
        {
            "flip": bytes(content),
            "truncate": content[:-1],
            "empty": b"",
            "append": victim.read_bytes() + b"x",
        }[damage]
    )
    monkeypatch.setenv(toy.LOG, str(tmp_path / "log"))
    with pytest.warns(UserWarning, match=f"{victim.name} is damaged.*repeated"):
        result = toy.study().run(store=store, progress=False)
    assert toy.runs_started(tmp_path / "log") == 1
    assert result.drop_vars("seconds").identical(finished[1].drop_vars("seconds"))
    with warnings.catch_warnings(action="error"):
        toy.study().run(store=store, progress=False)


@settings(max_examples=200)
@given(data=st.data())
def test_no_flipped_bit_passes_the_seal(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("seal") / "file.npz"
    content = bytearray(seal({"a": 1}, {"x": np.arange(5.0)}))
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"file\.npz is damaged"):
        unseal(path)


def test_a_sealed_file_is_an_ordinary_archive_without_pickles(tmp_path):
    path = tmp_path / "file.npz"
    arrays = {"x": np.array([0.1, -0.0, np.nan, np.inf]), "name": np.array(["ä", "b"])}
    write_atomically(path, seal({"a": [1, None]}, arrays))
    header, read = unseal(path)
    assert header == {"a": [1, None]}
    assert all(read[name].tobytes() == array.tobytes() for name, array in arrays.items())
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["x"], arrays["x"])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr("theoryrl._files.os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_atomically(path, b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_cell_under_another_cells_name_is_not_trusted(store, finished):
    """A whole file with a valid checksum, but of another run."""
    first, second, *_ = cell_files(store)
    first.write_bytes(second.read_bytes())
    with pytest.warns(UserWarning, match=f"{first.name} belongs to another study"):
        result = toy.study().run(store=store, progress=False)
    assert result.drop_vars("seconds").identical(finished[1].drop_vars("seconds"))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rounds": 61}, "rounds = 60 there, 61 here"),
        ({"seeds": 2}, r"seeds = \[0, 1, 2\] there, \[0, 1\] here"),
        (
            {"learners": {**toy.learners(), "bold": toy.Greedy(0.4)}},
            r"learners = .*epsilon=0\.5.*there.*epsilon=0\.4",
        ),
        ({"problems": {**toy.problems(), "plain": toy.Bandit(np.array([0.2, 0.5, 0.9]))}}, "instances = "),
    ],
)
def test_another_study_is_refused_and_told_what_differs(store, changes, text):
    before = {file: file.read_bytes() for file in cell_files(store)}
    with pytest.raises(StoreError, match=rf"holds another study: {text}"):
        toy.study(**changes).run(store=store, progress=False)
    assert {file: file.read_bytes() for file in cell_files(store)} == before


def test_a_parameter_that_is_not_shown_in_the_repr_counts(store):
    learners = {**toy.learners(), "bold": toy.Greedy(0.5, unset="x")}
    assert repr(learners["bold"]) == repr(toy.learners()["bold"])
    with pytest.raises(StoreError, match="learners"):
        toy.study(learners=learners).run(store=store, progress=False)


def test_the_manifest_says_what_was_run_with_which_versions(store):
    manifest = json.loads((store / MANIFEST).read_text())
    assert manifest["specification"] == toy.study().specification
    assert manifest["specification"]["seeds"] == [0, 1, 2]
    assert manifest["versions"]["theoryrl"] == theoryrl.__version__
    assert manifest["versions"]["numpy"] == np.__version__
    assert {"python", "numba"} <= manifest["versions"].keys()


def test_the_manifest_is_there_before_the_first_run(tmp_path):
    Store(tmp_path / "new", toy.study().specification)
    assert (tmp_path / "new" / MANIFEST).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"specification": 1, "versions": 2}', "null"])
def test_a_damaged_manifest_is_written_anew(store, content):
    whole = (store / MANIFEST).read_text()
    (store / MANIFEST).write_text(content)
    with pytest.warns(UserWarning, match=r"manifest\.json is damaged"):
        toy.study().run(store=store, progress=False)
    assert (store / MANIFEST).read_text() == whole


def test_other_library_versions_are_reported(store):
    manifest = json.loads((store / MANIFEST).read_text())
    manifest["versions"]["numba"] = "0.1"
    (store / MANIFEST).write_text(json.dumps(manifest))
    with pytest.warns(UserWarning, match=r"written with numba 0\.1"):
        toy.study().run(store=store, progress=False)


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file is not a directory"):
        toy.study().run(store=tmp_path / "file", progress=False)
