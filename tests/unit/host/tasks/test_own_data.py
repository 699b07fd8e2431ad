"""Data of users: what is taken, what is refused and how, from Python, npz and HDF5; and runs that find them again."""

import h5py
import numpy as np
import pytest
from support.places import ROOT

import hxloop
from hxloop.errors import DataError, HxloopError, InvalidInputError, MissingFileError
from hxloop.task import Dataset, Task
from hxloop_host.tasks.catalog import TASKS, find_task, task_of_run

RNG = np.random.default_rng(7)
N, F = 60, 5
FEATURES = {"train_features": RNG.random((N, F)), "train_label": np.arange(N) % 3}
SPIKES = {
    "train_sample": np.repeat(np.arange(N), 2),
    "train_channel": np.tile([0, 3], N),
    "train_time_us": np.tile([1.0, 7.5], N),
    "train_label": np.arange(N) % 3,
    "duration_us": 30.0,
    "n_channels": 4,
}


def with_value(array, index, value):
    changed = np.array(array, np.float64)
    changed[index] = value
    return changed


def from_python(arrays):
    if "train_features" in arrays:
        return Task.from_arrays(**arrays, name="data")
    parts = ("sample", "channel", "time_us", "label")
    more = {k: arrays[k] for k in ("duration_us", "n_channels", "class_names") if k in arrays}
    sets = {
        split: tuple(arrays[f"{split}_{part}"] for part in parts)
        for split in ("validation", "test")
        if f"{split}_label" in arrays
    }
    return Task.from_spikes(*(arrays[f"train_{part}"] for part in parts), **sets, **more, name="data")


def from_npz(arrays, folder):
    np.savez(folder / "data.npz", **arrays)
    return find_task(str(folder / "data.npz"))


