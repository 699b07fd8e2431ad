"""Everything public refuses what it cannot use by name, before a folder is made or a process started."""

import inspect
import subprocess

import numpy as np
import pytest
from support.chips.fake_chip import FakeChip, small_config, small_inputs
from support.chips.grid_chip import GridChip
from support.places import SHORT
from support.tables.sheets import sheets  # noqa: F401 (a fixture)

import hxloop
from hxloop.errors import ArrayError, InvalidInputError
from hxloop.protocol.run_arguments import check_run
from hxloop_host.settings.experiment_settings import load_settings

NAN = float("nan")
NUMBER = [2.5, 2.0, "3", True, NAN, -1, 10**30, (1,), b"1", {}]
PATH = [3, b"runs", "", "a\0b", {}, ("runs",), 2.5, True, "x" * 300]
SWITCH = [1, 0, "yes", (), NAN]
NAME = [3, b"ideal", "", ("ideal",), {}, True, NAN, "a\nb", "x" * 10_000]
OBJECT = [3, "x", {}, print, True, object()]
LISTENER = [3, "x", {}, Exception, True, object(), [print, 3]]
FILE_OR_NAME = PATH
LIST = [3, {}, b"x", [3], [""], True]

BAD = {
    "train": {
        "task": [3, {}, b"x", None, "yinyang", (np.zeros((3, 4)), np.zeros(3, int))],
        "preset": [*FILE_OR_NAME, {"training": {"epochs": 3}}, "quik"],
        "chip": [*NAME, object(), FakeChip],
        "serial": NUMBER,
        "seed": [*NUMBER, None],
        "epochs": [*NUMBER, 0],
        "endpoint": PATH,
        "out": PATH,
        "resume": SWITCH,
        "threads": [*NUMBER, 0],
        "calibration": PATH,
        "initial": PATH,
        "data_dir": PATH,
        "rule": [3, {}, b"x", "fast_and_dep", object(), int, "no_such_file.py:Rule"],
        "augmentation": [3, {}, b"x", "shif", object(), int, "no_such_file.py:Flip", [3], ["shift"]],
        "beginning": [3, {}, b"x", "draw", object(), int, "no_such_file.py:Begin"],
        "virtual_chips": [3, {}, b"x", "publishd", object(), "no_such_file.toml"],
        "report": LISTENER,
    },
    "evaluate": {
        "run": [*PATH, None, object()],
        "chip": [*NAME, object()],
        "serial": NUMBER,
        "endpoint": PATH,
        "trial": [*NUMBER, None],
        "at_s": ["3", True, NAN, -1, 10**30, (1,), b"1", {}],
        "calibration": PATH,
        "task": [3, {}, b"x", "yinyang", (np.zeros((3, 4)), np.zeros(3, int))],
        "data_dir": PATH,
        "rule": [],  # compared with that of the run, which is read first
        "report": LISTENER,
    },
    "load_run": {"path": [*PATH, None]},
    "load_calibration": {"path": [*PATH, None]},
    "calibrate": {
        "chip": [*NAME, "typical", None, object(), GridChip],
        "preset": FILE_OR_NAME,
        "target": OBJECT,
        "only": LIST,
        "method": [*NAME, "publishd", None],
        "seed": [*NUMBER, None],
        "options": [*OBJECT, {"seed": 1}],
        "cache": [*SWITCH, None],
        "delays": [*SWITCH, None],
        "report": LISTENER,
    },
    "measure": {
        "chip": [*NAME, "typical", None, object(), GridChip],
        "calibration": [*OBJECT, "table.h5"],
        "seed": [*NUMBER, None],
        "report": LISTENER,
    },
    "fit_chip": {
        "measurements": [*(bad for bad in PATH if bad != ("runs",)), None, [], [3], object()],
        "base": [*NAME, "typical[all=0]"],
    },
    "study": {
        "name": [*PATH, "mismtch"],
        "preset": [*NAME, "small"],
        "set": [3, "optimizer.learning_rate=1", {3: 1}, [("a", 1)]],
        "task": NAME,
        "rule": [3, {}, b"x", "fast_and_dep", object(), int, "no_such_file.py:Rule"],
        "training": FILE_OR_NAME,
        "chip": NAME,
        "calibrated": SWITCH,
        "serials": [3, "x", "", "1.5", "-1", str(10**30), "9" * 5000, ("1",), "1..2,2"],
        "seeds": [3, "x", "1.5", "-1", str(10**30), (0,)],
        "design": [*NAME, "sobel"],
        "samples": NUMBER,
        "design_seed": NUMBER,
        "title": [3, b"x", {}, True, NAN],
        "question": [3, b"x", {}, True, NAN],
        "out": PATH,
        "resume": [*SWITCH, None],
        "workers": [*NUMBER, 0],
        "scheduler": NAME,
        "tls": PATH,
        "insecure": [*SWITCH, None],
        "report": LISTENER,
    },
    "launch": {
        "chip": [*NAME, None, GridChip()],
        "serial": [*NUMBER, None],
        "threads": [*NUMBER, 0],
        "endpoint": PATH,
        "patience": OBJECT,
    },
    "connect": {"target": [*PATH, None], "patience": OBJECT},
}
"""Verb, argument, and values that it cannot use."""

