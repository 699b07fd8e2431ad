"""Kernels compiled ahead of time: by several processes, without a part that fails, and again for nothing."""

import os
import time

import pytest
from typer.testing import CliRunner

from hxloop.cli import app
from hxloop.errors import HxloopError
from hxloop.kernels.ahead_of_time import compile_parts
from hxloop_host.cli import compile_kernels


@pytest.fixture
def functions(tmp_path, monkeypatch):
    """A module whose functions say in files when they were called and by whom."""
    text = "import os, time\nfrom pathlib import Path\n"
    for name, work in (
        ("a", "time.sleep(1)"),
        ("b", "time.sleep(1)"),
        ("fails", "1 / 0"),
        ("endless", "time.sleep(99)"),
    ):
        text += f"def {name}():\n    Path({str(tmp_path)!r}, {name!r}).write_text(str(os.getpid()))\n    {work}\n"
    (tmp_path / "made_parts.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_parts_are_compiled_in_processes_of_their_own_at_the_same_time(functions):
    done, begun_s = [], time.monotonic()
    compile_parts({"one": "made_parts:a", "two": "made_parts:b"}, 2, lambda name, _: done.append(name))
    assert sorted(done) == ["one", "two"]
    assert time.monotonic() - begun_s < 1.9
    pids = {(functions / name).read_text() for name in "ab"}
    assert len(pids - {str(os.getpid())}) == 2


def test_a_part_that_fails_is_named_and_ends_the_others(functions):
    with pytest.raises(HxloopError, match="kernels for bad were not compiled") as caught:
        compile_parts({"long": "made_parts:endless", "bad": "made_parts:fails"}, 2, lambda *_: None)
    assert "ZeroDivisionError" in caught.value.details
    pid = int((functions / "endless").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_command_says_how_long_and_where_and_force_removes_what_is_there(functions, monkeypatch, tmp_path):
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compile_kernels, "PARTS", {"one": "made_parts:a", "elsewhere": "not_installed:f"})
    monkeypatch.syspath_prepend(str(functions))
    old = tmp_path / "cache" / "kernels" / "old"
    old.mkdir(parents=True)
    done = CliRunner().invoke(app, ["compile"])
    assert (done.exit_code, old.exists()) == (0, True)
    assert done.stdout.splitlines()[0] == "one: 1 s"
    assert str(tmp_path / "cache" / "kernels") in done.stdout.splitlines()[1]
    assert CliRunner().invoke(app, ["compile", "--force"]).exit_code == 0
    assert not old.exists()