def from_hdf5(arrays, folder):
    with h5py.File(folder / "data.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return find_task(folder / "data.h5")


WAYS = {"Python": lambda arrays, _: from_python(arrays), "npz": from_npz, "hdf5": from_hdf5}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("arrays", [FEATURES, SPIKES], ids=["features", "spikes"])
def test_data_are_the_same_whatever_they_come_in(way, arrays, tmp_path):
    named = arrays | {"class_names": ["red", "green", "blue"]}
    task = WAYS[way](named, tmp_path)
    assert task.digest == from_python(named).digest != from_python(arrays).digest
    assert (task.n_classes, task.n_samples, len(task.notes)) == (3, (42, 9, 9), 2)
    assert task.load("test").class_names == ("red", "green", "blue")
    labels = np.concatenate([task.load(split).label for split in ("train", "validation", "test")])
    assert sorted(labels) == sorted(arrays["train_label"])
    if arrays is FEATURES:
        together = np.concatenate([task.load(split).features for split in ("train", "validation", "test")])
        assert sorted(map(tuple, together)) == sorted(map(tuple, arrays["train_features"]))
        by_row = {tuple(row): k for row, k in zip(FEATURES["train_features"], FEATURES["train_label"], strict=True)}
        test = task.load("test")
        assert [by_row[tuple(row)] for row in test.features] == test.label.tolist()
    else:
        assert (task.n_inputs, task.duration_us) == (4, 30.0)
        for split in ("train", "validation", "test"):
            data = task.load(split)
            assert data.trains.n_spikes == 2 * data.n_samples


def test_drawn_sets_have_their_share_of_every_class_and_depend_on_the_seed():
    label = np.repeat([0, 1, 2], [100, 20, 7])
    features = np.arange(127)[:, None] / 127
    drawn = [Task.from_arrays(features, label, seed=seed) for seed in (0, 0, 1)]
    for task in drawn:
        assert [np.bincount(task.load(split).label).tolist() for split in ("validation", "test")] == [[15, 3, 1]] * 2
    assert drawn[0].digest == drawn[1].digest != drawn[2].digest
    given = Task.from_arrays(features, label, test_features=features[:5], test_label=label[:5])
    assert (given.load("test").n_samples, given.load("validation").n_samples) == (5, 19)


@pytest.mark.parametrize(
    "values",
    [
        FEATURES["train_features"].astype(np.float32),
        np.rint(FEATURES["train_features"]).astype(np.int8),
        FEATURES["train_features"] > 0.5,
        np.asfortranarray(FEATURES["train_features"]),
        FEATURES["train_features"].astype(np.float16),
    ],
    ids=["float32", "int8", "bool", "fortran", "float16"],
)
def test_other_kinds_of_numbers_are_taken(values, tmp_path):
    for way in ("Python", "npz"):
        task = WAYS[way](FEATURES | {"train_features": values}, tmp_path)
        assert task.load("train").features.dtype == np.float64
        assert task.digest == from_python(FEATURES | {"train_features": values.astype(float)}).digest


def test_whole_floats_are_labels_and_nan_is_silence_said_aloud(tmp_path):
    values = FEATURES["train_features"].copy()
    values[3, 2] = np.nan
    task = from_npz({"train_features": values, "train_label": FEATURES["train_label"].astype(float)}, tmp_path)
    assert "train_features: 1 of 300 values are NaN, which stands for no spike" in task.notes


def test_samples_without_spikes_are_taken_and_said_aloud():
    arrays = SPIKES | {name: SPIKES[name][4:] for name in ("train_sample", "train_channel", "train_time_us")}
    task = from_python(arrays)
    assert "2 of the 60 train samples have no spike" in task.notes
    silent = from_python(SPIKES | {key: [] for key in ("train_sample", "train_channel", "train_time_us")})
    assert silent.load("train").trains.n_spikes == 0


def test_one_sample_is_enough_where_the_other_sets_are_given(tmp_path):
    arrays = {"train_features": [[0.5]], "train_label": [1], "class_names": ["a", "b"]}
    others = {
        f"{split}_{part}": arrays[f"train_{part}"] for split in ("validation", "test") for part in ("features", "label")
    }
    assert WAYS["npz"](arrays | others, tmp_path).n_samples == (1, 1, 1)


REFUSED = [
    ("labels from 1", FEATURES, {"train_label": FEATURES["train_label"] + 1}, "train_label", "train_label - 1"),
    ("labels from 1, named", FEATURES, {"train_label": FEATURES["train_label"] + 1, "class_names": list("abc")},
     "train_label", "the 3 class_names"),
    ("negative label", FEATURES, {"train_label": FEATURES["train_label"] - 1}, "train_label", "count from 0"),
    ("a gap", FEATURES, {"train_label": FEATURES["train_label"] * 2}, "train_label", "return_inverse"),
    ("broken label", FEATURES, {"train_label": FEATURES["train_label"] + 0.5}, "train_label[0]", "whole number"),
    ("text as label", FEATURES, {"train_label": np.array(["a", "b", "c"] * 20)}, "train_label", "return_inverse"),
    ("one class", FEATURES, {"train_label": np.zeros(N, int)}, "train_label", "nothing to learn"),
    ("a huge label", FEATURES, {"train_label": with_value(FEATURES["train_label"], 7, 10**9)}, "train_label", "512"),
    ("one label too few", FEATURES, {"train_label": FEATURES["train_label"][1:]}, "train_label", "59 entries for 60"),
    ("above 1", FEATURES, {"train_features": with_value(FEATURES["train_features"], (4, 1), 1.5)},
     "train_features[4,1]", "scale them"),
    ("below 0", FEATURES, {"train_features": with_value(FEATURES["train_features"], (4, 1), -0.1)},
     "train_features[4,1]", "scale them"),
    ("infinite", FEATURES, {"train_features": with_value(FEATURES["train_features"], (4, 1), np.inf)},
     "train_features[4,1]", "inf is outside 0..1"),
    ("bytes of an image", FEATURES, {"train_features": np.full((N, F), 255, np.uint8)}, "train_features[0,0]", "scale"),
    ("images", FEATURES, {"train_features": np.zeros((N, 2, 3))}, "train_features", "x.reshape(len(x), -1)"),
    ("one row", FEATURES, {"train_features": np.zeros(N)}, "train_features", "[n_samples, n_features]"),
    ("no features", FEATURES, {"train_features": np.zeros((N, 0))}, "train_features", "no features"),
    ("no samples", FEATURES, {"train_features": np.zeros((0, F)), "train_label": []}, "train_label", "no samples"),
    ("too few to draw", FEATURES, {"train_features": np.zeros((2, F)), "train_label": [0, 1]},
     "validation_label", "too few"),
    ("half a test set", FEATURES, {"test_features": np.zeros((3, F))}, "test_label", "is missing"),
    ("another width", FEATURES, {"test_features": np.zeros((3, F + 1)), "test_label": [0, 1, 2]},
     "test_features", "6 features, but train_features has 5"),
    ("a class only in the test", FEATURES, {"test_features": np.zeros((3, F)), "test_label": [0, 1, 3]},
     "train_label", "class 3"),
    ("a comma", FEATURES, {"class_names": ["a", "b, c", "d"]}, "class_names[1]", "no comma"),
    ("a name twice", FEATURES, {"class_names": ["a", "a", "c"]}, "class_names", "twice"),
    ("one channel too many", SPIKES, {"n_channels": 3}, "train_channel[1]", "3 is outside 0..2"),
    ("one sample too many", SPIKES, {"train_label": SPIKES["train_label"][1:]}, "train_sample[118]", "59 samples"),
    ("behind the end", SPIKES, {"duration_us": 7.5}, "train_time_us[1]", "7.5 us is not within"),
    ("a time that is none", SPIKES, {"train_time_us": with_value(SPIKES["train_time_us"], 5, np.nan)},
     "train_time_us[5]", "nan us"),
    ("unsorted times", SPIKES, {"train_time_us": SPIKES["train_time_us"][::-1]}, "train_time_us[1]", "lexsort"),
    ("unsorted samples", SPIKES, {"train_sample": SPIKES["train_sample"][::-1]}, "train_sample[2]", "lexsort"),
    ("a spike without a channel", SPIKES, {"train_channel": SPIKES["train_channel"][1:]}, "train_channel", "[119]"),
    ("half a channel", SPIKES, {"train_channel": SPIKES["train_channel"] + 0.5}, "train_channel[0]", "whole number"),
    ("no channels", SPIKES, {"n_channels": 0}, "n_channels", "1..65536"),
    ("no time", SPIKES, {"duration_us": -1.0}, "duration_us", "must be"),
    ("spikes without labels in the test", SPIKES, {"test_sample": [0], "test_channel": [0], "test_time_us": [1.0]},
     "test_label", "is missing"),
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("arrays", "changes", "field", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_is_wrong_is_named(way, arrays, changes, field, words, tmp_path):
    if way == "Python" and any(name.endswith("_sample") and not name.startswith("train") for name in changes):
        pytest.skip("a set is one argument in Python")
    if way == "hdf5" and any(
        np.asarray(value).dtype.kind == "U" and name != "class_names" for name, value in changes.items()
    ):
        changes = {name: np.asarray(value).astype("S") for name, value in changes.items()}
    with pytest.raises(InvalidInputError) as caught:
        WAYS[way](arrays | changes, tmp_path)
    assert caught.value.field == field
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("way", ["npz", "hdf5"])
@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"train_features": np.zeros((3, 3)), "train_labels": np.zeros(3)}, "did you mean 'train_label'"),
        ({"X": np.zeros((3, 3)), "y": np.zeros(3)}, "which no data file has"),
        ({"train_label": np.zeros(3)}, "neither features nor spikes"),
        (FEATURES | SPIKES, "both features and spikes"),
        ({name: value for name, value in SPIKES.items() if name != "n_channels"}, "n_channels: is missing"),
        ({name: value for name, value in SPIKES.items() if name != "train_time_us"}, "train_time_us: is missing"),
        (FEATURES | {"n_channels": 4}, "n_channels: does not belong to a file of features"),
        (SPIKES | {"duration_us": [1.0, 2.0]}, "duration_us: must be one number"),
        ({"train_features": FEATURES["train_features"]}, "train_label: is missing"),
    ],
)  # fmt: skip
def test_files_with_other_arrays_are_refused(way, arrays, words, tmp_path):
    with pytest.raises(InvalidInputError, match=words):
        WAYS[way](arrays, tmp_path)