GOOD = {
    "evaluate": {"run": "nowhere"}, "calibrate": {"chip": GridChip()}, "measure": {"chip": GridChip()},
    "fit_chip": {"measurements": []}, "connect": {"target": "tcp://127.0.0.1:9"},
}  # fmt: skip
"""What else a call needs."""

FIELDS = {
    ("load_run", "path"): "run",
    ("load_calibration", "path"): "calibration",
    ("study", "name"): ("name", "study"),
}
"""Names of arguments in messages, where they are others."""

CASES = [(verb, name, value) for verb, table in BAD.items() for name, values in table.items() for value in values]


@pytest.fixture
def untouched(tmp_path, monkeypatch):
    """An empty current folder that must stay empty, and no processes."""

    def started(*arguments, **_):
        raise AssertionError(f"a process was started: {arguments}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", started)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("verb", "name", "value"), CASES, ids=lambda value: str(value)[:20].encode("unicode_escape"))
def test_verbs_refuse_what_they_cannot_use(verb, name, value, untouched, sheets):  # noqa: F811
    with pytest.raises(InvalidInputError) as caught:
        getattr(hxloop, verb)(**(GOOD.get(verb, {}) | {name: value}))
    assert caught.value.field.startswith(FIELDS.get((verb, name), name))
    assert len(str(caught.value)) < 600
    assert GOOD["calibrate"]["chip"].runs == 0


@pytest.mark.parametrize("verb", BAD)
def test_no_argument_is_forgotten(verb):
    assert set(inspect.signature(getattr(hxloop, verb)).parameters) == set(BAD[verb])


def test_what_a_task_is_is_said_in_one_sentence(untouched):
    with pytest.raises(InvalidInputError) as caught:
        hxloop.train((np.zeros((3, 4)), np.zeros(3, int)))
    assert "must be the name of a task, a data file (.npz, .h5), FILE.py:NAME, or a task" in str(caught.value)


def test_numbers_of_numpy_and_paths_as_text_are_welcome(tmp_path):
    settings = load_settings(SHORT).model_dump()
    settings["network"] |= {"sizes": [5, 3], "copies": [1, 1], "bias_copies": [0, 0]}
    settings["data"] |= {"train": 40, "validation": 10, "test": 10}
    preset = type(load_settings(SHORT))(**settings)
    run = hxloop.train(
        preset=preset,
        chip=GridChip(),
        seed=np.int64(3),
        epochs=np.uint8(1),
        out=str(tmp_path / "run"),
        resume=np.False_,
    )
    assert run.origin.seed == 3
    again = hxloop.evaluate(str(run.path), chip=GridChip(), trial=np.int32(0))
    assert again.test_accuracy == run.test_accuracy


RUN = {
    "inputs": [3, None, "x", {}, ([0], [1], [2])],
    "duration_ticks": [*NUMBER, 0, None],
    "trial_seed": [*NUMBER, None],
    "first_sample": [*NUMBER, None],
    "record": [*NAME, "all", None],
    "neurons": [3, "x", {}, [0.5], [True], [None], 2.5],
    "readout": [*OBJECT, {"counters": True}],
    "config": OBJECT,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in RUN.items() for value in values],
    ids=lambda v: str(v)[:20].encode("unicode_escape"),
)
def test_runs_refuse_what_they_cannot_use(name, value):
    good = {
        "inputs": small_inputs(), "duration_ticks": 1000, "trial_seed": 0, "first_sample": 0, "record": "spikes",
        "neurons": None, "readout": None, "config": None,
    }  # fmt: skip
    check_run(**good)
    with pytest.raises(InvalidInputError) as caught:
        check_run(**(good | {name: value}))
    assert caught.value.field.startswith(name)


