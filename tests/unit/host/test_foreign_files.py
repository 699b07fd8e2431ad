"""Files of strangers and damaged ones, through every reader: one typed error with exit code 2, or a sound result."""

import os
import random
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.places import SHORT
from support.strangers.foreign_files import sealed
from support.strangers.mutation import network_arrays, small_run, targets
from support.tables.calibration_tables import small_table
from typer.testing import CliRunner

from hxloop.cli import app
from hxloop.codes.calibration_table import load_calibration
from hxloop.errors import HxloopError, InvalidInputError, RecordError, UnreadableFileError
from hxloop.files.records import Quantity, read_record, write_record
from hxloop.progress import silent
from hxloop_calibration.options import Options
from hxloop_calibration.recheck import check
from hxloop_calibration.targets import Target
from hxloop_host.link.discovery import read_connection_file
from hxloop_host.network.calibrated import find_calibration
from hxloop_host.runs.checkpoint import RunDirectory
from hxloop_host.runs.run_content import membranes_of
from hxloop_host.runs.trained_run import load_run
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.training.experiment import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = small_run(tmp_path_factory.mktemp("run"))
    return path, path.read_bytes(), read_record(path, "run")


def test_thousands_of_mutations_in_short(tmp_path):
    """The beginning of what `benchmarks/foreign_files.py` counts: no other exception, and nothing that takes long."""
    dice, ends = random.Random(2), Counter()
    for target in targets(tmp_path):
        for _ in range(60):
            target.spoil(dice)
            begin = time.perf_counter()
            try:
                target.read(target.path)
                ends[target.name, "read"] += 1
            except HxloopError as error:
                assert error.exit_code == 2 and "\n" not in str(error), error
                ends[target.name, "refused"] += 1
            assert time.perf_counter() - begin < 5.0
    assert all(ends[name, "refused"] > 5 for name, _ in ends), ends
    assert sum(n for (_, end), n in ends.items() if end == "read") > 60, ends


def changed_run(run, path, attributes=None, quantities=None):
    record = run[2]
    found = {name: replace(record.quantities[name], values=values) for name, values in (quantities or {}).items()}
    attributes = {**record.attributes, **(attributes or {})}
    attributes = {name: value for name, value in attributes.items() if value is not None}
    write_record(path, replace(record, attributes=attributes, quantities={**record.quantities, **found}))
    return path


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"layout": 3}, "it has the layout 3, this version reads up to 2"),
        ({"layout": "two"}, "'layout' is no number"),
        ({"n_features": 10**12}, "'n_features' is 1000000000000, outside 1..65536"),
        ({"n_features": None}, "'n_features' is missing"),
        ({"columns": "[1]"}, "'columns'"),
        ({"columns": '[{"name": "loss", "text": ""}]'}, "a column 'loss', which is no name for one"),
        ({"rule": "{}"}, "'rule'"),
        ({"layout": None}, "'layers' is missing"),
        ({"seed": -1}, "'seed' is -1"),
        ({"seed": 1.5}, "'seed' is 1.5"),
        ({"finished": 1}, "'finished' is neither"),
        ({"settings": "[" * 5000}, "'settings'"),
        ({"settings": '{"network": ' + "1" * 5000 + "}"}, "'settings'"),
        ({"settings": "{}"}, "'settings': network: Field required"),
        ({"chip_identity": "null"}, "'chip_identity'"),
        ({"task": 3}, "'task' is no text"),
        ({"epochs_done": 10**9}, "another number of epochs"),
        ({"test_accuracy": "high"}, "'test_accuracy' is no number"),
        ({"after_events_in": "many"}, "'after_events_in' is no number"),
        ({"class_names": ", ".join("abcdefghi")}, "'class_names'"),
    ],
)
def test_attributes_of_runs(run, tmp_path, attributes, word):
    with pytest.raises(UnreadableFileError, match=word) as caught:
        load_run(changed_run(run, tmp_path / "run.h5", attributes))
    assert "run.h5 does not describe a run: " in caught.value.message


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("weights/0/model", np.transpose, "weights/0/model is float64"),
        ("weights/0/model", lambda w: w[:-1], r"weights/0/model is float64 \[19, 12\], not f \[20, 12\]"),
        ("weights/1/best", lambda w: w[:, :2], r"weights/1/best is float64 .*\[12, 3\]"),
        ("weights/1/code", lambda w: w[0], "weights/1/code is int8"),
        ("weights/1/model", lambda w: w * np.nan, "weights that are not finite"),
        ("metrics/loss", lambda m: m[:1], "metrics/loss"),
        ("metrics/epoch", lambda m: m + 0.5, "metrics/epoch is float64"),
        ("metrics/bump_fraction", lambda m: m[:, 0], "metrics/bump_fraction"),
        ("state/optimizer/first.0", lambda s: s[:, :1], r"state/optimizer/first\.0"),
        ("state/rule/increment", lambda s: s * np.inf, "state/rule/increment is not finite"),
        ("test/label", lambda v: v + 7, "test/label has values outside 0..2"),
        ("test/predicted", lambda v: v[:-3], "test/predicted"),
        ("test/t_out", lambda v: v[:, :1], "test/t_out"),
        ("pictures/map", lambda v: v.astype(np.int64) + 2**40, "pictures/map has values"),
        ("pictures/raster/output/neuron", lambda v: v + 10**9, "pictures/raster/output/neuron"),
        ("pictures/raster/input/time_us", lambda v: v * np.nan, "pictures/raster/input/time_us"),
        ("pictures/sample", lambda v: v + 20, "pictures/sample has values outside 0..19"),
        ("pictures/answer", lambda v: v[:0], "pictures/answer is"),
        ("pictures/answer", lambda v: 0 * v - 2, "pictures/answer has values outside -1..2"),
    ],
)
def test_arrays_of_runs(run, tmp_path, name, change, word):
    values = change(run[2].quantities[name].values)
    with pytest.raises(UnreadableFileError, match=word):
        load_run(changed_run(run, tmp_path / "run.h5", quantities={name: values}))


