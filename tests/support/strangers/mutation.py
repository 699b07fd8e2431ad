"""Files as damage or malice would change them, with their checksums made right again, and what reads them."""

import json
import re
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, get_args

import h5py
import numpy as np
from support.chips.grid_chip import GridChip
from support.places import SHORT
from support.strangers.foreign_files import sealed
from support.tables.calibration_tables import small_table

import hxloop_host
from hxloop.codes.calibration_table import load_calibration
from hxloop.codes.operating_point import nominal_boot
from hxloop.files.records import Quantity, Record, read_record, write_record
from hxloop.files.toml import load_toml
from hxloop.progress import silent
from hxloop.spec import HICANN_X
from hxloop.task import Split
from hxloop_host.link.discovery import read_connection_file
from hxloop_host.placing.network_file import read_network_file
from hxloop_host.placing.network_run import map_network
from hxloop_host.runs.resume import settings_to_go_on
from hxloop_host.runs.trained_run import find_initial, load_run
from hxloop_host.settings.experiment_settings import load_settings
from hxloop_host.studies.design.point import Point
from hxloop_host.studies.points.point_store import FIGURES, Outcome, Store
from hxloop_host.studies.study_request import Request
from hxloop_host.tasks.catalog import find_task
from hxloop_host.tasks.fitted_preset import fitted_settings
from hxloop_host.tasks.mnist import read_idx
from hxloop_host.training.experiment import train

