"""Records: round trip, damage, atomic replacement."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.daemons.processes import wait_for

from hxloop.errors import MissingFileError, RecordError
from hxloop.files.records import USER_BLOCK_BYTES, Quantity, Record, read_record, write_record


def example(size=50):
    rng = np.random.default_rng(size)
    return Record(
        "run",
        {"task": "yin-yang", "seed": 2**62, "threshold": 0.1 + 0.2, "finished": True, "unicode": "1 µs ± é"},
        {
            "weights/layer0": Quantity(rng.normal(size=(size, 3)), "1", "model weights"),
            "weights/codes": Quantity(rng.integers(-63, 64, 7).astype(np.int8), "1", "weight codes"),
            "metrics/loss": Quantity(np.array([np.nan, np.inf, -0.0]), "1", "loss"),
            "empty": Quantity(np.empty((0, 4)), "us", "nothing yet"),
        },
    )


def assert_same(found, expected):
    assert dict(found.attributes) == dict(expected.attributes)
    assert {type(v) for v in found.attributes.values()} == {type(v) for v in expected.attributes.values()}
    assert found.quantities.keys() == expected.quantities.keys()
    for name, quantity in expected.quantities.items():
        other = found.quantities[name]
        assert (other.units, other.long_name) == (quantity.units, quantity.long_name)
        assert other.values.dtype == quantity.values.dtype
        assert other.values.shape == quantity.values.shape
        assert other.values.tobytes() == quantity.values.tobytes()


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / "run.h5"
    write_record(path, example())
    assert_same(read_record(path, "run"), example())
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_other_programs_can_read_it(tmp_path):
    path = tmp_path / "run.h5"
    write_record(path, example())
    with h5py.File(path, "r") as file:
        assert file.userblock_size in {0, USER_BLOCK_BYTES}
        dataset = file["weights/layer0"]
        np.testing.assert_array_equal(dataset[()], example().quantities["weights/layer0"].values)
        assert dataset.fletcher32
        assert dataset.attrs["units"] == "1"
    manifest = json.loads(path.read_bytes()[:USER_BLOCK_BYTES])
    assert manifest["kind"] == "run"


def test_any_flipped_bit_or_cut_is_noticed(tmp_path):
    path, damaged = tmp_path / "run.h5", tmp_path / "damaged.h5"
    write_record(path, example())
    content = path.read_bytes()
    rng = np.random.default_rng(11)
    text = len(content[:USER_BLOCK_BYTES].rstrip())
    positions = [*range(text), *rng.integers(USER_BLOCK_BYTES, len(content), 200).tolist()]
    for position in positions:
        changed = bytearray(content)
        changed[position] ^= 1 << int(rng.integers(0, 8))
        damaged.write_bytes(changed)
        with pytest.raises(RecordError):
            read_record(damaged, "run")
    for length in (0, 1, 300, USER_BLOCK_BYTES, len(content) - 1):
        damaged.write_bytes(content[:length])
        with pytest.raises(RecordError, match="damaged"):
            read_record(damaged, "run")


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"nothing\.h5"):
        read_record(tmp_path / "nothing.h5", "run")
    with pytest.raises(RecordError):
        read_record(tmp_path, "run")
    path = tmp_path / "table.h5"
    write_record(path, Record("calibration", {}, {}))
    with pytest.raises(RecordError, match="'calibration', not 'run'"):
        read_record(path, "run")
    future = path.read_bytes().replace(b"hxloop-record-1", b"hxloop-record-9")
    path.write_bytes(future)
    with pytest.raises(RecordError, match="hxloop-record-9"):
        read_record(path, "calibration")


def test_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    write_record(path, example(3))
    before = path.read_bytes()

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(RecordError, match="No space left"):
        write_record(path, example(5))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_killed_writer_leaves_a_whole_file(tmp_path):
    """A process that rewrites one record all the time is killed at random moments; the record always reads."""
    path = tmp_path / "run.h5"
    program = (
        "import sys, numpy as np\n"
        "from pathlib import Path\n"
        "from hxloop.files.records import Quantity, Record, write_record\n"
        "k = 0\n"
        "while True:\n"
        "    values = np.full(20000, float(k))\n"
        "    write_record(Path(sys.argv[1]), Record('run', {'k': k}, {'values': Quantity(values, '1', 'k')}))\n"
        "    k += 1\n"
    )
    rng = np.random.default_rng(0)
    for _ in range(4):
        path.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", program, str(path)]) as writer:
            try:
                wait_for(path.exists, what="the file")
                time.sleep(float(rng.uniform(0.0, 0.1)))
            finally:
                writer.kill()
        record = read_record(Path(path), "run")
        assert (record.quantities["values"].values == record.attributes["k"]).all()