MEMBRANES = {
    "pictures/membrane_time_us": np.arange(3) * 1.7,
    "pictures/membranes/hidden/neuron": np.array([4, 0]),
    "pictures/membranes/hidden/measured": np.zeros((3, 2), np.float32),
    "pictures/membranes/hidden/modelled": np.full((3, 2), np.nan, np.float32),
    "pictures/grid": np.array([2, 2]),
}


@pytest.mark.parametrize(
    ("name", "values", "word"),
    [
        ("pictures/membrane_time_us", None, "membrane_time_us is missing"),
        ("pictures/membrane_time_us", np.arange(4) * 1.7, r"hidden/measured is float32 \[3, 2\], not f \[4, 2\]"),
        ("pictures/membrane_time_us", np.array([0.0, 1.7, np.inf]), "membranes of hidden are not finite"),
        ("pictures/membranes/hidden/neuron", np.array([4, 12]), "hidden/neuron has values outside 0..11"),
        ("pictures/membranes/hidden/neuron", np.empty(0, int), "measured is"),
        ("pictures/membranes/hidden/measured", np.full((3, 2), np.nan), "membranes of hidden are not finite"),
        ("pictures/membranes/hidden/modelled", np.full((3, 2), np.inf), "membranes of hidden are not finite"),
        ("pictures/membranes/hidden/modelled", np.zeros((3, 3)), "hidden/modelled is float64"),
        ("pictures/membranes/other/neuron", np.array([0]), "membranes/other/neuron has values outside 0..-1"),
        ("pictures/sample", None, "pictures/sample is missing"),
        ("pictures/raster/hidden/neuron", None, "raster/hidden/neuron is missing"),
        ("pictures/grid", np.array([4, 0]), "pictures/grid has values outside 1"),
        ("pictures/grid", np.array([3, 2]), "another number of pixels"),
    ],
)
def test_membranes_and_pixels_of_runs(run, tmp_path, name, values, word):
    record = run[2]
    given = record.quantities | {key: Quantity(value, "1", "membranes") for key, value in MEMBRANES.items()}
    write_record(tmp_path / "run.h5", replace(record, quantities=given))
    assert membranes_of(load_run(tmp_path / "run.h5").record) == ["hidden"]
    given = {key: value for key, value in given.items() if key != name}
    if values is not None:
        given[name] = Quantity(values, "1", "damaged")
    write_record(tmp_path / "run.h5", replace(record, quantities=given))
    with pytest.raises(UnreadableFileError, match=word):
        load_run(tmp_path / "run.h5")


