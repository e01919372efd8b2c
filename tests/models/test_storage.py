"""A saved model comes back bit for bit, and a file that is not one is refused by name."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import random_mdp, random_mixture, random_policy, recipes, seeds
from theoryrl.models import (
    ConservativeMDP,
    DeterministicPolicy,
    EpisodicMDP,
    HistoryPolicy,
    MatrixGame,
    OfflineDataset,
    Policy,
    PreferenceGame,
    RewardNoise,
    TrajectoryGame,
    load,
    save,
    storage,
)


def examples():
    rng = np.random.default_rng(3)
    mdp = random_mdp(0, signed=True, noise=RewardNoise("gaussian", 0.1))
    data = OfflineDataset(
        rng.integers(3, size=(5, 4)), rng.integers(2, size=(5, 3)), rng.normal(size=(5, 3)), 3, 2, False
    )
    return {
        "EpisodicMDP": mdp,
        "ConservativeMDP": ConservativeMDP(mdp, random_policy(rng, 3, 3, 2), 0.1),
        "Policy": random_policy(rng, 3, 4, 2),
        "stationary Policy": Policy.uniform(3, 3),
        "DeterministicPolicy": DeterministicPolicy(rng.integers(2, size=(3, 4)), 2),
        "MixturePolicy": random_mixture(rng, 3, 4, 2),
        "OfflineDataset": data,
        "empty OfflineDataset": data.subset([]),
        "RewardNoise": RewardNoise("uniform", 0.1 + 0.2),
        "PreferenceGame": PreferenceGame.random(3, rng, contexts=2),
        "RegularizedGame": PreferenceGame.random(3, rng).regularized(0.1, [0.2, 0.3, 0.5]),
        "MatrixGame": MatrixGame(rng.normal(size=(2, 3))),
        "TrajectoryGame": TrajectoryGame(
            rng.dirichlet(np.ones(2), (2, 2)), rng.dirichlet(np.ones(2)), 2, PreferenceGame.random(16, rng)
        ),
        "HistoryPolicy": HistoryPolicy([rng.dirichlet(np.ones(2), (4**h, 2)) for h in range(2)]),
    }


EXAMPLES = examples()
FIELDS = (
    "P",
    "r",
    "rho",
    "reward_range",
    "noise",
    "mdp",
    "baseline",
    "threshold",
    "probabilities",
    "actions",
)
FIELDS += (
    "n_actions",
    "weights",
    "policies",
    "states",
    "rewards",
    "n_states",
    "independent",
    "kind",
    "scale",
    "game",
    "beta",
    "log_reference",
    "payoff",
    "horizon",
    "preferences",
    "stages",
)


def assert_identical(left, right):
    """Same type, and the same bits in every field."""
    assert type(left) is type(right)
    if isinstance(left, np.ndarray):
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert left.tobytes() == right.tobytes()
        assert not right.flags.writeable
    elif isinstance(left, tuple):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_identical(a, b)
    elif type(left).__module__.startswith("theoryrl"):
        names = [name for name in FIELDS if name in vars(left)]
        assert names
        for name in names:
            assert_identical(getattr(left, name), getattr(right, name))
    else:
        assert left == right


every_model = pytest.mark.parametrize("model", EXAMPLES.values(), ids=EXAMPLES)


@every_model
def test_round_trip(model, tmp_path):
    save(model, tmp_path / "model.npz")
    assert_identical(model, load(tmp_path / "model.npz"))


@every_model
def test_a_pickle_keeps_the_bits_and_the_arrays_read_only(model):
    assert_identical(model, pickle.loads(pickle.dumps(model)))


@given(recipe=recipes(), threshold=st.floats(0, 0.999))
@settings(max_examples=30)
def test_round_trip_of_any_model(recipe, threshold, tmp_path_factory):
    mdp = random_mdp(**recipe)
    path = tmp_path_factory.mktemp("models") / "model"
    model = ConservativeMDP(mdp, Policy.uniform(mdp.n_states, mdp.n_actions), threshold)
    save(model, path)
    assert_identical(model, load(path))


def test_numbers_that_text_would_spoil(tmp_path):
    """Negative zero, subnormal numbers, and numbers one unit in the last place apart."""
    rewards = [[-0.0, 5e-324, np.nextafter(1, 2), np.finfo(float).max]]
    data = OfflineDataset([[0] * 5], [[0] * 4], rewards, 1, 1)
    save(data, tmp_path / "data.npz")
    assert_identical(data, load(tmp_path / "data.npz"))
    noise = RewardNoise("gaussian", np.nextafter(0.1, 1))
    save(noise, tmp_path / "noise.npz")
    assert load(tmp_path / "noise.npz").scale == np.nextafter(0.1, 1) != 0.1


def test_derived_arrays_stay_out_of_the_file(tmp_path):
    policy = EXAMPLES["DeterministicPolicy"]
    assert policy.probabilities.shape == (3, 4, 2)
    save(policy, tmp_path / "policy.npz")
    with np.load(tmp_path / "policy.npz", allow_pickle=False) as entries:
        assert sorted(entries.files) == ["actions", "theoryrl"]


def test_the_arrays_can_be_read_without_this_package(tmp_path):
    save(EXAMPLES["ConservativeMDP"], tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as entries:
        np.testing.assert_array_equal(entries["mdp.P"], EXAMPLES["ConservativeMDP"].mdp.P)
        header = json.loads(str(entries["theoryrl"]))
    assert (header["format"], header["version"]) == ("theoryrl model", 1)
    assert header["model"]["kind"] == "ConservativeMDP"


def saved(model):
    buffer = io.BytesIO()
    arrays = {}
    tree = storage._encode(model, "", arrays)
    header = json.dumps({"format": storage.FORMAT, "version": storage.VERSION, "model": tree})
    np.savez(buffer, theoryrl=np.array(header), **arrays)
    return buffer.getvalue()


@given(seed=seeds)
@settings(max_examples=400)
def test_a_damaged_file_is_refused_by_name_or_reads_the_same(seed, tmp_path_factory):
    """Flip a byte, or cut the file: never another model, never another kind of error."""
    rng = np.random.default_rng(seed)
    model = EXAMPLES["MixturePolicy"]
    content = bytearray(saved(model))
    if rng.random() < 0.2:
        content = content[: rng.integers(len(content))]
    else:
        content[rng.integers(len(content))] ^= rng.integers(1, 256)
    path = tmp_path_factory.mktemp("damaged") / "mixture.npz"
    path.write_bytes(content)
    refusal = None
    try:
        assert_identical(model, load(path))
    except ValueError as error:
        refusal = str(error)
    assert refusal is None or str(path) in refusal


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and then nothing", pickle.dumps([1, 2])])
def test_foreign_bytes(content, tmp_path):
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"foreign\.npz is damaged or not a model file of theoryrl"):
        load(path)


def rewritten(path, change):
    """Save an MDP, let `change` edit (header, arrays), and write the file anew."""
    save(EXAMPLES["EpisodicMDP"], path)
    with np.load(path, allow_pickle=False) as entries:
        arrays = dict(entries)
    header = json.loads(str(arrays.pop("theoryrl")))
    change(header, arrays)
    np.savez(path, theoryrl=np.array(json.dumps(header)), **arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header, arrays: header.update(format="other"), "is not a model file of theoryrl"),
        (
            lambda header, arrays: header.update(version=2),
            "has format version 2; this theoryrl reads version 1",
        ),
        (lambda header, arrays: header["model"].update(kind="os"), "unknown kind 'os'"),
        (lambda header, arrays: header.pop("model"), "does not hold a valid model"),
        (lambda header, arrays: header["model"]["fields"].pop("r"), "does not hold a valid model"),
        (lambda header, arrays: header["model"]["fields"].update(x=1), "does not hold a valid model"),
        (lambda header, arrays: arrays.pop("P"), "does not hold a valid model"),
        (
            lambda header, arrays: arrays.update(P=arrays["P"] * 2),
            r"does not hold a valid model: P\[0, 0, 0, :\] must sum to 1",
        ),
    ],
)
def test_an_intact_archive_of_something_else(change, message, tmp_path):
    rewritten(tmp_path / "model.npz", change)
    with pytest.raises(
        ValueError, match=f"model.npz {message}|model.npz does not hold a valid model: {message}"
    ):
        load(tmp_path / "model.npz")


def test_an_archive_without_a_header(tmp_path):
    np.savez(tmp_path / "arrays.npz", P=np.ones(3))
    with pytest.raises(ValueError, match=r"arrays\.npz is damaged or not a model file"):
        load(tmp_path / "arrays.npz")


class Bomb:
    """Unpickling one of these fails the test."""

    exploded = False

    def __reduce__(self):
        return setattr, (Bomb, "exploded", True)


def test_a_pickle_in_the_archive_is_not_executed(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez(path, theoryrl=np.array([Bomb()], dtype=object))
    with pytest.raises(ValueError, match=r"bomb\.npz is damaged or not a model file"):
        load(path)
    assert not Bomb.exploded


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")


@pytest.mark.parametrize("step", ["os.fsync", "Path.replace"])
def test_a_failed_save_leaves_the_old_file_and_no_other(step, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    save(EXAMPLES["Policy"], path)

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(f"theoryrl._files.{step}", fail)
    with pytest.raises(OSError, match="disk full"):
        save(EXAMPLES["MixturePolicy"], path)
    assert_identical(EXAMPLES["Policy"], load(path))
    assert list(tmp_path.iterdir()) == [path]


def test_saving_twice_writes_the_same_bytes(tmp_path):
    save(EXAMPLES["EpisodicMDP"], tmp_path / "a.npz")
    save(EXAMPLES["EpisodicMDP"], tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("thing", [3, {"P": 1}, np.ones(3), EpisodicMDP])
def test_what_is_not_a_model_is_not_saved(thing, tmp_path):
    with pytest.raises(ValueError, match=r"^model must be one of AverageRewardMDP, CandidateGame, "):
        save(thing, tmp_path / "thing.npz")
    assert not list(tmp_path.iterdir())


def test_the_checksum_of_every_entry_is_verified(tmp_path):
    """A flipped bit in the numbers themselves, which would otherwise be a valid other model."""
    path = tmp_path / "data.npz"
    data = OfflineDataset([[0, 0]], [[0]], [[0.5]], 1, 1)
    content = bytearray(saved(data))
    position = content.index(np.array([[0.5]]).tobytes())
    content[position] ^= 1
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() == "rewards.npy"
    with pytest.raises(ValueError, match=r"data\.npz is damaged.*rewards\.npy"):
        load(path)
