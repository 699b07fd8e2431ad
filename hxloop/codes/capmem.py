"""Analog memory (CapMem): which cells every neuron circuit and every quadrant has, and the switches beside them.

Cells hold 10-bit codes; `codes.nominal` says what a code means on a chip without mismatch. Not modelled, and therefore
not offered, are the reset and inter-compartment bias currents and the reference of the adaptation amplifier.

References
----------
halco, include/halco/hicann-dls/vx/v3/capmem.h (cells); haldls, include/lola/vx/v3/neuron.h (switches).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

CAPMEM_CODE_MAX: Final = 1022
"""Largest code; 1023 would stop the refresh of the cell (haldls vx/capmem.h)."""


class Cell(IntEnum):
    """Cells of a neuron circuit: columns of `hxloop.program.NeuronCodes.capmem_code`."""

    v_leak = 0
    v_reset = 1
    v_threshold = 2
    e_reversal_exc = 3
    e_reversal_inh = 4
    v_adapt_leak = 5
    v_exp = 6
    i_leak = 7
    i_tau_syn_exc = 8
    i_tau_syn_inh = 9
    i_gm_exc = 10
    i_gm_inh = 11
    i_shift_exc = 12
    i_shift_inh = 13
    i_coba_exc = 14
    i_coba_inh = 15
    i_adapt_tau = 16
    i_adapt_a = 17
    i_adapt_b = 18
    i_exp = 19
    i_offset = 20


class QuadrantCell(IntEnum):
    """Cells shared by a quadrant of neuron circuits: columns of `hxloop.program.SharedCodes.quadrant_code`."""

    i_synapse_dac = 0
    v_cadc_offset = 1
    i_cadc_slope = 2
    i_correlation_tau = 3
    i_correlation_amplitude = 4


class Switch(IntFlag):
    """Bits of `hxloop.program.NeuronCodes.switches`; without any, a circuit is leaky integrate-and-fire."""

    adaptation = 1
    adapt_a_negative = 2
    adapt_b_negative = 4
    exponential = 8
    coba_exc = 16
    coba_inh = 32
    offset_current = 64
    offset_negative = 128


class LeakRange(IntEnum):
    """Ranges of the leak conductance (haldls vx/neuron.h: divided by 8, or multiplied by 8)."""

    divided = 0
    normal = 1
    multiplied = 2
