"""Arrays in HDF5 files of users: what h5py writes is read, all else is refused, and no damage goes further."""

import h5py
import numpy as np
import pytest

from hxloop.errors import InvalidInputError, UnreadableFileError
from hxloop.files.hdf5_data import read_arrays

RNG = np.random.default_rng(11)
ARRAYS = {
    "double": RNG.random((50, 7)),
    "single": RNG.random((50, 7)).astype(np.float32),
    "half": RNG.random(9).astype(np.float16),
    "bytes": RNG.integers(0, 256, (3, 4, 5)).astype(np.uint8),
    "short": np.arange(-9, 9, dtype=np.int16),
    "truth": np.array([True, False, True]),
    "one": np.int64(3),
    "none": np.empty((0, 4)),
}
STORAGE = {
    "contiguous": {},
    "chunked": {"chunks": (7, 3)},
    "growing": {"chunks": (64, 8), "maxshape": (None, None)},
    "gzip": {"compression": "gzip", "chunks": (50, 2)},
    "shuffled": {"compression": "gzip", "shuffle": True, "chunks": (9, 7)},
    "checked": {"compression": "gzip", "fletcher32": True, "chunks": (20, 7)},
    "all": {"compression": 9, "shuffle": True, "fletcher32": True, "chunks": True},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data.h5"


def test_what_h5py_writes_is_read(path):
    with h5py.File(path, "w") as file:
        for name, values in ARRAYS.items():
            file[name] = values
        file["text"] = ["red", "grün", ""]
        file["fixed"] = np.array([b"red", b"green"])
        file["double"].attrs["note"] = [1, 2, 3]
        file.attrs["author"] = "me"
    found = read_arrays(path, "data")
    assert found.keys() == {*ARRAYS, "text", "fixed"}
    for name, values in ARRAYS.items():
        assert found[name].dtype == np.asarray(values).dtype
        np.testing.assert_array_equal(found[name], values)
    assert found["text"].tolist() == ["red", "grün", ""]
    assert found["fixed"].tolist() == [b"red", b"green"]


@pytest.mark.parametrize("how", STORAGE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, np.bool_])
def test_every_way_of_storing_gives_the_same_values(how, dtype, path):
    values = (RNG.random((50, 7)) * 100).astype(dtype)
    with h5py.File(path, "w") as file:
        file.create_dataset("values", data=values, **STORAGE[how])
    found = read_arrays(path, "data")["values"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values)


def test_many_chunks_are_found_in_a_tree_of_several_levels(path):
    values = np.arange(20_000)
    with h5py.File(path, "w") as file:
        file.create_dataset("values", data=values, chunks=(4,))
    np.testing.assert_array_equal(read_arrays(path, "data")["values"], values)


def write_holes(file):
    file.create_dataset("values", (100,), "f8", chunks=(10,))[:50] = 1.0


def write_never(file):
    file.create_dataset("values", (100,), "f8")


def write_link(file):
    file["values"] = h5py.SoftLink("/elsewhere")


def write_external(file):
    file.create_dataset("values", (10,), "f8", external="somewhere.raw")


REFUSED = {
    "lzf": lambda file: file.create_dataset("values", data=np.zeros(99), compression="lzf"),
    "big-endian": lambda file: file.create_dataset("values", data=np.zeros(9, ">f8")),
    "complex": lambda file: file.create_dataset("values", data=np.zeros(9, complex)),
    "compound": lambda file: file.create_dataset("values", data=np.zeros(9, "i4,f8")),
    "holes": write_holes,
    "never written": write_never,
    "link": write_link,
    "external": write_external,
}


@pytest.mark.parametrize("how", REFUSED)
def test_all_else_is_refused_and_says_how_to_write(how, path):
    with h5py.File(path, "w") as file:
        REFUSED[how](file)
    with pytest.raises(UnreadableFileError, match=r"data\.h5: .*create_dataset\(name, data=array\)"):
        read_arrays(path, "data")


def test_newer_versions_are_refused_by_name(path):
    with h5py.File(path, "w", libver="latest") as file:
        file["values"] = np.zeros(3)
    with pytest.raises(UnreadableFileError, match="libver='latest'"):
        read_arrays(path, "data")


def test_damage_is_refused_or_harmless(path, tmp_path):
    """Bytes of a small file changed one after the other, and the file cut: values may differ, nothing else happens."""
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.arange(40.0), compression="gzip", shuffle=True, chunks=(15,))
        file["b"] = ["x", "yz"]
        file["c"] = np.arange(5)
    content = path.read_bytes()
    other = tmp_path / "other.h5"
    used = [k for k, byte in enumerate(content) if byte]
    for k in used:
        for value in (0, 255, content[k] ^ 1):
            other.write_bytes(content[:k] + bytes([value]) + content[k + 1 :])
            try:
                found = read_arrays(other, "data")
            except InvalidInputError:
                continue
            assert sum(values.nbytes for values in found.values()) < 2**20
    for size in range(0, len(content), 97):
        other.write_bytes(content[:size])
        with pytest.raises(InvalidInputError):
            read_arrays(other, "data")


def test_a_small_file_does_not_unpack_to_a_large_one(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("zeros", (2**30,), "u1", compression="gzip", chunks=(2**25,), fillvalue=0)[:] = 0
    assert path.stat().st_size < 2**22
    with pytest.raises(UnreadableFileError, match="says to hold more than"):
        read_arrays(path, "data")
