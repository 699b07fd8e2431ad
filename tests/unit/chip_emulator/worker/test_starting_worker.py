"""A worker that starts may take as long as it computes, and no longer: progress decides, not time."""

import pytest
from support.daemons.processes import wait_for
from support.places import PYTHONPATH

from hxloop.protocol.messages import Limits
from hxloop_chip.service.envelopes import Ready
from hxloop_chip.worker import supervisor
from hxloop_chip.worker.supervisor import WorkerOptions, WorkerProcess

pytestmark = pytest.mark.processes

STALL_S = 3.0
"""Shorter than `Busy` computes, and longer than a loaded machine leaves a process without a processor."""


@pytest.fixture
def start(monkeypatch):
    monkeypatch.setattr(supervisor, "START_STALL_S", STALL_S)
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    started = []

    def start(kind):
        monkeypatch.setenv("HXLOOP_TEST_FAULTS", f'{{"chip": "support.chips.starting_chips:{kind}"}}')
        options = WorkerOptions(
            chip="typical", serial=1, threads=1, boot_id="boot", limits=Limits(), log_format="text",
            stall_timeout_s=1.0,
        )  # fmt: skip
        started.append(WorkerProcess(options))
        return started[-1]

    yield start
    for worker in started:
        worker.end()


def test_one_that_computes_is_waited_for(start):
    worker = start("Busy")
    troubles = []

    def is_ready():
        troubles.append(worker.trouble(paused=False))
        message = worker.receive()
        return message is not None and isinstance(message[0], Ready)

    wait_for(is_ready, what="the worker's readiness")
    assert set(troubles) == {None}


def test_one_that_stands_still_is_given_up(start):
    worker = start("Idle")
    why = wait_for(lambda: worker.trouble(paused=False), 30, "trouble")
    assert why == f"the worker made no progress for {STALL_S:g} s while it started"
