"""Fixtures of the tests of the host."""

import pytest


@pytest.fixture(autouse=True)
def coarse_map(monkeypatch):
    """The decision map of a run asks for 4060 samples, most of what a small training takes on a chip in plain numpy."""
    monkeypatch.setattr("hxloop_host.runs.pictures.MAP_POINTS", 12)
