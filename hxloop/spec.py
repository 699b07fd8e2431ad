"""Datasheets: what a kind of chip has and allows, every number with its source.

`HICANN_X` describes the BrainScaleS-2 chip HICANN-X v3. `TEXTBOOK` is the same machine without its limits (continuous
weights, more rows and circuits, no shortest refractory time); the named chip ``ideal`` has it, so that networks
no silicon could hold can be compared with other simulators.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, Field

from hxloop.codes.capmem import CAPMEM_CODE_MAX
from hxloop.codes.units import TICK_US
from hxloop.kit.strict import Strict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Range = tuple[float, float]


def _entry(unit: str, source: str, text: str) -> Any:
    return Field(description=text, json_schema_extra={"unit": unit, "source": source})


class ChipSpec(Strict):
    """Datasheet of a chip: counts, ranges and delays.

    A range is ``(lowest, highest)``, both allowed. `sources` gives unit and source of every field.
    """

    name: str = _entry("", "-", "kind of chip")
    n_hemispheres: int = _entry("1", "halco vx/synapse.h", "synapse arrays, one above and one below the neurons")
    n_columns: int = _entry("1", "halco vx/neuron.h", "neuron circuits of a hemisphere, one per synapse column")
    n_rows: int = _entry("1", "halco vx/synapse.h", "synapse rows of a hemisphere; a row has one sign")
    n_labels: int = _entry("1", "halco vx/synapse.h (SynapseLabel, 6 bit)", "event labels a synapse can listen to")
    weight_code_max: int = _entry("1", "halco vx/synapse.h (6 bit)", "largest weight code of a synapse")
    continuous_weights: bool = _entry("", "BSS-2: no", "weight codes may be any real number in the range")
    capmem_code_max: int = _entry("1", "haldls vx/capmem.h (10 bit, 1023 stops the refresh)", "largest CapMem code")
    continuous_codes: bool = _entry("", "BSS-2: no", "codes of analog parameters may be any real number")
    n_input_channels: int = _entry("1", "halco vx/event.h (4 lanes x 14-bit label, derived)", "external event sources")
    free_routing: bool = _entry("", "BSS-2: no", "any source reaches any driver, whatever its bus")
    n_padi_buses: int = _entry("1", "halco vx/padi.h", "buses of a hemisphere; each feeds as many drivers in a row")
    n_event_outputs: int = _entry(
        "1", "halco neuron.cpp; grenade routing", "outputs of neurons: one per 32 columns; output e reaches bus e mod 4"
    )
    n_background: int = _entry("1", "haldls vx/background.h", "background generators; number g reaches PADI bus g")
    link_in_per_tick: float = _entry("1/tick", "hxcomm event_constants.h (packs of 3)", "events the link takes in")
    link_in_depth: int = _entry("1", "assumed", "events that may wait at the link")
    padi_per_tick: float = _entry("1/tick", "assumed (one event per 250 MHz cycle)", "events a PADI bus carries")
    padi_depth: int = _entry("1", "assumed", "events that may wait at a PADI bus")
    link_out_per_tick: float = _entry("1/tick", "assumed (one per 125 MHz cycle)", "spikes the link sends out")
    link_out_depth: int = _entry("1", "assumed", "spikes that may wait for the link")
    tick_us: float = _entry("us", "fisch vx/constants.h (125 MHz)", "clock tick; all events lie on this grid")
    routing_delay_ticks: int = _entry(
        "tick",
        "assumed (1.024 us: two macro-steps of the solver)",
        "from a spike to the rows it drives",
    )
    max_run_ticks: int = _entry("tick", "hxtorch (32-bit timer at 125 MHz)", "longest run of one sample")
    v_leak_mv: Range = _entry("mV", "calix neuron.py (50..160 CADC LSB)", "leak potential")
    v_reset_mv: Range = _entry("mV", "calix neuron.py (50..160 CADC LSB)", "reset potential")
    v_threshold_mv: Range = _entry("mV", "calix neuron.py (50..220 CADC LSB)", "spike threshold")
    tau_mem_us: Range = _entry("us", "calix neuron.py", "membrane time constant")
    tau_syn_us: Range = _entry("us", "calix neuron.py", "synaptic time constants, excitatory and inhibitory")
    t_refractory_us: Range = _entry("us", "calix neuron.py (40 ns..32 us)", "refractory period")
    delay_us: Range = _entry(
        "us",
        "Goeltz et al. 2025 (code: refractory counter 50..250, 2 us more); clock of 128 ns",
        "from an event at a delay neuron to its spike",
    )
    synapse_gain_mv_per_us: Range = _entry(
        "mV/us",
        "assumed (hxloop.codes.nominal: transconductance code 1022, DAC code 800, 2.3 pF)",
        "slope of the membrane that one event at weight code 1 causes",
    )
    cadc_period_ticks: int = _entry("tick", "hxtorch (1.7 us)", "shortest time between two CADC samples of a circuit")
    cadc_max_reads: int = _entry(
        "1", "grenade vx/ppu.h (buffer of 2048 x 100 in DRAM)", "CADC reads of a run, each of all circuits asked for"
    )
    madc_period_us: float = _entry("us", "haldls madc.cpp (17 cycles of 500 MHz)", "time between two MADC samples")
    madc_invalid_samples: int = _entry("1", "calix / issue 4008 (about 8 us)", "first MADC samples, not valid")
    madc_max_samples: int = _entry("1", "haldls vx/madc.h (16 bit)", "MADC samples of one recording")
    power_w: float = _entry("W", "Goeltz et al. 2021 (8.4 uJ per 48 us MNIST image)", "chip power of one workload")

    @property
    def n_circuits(self) -> int:
        """Neuron circuits of the chip; circuit ``c`` sits in hemisphere ``c // n_columns``."""
        return self.n_hemispheres * self.n_columns

    @property
    def n_drivers(self) -> int:
        """Synapse drivers of a hemisphere; driver ``d`` drives the rows 2 d and 2 d + 1."""
        return self.n_rows // 2

    @property
    def n_triggers(self) -> int:
        """Synapses that can be the trigger of a delay neuron: one of each pair of circuits on each driver."""
        return self.n_columns * self.n_drivers

    @property
    def n_quadrants(self) -> int:
        """Quadrants, which share some analog parameters: two in a hemisphere."""
        return 2 * self.n_hemispheres

    @property
    def madc_period_ticks(self) -> float:
        """Time between two MADC samples in ticks; rounded, because 34 ns / 8 ns is not 4.25 in binary."""
        return round(self.madc_period_us / self.tick_us, 6)

    def madc_reads(self, duration_ticks: int) -> int:
        """MADC samples in a time."""
        return ceil(duration_ticks / self.madc_period_ticks)

    @property
    def n_signed_inputs(self) -> int:
        """Signed inputs of one circuit: each takes an excitatory and an inhibitory row."""
        return self.n_rows // 2

    def sources(self) -> dict[str, tuple[str, str, str]]:
        """Meaning, unit and source of every field; see `field_sources`."""
        return field_sources(type(self))


