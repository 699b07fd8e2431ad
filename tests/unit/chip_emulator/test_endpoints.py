"""Where a daemon may listen, who may lock it, and what it writes about itself."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chip_emulator.connection_file import remove_connection_file, write_connection_file
from chip_emulator.endpoints import (
    Endpoints,
    FileLock,
    clear_stale_sockets,
    default_endpoint,
    make_private_directory,
    parse_endpoint,
)
from hxloop.chip import ChipIdentity
from hxloop.connection import runtime_directory
from hxloop.errors import EndpointInUseError, InvalidInputError
from hxloop.messages import PROTOCOL_VERSION

IDENTITY = ChipIdentity(chip="typical", serial=1, spec="s", model="m")


@pytest.mark.parametrize(
    ("asked", "data", "control"),
    [
        ("ipc:///run/x/data.sock", "ipc:///run/x/data.sock", "ipc:///run/x/control.sock"),
        ("ipc:///run/x/left.sock", "ipc:///run/x/left.sock", "ipc:///run/x/left-control.sock"),
        ("ipc:///run/x/plain", "ipc:///run/x/plain", "ipc:///run/x/plain-control"),
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555", "tcp://127.0.0.1:0"),
        ("tcp://localhost:*", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"),
        ("tcp://127.8.8.8:0", "tcp://127.8.8.8:0", "tcp://127.8.8.8:0"),
        ("tcp://[::1]:7", "tcp://[::1]:7", "tcp://[::1]:0"),
    ],
)
def test_endpoints_that_are_accepted(asked, data, control):
    assert parse_endpoint(asked) == Endpoints(data, control)


@pytest.mark.parametrize(
    "asked",
    [
        "", "ipc://", "ipc:///", "ipc://@hidden", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:65536", "tcp://*:80",
        "tcp://0.0.0.0:80", "tcp://10.0.0.1:80", "tcp://example.org:80", "tcp://[::]:80", "tcp://127.0.0.1:-1",
        "udp://127.0.0.1:80", "127.0.0.1:80", "ipc:///" + "long/" * 25 + "data.sock",
    ],
)  # fmt: skip
def test_endpoints_that_are_refused(asked):
    with pytest.raises(InvalidInputError) as caught:
        parse_endpoint(asked)
    assert caught.value.field == "endpoint" and caught.value.hint


def test_the_default_endpoint_is_short_enough_for_a_socket(monkeypatch):
    monkeypatch.setenv("HXLOOP_RUNTIME_DIR", "/run/me")
    assert default_endpoint("typical", 3) == "ipc:///run/me/typical-3/data.sock"
    assert default_endpoint("rough[a=0,b=.5]", 3) == "ipc:///run/me/rough-a=0-b=.5-3/data.sock"
    monkeypatch.setenv("HXLOOP_RUNTIME_DIR", "/run/" + "deep/" * 30)
    first, second = default_endpoint("typical", 3), default_endpoint("typical", 4)
    assert first != second and str(os.getuid()) in first
    assert parse_endpoint(first).data == first


def test_a_lock_excludes_other_processes_and_names_its_holder(tmp_path):
    target = tmp_path / "data.sock"
    code = (
        "import sys; from pathlib import Path; from chip_emulator.endpoints import FileLock\n"
        "try: FileLock(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", code, str(target)]
    with FileLock(target):
        refused = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "EndpointInUseError" in refused and f"process {os.getpid()}" in refused
        with pytest.raises(EndpointInUseError):
            FileLock(target)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_a_lock_file_cannot_be_a_link(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("data")
    (tmp_path / "data.sock.lock").symlink_to(precious)
    with pytest.raises(InvalidInputError):
        FileLock(tmp_path / "data.sock")
    assert precious.read_text() == "data"


def test_directories_are_made_for_their_owner_alone(tmp_path):
    made = tmp_path / "a" / "b"
    make_private_directory(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    make_private_directory(made)
    made.chmod(0o770)
    with pytest.raises(InvalidInputError, match="write"):
        make_private_directory(made)
    made.chmod(0o700)
    made.parent.chmod(0o707)
    with pytest.raises(InvalidInputError, match="replace"):
        make_private_directory(made)
    made.parent.chmod(0o1777)  # as /tmp is: only owners rename there
    make_private_directory(made)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError):
        make_private_directory(tmp_path / "file")


def test_only_sockets_are_cleared_away(tmp_path):
    places = parse_endpoint(f"ipc://{tmp_path}/data.sock") if len(str(tmp_path)) < 80 else None
    places = places or Endpoints(f"ipc://{tmp_path}/data.sock", f"ipc://{tmp_path}/control.sock")
    clear_stale_sockets(places)
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind("data.sock")
    finally:
        os.chdir(here)
    clear_stale_sockets(places)
    assert not (tmp_path / "data.sock").exists()
    (tmp_path / "control.sock").write_text("data")
    with pytest.raises(InvalidInputError, match="not a socket"):
        clear_stale_sockets(places)
    assert (tmp_path / "control.sock").read_text() == "data"


def test_connection_file(tmp_path):
    path = tmp_path / "c.json"
    places = Endpoints("ipc:///x/data.sock", "ipc:///x/control.sock")
    write_connection_file(path, places, "life", IDENTITY)
    content = json.loads(path.read_text())
    assert content == {
        "protocol": PROTOCOL_VERSION, "endpoint": places.data, "control_endpoint": places.control, "pid": os.getpid(),
        "boot_id": "life", "identity": IDENTITY.model_dump(),
    }  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"], "no temporary file is left"
    remove_connection_file(path, "another life")
    assert path.exists()
    remove_connection_file(path, "life")
    assert not path.exists()
    remove_connection_file(path, "life")


def test_a_connection_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(InvalidInputError) as caught:
        write_connection_file(tmp_path / "missing" / "c.json", Endpoints("a", "b"), "life", IDENTITY)
    assert caught.value.field == "connection_file"


def test_the_runtime_directory_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("HXLOOP_RUNTIME_DIR", str(tmp_path))
    assert runtime_directory() == tmp_path
    monkeypatch.delenv("HXLOOP_RUNTIME_DIR")
    assert runtime_directory().name == "hxloop"
