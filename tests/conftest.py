"""Settings and fixtures for all tests."""

import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from support.hiding.emulator import hide_emulator
from support.places import TESTS

# Machines that run tests are busy: a slow example is not a failure. The examples are the same in every run.
settings.register_profile("hxloop", deadline=None, derandomize=True)
settings.load_profile("hxloop")

# What runs in the background ignores Ctrl-C or the end of its terminal, and so would all programs that the tests start
# and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The readline of a test worker says how wide the terminal is, which it has not.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)


ALONE = tuple(TESTS / "unit" / name for name in ("calibration", "host", "hxloop"))
"""Tests of packages that do without the emulator."""


@pytest.fixture(autouse=True)
def alone(request):
    """What does without the emulator is tested without it; tests/architecture/test_separation.py counts on that."""
    with pytest.MonkeyPatch.context() as hiding:  # not the test's own, which would put back a path without the emulator
        if any(request.path.is_relative_to(folder) for folder in ALONE):
            hide_emulator(hiding)
        yield


@pytest.fixture
def square():
    """A folder as ``/tmp`` is: every user may put something there."""
    with tempfile.TemporaryDirectory(prefix="hxl-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        yield folder


@pytest.fixture(params=[0o000, 0o022], ids=["umask000", "umask022"])
def umask(request):
    """The test runs with one mask and with the other."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)
