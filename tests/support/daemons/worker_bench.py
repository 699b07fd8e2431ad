"""A worker in this process, without a supervisor and without streams."""

from __future__ import annotations

import numpy as np

from hxloop_chip.service.envelopes import WorkerSettings
from hxloop_chip.service.stream_board import N_WORDS, StreamBoard
from hxloop_chip.worker.worker_process import Worker


class NoStreams:
    """Nobody but the supervisor has anything to say."""

    def wait(self, link):
        return True

    def flush(self):
        pass


def settings_of(limits):
    return WorkerSettings(
        chip="typical", serial=1, threads=1, boot_id="boot", link_fd=-1, beat_fd=0, board_fd=-1, streams_fd=-1,
        beat_interval_s=1.0, limits=limits, log_format="text",
    )  # fmt: skip


def new_board():
    return StreamBoard(np.zeros(N_WORDS, np.int64))


def worker_of(chip, limits, link=None):
    return Worker(chip, settings_of(limits), link, new_board(), NoStreams())
