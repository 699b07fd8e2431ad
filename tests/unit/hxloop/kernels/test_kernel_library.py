"""Compiled kernels on disk: found again, damaged, planted by others, and without a place to be."""

import gc
import os
import pickle
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest
from support.places import ALONE_PYTHONPATH
from support.strangers.second_user import as_second_user, needs_second_user

from hxloop.files.folders import cache_directory
from hxloop.kernels import kernel_library
from hxloop.kernels.kernel_library import KernelLibrary
from hxloop.kernels.kernel_store import KernelStore

SOURCE = Path(__file__)


def twice(x):
    return 2 * x


def thrice(x):
    return 3 * x


def compilations(function=twice, source=SOURCE):
    """How many kernels a fresh process would compile."""
    kernel = KernelLibrary([source], numba).keep(numba.njit(function))
    assert kernel(7) == function(7)
    return sum(kernel.stats.cache_misses.values())


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """The cache that was asked for, the user's own, and the one in the temporary folder."""
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(tmp_path / "asked"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return [tmp_path / "asked", tmp_path / "own" / "hxloop", tmp_path / f"hxloop-{os.getuid()}"]


def kernels(place):
    return sorted(place.rglob("*.kernel"))


def test_a_kernel_is_compiled_once(places):
    assert compilations() == 1
    assert compilations() == 0
    assert [len(kernels(place)) for place in places] == [1, 0, 0]


def caller_and_part():
    """A kernel that calls another one, both of a fresh library."""
    library = KernelLibrary([SOURCE], numba)
    part = library.keep(numba.njit(twice))

    def calls_it(x):
        return part(x) + 1

    return library.keep(numba.njit(calls_it)), part


def test_what_a_kernel_calls_becomes_part_of_it_and_is_not_kept(places):
    caller, part = caller_and_part()
    assert caller(7) == 15
    assert [file.name.split("-")[0].rpartition(".")[2] for file in kernels(places[0])] == ["calls_it"]
    caller, part = caller_and_part()
    assert caller(8) == 17
    assert sum(caller.stats.cache_misses.values()) + sum(part.stats.cache_misses.values()) == 0


def test_a_part_can_be_called_from_python_after_all(places):
    caller, part = caller_and_part()
    assert (caller(7), part(7), caller(1.5), part(1.5), caller(7)) == (15, 14, 4.0, 3.0, 15)
    assert len(kernels(places[0])) == 4


def test_with_a_signature_it_is_compiled_when_it_is_first_called_and_for_nothing_else(places):
    kernel = KernelLibrary([SOURCE], numba).keep(numba.njit(twice), numba.float64(numba.float64))
    assert kernels(places[0]) == []
    assert (kernel(7), kernel(1.5)) == (14.0, 3.0)
    assert len(kernels(places[0])) == 1
    assert len(kernel.signatures) == 1


def compiled_by_processes(n, folder):
    """How many kernels each of so many processes compiles that start together with an empty cache."""
    program = "import numba, time; from test_kernel_library import *; compile_slowly(); print(compilations())"
    environment = os.environ | {
        "HXLOOP_CACHE_DIR": str(folder),
        "PYTHONPATH": str(SOURCE.parent) + os.pathsep + ALONE_PYTHONPATH,
    }
    command = [sys.executable, "-c", program]
    begun = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(n)]
    return sorted(int(process.communicate(timeout=60)[0]) for process in begun)


def compile_slowly():
    compiler = numba.core.dispatcher._FunctionCompiler.compile

    def slow(*arguments):
        time.sleep(2.0)
        return compiler(*arguments)

    numba.core.dispatcher._FunctionCompiler.compile = slow


def test_of_processes_that_need_the_same_kernel_one_compiles_it(places):
    assert compiled_by_processes(3, places[0]) == [0, 0, 1]
    assert [path.suffix for path in places[0].rglob("*") if path.is_file()] == [".kernel"]


def test_a_kernel_that_cannot_be_compiled_keeps_nobody_waiting(places):
    kernel = KernelLibrary([SOURCE], numba).keep(numba.njit(lambda x: x.nothing))
    for _ in range(2):
        with pytest.raises(numba.TypingError):
            kernel(7)
    assert [path for path in places[0].rglob("*") if path.is_file()] == []


def test_another_source_compiles_it_again(tmp_path):
    source = tmp_path / "kernel.py"
    source.write_text("one")
    assert compilations(source=source) == 1
    source.write_text("two")
    assert compilations(source=source) == 1
    source.write_text("one")
    assert compilations(source=source) == 0


