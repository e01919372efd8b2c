"""A saved dataset is read back as it was, or not at all."""

import numpy as np
import pytest
import xarray as xr

from tests.study import toy
from theoryrl.study import load_dataset, save_dataset


@pytest.fixture(scope="module")
def dataset():
    return toy.study(problems={"ünï/códe": toy.problems()["safe"]}).run(progress=False)


def test_round_trip(dataset, tmp_path):
    save_dataset(dataset, tmp_path / "file.npz")
    read = load_dataset(tmp_path / "file.npz")
    assert read.identical(dataset)
    assert {name: variable.dtype for name, variable in read.variables.items()} == {
        name: variable.dtype for name, variable in dataset.variables.items()
    }


def test_a_store_is_read_by_its_directory(tmp_path):
    result = toy.study().run(store=tmp_path, progress=False)
    assert load_dataset(tmp_path).identical(result)


def test_a_damaged_dataset_is_refused(dataset, tmp_path):
    path = tmp_path / "file.npz"
    save_dataset(dataset, path)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.npz is damaged"):
        load_dataset(path)


def test_a_missing_dataset_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset\.npz"):
        load_dataset(tmp_path)


def test_scalars_and_attributes_survive(tmp_path):
    original = xr.Dataset({"x": 1.5, "flag": ("a", np.array([True, False]))}, attrs={"rounds": 3})
    save_dataset(original, tmp_path / "x.npz")
    assert load_dataset(tmp_path / "x.npz").identical(original)
