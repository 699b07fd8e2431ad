"""What a run observes and gives back, and what many runs add up to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field

from hxloop.codes.units import ACCELERATION
from hxloop.kit.brief import brief
from hxloop.kit.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch

Number = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""Number of a circuit, or of ticks, before anybody has compared it with a datasheet."""

MOST_CIRCUITS: Final = 512
"""Circuits whose membranes one run may sample."""

Recording = Literal["spikes", "first_spikes", "first_ticks"]
"""``spikes``: all of them; ``first_spikes``: of every neuron the first one of each sample; ``first_ticks``: the same
as a dense array."""


class Readout(Strict):
    """What a run observes beside spikes.

    Attributes
    ----------
    cadc_circuits : tuple of int
        Circuits whose membrane the CADC samples; merged circuits share one membrane.
    cadc_period_ticks : int
        Time between two samples, at least `ChipSpec.cadc_period_ticks`; the first one is at tick 0.
    madc_circuit : int or None
        Circuit whose membrane the MADC samples at `ChipSpec.madc_period_us`, through the whole sample.
    counters : bool
        Read the spike counter of every head after each sample.
    correlation : bool
        Read the correlation sensors of all synapses in use at the end of the run; they are reset at its start.
    """

    cadc_circuits: Annotated[tuple[Number, ...], Field(max_length=MOST_CIRCUITS)] = ()
    cadc_period_ticks: Number = 256
    madc_circuit: Number | None = None
    counters: bool = False
    correlation: bool = False

    def cadc_reads(self, duration_ticks: int) -> int:
        """Times that the CADC reads each of its circuits in a sample; a period that no chip has counts as 1 tick."""
        return -(-duration_ticks // max(1, self.cadc_period_ticks)) if self.cadc_circuits else 0

    def readings_per_sample(self, duration_ticks: int, spec: ChipSpec) -> int:
        """Readings of CADC and MADC in a sample."""
        madc = 0 if self.madc_circuit is None else spec.madc_reads(duration_ticks)
        return len(self.cadc_circuits) * self.cadc_reads(duration_ticks) + madc


@brief
@dataclass(frozen=True, eq=False)
class Observations:
    """What a run observed beside spikes; arrays that were not asked for are empty.

    Attributes
    ----------
    cadc : uint8 [n_samples, n_reads, n_circuits]
        CADC readings; read ``k`` was taken at tick ``k * cadc_period_ticks``.
    madc : int16 [n_samples, n_reads]
        MADC readings 0..1023; read ``k`` at ``k * madc_period_us``. The first `ChipSpec.madc_invalid_samples` are
        not valid.
    spike_count : uint8 [n_samples, n_heads]
        Spike counters, in the order of the heads in the configuration; they stop at 255.
    spike_overflow : uint8 [n_samples, n_heads]
        1 where a counter stopped.
    correlation : uint8 [2, n_synapses]
        Causal and acausal readings of the synapses in the order of the configuration; they fall from a baseline.
    """

    cadc: NDArray[np.uint8]
    madc: NDArray[np.int16]
    spike_count: NDArray[np.uint8]
    spike_overflow: NDArray[np.uint8]
    correlation: NDArray[np.uint8]

    @classmethod
    def none(cls) -> Observations:
        """Nothing was observed."""
        return cls(
            np.empty((0, 0, 0), np.uint8),
            np.empty((0, 0), np.int16),
            np.empty((0, 0), np.uint8),
            np.empty((0, 0), np.uint8),
            np.empty((2, 0), np.uint8),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class RunCounts:
    """What is counted in a run.

    Attributes
    ----------
    events_in : int
        Events sent by the host and the background generators.
    events_out : int
        Spikes of all neurons within the run, recorded or not; with first spikes only, up to where a sample ended.
    lost_in : int
        Those of them that did not reach all their drivers: the link or a bus was overloaded, or the link lost them.
    lost_out : int
        Spikes dropped or lost on their way to the host.
    lost_late : int
        Spikes whose time stamp fell outside the recording window; as `events_out`.
    synaptic_events : int
        Synapses that events and spikes reached, each as often as one did; spikes as `events_out`.
    cadc_reads : int
        Times the CADC converted, all its channels at once.
    madc_reads : int
        Samples of the MADC.
    chip_time_us : float
        Time the chip ran: samples x duration, in hardware time.
    circuit_time_us : float
        The same for every configured neuron circuit, added up.
    emulation_time_us : float
        Wall time the chip (emulator) took.
    energy_j_estimate : float
        Sum of `hxloop.energy.itemised.chip_energy_j`: an estimate, not a measurement.
    """

    events_in: int
    events_out: int
    lost_in: int
    lost_out: int
    lost_late: int
    synaptic_events: int
    cadc_reads: int
    madc_reads: int
    chip_time_us: float
    circuit_time_us: float
    emulation_time_us: float
    energy_j_estimate: float

    @property
    def events_lost(self) -> int:
        """Events that did not arrive."""
        return self.lost_in + self.lost_out + self.lost_late

    @staticmethod
    def total(parts: Iterable[object]) -> RunCounts:
        """Sums over results, replies, or whatever has these counters, as plain numbers."""
        found = list(parts)
        return RunCounts(**{name: kind(sum([getattr(part, name) for part in found])) for name, kind in COUNTS.items()})


COUNTS: Final[dict[str, type]] = {f.name: {"int": int, "float": float}[str(f.type)] for f in fields(RunCounts)}
"""Names of what is counted, and what kind of number it is."""


@brief
@dataclass(frozen=True, eq=False)
class RunResult(RunCounts):
    """What a run gives back: spikes, observations and counters.

    Attributes
    ----------
    spikes : SpikeBatch
        Recorded spikes; the source is the circuit that spiked (the head of a merged neuron). None (samples without
        spikes) with ``first_ticks``.
    observations : Observations
    first_ticks : uint32 [n_samples, n_neurons] or None
        With ``first_ticks``: tick of the first spike of each recorded neuron, `hxloop.spikes.NO_SPIKE` where it was
        silent. Columns follow the ``neurons`` asked for, without these the heads in the order of the configuration.
    """

    spikes: SpikeBatch
    observations: Observations = field(default_factory=Observations.none)
    first_ticks: NDArray[np.uint32] | None = None


def speedup_over_biology(chip_time_s: float, wall_s: float) -> float:
    """How much faster than the biology it stands for something ran: 1 is biological real time, 1000 is silicon.

    Parameters
    ----------
    chip_time_s : float
        Time the chip ran, in s of hardware time.
    wall_s : float
        Wall time of all of it, in s.

    Returns
    -------
    float
        ``1000 chip_time_s / wall_s``; NaN where nothing ran.
    """
    return ACCELERATION * chip_time_s / wall_s if wall_s > 0 else math.nan


def _summed(default: float, unit: str, text: str) -> Any:
    return field(default=default, metadata={"unit": unit, "text": text})


@dataclass
class ChipUse:
    """What runs on the chip added up to, in the units of journals, run files and tables.

    Attributes
    ----------
    events_in, events_out, events_lost : int
        As in `RunCounts`.
    synaptic_events, cadc_reads, madc_reads : int
        As in `RunCounts`.
    chip_time_s : float
        Time the chip ran, in s of hardware time.
    circuit_time_s : float
        The same for every configured neuron circuit, added up.
    emulation_s : float
        Wall time the chip (emulator) took, in s.
    energy_j_estimate : float
        As in `RunCounts`, in J.
    """

    events_in: int = _summed(0, "1", "input events")
    events_out: int = _summed(0, "1", "spikes of all neurons")
    events_lost: int = _summed(0, "1", "events lost on the way in or out, and spikes outside the recording window")
    chip_time_s: float = _summed(0.0, "s", "time the chip ran")
    emulation_s: float = _summed(0.0, "s", "wall time the chip (emulator) took")
    energy_j_estimate: float = _summed(0.0, "J", "energy of the chip, estimated")
    synaptic_events: int = _summed(0, "1", "synapses reached by events and spikes, each as often as one did")
    cadc_reads: int = _summed(0, "1", "conversions of the CADC, all channels at once")
    madc_reads: int = _summed(0, "1", "samples of the MADC")
    circuit_time_s: float = _summed(0.0, "s", "time that configured neuron circuits ran, added up")

    def add(self, counts: RunCounts) -> None:
        """Count one run."""
        self.events_in += counts.events_in
        self.events_out += counts.events_out
        self.events_lost += counts.events_lost
        self.chip_time_s += counts.chip_time_us * 1e-6
        self.emulation_s += counts.emulation_time_us * 1e-6
        self.energy_j_estimate += counts.energy_j_estimate
        self.synaptic_events += counts.synaptic_events
        self.cadc_reads += counts.cadc_reads
        self.madc_reads += counts.madc_reads
        self.circuit_time_s += counts.circuit_time_us * 1e-6

    def figures(self, wall_s: float) -> dict[str, float]:
        """All of it as plain values, with the wall time of all that was done, and how fast that was."""
        return vars(self) | {"wall_s": wall_s, "speedup_over_biology": speedup_over_biology(self.chip_time_s, wall_s)}


CHIP_USE: Final[dict[str, tuple[str, str]]] = {
    f.name: (f.metadata["unit"], f.metadata["text"]) for f in fields(ChipUse)
}
"""Unit and meaning of each entry of `ChipUse`."""
