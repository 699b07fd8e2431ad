"""The truth of a chip in a file: equal to the silicon itself, with units, and written on purpose only."""

import json
import subprocess
import sys
from dataclasses import fields

import h5py
import numpy as np
import pytest
from support.said import said

from hxloop.errors import InvalidInputError
from hxloop.files.records import read_record
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.circuits import Circuits, true_circuits
from hxloop_chip.silicon.mechanisms.mechanism_registry import MECHANISMS, deviations_of
from hxloop_chip.silicon.mismatch import Mismatch
from hxloop_chip.silicon.presets import CHIPS, named_chip
from hxloop_chip.truth import CIRCUITS, KIND, MISMATCH, reveal, write_truth

NAME, SERIAL = "typical[dead_fixed=0.02,crosstalk_neighbour_fixed=0.01]", 7
PLACES = np.array([[0, 0, 0], [0, 17, 200], [1, 255, 3], [1, 255, 255], [0, 128, 128]]).T


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("truth") / "truth.h5"
    write_truth(NAME, SERIAL, path)
    return path


@pytest.fixture(scope="module")
def silicon():
    return Mismatch(HICANN_X, named_chip(NAME).imperfections, SERIAL)


def call(*options):
    command = [sys.executable, "-m", "hxloop_chip", "reveal", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_every_deviation_of_the_silicon_is_there(path, silicon):
    public = {name for name in vars(silicon) if not name.startswith("_")}
    strengths = named_chip(NAME).imperfections.model_dump()
    acting = [m for m in MECHANISMS if any(strengths[name] for name in m.strengths)]
    assert public == set(deviations_of(acting)) <= set(MISMATCH)
    with h5py.File(path) as file:
        for name in public:
            np.testing.assert_array_equal(file[f"mismatch/{name}"][()], np.atleast_1d(getattr(silicon, name)))


@pytest.mark.parametrize("serial", [1, 2, 7])
def test_single_synapses_are_those_of_the_silicon(serial):
    record = reveal("typical", serial)
    mismatch = Mismatch(HICANN_X, CHIPS["typical"].imperfections, serial)
    where = tuple(PLACES)
    for name in ("synapse", "weight_bits"):
        np.testing.assert_array_equal(
            record.quantities[f"mismatch/{name}"].values[where], getattr(mismatch, name)(*where)
        )
    for name in ("correlation_amplitude", "correlation_tau"):
        found = record.quantities[f"mismatch/{name}"].values
        for k in (0, 1):
            np.testing.assert_array_equal(found[k][where], getattr(mismatch, name)(*where)[k])


def test_true_parameters_are_those_at_the_boot_codes(path):
    chip = EmulatedChip(NAME, SERIAL)
    every = np.arange(HICANN_X.n_circuits, dtype=np.int16)
    codes = chip.boot.of(every, every)
    circuits = true_circuits(codes, chip.boot.shared, chip.mismatch, HICANN_X)
    assert {item.name for item in fields(Circuits)} == set(CIRCUITS)
    found = read_record(path, KIND).quantities
    np.testing.assert_array_equal(found["boot/capmem_code"].values, codes.capmem_code)
    np.testing.assert_array_equal(found["boot/quadrant_code"].values, chip.boot.shared.quadrant_code)
    for name in (*CIRCUITS, "tau_mem_us"):
        np.testing.assert_array_equal(found[f"circuits/{name}"].values, getattr(circuits, name))
    dead = found["mismatch/dead"].values == 1
    assert dead.any() and np.isinf(found["circuits/v_threshold_mv"].values[dead]).all()


def test_every_array_has_a_unit_and_a_name(path):
    units = set()
    with h5py.File(path) as file:

        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                assert item.attrs["units"] and item.attrs["long_name"], name
                units.add((name.rpartition("_")[2], item.attrs["units"]))

        file.visititems(visit)
        assert file.attrs["digest"] == Mismatch(HICANN_X, EmulatedChip(NAME, SERIAL)._imperfections, SERIAL).digest()
    # the end of a name says the unit
    for ending, unit in units:
        assert {"mv": "mV", "pf": "pF", "ns": "nS", "na": "nA", "us": "us", "lsb": "LSB"}.get(ending, unit) == unit or (
            (ending, unit) in {("mv", "1/mV"), ("na", "1/nA")}
        )


def test_a_chip_without_mismatch_of_synapses_has_no_such_arrays():
    record = reveal("typical[all=0,driver_fixed=0.1]", 1)
    assert "mismatch/synapse" not in record.quantities
    assert record.quantities["mismatch/driver"].values.std() == pytest.approx(0.1, rel=0.2)
    assert json.loads(record.attributes["imperfections"])["driver_fixed"] == 0.1


def test_dead_rows_are_named(tmp_path):
    name = "typical[dead_row_fixed=0.05]"
    summary = write_truth(name, 4, tmp_path / "rows.h5")
    dead = [tuple(place) for place in summary["dead_rows"]]
    assert dead == [tuple(place) for place in np.argwhere(EmulatedChip(name, 4).mismatch.driver == 0).tolist()]
    assert 5 < len(dead) < 60
    quantity = read_record(tmp_path / "rows.h5", KIND).quantities["mismatch/driver"]
    assert {tuple(place) for place in np.argwhere(quantity.values == 0).tolist()} == set(dead)
    assert "passes no events" in quantity.long_name


def test_a_file_is_only_replaced_with_force(path):
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="is there already") as caught:
        write_truth(NAME, SERIAL + 1, path)
    assert caught.value.field == "out"
    assert path.read_bytes() == before


def test_command(tmp_path):
    out = tmp_path / "t.h5"
    done = call("--chip", "typical[all=0,v_leak_fixed_mv=5]", "--serial", 3, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["digest"] == read_record(out, KIND).attributes["digest"]
    assert summary["dead_circuits"] == summary["dead_rows"] == []
    again = call("--chip", "typical", "--serial", 3, "--out", out)
    assert (again.returncode, again.stdout) == (2, "")
    told = said(again.stderr)
    assert len(told) == 1 and told[0].startswith("error: out: ")
    assert call("--chip", "typical[all=0]", "--serial", 3, "--out", out, "--force").returncode == 0