def test_weights_for_another_task_than_the_run_says(run, tmp_path):
    with pytest.raises(UnreadableFileError, match="it has 4 inputs, but mnist16 has 256"):
        load_run(changed_run(run, tmp_path / "run.h5", {"task": "mnist16"}))


def test_a_checkpoint_that_does_not_fit_its_settings_is_passed_over(run, tmp_path):
    """It has the right SHA-256; going on from it would end in the middle of numpy."""
    directory = RunDirectory(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    os.mkfifo(tmp_path / "checkpoints" / "epoch-000009.h5")
    spoilt = {"state/optimizer/second.1": np.ones(3)}
    changed_run(run, tmp_path / "checkpoints" / "epoch-000003.h5", quantities=spoilt)
    changed_run(run, tmp_path / "checkpoints" / "epoch-000002.h5", {"finished": False})
    said = []
    assert directory.newest(said.append).attributes["finished"] is False
    assert any("epoch-000003.h5" in text for text in said)


def test_a_preset_whose_name_is_no_text(tmp_path):
    """File names are bytes; a run with such a name in it is stored, and read again."""
    folder = tmp_path / os.fsdecode(b"b\xe4m")
    folder.mkdir()
    found = train(preset=str(preset_of(folder)), chip=GridChip(), out=tmp_path / "run", report=silent)
    assert "b\\udce4m" in load_run(found.path).origin.preset


def preset_of(folder):
    small_run(folder)
    return folder / "tiny.toml"


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"costs": "[" * 5000}, "'costs'"),
        ({"costs": '[{"routine": "x"}]'}, "'costs': 0.configurations"),
        ({"parameters": '[["a", "mV", "a", "circuit"]]'}, "'parameters'"),
        ({"parameters": '[["../x", "mV", "a", "circuit", 1.0]]'}, r"parameters/\.\./x/target is missing"),
        ({"parameters": '[["v_leak_mv", "mV", "a", "row", 1.0]]'}, "'parameters'"),
        ({"drift_limit_us": "x"}, "'drift_limit_us'"),
        ({"operating_point": "1"}, "'operating_point'"),
        ({"options": 3}, "'options' is no text"),
    ],
)
def test_attributes_of_tables(tmp_path, attributes, word):
    record = small_table().to_record()
    write_record(tmp_path / "t.h5", replace(record, attributes={**record.attributes, **attributes}))
    with pytest.raises(UnreadableFileError, match=word):
        load_calibration(tmp_path / "t.h5")


@pytest.mark.parametrize(
    ("name", "change", "word"),
    [
        ("neurons/circuit", lambda v: v[::-1], "does not list all circuits"),
        ("neurons/capmem_code", lambda v: v[:, :3], r"neurons/capmem_code is int16 \[512, 3\]"),
        ("neurons/switches", lambda v: v.astype(float), "neurons/switches is float64"),
        ("shared/clock_scale", lambda v: v[:, :1], "shared/clock_scale"),
        ("parameters/v_leak_mv/reason", lambda v: v + 99, "a reason that nobody knows"),
        ("parameters/v_leak_mv/achieved", lambda v: v * 1e300, "values beyond"),
        ("drift/scatter_us", lambda v: v[1:], "drift/scatter_us"),
    ],
)
def test_arrays_of_tables(tmp_path, name, change, word):
    record = small_table().to_record()
    changed = replace(record.quantities[name], values=change(record.quantities[name].values))
    write_record(tmp_path / "t.h5", replace(record, quantities={**record.quantities, name: changed}))
    with pytest.raises(UnreadableFileError, match=word):
        load_calibration(tmp_path / "t.h5")


