"""Finding a daemon: connection files and endpoints."""

import json
import os
import socket

import pytest
from support.strangers.second_user import as_second_user, needs_second_user

from hxloop.errors import HxloopError, InvalidInputError, MissingFileError, UnreachableError
from hxloop.protocol.meeting_place import default_connection_file, runtime_directory
from hxloop_host.link.choosing import run_name
from hxloop_host.link.discovery import locate
from hxloop_host.link.launch import connect
from hxloop_host.link.transport import Address

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


def test_a_number_that_is_now_a_process_of_somebody_else(runtime, monkeypatch):
    """He could wait for it and listen where the daemon did."""

    def refused(pid, signal_number):
        raise PermissionError

    path = write(runtime / "old.json")
    monkeypatch.setattr(os, "kill", refused)
    with pytest.raises(UnreachableError, match="has ended"):
        locate(path)


def test_a_link_or_a_file_that_others_can_write_is_no_connection_file(runtime):
    path = write(runtime / "real.json")
    (runtime / "typical-4.json").symlink_to(path)
    with pytest.raises(InvalidInputError, match="is a link"):
        locate("typical/4")
    path.chmod(0o606)
    with pytest.raises(InvalidInputError, match="others can write"):
        locate(path)


def refused_endpoint(endpoint):
    try:
        locate(endpoint)
    except HxloopError as error:
        return type(error).__name__


@needs_second_user
def test_nothing_of_a_second_user_is_followed(square, monkeypatch):
    """Neither his connection file, nor his socket in the place of ours, nor one that he put beside ours."""
    monkeypatch.setenv("HXLOOP_RUNTIME_DIR", str(square))
    living = os.getpid()

    def plant():
        for name in ("data.sock", "his.sock", "mine-control.sock"):
            with socket.socket(socket.AF_UNIX) as planted:
                planted.bind(str(square / name))
        (square / "link.sock").symlink_to(square / "his.sock")
        write(square / "typical-4.json", pid=living).chmod(0o644)
        write(
            square / "mine.json",
            endpoint=f"ipc://{square}/mine.sock",
            control_endpoint=f"ipc://{square}/his.sock",
            pid=living,
        )

    assert as_second_user(plant) is None
    for target in ("typical/4", square / "typical-4.json"):
        with pytest.raises(InvalidInputError, match=r"another user \(65534\)") as caught:
            locate(target)
        assert caught.value.field == "endpoint" and caught.value.hint
    for name in ("data.sock", "link.sock"):
        with pytest.raises(InvalidInputError, match="another user"):
            locate(f"ipc://{square}/{name}")
    with pytest.raises(InvalidInputError, match="another user"):
        locate(write(square / "ours.json"))
    square.chmod(0o700)
    assert as_second_user(refused_endpoint, f"ipc://{square}/his.sock") == "UnreachableError", "he may not look"
    square.chmod(0o1777)
    (square / "mine.sock").touch()
    assert locate(f"ipc://{square}/mine.sock") == (Address(f"ipc://{square}/mine.sock"), None)


def test_long_names_of_chips_are_short_names_of_files():
    names = [f"typical[{','.join(f'jitter_trial_us={k}' for k in range(40))},noise={last}]" for last in (1, 2)]
    first, second = (default_connection_file(name, 4).name for name in names)
    assert first != second and len(first) < 130 and first.startswith("typical-jitter_trial_us=0-")


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
