"""npz files of strangers: whatever is in them, arrays come out, or one error that names the member."""

import io
import os
import random
import struct
import time
import zipfile

import numpy as np
import pytest
from support.strangers.mutation import mutated, repaired_zip

from hxloop.errors import InvalidInputError, UnreadableFileError
from hxloop.files.npz import NpzFile

ARRAYS = {
    "a": np.arange(12.0).reshape(3, 4),
    "columns first": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "big-endian": np.arange(5, dtype=">i4"),
    "text": np.array("a µ"),
    "bytes": np.array([b"ab", b"c"]),
    "nothing": np.empty((0, 3)),
    "scalar": np.uint8(7),
    "truth": np.array([True, False]),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_numpy_writes(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, **ARRAYS)
    file = NpzFile(path, "file")
    assert file.names == tuple(ARRAYS)
    for name, expected in ARRAYS.items():
        found = file.read(name)
        assert (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("version", "begin"), [((1, 0), b"\x01"), ((2, 0), b"\x02"), ((3, 0), b"\x03")])
def test_reads_all_versions_of_npy(tmp_path, version, begin):
    content = io.BytesIO()
    np.lib.format.write_array(content, np.arange(3), version)
    assert content.getvalue()[6:7] == begin
    np.testing.assert_array_equal(NpzFile(archive(tmp_path, content.getvalue()), "file").read("a"), [0, 1, 2])


def npy(header, data=b"", version=1):
    text = header.encode("latin-1") + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes((version, 0)) + length + text + data


def plain(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def archive(folder, content, name="a.npy", method=zipfile.ZIP_DEFLATED):
    path = folder / "f.npz"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr(name, content)
    return path


HEADER = "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}"
HEADERS = {
    "too few bytes": HEADER.format("'<f8'", False, "(9,)"),
    "too many bytes": HEADER.format("'<f8'", False, "()"),
    "gigantic": HEADER.format("'<f8'", False, "(1000000000000,)"),
    "overflow": HEADER.format("'<f8'", False, "(4294967296, 4294967296)"),
    "nothing of much": HEADER.format("'<f8'", False, "(0, 9223372036854775807, 9223372036854775807)"),
    "long digits": HEADER.format("'<f8'", False, f"({'1' * 5000},)"),
    "negative": HEADER.format("'<f8'", False, "(-2,)"),
    "many dimensions": HEADER.format("'<f8'", False, f"({'1, ' * 100})"),
    "objects": HEADER.format("'|O'", False, "(2,)"),
    "records": HEADER.format("[('a', '<i4'), ('b', '|O')]", False, "(2,)"),
    "dates": HEADER.format("'<M8[s]'", False, "(2,)"),
    "odd size": HEADER.format("'<f3'", False, "(2,)"),
    "large items": HEADER.format("'<U999999999'", False, "(2,)"),
    "no type": HEADER.format("''", False, "(2,)"),
    "no shape": "{'descr': '<f8', 'fortran_order': False}",
    "more keys": HEADER.format("'<f8'", False, "(2,)")[:-1] + "'more': 1}",
    "expression": HEADER.format("'<f8'", False, "(2,)*9**9**9"),
    "nested": HEADER.format("'<f8'", False, "(" * 4000),
    "minus": HEADER.format("'<f8'", False, "-" * 9000),
    "long": HEADER.format("'<f8'", False, "(2,)") + " " * 20_000,
    "no order": HEADER.format("'<f8'", "None", "(2,)"),
    "unicode": HEADER.format("'<f8'", False, "(²,)"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_that_lie(tmp_path, case):
    path = archive(tmp_path, npy(HEADERS[case], bytes(16), 2))
    begin = time.monotonic()
    with pytest.raises(UnreadableFileError, match=r"f\.npz: 'a' ") as caught:
        NpzFile(path, "file").read("a")
    assert time.monotonic() - begin < 1.0
    assert caught.value.exit_code == 2 and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\0\0\0\0\0\0", b"\x93NUMPY\1\0\xff\xff{", b"text"]
)
def test_members_that_are_no_arrays(tmp_path, content):
    with pytest.raises(UnreadableFileError, match="'a' "):
        NpzFile(archive(tmp_path, content), "file").read("a")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(tmp_path, method):
    with pytest.raises(UnreadableFileError, match=r"'a' is packed with method 1[24]"):
        NpzFile(archive(tmp_path, plain(np.arange(9)), method=method), "file").read("a")


def changed(path, offset, value, *, of=b"PK\1\2"):
    """Overwrite a field of the (last) structure that begins with `of`."""
    content = bytearray(path.read_bytes())
    at = content.rfind(of) + offset
    content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "word"),
    [
        (8, b"\1\0", "'a' is encrypted"),
        (10, b"\x63\0", "method 99"),
        (16, b"\0\0\0\0", "'a' is damaged"),  # checksum
        (20, b"\xff\xff\xff\x7f", "'a' is damaged"),  # packed size
        (24, b"\xff\xff\xff\x0f", "'a' is damaged"),  # size
        (24, b"\xff\xff\xff\xff", "4294967295 bytes"),
        (28, b"\xff\xff", "ends too early"),  # length of the name
        (30, b"\xff\xff", "ends too early"),  # length of the rest
        (42, b"\xff\xff\xff\xff", "'a' is damaged"),  # offset
        (46, b"\xff", "name is no text"),
    ],
)
def test_directories_that_lie(tmp_path, offset, value, word):
    path = changed(archive(tmp_path, plain(np.arange(100))), offset, value)
    with pytest.raises(UnreadableFileError, match=word):
        NpzFile(path, "file").read("a")


@pytest.mark.parametrize(
    ("offset", "value"), [(10, b"\xff\xff"), (10, b"\5\0"), (12, b"\0\0\0\0"), (16, b"\xff\xff\xff\x7f")]
)
def test_the_end_of_an_archive_that_lies(tmp_path, offset, value):
    path = changed(archive(tmp_path, plain(np.arange(100))), offset, value, of=b"PK\5\6")
    with pytest.raises(UnreadableFileError, match="npz file"):
        NpzFile(path, "file")


def test_a_member_twice(tmp_path):
    path = tmp_path / "f.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", plain(np.arange(3)))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a.npy", plain(np.arange(3)))
    with pytest.raises(UnreadableFileError, match="'a' is there twice"):
        NpzFile(path, "file")


def test_a_bomb_is_not_unpacked(tmp_path):
    """64 MiB of zeros that say to be 1 kB: unpacking ends one byte beyond."""
    path = archive(tmp_path, bytes(2**26))
    changed(path, 24, struct.pack("<I", 1024))
    begin = time.process_time()
    with pytest.raises(UnreadableFileError, match="'a' is damaged"):
        NpzFile(path, "file").read("a")
    assert time.process_time() - begin < 0.05


def test_a_damaged_stream(tmp_path):
    path = archive(tmp_path, plain(np.random.default_rng(0).normal(size=1000)))
    changed(path, 60, b"\xff" * 50, of=b"PK\3\4")
    with pytest.raises(UnreadableFileError, match="'a' is damaged"):
        NpzFile(path, "file").read("a")


@pytest.mark.parametrize("kind", ["pipe", "folder", "/dev/zero", "missing", "empty", "text", "single"])
def test_what_is_no_archive(tmp_path, kind):
    path = tmp_path / "f.npz"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind.startswith("/"):
        path = kind
    elif kind != "missing":
        path.write_bytes({"empty": b"", "text": b"hello" * 999, "single": plain(np.arange(3))}[kind])
    with pytest.raises(InvalidInputError, match=str(path)):
        NpzFile(path, "file")


def test_mutated_archives_end_in_an_error_or_in_arrays(tmp_path):
    path = tmp_path / "f.npz"
    np.savez_compressed(path, **ARRAYS)
    packed = path.read_bytes()
    np.savez(path, **ARRAYS)
    stored = path.read_bytes()
    dice = random.Random(3)
    outcomes = {"read": 0, "refused": 0}
    for k in range(300):
        content = mutated(dice.choice((packed, stored)), dice)
        path.write_bytes(repaired_zip(content) if k % 3 else content)
        try:
            file = NpzFile(path, "file")
            for name in file.names:
                file.read(name)
            outcomes["read"] += 1
        except UnreadableFileError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10, outcomes