@pytest.mark.parametrize("case", ["damaged_method.npz", "plain_member.npz", "object_extra.npz"])
def test_strange_archives_are_refused_by_name(case):
    path = ROOT.parent / "shared" / "cases" / case
    if not path.is_file():
        pytest.skip("the collection of strange files is not on this machine")
    with pytest.raises(InvalidInputError, match=case):
        find_task(path)


@pytest.mark.parametrize("name", ["data.npz", "data.h5", "data.hdf5"])
def test_files_that_are_something_else_are_refused(name, tmp_path):
    with pytest.raises(MissingFileError, match=name):
        find_task(str(tmp_path / name))
    for content in (b"", b"PK\5\6", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(4000), b"hello" * 100):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInputError, match=name):
            find_task(str(tmp_path / name))


def test_a_million_samples_are_read(tmp_path):
    n = 10**6
    label = np.arange(n) % 40
    task = from_npz({"train_features": (label[:, None] / 40).astype(np.float32), "train_label": label}, tmp_path)
    assert (task.n_classes, sum(task.n_samples)) == (40, n)
    test = task.load("test")
    np.testing.assert_allclose(test.features[:, 0], test.label / 40, atol=1e-7)


OWN = """
import numpy as np
from hxloop import Task

def blobs():
    label = np.arange(60) % 3
    return Task.from_arrays(label[:, None] / 3 + [[0.1, 0.2]], label, name="blobs")

ready = blobs()
wrong = 3

def lies():
    from dataclasses import replace
    return replace(ready, n_classes=4, digest="")

def fails():
    return 1 / 0

def nothing():
    return None

def taken():
    from dataclasses import replace
    return replace(ready, name="yin-yang")
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "my_tasks.py"
    path.write_text(OWN)
    return path


def test_a_task_of_a_python_file(own):
    for name in ("blobs", "ready"):
        task = find_task(f"{own}:{name}")
        assert (task.name, task.n_classes, task.n_inputs) == ("blobs", 3, 2)
        assert task.source_record()["code"] == f"{own}:{name}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong", "must be a hxloop.Task, or a function that returns one"),
        ("lies", "the train set has 3, but the task says 4"),
        ("fails", "ZeroDivisionError"),
        ("nothing", "must return a hxloop.Task, got None"),
        ("taken", "is a task of the program"),
        ("missing", "has no 'missing'"),
    ],
)
def test_code_that_makes_no_task_is_refused(own, name, words):
    with pytest.raises(InvalidInputError, match=words):
        find_task(f"{own}:{name}")


def test_files_of_other_kinds_say_what_is_meant(own, tmp_path):
    np.save(tmp_path / "data.npy", FEATURES["train_features"])
    with pytest.raises(InvalidInputError, match=r"data\.npy is no file of data.*numpy\.savez"):
        find_task(tmp_path / "data.npy")
    with pytest.raises(InvalidInputError, match=r"which task in it\? \(.*my_tasks\.py:NAME\)"):
        find_task(own)


def test_a_run_finds_its_data_again(tmp_path):
    task = from_npz(FEATURES, tmp_path)
    recorded = task.source_record()
    assert task_of_run(task.name, recorded).digest == task.digest
    (tmp_path / "data.npz").rename(tmp_path / "moved.npz")
    with pytest.raises(MissingFileError, match="--data FILE"):
        task_of_run(task.name, recorded)
    assert task_of_run(task.name, recorded, tmp_path / "moved.npz").digest == task.digest
    assert task_of_run(task.name, recorded, from_python(FEATURES)).digest == task.digest
    np.savez(tmp_path / "data.npz", **(FEATURES | {"train_features": 1.0 - FEATURES["train_features"]}))
    for given in (None, tmp_path / "data.npz", "yin-yang"):
        with pytest.raises(InvalidInputError, match="the run was trained on"):
            task_of_run(task.name, recorded, given)
    (tmp_path / "data.npz").write_bytes(b"PK")
    with pytest.raises(InvalidInputError, match="is other data now"):
        task_of_run(task.name, recorded)


def test_a_run_of_the_program_s_tasks_finds_them():
    assert task_of_run("yin-yang", {}) is TASKS["yin-yang"]
    with pytest.raises(InvalidInputError, match="was trained on yin-yang"):
        task_of_run("yin-yang", {}, "digits")


def test_a_run_file_runs_no_code(own):
    task = find_task(f"{own}:blobs")
    with pytest.raises(InvalidInputError, match=r"code of yours, .*--data .*my_tasks.py:blobs"):
        task_of_run(task.name, task.source_record())
    assert task_of_run(task.name, task.source_record(), f"{own}:blobs").digest == task.digest
    with pytest.raises(InvalidInputError, match="runs only if you name it"):
        task_of_run(f"{own}:blobs", {})
    arrays = from_python(FEATURES)
    with pytest.raises(InvalidInputError, match="arrays that were given in Python"):
        task_of_run(arrays.name, arrays.source_record())


def test_a_folder_of_data_is_for_tasks_that_look_for_files(tmp_path):
    for task in ("yin-yang", "digits", "data.npz"):
        with pytest.raises(InvalidInputError, match="data_dir"):
            find_task(task, data_dir=tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        find_task("mnist16", data_dir=tmp_path / "nowhere")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"")
    with pytest.raises(DataError, match=f"{tmp_path}.*is damaged or another version"):
        find_task("mnist16", data_dir=tmp_path).load("train")


def test_names_of_the_program_are_taken():
    with pytest.raises(InvalidInputError, match="'digits' is a task of the program"):
        find_task(Task.from_arrays(**FEATURES, name="digits"))
    with pytest.raises(HxloopError, match="letters, digits"):
        hxloop.Task.from_arrays(**FEATURES, name="my data")


def test_a_task_that_says_nothing_of_its_data_gets_a_digest():
    data = Dataset(np.zeros((4, 2)), np.array([0, 1, 0, 1]), ("a", "b"))
    task = find_task(Task("mine", lambda _: data, 2, 2))
    assert len(task.digest) == 64
    with pytest.raises(InvalidInputError, match=r"mine\.load\('train'\).*a Dataset"):
        find_task(Task("mine", lambda _: 3, 2, 2))
