"""Real programs with streams that are closed, full, broken or narrow: a result, and an exit code that says so."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from typing import Annotated
import typer
from hxloop.errors import HxloopError
from hxloop.kit.entry import Group, run_program
from hxloop.kit.terminal import print_json, say, show

app = typer.Typer(cls=Group)

@app.command()
def work(file: str, lines: int = 1):
    say("working \\u00b5")
    with open(file, "w") as opened:
        opened.write(str(opened.fileno() > 2))
        for _ in range(lines):
            show("x" * 1000 + " \\u00b5\\u2028")
        opened.write(" done")

@app.command()
def begin(
    wrong: str,
    initial: Annotated[str, typer.Option("--from")] = "",
    at_s: Annotated[float, typer.Option("--at-s")] = 0.0,
):
    raise HxloopError("no such thing", field=wrong)

@app.command()
def other():
    raise OSError(28, "No space left on device", "/a/file")

run_program(app, "program")
"""


def program(tmp_path, redirect="", *, environment=None, arguments=""):
    """Output and exit code under a shell's redirections."""
    command = f'"$PYTHON" -c "$PROGRAM" work "$FILE" {arguments} {redirect}'
    names = {"PYTHON": sys.executable, "PROGRAM": PROGRAM, "FILE": str(tmp_path / "f")}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, timeout=60, check=False,
        env=os.environ | names | (environment or {}),
    )  # fmt: skip
    return done, (tmp_path / "f").read_text() if (tmp_path / "f").exists() else None


@pytest.mark.parametrize(
    ("redirect", "code"),
    [
        ("", 0),
        ("2>&-", 0),
        (">&-", 0),
        (">&- 2>&-", 0),
        ("<&- >&- 2>&-", 0),
        ("2>/dev/full", 0),
        (">/dev/full", 1),
        ("| head -c 10", 141),
        ("2>&1 >/dev/null | true", 0),
    ],
)
def test_the_work_is_done_and_the_exit_code_is_sane(tmp_path, redirect, code):
    done, content = program(tmp_path, redirect, arguments="--lines 2000")
    assert content == "True done"  # and the file took the place of no stream
    assert done.returncode == code
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr
    if redirect == ">/dev/full":
        assert b"error: stdout: cannot write the result: No space left on device\n" in done.stderr
    if redirect == "2>&-":
        assert b"working" not in done.stdout


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C"},
    ],
)
def test_narrow_encodings_escape(tmp_path, environment):
    done, content = program(tmp_path, environment=environment)
    assert (done.returncode, content) == (0, "True done")
    assert done.stdout.strip().replace("µ".encode(), rb"\xb5").endswith(rb"x \xb5\u2028")
    assert done.stderr.strip().replace("µ".encode(), rb"\xb5") == rb"working \xb5"


@pytest.mark.parametrize(
    ("field", "said"), [("initial", "--from"), ("at_s", "at_s"), ("network.sizes", "network.sizes")]
)
def test_options_that_are_other_words_in_python_are_called_as_they_were_typed(field, said):
    done = subprocess.run([sys.executable, "-c", PROGRAM, "begin", field], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"error: {said}: no such thing\n")


def test_errors_of_the_file_system_are_one_line():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "other"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: [Errno 28] No space left on device: '/a/file'\n"


def test_the_commands_use_it(tmp_path):
    """A listing with a warning: with stderr closed, the warning must not end in the result."""
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.h5").write_bytes(b"nothing")
    command = f'"{sys.executable}" -m hxloop runs list "{tmp_path}" --json 2>&-'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"runs": []}
