"""Powers and energies of a chip and its board, every figure with its source."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from hxloop.kit.strict import Strict
from hxloop.spec import field_sources


def _figure(unit: str, source: str, text: str) -> Any:
    return Field(ge=0.0, description=text, json_schema_extra={"unit": unit, "source": source})


class EnergyModel(Strict):
    """What is consumed, and what it takes to keep a chip busy; `sources` gives unit and source of every figure.

    Two published measurements say what all items of the chip come to together; how that is divided among them is
    assumed where the source says so.
    """

    leakage_w: float = _figure(
        "W",
        "fitted: Goeltz et al. 2021 (8.4 uJ per MNIST image of 48 us), less all other items",
        "leakage, clocks, references and idle processors, as long as the chip is switched on",
    )
    link_w: float = _figure(
        "W",
        "assumed (8 links, halco vx/highspeed_link.h, x 3.5 mA of LVDS, TIA-644, x 1.2 V)",
        "serial links to the FPGA, whether anything is sent or not",
    )
    neuron_w: float = _figure(
        "W",
        "assumed (16 bias currents of up to 1 uA and their mirrors: 20 uA x 2.5 V)",
        "a configured neuron circuit",
    )
    synaptic_event_j: float = _figure(
        "J",
        "assumed (of the order of what Stradmann et al. 2022 leave in matrix mode: 192 uJ in 276 us, less 175 mW, at "
        "8 x 125 MHz x 256 synapses: 2 pJ; the current pulse alone, 1 uA x 4 ns x 1.2 V, is 5 fJ)",
        "an event at a synapse: its share of the row's lines, comparator and current pulse",
    )
    event_j: float = _figure("J", "assumed", "an event or spike through crossbar, bus and driver, or arbiter")
    cadc_read_j: float = _figure(
        "J",
        "fitted: Cramer et al. 2022 (2.4 uJ per MNIST image of 11.8 us), less all other items",
        "a conversion of the CADC, all 1024 channels at once, and its way through the processors",
    )
    madc_read_j: float = _figure("J", "assumed (100 fJ per step of 10 bits)", "a sample of the MADC")
    board_w: float = _figure(
        "W",
        "Stradmann et al. 2022 (system 5.6 W, less 192 uJ in 276 us of the chip)",
        "FPGA, memory, controller and supplies of the mobile system; none of it is in the chip's energy",
    )
    settling_s: float = _figure("s", "calix constants.py (20 ms)", "until analog parameters have settled")
    synapse_write_s: float = _figure(
        "s",
        "derived: 4 synapses in a word (haldls SynapseQuad), one word a cycle of 125 MHz (fisch)",
        "writing weight and label of a synapse",
    )
    round_trip_s: float = _figure(
        "s", "hxcomm test-latency.cpp (median at most 150 us)", "from the host to the chip and back"
    )

    def sources(self) -> dict[str, tuple[str, str, str]]:
        """Meaning, unit and source of every figure; see `hxloop.spec.field_sources`."""
        return field_sources(type(self))


BSS2_ENERGY: Final = EnergyModel(
    leakage_w=0.1144,
    link_w=0.0336,
    neuron_w=50e-6,
    synaptic_event_j=1e-12,
    event_j=50e-12,
    cadc_read_j=41e-9,
    madc_read_j=100e-12,
    board_w=4.9,
    settling_s=0.02,
    synapse_write_s=2e-9,
    round_trip_s=150e-6,
)
"""BrainScaleS-2, HICANN-X v3, on the board of the mobile system."""
