"""All mechanisms. A new one is a file in this room, and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop_chip.silicon.mechanisms.in_circuits.cell_crosstalk import CellCrosstalk
from hxloop_chip.silicon.mechanisms.in_circuits.correlated_mismatch import CorrelatedMismatch
from hxloop_chip.silicon.mechanisms.in_circuits.dead_circuits import DeadCircuits
from hxloop_chip.silicon.mechanisms.in_circuits.input_compression import InputCompression
from hxloop_chip.silicon.mechanisms.in_circuits.membrane_spread import MembraneSpread
from hxloop_chip.silicon.mechanisms.in_circuits.neuron_model_spread import NeuronModelSpread
from hxloop_chip.silicon.mechanisms.in_circuits.potential_spread import PotentialSpread
from hxloop_chip.silicon.mechanisms.in_circuits.rewrite_noise import RewriteNoise
from hxloop_chip.silicon.mechanisms.in_circuits.solver_noise import SolverNoise, ThresholdDrift
from hxloop_chip.silicon.mechanisms.in_circuits.synaptic_input_spread import SynapticInputSpread
from hxloop_chip.silicon.mechanisms.in_circuits.temperature import Temperature
from hxloop_chip.silicon.mechanisms.in_readout.cadc_errors import CadcErrors
from hxloop_chip.silicon.mechanisms.in_readout.madc_errors import MadcErrors
from hxloop_chip.silicon.mechanisms.in_readout.sensor_spread import SensorSpread
from hxloop_chip.silicon.mechanisms.in_synapses.dead_rows import DeadRows
from hxloop_chip.silicon.mechanisms.in_synapses.driver_depletion import DriverDepletion
from hxloop_chip.silicon.mechanisms.in_synapses.synapse_spread import SynapseSpread
from hxloop_chip.silicon.mechanisms.mechanism import KINDS
from hxloop_chip.silicon.mechanisms.on_links.event_waiting import EventWaiting
from hxloop_chip.silicon.mechanisms.on_links.lossy_links import LossyLinks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hxloop_chip.silicon.mechanisms.mechanism import Mechanism, Strength

MECHANISMS: Final[tuple[Mechanism, ...]] = (
    PotentialSpread(),
    MembraneSpread(),
    SynapticInputSpread(),
    InputCompression(),
    SynapseSpread(),
    DriverDepletion(),
    NeuronModelSpread(),
    CorrelatedMismatch(),
    SolverNoise(),
    CellCrosstalk(),
    RewriteNoise(),
    ThresholdDrift(),
    Temperature(),
    CadcErrors(),
    MadcErrors(),
    SensorSpread(),
    DeadCircuits(),
    DeadRows(),
    LossyLinks(),
    EventWaiting(),
)
"""In this order they draw, act, and are listed: first all that is fixed, then what calibration leaves, then noise."""


def strengths_of(mechanisms: Iterable[Mechanism]) -> dict[str, Strength]:
    """Strengths of mechanisms by name, in the order of their kinds."""
    found = [item for mechanism in mechanisms for item in mechanism.strengths.items()]
    return dict(sorted(found, key=lambda item: kind_index(item[0])))


def kind_index(name: str) -> int:
    """Place of a strength's kind in `KINDS`."""
    return next(k for k, kind in enumerate(KINDS) if f"_{kind}" in name)


def deviations_of(mechanisms: Iterable[Mechanism]) -> dict[str, tuple[str, str]]:
    """Unit and meaning of every deviation that mechanisms draw, by its name."""
    return {name: meaning for mechanism in mechanisms for name, meaning in mechanism.deviations.items()}
