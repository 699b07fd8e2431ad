"""Finding a daemon: connection files and endpoints."""

import json
import os
import socket

import pytest

from host.chips import run_name
from host.connection import locate
from host.launch import connect
from host.transport import Address
from hxloop.connection import default_connection_file, runtime_directory
from hxloop.errors import InvalidInputError, MissingFileError, UnreachableError

IDENTITY = {"chip": "typical", "serial": 4, "spec": "X", "model": "1"}


@pytest.fixture(autouse=True)
def runtime(monkeypatch, tmp_path):
    monkeypatch.setenv("HXLOOP_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def write(path, **changes):
    content = {
        "protocol": 1,
        "endpoint": f"ipc://{path.parent}/data.sock",
        "control_endpoint": f"ipc://{path.parent}/c.sock",
        "pid": os.getpid(),
        "boot_id": "b",
        "identity": IDENTITY,
    }
    path.write_text(json.dumps(content | changes))
    return path


def dead_pid() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_runtime_dir_has_a_default(monkeypatch, runtime):
    assert runtime_directory() == runtime
    monkeypatch.delenv("HXLOOP_RUNTIME_DIR")
    assert "hxloop" in str(runtime_directory())


def test_connection_file_by_path_and_by_name(runtime):
    path = write(runtime / "typical-4.json")
    for target in (path, str(path), "typical/4"):
        address, identity = locate(target)
        assert address == Address(f"ipc://{runtime}/data.sock", f"ipc://{runtime}/c.sock")
        assert (identity.chip, identity.serial) == ("typical", 4)


def test_chips_with_other_imperfections_have_file_safe_names(runtime):
    name = "typical[jitter_trial_us=0,driver_fixed=0.1]"
    path = write(runtime / "typical-jitter_trial_us=0-driver_fixed=0.1-4.json", identity=IDENTITY | {"chip": name})
    assert default_connection_file(name, 4) == path
    _, identity = locate(f"{name}/4")
    assert identity.chip == name
    assert (
        run_name("yin-yang", "small", name, 4, 0) == "yin-yang-small-typical-jitter_trial_us=0-driver_fixed=0.1-4-seed0"
    )
    assert not set(run_name("t", "p", "a[b=1]/../*?", 4, 0)) & set("[]/*? ")


def test_missing_file(runtime):
    with pytest.raises(MissingFileError, match="hxloop serve"):
        locate("typical/5")
    with pytest.raises(MissingFileError):
        locate(runtime / "nothing.json")


@pytest.mark.parametrize("text", ["", "{}", "[1]", "\x00"])
def test_not_a_connection_file(runtime, text):
    (runtime / "broken.json").write_text(text)
    with pytest.raises(InvalidInputError, match="not a connection file"):
        locate(runtime / "broken.json")


def test_daemon_that_is_gone(runtime):
    path = write(runtime / "old.json", pid=dead_pid())
    with pytest.raises(UnreachableError, match=r"has ended.*hxloop serve --chip typical --serial 4"):
        locate(path)


def test_endpoint_is_completed_from_connection_files(runtime):
    (runtime / "data.sock").touch()
    (runtime / "aaa.json").write_text("not one")
    write(runtime / "zzz.json")
    endpoint = f"ipc://{runtime}/data.sock"
    assert locate(endpoint) == (Address(endpoint, f"ipc://{runtime}/c.sock"), None)


@pytest.mark.parametrize(("data", "control"), [("data.sock", "control.sock"), ("mine.sock", "mine-control.sock")])
def test_endpoint_is_completed_from_what_lies_beside_it(runtime, data, control):
    (runtime / data).touch()
    assert locate(f"ipc://{runtime}/{data}")[0].control is None
    (runtime / control).touch()
    assert locate(f"ipc://{runtime}/{data}")[0].control == f"ipc://{runtime}/{control}"


def test_nobody_listens(runtime):
    with pytest.raises(UnreachableError, match="nobody listens"):
        connect(f"ipc://{runtime}/none.sock")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(UnreachableError, match=f"hxloop serve --endpoint tcp://127.0.0.1:{port}"):
            connect(f"tcp://127.0.0.1:{port}")


def test_loopback_only():
    with pytest.raises(InvalidInputError, match=r"another machine.*ssh"):
        connect("tcp://192.0.2.1:5000")
    with pytest.raises(InvalidInputError, match="another machine"):
        connect("tcp://example.org:5000")


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1", "http://127.0.0.1:80", "tcp://127.0.0.1:x", "://"])
def test_no_endpoint(endpoint):
    with pytest.raises(InvalidInputError, match="no endpoint"):
        connect(endpoint)


def test_somebody_else_listens_there():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert locate(f"tcp://127.0.0.1:{other.getsockname()[1]}")[0].control is None
