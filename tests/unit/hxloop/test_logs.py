import json
import logging

import pytest

from hxloop.logs import set_up_logging


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
