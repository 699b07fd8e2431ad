"""Chips that take long to start: one computes, one stands still."""

import time

from support.chips.fake_chip import FakeChip


class Busy(FakeChip):
    """Computes for four seconds."""

    def warm_up(self):
        begin = time.process_time()
        while time.process_time() - begin < 4.0:
            pass


class Idle(FakeChip):
    """Waits for something that never comes."""

    def warm_up(self):
        time.sleep(60)
