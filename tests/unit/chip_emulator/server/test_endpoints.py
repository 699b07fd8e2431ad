"""Where a daemon may listen, who may lock it, and what it writes about itself."""

from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.strangers.second_user import as_second_user, needs_second_user

from hxloop.chip import ChipIdentity
from hxloop.errors import EndpointInUseError, InvalidInputError
from hxloop.protocol.meeting_place import runtime_directory
from hxloop.protocol.messages import PROTOCOL_VERSION
from hxloop_chip.server.connection_file import remove_connection_file, take_connection_file, write_connection_file
from hxloop_chip.server.endpoints import Endpoints, default_endpoint, occupy, parse_endpoint

IDENTITY = ChipIdentity(chip="typical", serial=1, spec="s", model="m")


@pytest.fixture
def short():
    """A private folder whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="hxl-", dir="/tmp") as name:
        yield Path(name)


@pytest.mark.parametrize(
    ("asked", "data", "control", "stream"),
    [
        ("ipc:///x/data.sock", "ipc:///x/data.sock", "ipc:///x/control.sock", "ipc:///x/stream.sock"),
        ("ipc:///x/left.sock", "ipc:///x/left.sock", "ipc:///x/left-control.sock", "ipc:///x/left-stream.sock"),
        ("ipc:///x/plain", "ipc:///x/plain", "ipc:///x/plain-control", "ipc:///x/plain-stream"),
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555", "tcp://127.0.0.1:0", ""),
        ("tcp://localhost:*", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0", ""),
        ("tcp://127.8.8.8:0", "tcp://127.8.8.8:0", "tcp://127.8.8.8:0", ""),
        ("tcp://[::1]:7", "tcp://[::1]:7", "tcp://[::1]:0", ""),
    ],
)
def test_endpoints_that_are_accepted(asked, data, control, stream):
    assert parse_endpoint(asked) == Endpoints(data, control, stream)


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


def test_the_default_endpoint_is_short_enough_for_a_socket(monkeypatch, tmp_path):
    monkeypatch.setenv("HXLOOP_RUNTIME_DIR", "/run/me")
    assert default_endpoint("typical", 3) == "ipc:///run/me/typical-3/data.sock"
    assert default_endpoint("rough[a=0,b=.5]", 3) == "ipc:///run/me/rough-a=0-b=.5-3/data.sock"
    for runtime, temporary in (("/run/" + "deep/" * 30, "/tmp"), ("/run/" + "deep/" * 30, tmp_path / ("deep" * 25))):
        monkeypatch.setenv("HXLOOP_RUNTIME_DIR", runtime)
        Path(temporary).mkdir(exist_ok=True)
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        first, second = default_endpoint("typical", 3), default_endpoint("typical", 4)
        assert first != second and first == default_endpoint("typical", 3)
        assert parse_endpoint(first).data == first


def taken(endpoint):
    """Take an endpoint; the stack lets go of it."""
    stack = ExitStack()
    with stack:
        occupy(parse_endpoint(endpoint), stack)
        return stack.pop_all()


def test_both_sockets_are_locked_whatever_they_are_called(short):
    """The control socket of one daemon is not the data socket of another; a link to the directory is no way around."""
    (short / "link").symlink_to(short)
    with taken(f"ipc://{short}/data.sock"):
        for other in ("data.sock", "control.sock", "link/data.sock", "link/control.sock"):
            with pytest.raises(EndpointInUseError, match=rf"process {os.getpid()}\) uses .*{other}") as caught:
                taken(f"ipc://{short}/{other}")
            assert caught.value.hint
        with taken(f"ipc://{short}/other.sock"):
            pass
    assert [p.name for p in short.iterdir()] == ["link"], "sockets and locks are gone"


def test_a_directory_of_others_is_no_place_for_sockets(short):
    short.chmod(0o707)
    with pytest.raises(InvalidInputError, match="others can write") as caught:
        taken(f"ipc://{short}/data.sock")
    assert caught.value.field == "endpoint"


def test_only_stale_sockets_are_cleared_away(short):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(short / "data.sock"))
    with taken(f"ipc://{short}/data.sock"):
        assert not (short / "data.sock").exists()
    (short / "control.sock").write_text("data")
    with pytest.raises(InvalidInputError, match="not a socket"):
        taken(f"ipc://{short}/data.sock")
    assert (short / "control.sock").read_text() == "data"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_of_another_program_is_left_alone(short, kind):
    with socket.socket(socket.AF_UNIX, kind) as living:
        living.bind(str(short / "data.sock"))
        if kind == socket.SOCK_STREAM:
            living.listen()
        with pytest.raises(EndpointInUseError, match="another program listens"):
            taken(f"ipc://{short}/data.sock")
        assert (short / "data.sock").is_socket()


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


def test_a_connection_file_replaces_that_of_a_dead_daemon_and_nothing_else(tmp_path):
    path = tmp_path / "c.json"
    write_connection_file(path, Endpoints("a", "b"), "life", IDENTITY)
    with take_connection_file(path), pytest.raises(EndpointInUseError, match=f"process {os.getpid()}"):
        take_connection_file(path)
    path.write_text("")  # a power cut
    take_connection_file(path).release()
    for precious in ("notes", "{}", "[1]", '{"a": 1}'):
        path.write_text(precious)
        with pytest.raises(InvalidInputError, match="no connection file") as caught:
            take_connection_file(path)
        assert caught.value.field == "connection_file" and path.read_text() == precious
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInputError, match="is a link"):
        take_connection_file(path)
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"], "no lock is left"


def test_the_folder_of_a_connection_file_is_ours(tmp_path, square, umask):
    take_connection_file(tmp_path / "a" / "b" / "c.json").release()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o700
    take_connection_file(square / "c.json").release()  # as in /tmp
    square.chmod(0o777)
    with pytest.raises(InvalidInputError, match="others can write"):
        take_connection_file(square / "c.json")


@needs_second_user
def test_a_daemon_writes_nothing_into_the_folder_of_a_second_user(square, umask):
    def plant():
        for name, mode in (("open", 0o777), ("group", 0o775)):
            (square / name).mkdir()
            (square / name).chmod(mode)
        (square / "c.json").write_text("{}")
        (square / "l.json.lock").write_text("")
        (square / "data.sock.lock").symlink_to(square / "open")

    assert as_second_user(plant) is None
    for place in ("open/c.json", "group/c.json", "open/below/c.json", "c.json", "l.json"):
        with pytest.raises(InvalidInputError, match=r"another user \(65534\)"):
            take_connection_file(square / place)
    for place in ("open/data.sock", "group/below/data.sock", "data.sock"):
        with pytest.raises(InvalidInputError, match=r"another user \(65534\)|others can write"):
            taken(f"ipc://{square}/{place}")
    assert not [*(square / "open").iterdir(), *(square / "group").iterdir()]
    assert (square / "c.json").read_text() == "{}"


def test_the_runtime_directory_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("HXLOOP_RUNTIME_DIR", str(tmp_path))
    assert runtime_directory() == tmp_path
    monkeypatch.delenv("HXLOOP_RUNTIME_DIR")
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(mine))
    assert runtime_directory() == mine / "hxloop"


def test_a_runtime_directory_that_is_not_ours_is_replaced_by_a_private_one(monkeypatch, tmp_path):
    """After ``su`` the variable still names that of somebody else; cron and containers have none."""
    monkeypatch.delenv("HXLOOP_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("hxloop.protocol.meeting_place.is_private_directory", lambda _: False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "other"))
    found = runtime_directory()
    assert found == runtime_directory() and tmp_path in found.parents
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