@pytest.mark.parametrize(
    ("quantities", "word"),
    [
        ({"neurons": 4, "drift": 4, "parameters": 4}, "codes of 4 circuits, 4 quadrants"),
        ({"shared/quadrant_code": 1, "parameters/quadrant": 1}, "512 circuits, 1 quadrants"),
    ],
)
def test_tables_of_fewer_circuits_than_the_chip_has(tmp_path, quantities, word):
    """In good order and with the right name; the codes of a circuit that is not there would be looked up."""
    record = small_table().to_record()
    cut = {
        name: replace(q, values=q.values[: next((n for part, n in quantities.items() if name.startswith(part)), None)])
        for name, q in record.quantities.items()
    }
    if "neurons" in quantities:
        cut |= {name: q for name, q in record.quantities.items() if name.startswith("parameters/quadrant")}
    write_record(tmp_path / "t.h5", replace(record, quantities=cut))
    table = load_calibration(tmp_path / "t.h5")
    chip = GridChip()
    chip.identity = table.identity
    with pytest.raises(UnreadableFileError, match=word):
        find_calibration(tmp_path / "t.h5", chip, load_settings(SHORT).neuron)


@pytest.mark.parametrize("options", ["", "[" * 5000, '{"only": 3}', '{"only": ' + "1" * 5000 + "}"])
def test_options_of_another_version_name_no_routines(options):
    assert replace(small_table(), options=options).routines == ()


@pytest.mark.parametrize(("attribute", "word"), [("target", "the target of the table"), ("options", "the options of")])
def test_tables_that_do_not_say_how_they_were_measured(tmp_path, attribute, word):
    record = small_table().to_record()
    attributes = {**record.attributes, "target": Target().model_dump_json(), "options": Options().model_dump_json()}
    attributes[attribute] = '{"a": 1}'
    write_record(tmp_path / "t.h5", replace(record, attributes=attributes))
    table = load_calibration(tmp_path / "t.h5")
    chip = GridChip()
    chip.identity = table.identity
    with pytest.raises(UnreadableFileError, match=word):
        check(chip, table)


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 10**5, b'{"pid": ' + b"1" * 5000 + b"}", b"\xff", b"x" * 10**6])
def test_connection_files(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"c\.json") as caught:
        read_connection_file(path)
    assert len(str(caught.value)) < 400
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidInputError, match="not a file"):
        read_connection_file(path)


def hxloop(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


COMMANDS = {
    "run": ("run", "FILE.npz", "--out", "OUT"),
    "map": ("map", "FILE.npz"),
    "train": ("train", "yin-yang", "--preset", "FILE.toml"),
    "train from": ("train", "yin-yang", "--from", "FILE.h5"),
    "eval": ("eval", "FILE.h5"),
    "runs show": ("runs", "show", "FILE.h5"),
    "check": ("calibrate", "--check", "FILE.h5", "--endpoint", "ipc:///nowhere/data.sock"),
    "study": ("study", "FILE.toml", "--serials", "none"),
}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (command, kind)
        for kind in ("pipe", "folder", "noise", "empty", "sealed noise")
        for command in COMMANDS
        if (command, kind) != ("study", "empty")  # a study with all its defaults
    ],
)
def test_commands_end_in_one_line_with_exit_code_2(tmp_path, command, kind):
    name = next(part for part in COMMANDS[command] if part.startswith("FILE"))
    path = tmp_path / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        noise = random.Random(1).randbytes(3000)
        path.write_bytes({"noise": noise, "empty": b"", "sealed noise": sealed(noise)}[kind])
    begin = time.monotonic()
    files = {name: path, "OUT": tmp_path / "out.npz"}
    done = hxloop(*(files.get(part, part) for part in COMMANDS[command]))
    assert time.monotonic() - begin < 20
    assert done.exit_code == 2, (done.output, done.exception)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ") and name in last
    assert "Traceback" not in done.output


def test_a_network_as_everybody_writes_it_still_runs(tmp_path):
    np.savez(tmp_path / "FILE.npz", **network_arrays())
    assert hxloop("map", tmp_path / "FILE.npz").exit_code == 0


def test_unreadable_files_are_what_they_were_before():
    """Whoever caught the errors of before catches this one."""
    assert issubclass(UnreadableFileError, InvalidInputError) and issubclass(UnreadableFileError, RecordError)
