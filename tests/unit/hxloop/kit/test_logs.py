import json
import logging

import pytest
from support.strangers.hostile import HOSTILE, SHOWN, assert_harmless

from hxloop.kit.logs import set_up_logging


@pytest.fixture(autouse=True)
def restore_root():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_json_lines_on_stderr(capsys):
    set_up_logging("json")
    logging.getLogger("hxloop.test").warning("lost %d events\nand more", 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    entry = json.loads(err)
    assert entry["level"] == "warning"
    assert entry["logger"] == "hxloop.test"
    assert entry["message"] == "lost 3 events\nand more"
    assert entry["time"].endswith("Z")


def test_text_on_stderr(capsys):
    set_up_logging("text", logging.WARNING)
    logging.getLogger("a").info("not shown")
    logging.getLogger("a").error("shown")
    out, err = capsys.readouterr()
    assert out == ""
    assert "ERROR a: shown" in err
    assert "not shown" not in err


@pytest.mark.parametrize("style", ["text", "json"])
def test_hostile_messages_and_errors_act_on_nothing(capsys, style):
    set_up_logging(style)
    log = logging.getLogger("hxloop.test")
    log.info("session of %s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("it failed")
    err = capsys.readouterr().err
    assert_harmless(err)
    lines = err.splitlines()
    if style == "json":
        first, second = map(json.loads, lines)
        assert first["message"] == f"session of {HOSTILE}"
        assert "Traceback" in second["exception"] and HOSTILE in second["exception"]
    else:
        assert SHOWN in lines[0] and "ERROR hxloop.test: it failed" in lines[1]
        assert all(line.startswith("  ") for line in lines[2:]) and len(lines) > 4
