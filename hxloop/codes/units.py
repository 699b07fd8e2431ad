"""The words for numbers: hardware time and clock ticks.

Times are hardware times: 1 us on the chip stands for 1 ms of biology (acceleration 1000).
"""

from __future__ import annotations

from typing import Final

TICK_US: Final = 0.008
"""One clock tick: FPGA clock 125 MHz, which also stamps spikes (fisch, include/fisch/vx/constants.h)."""

ACCELERATION: Final = 1000.0
"""Biological time over hardware time (BrainScaleS-2 documentation)."""


def ticks_from_us(time_us: float) -> int:
    """Nearest whole number of 8 ns ticks."""
    return round(time_us / TICK_US)


def us_from_ticks(ticks: float) -> float:
    """Duration of a number of 8 ns ticks in us."""
    return ticks * TICK_US
