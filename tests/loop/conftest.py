"""Daemons for the tests of real processes."""

from __future__ import annotations

import pytest
from support.daemons.daemon import Daemon
from support.daemons.daemon_cases import HASH, INPUTS, ready_client


@pytest.fixture(scope="module")
def calm():
    """One daemon that nothing happens to; shared by the tests that leave it unharmed."""
    with Daemon() as daemon:
        yield daemon
        assert daemon.process.poll() is None


@pytest.fixture
def undisturbed(calm):
    """What a daemon that nothing happens to answers."""
    client = ready_client(calm)
    return lambda *seeds: [client.run(HASH, INPUTS, trial_seed=seed)[1] for seed in seeds]
