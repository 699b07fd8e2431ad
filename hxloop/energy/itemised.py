"""Energy and time from what was counted on a chip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hxloop.energy.energy_model import BSS2_ENERGY

if TYPE_CHECKING:
    from hxloop.energy.energy_model import EnergyModel
    from hxloop.result import ChipUse


def chip_energy_j(
    *,
    chip_time_s: float,
    circuit_time_s: float,
    events: int,
    synaptic_events: int,
    cadc_reads: int,
    madc_reads: int,
    model: EnergyModel = BSS2_ENERGY,
) -> dict[str, float]:
    """Energy of the chip by item, in J; their sum is that of the chip.

    Parameters
    ----------
    chip_time_s, circuit_time_s : float
        Time the chip ran, and the same for every configured neuron circuit, added up, in s.
    events : int
        Events and spikes.
    synaptic_events, cadc_reads, madc_reads : int
        As in `hxloop.result.RunCounts`.
    model : EnergyModel, optional

    Returns
    -------
    dict
        From what a text calls it to J.
    """
    return {
        "leakage and clocks": model.leakage_w * chip_time_s,
        "links": model.link_w * chip_time_s,
        "neurons": model.neuron_w * circuit_time_s,
        "synaptic events": model.synaptic_event_j * synaptic_events,
        "event path": model.event_j * events,
        "CADC": model.cadc_read_j * cadc_reads,
        "MADC": model.madc_read_j * madc_reads,
    }


@dataclass(frozen=True)
class Cost:
    """What a training, or anything else that was counted, costs on silicon, and what it took here.

    Attributes
    ----------
    n_samples : int
    chip_j : dict of str to float
        Energy of the chip while it ran, by item, in J: what publications give per image.
    beside_j : dict of str to float
        Energy beside it in J: of the chip between runs, and of the board all the time.
    silicon_s : dict of str to float
        Time on silicon, by item, in s.
    here_s : dict of str to float
        Wall time that was measured, by item, in s.
    """

    n_samples: int
    chip_j: dict[str, float]
    beside_j: dict[str, float]
    silicon_s: dict[str, float]
    here_s: dict[str, float]

    @property
    def chip_uj_per_sample(self) -> float:
        """Energy of the chip for a sample in uJ, NaN without samples."""
        return 1e6 * sum(self.chip_j.values()) / self.n_samples if self.n_samples else math.nan

    def parts(self) -> dict[str, tuple[str, dict[str, float]]]:
        """Unit and items of each part, by what a text calls it."""
        return {
            "chip": ("J", self.chip_j), "beside the chip's runs": ("J", self.beside_j),
            "on silicon": ("s", self.silicon_s), "here": ("s", self.here_s),
        }  # fmt: skip


def cost_of(
    use: ChipUse,
    *,
    n_samples: int,
    weight_writes: int,
    n_synapses: int,
    wall_s: float,
    model: EnergyModel = BSS2_ENERGY,
) -> Cost:
    """Cost of what was counted.

    Parameters
    ----------
    use : ChipUse
    n_samples : int
    weight_writes : int
        How often the weights were written, each time with a round trip from the host.
    n_synapses : int
        Synapses whose weights are written.
    wall_s : float
        Wall time of all of it, in s.
    model : EnergyModel, optional
    """
    chip_j = chip_energy_j(
        chip_time_s=use.chip_time_s, circuit_time_s=use.circuit_time_s, events=use.events_in + use.events_out,
        synaptic_events=use.synaptic_events, cadc_reads=use.cadc_reads, madc_reads=use.madc_reads, model=model,
    )  # fmt: skip
    between_s = {
        "settling": model.settling_s if use.chip_time_s else 0.0,
        "writing weights": model.synapse_write_s * n_synapses * weight_writes,
        "round trips": model.round_trip_s * weight_writes,
    }
    n_circuits = use.circuit_time_s / use.chip_time_s if use.chip_time_s else 0.0
    idle_w = model.leakage_w + model.link_w + model.neuron_w * n_circuits
    silicon_s = {"network runs": use.chip_time_s, **between_s}
    return Cost(
        n_samples,
        chip_j,
        {"chip between runs": idle_w * sum(between_s.values()), "board": model.board_w * sum(silicon_s.values())},
        silicon_s,
        {"emulator": use.emulation_s, "host": max(0.0, wall_s - use.emulation_s)},
    )
