"""Energy of a chip from what was counted on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hxloop.energy.energy_model import BSS2_ENERGY

if TYPE_CHECKING:
    from hxloop.energy.energy_model import EnergyModel


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