def quadrant(circuit: NDArray[np.int64], spec: ChipSpec) -> NDArray[np.int64]:
    """Quadrant of each circuit: hemisphere, then left or right half of the columns."""
    return 2 * (circuit // spec.n_columns) + (circuit % spec.n_columns >= spec.n_columns // 2)


def field_sources(model: type[BaseModel]) -> dict[str, tuple[str, str, str]]:
    """What the fields of a documented model mean and where their numbers come from.

    Parameters
    ----------
    model : subclass of pydantic.BaseModel
        Every field has a description, and ``unit`` and ``source`` in its extra schema.

    Returns
    -------
    dict
        Field name to ``(description, unit, source)``.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra
        assert isinstance(extra, dict)
        found[name] = (info.description or "", str(extra["unit"]), str(extra["source"]))
    return found


HICANN_X: Final = ChipSpec(
    name="HICANN-X v3",
    n_hemispheres=2,
    n_columns=256,
    n_rows=256,
    n_labels=64,
    weight_code_max=63,
    continuous_weights=False,
    capmem_code_max=CAPMEM_CODE_MAX,
    continuous_codes=False,
    n_input_channels=4 * 2**14,
    free_routing=False,
    n_padi_buses=4,
    n_event_outputs=8,
    n_background=8,
    link_in_per_tick=3.0,
    link_in_depth=512,
    padi_per_tick=2.0,
    padi_depth=64,
    link_out_per_tick=1.0,
    link_out_depth=512,
    tick_us=TICK_US,
    routing_delay_ticks=128,
    max_run_ticks=2**32,
    v_leak_mv=(285.0, 780.0),
    v_reset_mv=(285.0, 780.0),
    v_threshold_mv=(285.0, 1050.0),
    tau_mem_us=(0.5, 60.0),
    tau_syn_us=(0.3, 30.0),
    t_refractory_us=(0.04, 32.0),
    delay_us=(8.4, 34.0),
    synapse_gain_mv_per_us=(0.0, 4.7),
    cadc_period_ticks=213,
    cadc_max_reads=204_800,
    madc_period_us=0.034,
    madc_invalid_samples=120,
    madc_max_samples=65535,
    power_w=0.175,
)
"""BrainScaleS-2, HICANN-X v3."""

TEXTBOOK: Final = HICANN_X.model_copy(
    update={
        "name": "textbook",
        "n_columns": 4096,
        "n_rows": 8192,
        "continuous_weights": True,
        "capmem_code_max": 10**9,
        "continuous_codes": True,
        "free_routing": True,
        "link_in_per_tick": 1e9,
        "link_in_depth": 10**9,
        "padi_per_tick": 1e9,
        "padi_depth": 10**9,
        "link_out_per_tick": 1e9,
        "link_out_depth": 10**9,
        "v_leak_mv": (-1e6, 1e6),
        "v_reset_mv": (-1e6, 1e6),
        "v_threshold_mv": (-1e6, 1e6),
        "tau_mem_us": (0.05, 1e4),
        "tau_syn_us": (0.05, 1e4),
        "t_refractory_us": (0.0, 1e4),
        "delay_us": (4.5, 1e3),
        "synapse_gain_mv_per_us": (0.0, 1e6),
    }
)
"""The equations of the chip without its limits."""
