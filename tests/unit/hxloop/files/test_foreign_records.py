"""Records of strangers: whatever HDF5 can do beyond a record is refused, at once and by name."""

import os
import random
import struct
import threading
import time

import h5py
import numpy as np
import pytest
from support.strangers.foreign_files import hdf5, sealed
from support.strangers.mutation import mutated

from hxloop.errors import InvalidInputError, RecordError, UnreadableFileError
from hxloop.files.records import Quantity, Record, read_record, write_record


def dataset(file, name="weights/0/model", **options):
    made = file.create_dataset(name, **{"data": np.arange(4.0), "chunks": (4,), "fletcher32": True} | options)
    made.attrs["units"] = "1"
    made.attrs["long_name"] = "numbers"
    return made


def compressed_bomb(file):
    dataset(file, data=None, shape=(2**24,), dtype="f8", chunks=(2**21,), compression="gzip", fillvalue=1.0)


def nested(depth):
    return lambda file: dataset(file, "/".join(["g"] * depth) + "/values")


def linked(link):
    def fill(file):
        dataset(file)
        file["weights/1"] = link(file)

    return fill


def sparse(file):
    """A gigantic array of which only one chunk is there."""
    dataset(file, data=None, shape=(2**40,), dtype="f8", chunks=(64,))[:64] = 1.0


def typed(data, **options):
    return lambda file: dataset(file, data=data, **options)


def ring(file):
    file.create_group("a/b")
    file["a/b/again"] = file["a"]


def with_attribute(value, name="more", on="/"):
    def fill(file):
        dataset(file)
        file[on].attrs[name] = value

    return fill


FEATURES = {
    "external storage": lambda file: dataset(
        file, data=None, shape=(4,), dtype="u1", chunks=None, fletcher32=False, external=[("/etc/passwd", 0, 4)]
    ),
    "external link": linked(lambda file: h5py.ExternalLink("/etc/passwd", "/")),
    "soft link": linked(lambda file: h5py.SoftLink("/weights/0")),
    "soft link to itself": linked(lambda file: h5py.SoftLink("/weights/1")),
    "two names of an object": linked(lambda file: file["weights/0/model"]),
    "group inside itself": ring,
    "compression": compressed_bomb,
    "scale and offset": lambda file: dataset(file, data=np.arange(4), scaleoffset=0, fletcher32=False),
    "no chunks": lambda file: dataset(file, chunks=None, fletcher32=False),
    "many chunks": lambda file: dataset(file, data=np.arange(64.0), chunks=(2,)),
    "gigantic and sparse": sparse,
    "compact": lambda file: file.create_dataset("weights", data=np.float64(1)),
    "nothing in it": lambda file: file.create_dataset("weights", data=h5py.Empty("f8")),
    "texts": typed(np.array(["a", "b"], object), dtype=h5py.string_dtype(), chunks=(2,), fletcher32=False),
    "lists": typed(None, shape=(2,), dtype=h5py.vlen_dtype(np.int32), chunks=(2,), fletcher32=False),
    "references": typed(None, shape=(2,), dtype=h5py.ref_dtype, chunks=(2,)),
    "compound": typed(np.zeros(2, [("a", "i4"), ("b", "f8")]), chunks=(2,)),
    "opaque": typed(np.array([b"ab", b"cd"], "V2"), chunks=(2,)),
    "enumeration": typed(None, shape=(2,), dtype=h5py.enum_dtype({"RED": 0, "TRUE": 1}, "i1"), chunks=(2,)),
    "complex": typed(np.zeros(2, complex), chunks=(2,)),
    "long double": typed(np.zeros(2, np.longdouble), chunks=(2,)),
    "big-endian": typed(np.zeros(2, ">f8"), chunks=(2,)),
    "arrays in arrays": typed(None, shape=(2,), dtype=np.dtype(("f8", (3,))), chunks=(2,)),
    "named type": lambda file: file.__setitem__("weights", np.dtype("f8")),
    "no units": lambda file: file.create_dataset("weights", data=np.arange(4.0), chunks=(4,), fletcher32=True),
    "attribute of a group": with_attribute(1, on="weights"),
    "attribute with an array": with_attribute(np.arange(3)),
    "attribute without a value": with_attribute(h5py.Empty("f8")),
    "attribute with a reference": lambda file: file.attrs.create("more", file.ref, dtype=h5py.ref_dtype),
    "attribute with bytes": with_attribute(np.bytes_(b"ab")),
    "thousands of groups": nested(3000),
    "thousands of members": lambda file: [file.create_group(str(k)) for k in range(9000)],
}


@pytest.mark.parametrize("feature", FEATURES)
def test_what_no_record_has_is_refused(tmp_path, feature):
    path = tmp_path / "run.h5"
    path.write_bytes(sealed(hdf5(FEATURES[feature], libver="earliest")))
    begin = time.monotonic()
    with pytest.raises(UnreadableFileError) as caught:
        read_record(path, "run")
    assert time.monotonic() - begin < 2.0
    assert isinstance(caught.value, RecordError) and isinstance(caught.value, InvalidInputError)
    assert caught.value.exit_code == 2
    assert str(path) in caught.value.message and "\n" not in str(caught.value)