def test_runs_take_numbers_and_lists_of_numpy():
    found = check_run(
        small_inputs(), duration_ticks=np.int64(1000), trial_seed=np.uint64(5), first_sample=np.int8(0),
        record="first_spikes", neurons=np.array([3, 1], np.uint16), readout=None, config=small_config(),
    )  # fmt: skip
    assert found["neurons"] == (3, 1)
    assert {type(found[name]) for name in ("duration_ticks", "trial_seed", "first_sample")} == {int}


MADE = {
    "Readout": {
        "cadc_circuits": [3, "x", (1.5,), (True,), (0,) * 513],
        "cadc_period_ticks": [2.5, True, "3", None],
        "madc_circuit": [2.5, True, "3"],
        "counters": [1, "yes", None],
        "correlation": [1, "yes", None],
        "nonsense": [1],
    },
    "OperatingPoint": {name: ["x", True, None, NAN, float("inf")] for name in hxloop.OperatingPoint.model_fields},
    "ChipIdentity": {"serial": [2.5, True, "3", None], "chip": [3, None]},
}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(kind, name, value) for kind, table in MADE.items() for name, values in table.items() for value in values],
    ids=lambda value: str(value)[:20],
)
def test_objects_refuse_what_they_cannot_hold(kind, name, value):
    good = {"ChipIdentity": {"chip": "a", "serial": 1, "spec": "b", "model": "c"}}.get(kind, {})
    with pytest.raises(InvalidInputError) as caught:
        getattr(hxloop, kind)(**(good | {name: value}))
    assert caught.value.field.startswith(name)


INTEGERS = [np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)]


@pytest.mark.parametrize("dtype", [*INTEGERS, np.float64], ids=str)
def test_batches_are_the_same_from_every_type(dtype):
    arrays = [np.array(values, dtype) for values in ([1, 0, 0], [7, 9, 2], [3, 0, 1])]
    batch = hxloop.SpikeBatch.from_arrays(*arrays, 2)
    assert (batch.offsets.tolist(), batch.tick.tolist(), batch.source.tolist()) == ([0, 2, 3], [2, 9, 7], [1, 0, 3])


@pytest.mark.parametrize("name", ["sample", "tick", "source"])
@pytest.mark.parametrize(
    "values",
    [[0, 1.5], [0, NAN], [0, np.inf], [0, True, 2], ["0"], [None], [[0]], np.array([2**64 - 1], np.uint64), 3, {}],
)
def test_batches_refuse_what_is_not_whole(name, values):
    good = {"sample": [0] * np.size(values), "tick": [0] * np.size(values), "source": [0] * np.size(values)}
    if isinstance(values, list) and True in values:
        values = np.array([True, False, True])
    with pytest.raises(InvalidInputError) as caught:
        hxloop.SpikeBatch.from_arrays(**(good | {name: values}), n_samples=1)
    assert caught.value.field.startswith(name)


@pytest.mark.parametrize("value", [2.5, True, -1, 10**30, "3", None])
def test_batches_refuse_what_is_no_number_of_samples(value):
    for make in (lambda: hxloop.SpikeBatch.empty(value), lambda: hxloop.SpikeBatch.from_arrays([], [], [], value)):
        with pytest.raises(InvalidInputError, match="n_samples"):
            make()


def test_batches_of_nothing_and_of_different_lengths():
    assert hxloop.SpikeBatch.from_arrays([], [], [], 2).n_spikes == 0
    with pytest.raises(ArrayError, match=r"tick: has 1 entries, but sample has 2"):
        hxloop.SpikeBatch.from_arrays([0, 0], [1], [0, 0], 1)
    with pytest.raises(InvalidInputError, match=r"batches\[1\]"):
        hxloop.SpikeBatch.concatenate([small_inputs(), 3])


@pytest.mark.parametrize("value", [[0], (0,), 3, None, "x", np.array(["x"]), np.array([None])])
def test_configurations_hold_arrays(value):
    from dataclasses import fields, replace

    config = small_config()
    for part in ("neurons", "shared", "synapses", "input_routes", "background"):
        for item in fields(getattr(config, part)):
            with pytest.raises(ArrayError) as caught:
                replace(getattr(config, part), **{item.name: value})
            assert caught.value.field == item.name
    for item in fields(config):
        with pytest.raises(InvalidInputError) as caught:
            replace(config, **{item.name: 3})
        assert caught.value.field == item.name