def test_kernels_are_the_same_wherever_their_sources_are_installed(tmp_path):
    """A wheel has the packages side by side, a checkout in folders whose names sort otherwise."""
    for k, folders in enumerate(("ab", "ba")):
        sources = [
            tmp_path / str(k) / folder / name for folder, name in zip(folders, ("one.py", "two.py"), strict=True)
        ]
        for source in sources:
            source.parent.mkdir(parents=True)
            source.write_text(source.name)
        kernel = KernelLibrary(sources, numba).keep(numba.njit(twice))
        assert kernel(7) == 14
        assert sum(kernel.stats.cache_misses.values()) == 1 - k


def damage_last_byte(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[:-1],
        damage_last_byte,
        lambda content: damage_last_byte(content[:20]) + content[20:],
        lambda content: pickle.dumps({"wrong": "pickle"}),
        lambda content: os.urandom(len(content)),
    ],
    ids=["empty", "short", "truncated", "last byte", "digest", "another pickle", "noise"],
)
def test_a_damaged_file_costs_its_compilation(places, damage, caplog):
    compilations()
    (file,) = kernels(places[0])
    file.write_bytes(damage(file.read_bytes()))
    assert compilations() == 1
    assert "is damaged" in caplog.text
    assert compilations() == 0


def test_so_does_a_whole_file_under_a_wrong_name(places):
    compilations(thrice)
    (file,) = kernels(places[0])
    compilations(twice)
    second = next(path for path in kernels(places[0]) if path != file)
    second.write_bytes(file.read_bytes())
    assert compilations(twice) == 1


@pytest.mark.parametrize("kind", ["directory", "link", "unreadable"])
def test_what_is_no_file_does_not_stop_the_start(places, kind, tmp_path):
    compilations()
    (file,) = kernels(places[0])
    content = file.read_bytes()
    file.unlink()
    if kind == "directory":
        file.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.write_bytes(content)
        file.chmod(0)
    assert compilations() == (os.getuid() != 0 or kind != "unreadable")


def test_a_file_that_only_pretends_costs_a_compilation_too(places, monkeypatch, caplog):
    """Whole and ours, but of another build of Numba."""
    with monkeypatch.context() as patch:
        patch.setattr("numba.core.serialize.dumps", lambda _: pickle.dumps(("no", "kernel")))
        compilations()
    assert compilations() == 1
    assert "cannot be used" in caplog.text


def test_nobody_else_can_write_to_it_whatever_the_umask(places):
    before = os.umask(0)
    try:
        compilations()
    finally:
        os.umask(before)
    made = [places[0], *places[0].rglob("*")]
    assert len(made) == 4
    assert all(stat.S_IMODE(path.stat().st_mode) in {0o600, 0o700} for path in made)


def test_a_folder_that_others_can_write_to_is_neither_read_nor_written(places, caplog):
    compilations()
    kernels(places[0])[0].parent.chmod(0o777)
    assert compilations() == 1
    assert "are not used: others could have written them" in caplog.text
    assert f"others can write to {kernels(places[0])[0].parent}" in caplog.text
    assert [len(kernels(place)) for place in places] == [1, 1, 0]
    assert compilations() == 0


def test_a_file_that_others_can_write_to_is_not_read(places):
    compilations()
    kernels(places[0])[0].chmod(0o666)
    assert compilations() == 1


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make files of another user")
def test_a_folder_of_another_user_is_neither_read_nor_written(places):
    compilations()
    folder = kernels(places[0])[0].parent
    os.chown(folder, 65534, 65534)
    assert compilations() == 1
    assert [len(kernels(place)) for place in places] == [1, 1, 0]


@needs_second_user
def test_kernels_that_a_second_user_planted_are_not_run(square, monkeypatch, umask):
    """Not in a cache that is for all, nor under our name among the temporary files; and he reads none of ours."""
    compilations()
    (ours,) = kernels(cache_directory())
    name, content = ours.relative_to(cache_directory()), ours.read_bytes()
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(square / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(square / "own"))
    monkeypatch.setattr("tempfile.tempdir", str(square))
    planted = [place / name for place in (square / "cache", square / "own/hxloop", square / f"hxloop-{os.getuid()}")]

    def plant():
        for path in planted:
            path.parent.mkdir(parents=True)
            path.write_bytes(content)

    assert as_second_user(plant) is None
    assert [path.read_bytes() for path in planted] == [content] * 3
    assert compilations() == 1
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(square / "mine"))
    assert compilations() == 1
    assert as_second_user((square / "mine" / name).read_bytes) == "PermissionError"


@needs_second_user
def test_a_cache_that_may_not_be_looked_into_is_none(square, monkeypatch, caplog):
    """After ``su``, for example, the variable names a folder of somebody else."""
    (square / "closed").mkdir(mode=0o700)
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(square / "closed" / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(square / "his"))

    def keep_and_find():
        store = KernelStore("x")
        before = store.read("f")
        store.write("f", b"kernel")
        return [before, store.read("f").decode(), [str(path) for path in square.rglob("f")], len(caplog.messages)]

    found = str(square / "his" / "hxloop" / "kernels" / "x" / "f")
    assert as_second_user(keep_and_find) == [None, "kernel", [found], 1]