def test_the_object_is_named(tmp_path):
    path = tmp_path / "run.h5"
    path.write_bytes(sealed(hdf5(FEATURES["compression"], libver="earliest")))
    with pytest.raises(UnreadableFileError, match=r"run\.h5.*weights/0/model: is compressed"):
        read_record(path, "run")
    path.write_bytes(sealed(hdf5(with_attribute(np.arange(3)), libver="earliest")))
    with pytest.raises(UnreadableFileError, match=r"attribute more of /: is not a single value"):
        read_record(path, "run")


@pytest.mark.parametrize("version", ["v108", "v110", "latest"])
def test_newer_kinds_of_hdf5_are_refused(tmp_path, version):
    path = tmp_path / "run.h5"
    path.write_bytes(sealed(hdf5(dataset, libver=(version, "latest"))))
    with pytest.raises(UnreadableFileError, match="not the HDF5 of a record"):
        read_record(path, "run")


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "/dev/null", "folder", "socket", "no name", "long name"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path, kind):
    path = tmp_path / "run.h5"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        import socket

        socket.socket(socket.AF_UNIX).bind(str(path))
    elif kind == "no name":
        path = tmp_path / "a\0b"
    elif kind == "long name":
        path = tmp_path / ("x" * 300)
    else:
        path = kind
    found = []

    def read():
        with pytest.raises(UnreadableFileError) as caught:
            read_record(path, "run")
        found.append(caught.value)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(5.0)
    assert found and found[0].exit_code == 2 and found[0].field == "path"


def test_a_file_of_holes_is_refused_by_its_size(tmp_path):
    path = tmp_path / "run.h5"
    with path.open("wb") as file:
        file.truncate(2**42)
    with pytest.raises(UnreadableFileError, match="4398046511104 bytes"):
        read_record(path, "run")


def test_a_manifest_of_anything(tmp_path):
    path = tmp_path / "run.h5"
    for text in (b"[" * 512, b"1" * 512, b"[1]", b'{"format": [], "kind": 1, "sha256": null}', b"\xff" * 512):
        path.write_bytes(text.ljust(512))
        with pytest.raises(UnreadableFileError, match="damaged or not a record"):
            read_record(path, "run")


def body_of(record, path):
    write_record(path, record)
    return bytearray(path.read_bytes()[512:])


def test_numbers_in_the_file_allocate_nothing(tmp_path):
    """Each length, count and address of a record is replaced by large ones; no array grows beyond the file."""
    path = tmp_path / "run.h5"
    record = Record("run", {"text": "abc"}, {"values": Quantity(np.arange(6.0).reshape(2, 3), "1", "numbers")})
    body = body_of(record, path)
    words = [at for at in range(0, len(body) - 8, 8) if any(body[at : at + 8])]
    for at in words:
        for large in (2**63 - 1, 2**40, 2**31, len(body)):
            changed = bytearray(body)
            struct.pack_into("<Q", changed, at, large)
            path.write_bytes(sealed(bytes(changed)))
            try:
                found = read_record(path, "run")
            except UnreadableFileError:
                continue
            assert sum(q.values.nbytes for q in found.quantities.values()) <= len(body)


def test_an_empty_array_of_gigantic_lengths(tmp_path):
    path = tmp_path / "run.h5"
    body = bytes(body_of(Record("run", {}, {"values": Quantity(np.empty((0, 3, 5, 7)), "1", "none")}), path))
    for small, kind in (((0, 3, 5, 7), "<4Q"), ((1, 3, 5, 7), "<4I")):
        assert struct.pack(kind, *small) in body
        body = body.replace(struct.pack(kind, *small), struct.pack(kind, small[0], *[2**32 - 1] * 3))
    path.write_bytes(sealed(body))
    with pytest.raises(UnreadableFileError, match=r"values: says to have the shape \(0, 4294967295"):
        read_record(path, "run")


def test_truth_values_come_back_as_they_were(tmp_path):
    quantities = {
        name: Quantity(np.array(values, bool), "1", "truth") for name, values in (("two", [True, False]), ("none", []))
    }
    write_record(tmp_path / "run.h5", Record("run", {}, quantities))
    for name, found in read_record(tmp_path / "run.h5", "run").quantities.items():
        assert found.values.dtype == bool and found.values.tolist() == quantities[name].values.tolist()


def test_mutated_records_end_in_an_error_or_in_arrays(tmp_path):
    path = tmp_path / "run.h5"
    rng = np.random.default_rng(3)
    quantities = {f"group{k % 5}/values{k}": Quantity(rng.normal(size=(k, 3)), "mV", f"values {k}") for k in range(30)}
    body = bytes(body_of(Record("run", {"a": 1, "b": 0.5, "c": True, "d": "text" * 50}, quantities), path))
    dice = random.Random(5)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(300):
        path.write_bytes(sealed(mutated(body, dice)))
        try:
            read_record(path, "run")
            outcomes["read"] += 1
        except UnreadableFileError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 30, outcomes