LARGE = (0, 1, 2, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
ODD_TEXTS = ("", "{}", "[]", "null", "[" * 3000, "1" * 5000, "\x1b[31m", "µ" * 300, '{"a": 1e999}', "NaN", "-1")

ODD_NUMBERS = ("-1", "0", "1e308", "nan", "inf", "9" * 25, "0x" + "f" * 4000, "[[1]]", "1.5")
ODD_PARTS = ("[", "{", '"', "\n", "=", "\x1b", "\ufeff", "#", "[" * 200, "a.b.c = 1\n", "µ")


class Dice(Protocol):
    """What is used of `random.Random`."""

    def choice(self, values: Any) -> Any: ...

    def randrange(self, *limits: int) -> int: ...

    def random(self) -> float: ...

    def randbytes(self, n: int) -> bytes: ...


def mutated(content: bytes, dice: Dice) -> bytes:
    """Content with one to four changes: bytes, numbers, parts that go, come twice or move."""
    changed = bytearray(content)
    marked = [k for k, byte in enumerate(content) if byte] or [0]
    for _ in range(dice.randrange(1, 5)):
        if not changed:
            break
        at = min(dice.choice(marked), len(changed) - 1)
        kind = dice.random()
        if kind < 0.45:
            changed[at] = dice.choice((0, 1, 255, 127, 128, changed[at] ^ (1 << dice.randrange(8))))
        elif kind < 0.75:
            size = dice.choice((2, 4, 8))
            at -= at % size
            if at + size <= len(changed):
                changed[at : at + size] = (dice.choice(LARGE) % 2 ** (8 * size)).to_bytes(size, "little")
        elif kind < 0.85:
            other = dice.randrange(len(changed))
            length = dice.choice((8, 24, 40, 96))
            changed[at : at + length] = changed[other : other + length]
        elif kind < 0.9:
            del changed[at : at + dice.choice((1, 8, 512))]
        elif kind < 0.95:
            changed[at:at] = dice.randbytes(dice.choice((1, 8, 64)))
        else:
            del changed[dice.randrange(len(changed)) :]
    return bytes(changed)


def mutated_text(content: bytes, dice: Dice) -> bytes:
    """Text with one to three changes of its lines, numbers and brackets; bytes now and then."""
    if dice.random() < 0.2:
        return mutated(content, dice)
    text = content.decode()
    for _ in range(dice.randrange(1, 4)):
        parts = re.split(r"(\n|[\[\]{}\",.=:]|[-\d.e]+)", text)
        k = dice.randrange(len(parts))
        numbers = [j for j, part in enumerate(parts) if re.fullmatch(r"\d[-\d.e]*", part)] or [k]
        kind = dice.randrange(6)
        if kind == 0:
            parts[k] = ""
        elif kind == 1:
            parts[k] *= dice.choice((2, 3, 100))
        elif kind in {2, 3}:
            parts[dice.choice(numbers)] = dice.choice(
                ("-1", "0", "1e308", "nan", "inf", "9" * 25, "0x" + "f" * 4000, "[[1]]", "1.5")
            )
        elif kind == 4:
            other = dice.randrange(len(parts))
            parts[k], parts[other] = parts[other], parts[k]
        else:
            parts.insert(
                k, dice.choice(("[", "{", '"', "\n", "=", "\x1b", "\ufeff", "#", "[" * 200, "a.b.c = 1\n", "µ"))
            )
        text = "".join(parts)
    return text.encode()


def mutated_record(record: Record, dice: Dice) -> Record:
    """A record in good order with one to three parts that are not: missing, of another type, shape or value."""
    attributes, quantities = dict(record.attributes), dict(record.quantities)
    for _ in range(dice.randrange(1, 4)):
        if dice.random() < 0.5 or not quantities:
            name = dice.choice(sorted(attributes))
            old = attributes[name]
            if dice.random() < 0.15:
                del attributes[name]
            elif isinstance(old, str) and dice.random() < 0.6:
                attributes[name] = _other_json(old, dice)
            else:
                attributes[name] = dice.choice((0, -1, 2**62, 1e300, float("nan"), float("inf"), True, *ODD_TEXTS))
        else:
            name = dice.choice(sorted(quantities))
            if dice.random() < 0.2:
                del quantities[name]
            else:
                quantities[name] = replace(quantities[name], values=_other_array(quantities[name].values, dice))
    return replace(record, attributes=attributes, quantities=quantities)


def _other_json(text: str, dice: Dice) -> str:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return dice.choice(ODD_TEXTS)
    holders = [tree]
    for holder in holders:
        if isinstance(holder, dict | list):
            holders += [
                v for v in (holder.values() if isinstance(holder, dict) else holder) if isinstance(v, dict | list)
            ]
    holder = dice.choice(holders) if isinstance(tree, dict | list) else None
    if not holder:
        return dice.choice(ODD_TEXTS)
    key = dice.choice(sorted(holder)) if isinstance(holder, dict) else dice.randrange(len(holder))
    holder[key] = dice.choice((None, 0, -1, 10**30, 1e300, float("nan"), "x", [], {}, [[1]], True, "1" * 500))
    return json.dumps(tree)


def _other_array(values: Any, dice: Dice) -> Any:
    kind = dice.randrange(7)
    if kind == 0:
        return values.reshape(-1)
    if kind == 1:
        return values[: len(values) // 2]
    if kind == 2:
        return np.stack([values, values], axis=-1)
    if kind == 3:
        with np.errstate(all="ignore"):
            return values.astype(dice.choice((np.int8, np.uint8, np.int64, np.float64, np.float16, np.bool_)))
    if kind == 4:
        return np.empty((0,) * values.ndim)
    changed = np.array(values)
    if changed.size:
        number = dice.choice((-1, 1, 127, 2**40, -(2**62), float("nan"), float("inf"), 1e300))
        with np.errstate(all="ignore"):
            changed.reshape(-1)[dice.randrange(changed.size)] = np.array(number, np.float64).astype(changed.dtype)
    return changed


def repaired_zip(content: bytes) -> bytes:
    """Archive with right checksums for its stored members."""
    changed = bytearray(content)
    at = changed.find(b"PK\1\2")
    while 0 <= at <= len(changed) - 46:
        size, offset = struct.unpack_from("<I", changed, at + 24)[0], struct.unpack_from("<I", changed, at + 42)[0]
        if struct.unpack_from("<H", changed, at + 10)[0] == 0 and offset + 30 < len(changed):
            begin = offset + 30 + sum(struct.unpack_from("<HH", changed, offset + 26))
            struct.pack_into("<I", changed, at + 16, zlib.crc32(changed[begin : begin + size]))
        at = changed.find(b"PK\1\2", at + 1)
    return bytes(changed)


@dataclass
class Target:
    """A format: a valid file, how it is changed, and all that is done with what was read."""

    name: str
    path: Path
    valid: bytes
    read: Any
    reseal: Any = bytes
    record: Record | None = None
    is_text: bool = False

    def spoil(self, dice: Dice) -> None:
        """Write another invalid, or perhaps still valid, file."""
        if self.record is not None and dice.random() < 0.5:
            write_record(self.path, mutated_record(self.record, dice))
        else:
            change = mutated_text if self.is_text else mutated
            self.path.write_bytes(self.reseal(change(self.valid, dice)))


def _resealed(content: bytes) -> bytes:
    kinds = [kind for kind in ("run", "calibration", "study-point") if f'"{kind}"'.encode() in content[:512]]
    return sealed(content[512:], kinds[0] if kinds else "run")


def _use_run(path: Path) -> None:
    run = load_run(path)
    json.dumps(run.summary())
    assert len(run.codes) == len(run.weights) and len(run.digest) == 64
    assert run.origin.title and run.finished in {True, False}
    find_initial(run, run.origin.task, run.origin.settings)
    settings_to_go_on(run.record, task=run.origin.task, seed=run.origin.seed, settings=run.origin.settings, epochs=None)


def _use_table(path: Path) -> None:
    table = load_calibration(path)
    assert table.routines is not None and repr(table) and table.summary()
    table.failures()
    table.boot.of(np.arange(4, dtype=np.int16), np.arange(4, dtype=np.int16))
    assert table.weight_factor.shape == (2, len(table.usable)) and np.isfinite(table.weight_factor).all()
    assert table.tau_syn_factor and table.chip_time_s is not None


def _use_study(path: Path) -> None:
    load_toml(path, Request)


def _stored_point(folder: Path) -> tuple[Path, Any]:
    """File of a point of a study, and what reads it."""
    values = {
        "task": "yin-yang",
        "settings": load_settings(SHORT),
        "chip": "ideal",
        "serial": 1,
        "seed": 0,
        "model": "4",
    }
    point = Point(action="test", initial=Point(action="train", **values), **values)
    store = Store(folder / "study")
    store.write(point, Outcome(dict.fromkeys(FIGURES, 0.5), 1.0), {"t_out": Quantity(np.ones((20, 3)), "tau_syn", "t")})

    def read(_: Path) -> None:
        found = store.read(point)
        assert found is not None and set(found.figures) == set(FIGURES)
        assert store.spikes(point).ndim == 2

    return store.point_file(point), read


def _use_network(path: Path) -> None:
    map_network(read_network_file(path), HICANN_X, nominal_boot(HICANN_X))


def small_run(folder: Path) -> Path:
    """File of a finished run on a chip of the tests."""
    text = (Path(hxloop_host.__file__).parent / "presets" / "small.toml").read_text()
    for old, new in {
        "[30, 3]": "[12, 3]",
        "= 40": "= 20",
        "[0.10, 0.12]": "[0.8, 1.2]",
        "epochs = 300": "epochs = 2",
    }.items():
        assert old in text
        text = text.replace(old, new)
    preset = folder / "tiny.toml"
    preset.write_text(text + "\n[data]\ntrain = 40\nvalidation = 10\ntest = 20\n")
    return train(preset=str(preset), chip=GridChip(), out=folder / "run", report=silent).path


def network_arrays() -> dict[str, Any]:
    """A network file's arrays."""
    rng = np.random.default_rng(1)
    return {
        "name": "tiny", "n_samples": 3, "duration_us": 30.0, "tau_mem_us": 6.0, "tau_syn_us": 5.0, "t_ref_us": 1.0,
        "weights_1": rng.normal(0, 0.1, (4, 5)), "weight_scale_1": 0.01, "weights_2": rng.normal(0, 0.1, (5, 2)),
        "input_sample": np.array([0, 0, 2], np.int32), "input_neuron": np.array([3, 1, 0], np.int32),
        "input_time_us": np.array([0.008, 16.0, 0.0]),
    }  # fmt: skip


CONNECTION = {
    "protocol": 4, "endpoint": "ipc:///tmp/x/data.sock", "control_endpoint": "ipc:///tmp/x/control.sock", "pid": 2**22,
    "boot_id": "abc", "identity": {"chip": "ideal", "serial": 1, "spec": "hicann-x", "model": "4"},
}  # fmt: skip
STUDY = 'study = "noise"\nserials = "1..3"\n[set]\n"neuron.scale_weights" = [20.0, 30.0]\nx.low = 1\n'


LABEL = np.arange(24) % 3
DATA: dict[str, dict[str, Any]] = {
    "features": {
        "train_features": np.stack([LABEL / 3, LABEL / 4], axis=1),
        "train_label": LABEL,
        "class_names": ["a", "b", "c"],
    },
    "trains": {
        "train_sample": np.repeat(np.arange(24), 2),
        "train_channel": np.tile([0, 1], 24),
        "train_time_us": np.tile([1.0, 2.5], 24),
        "train_label": LABEL,
        "n_channels": 2,
        "duration_us": 10.0,
    },
}


def _use_data(path: Path) -> None:
    task = find_task(path)
    fitted_settings(task)
    for split in get_args(Split):
        assert task.loaded(split).n_classes == task.n_classes


def targets(folder: Path) -> list[Target]:
    """All formats, with valid files in a folder."""
    run = small_run(folder)
    table, network, packed = folder / "table.h5", folder / "network.npz", folder / "packed.npz"
    small_table().save(table)
    np.savez(network, **network_arrays())
    np.savez_compressed(packed, **network_arrays())
    settings = (Path(hxloop_host.__file__).parent / "presets" / "quick.toml").read_bytes()
    idx = struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28) + bytes(range(256)) * 6 + bytes(32)
    made = [
        Target("run", run, run.read_bytes(), _use_run, _resealed, read_record(run, "run")),
        Target("table", table, table.read_bytes(), _use_table, _resealed, read_record(table, "calibration")),
        Target("npz", network, network.read_bytes(), _use_network, repaired_zip),
        Target("npz packed", packed, packed.read_bytes(), _use_network),
        Target("settings", folder / "s.toml", settings, load_settings, is_text=True),
        Target("study", folder / "study.toml", STUDY.encode(), _use_study, is_text=True),
        Target("connection", folder / "c.json", json.dumps(CONNECTION).encode(), read_connection_file, is_text=True),
        Target("idx", folder / "images", idx, lambda path: read_idx(path, 3)),
    ]
    for name, arrays in DATA.items():
        npz, hdf5 = folder / f"{name}.npz", folder / f"{name}.h5"
        np.savez(npz, **arrays)
        with h5py.File(hdf5, "w") as file:
            for key, values in arrays.items():
                packed_so = {"compression": "gzip", "shuffle": True} if np.ndim(values) and key != "class_names" else {}
                file.create_dataset(key, data=values, **packed_so)
        made.append(Target(f"{name} npz", npz, npz.read_bytes(), _use_data, repaired_zip))
        made.append(Target(f"{name} hdf5", hdf5, hdf5.read_bytes(), _use_data))
    point, use_point = _stored_point(folder)
    stored = read_record(point, "study-point")
    made.append(Target("point", point, point.read_bytes(), use_point, _resealed, stored))
    for target in made:
        target.path.write_bytes(target.valid)
        target.read(target.path)
    return made