def test_a_read_only_cache_is_used(places, monkeypatch, caplog):
    compilations()
    refuse_writing(monkeypatch, places[:1])
    assert compilations() == 0
    assert caplog.text == ""  # nothing is missing
    assert compilations(thrice) == 1
    assert compilations(thrice) == 0
    assert [len(kernels(place)) for place in places] == [1, 1, 0]


def test_an_empty_cache_that_was_asked_for_is_really_empty(places, monkeypatch, tmp_path):
    monkeypatch.delenv("HXLOOP_CACHE_DIR")
    compilations()
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(tmp_path / "asked"))
    assert compilations() == 1


def test_without_a_place_to_write_the_next_one_is_taken_and_said_at_once(places, monkeypatch, caplog):
    refuse_writing(monkeypatch, places[:1])
    said = []
    compiler = numba.core.dispatcher._FunctionCompiler.compile
    monkeypatch.setattr(
        "numba.core.dispatcher._FunctionCompiler.compile",
        lambda *arguments: said.append(caplog.text) or compiler(*arguments),
    )
    assert compilations() == 1
    assert f"kernels are kept in {places[1]}" in said[0]  # before the work
    assert compilations() == 0
    assert len([record for record in caplog.records if "instead" in record.message]) == 1


def test_a_full_disk_is_said_once(places, monkeypatch, caplog):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hxloop.kernels.kernel_store.write_private", full)
    library = KernelLibrary([SOURCE], numba)
    assert [library.keep(numba.njit(f))(7) for f in (twice, thrice)] == [14, 21]
    assert [record.getMessage().count("No space left") for record in caplog.records] == [1]


@pytest.mark.skipif(os.getuid() == 0, reason="root may look everywhere")
def test_a_place_that_cannot_even_be_looked_at(places):
    places[0].mkdir()
    places[0].chmod(0)
    assert compilations() == 1
    places[0].chmod(0o700)


def test_without_any_place_it_is_compiled_and_nothing_is_left_behind(places, monkeypatch, caplog, tmp_path):
    refuse_writing(monkeypatch, places)
    before = set(tmp_path.rglob("*"))
    assert compilations() == 1
    assert "compiled at every start" in caplog.text
    assert not [path for path in set(tmp_path.rglob("*")) - before if path.is_file()]


def refuse_writing(monkeypatch, places):
    """As on a read-only file system, also for root."""
    make = os.open

    def careful(path, flags, *rest, **named):
        if flags & (os.O_WRONLY | os.O_RDWR) and any(str(path).startswith(str(place)) for place in places):
            raise PermissionError(30, "Read-only file system", str(path))
        return make(path, flags, *rest, **named)

    monkeypatch.setattr("os.open", careful)


def test_another_way_to_compile_compiles_it_again(tmp_path, monkeypatch):
    shutil.copytree(kernel_library._HERE, tmp_path / "kernels")
    monkeypatch.setattr(kernel_library, "_HERE", tmp_path / "kernels")
    assert (compilations(), compilations()) == (1, 0)
    for path in sorted((tmp_path / "kernels").glob("*.py")):
        path.write_bytes(path.read_bytes() + b"\n")
        assert (compilations(), compilations()) == (1, 0), path


def test_what_a_kernel_calls_is_compiled_once_whether_its_arguments_are_known_or_not(places):
    library = KernelLibrary([SOURCE], numba)
    part = library.keep(numba.njit(twice))
    caller = library.keep(numba.njit(lambda x: part(x) + part(3) + part(4)))
    assert (caller(7), len(part.overloads)) == (28, 1)


def test_a_part_of_a_kernel_that_nobody_keeps_can_be_called_from_python_too(places):
    part = KernelLibrary([SOURCE], numba).keep(numba.njit(twice))
    assert (numba.njit(lambda x: part(x) + 1)(7), part(7)) == (15, 14)


def test_functions_of_numba_in_a_kernel_are_as_good_as_ever(places):
    """They are linked into kernels without an entry point of their own, also those that somebody compiles later."""
    kept = KernelLibrary([SOURCE], numba).keep(numba.njit(spread_of))
    values = np.random.default_rng(1).random((3, 5))
    assert kept(values) == numba.njit(spread_of)(values) == pytest.approx(spread_of(values), rel=1e-12)
    assert gc.isenabled()


def spread_of(values):
    return np.sort(values.ravel())[-1] - np.median(values) + np.zeros((2, 3)).sum()
