"""Events and stamps that are late because others were before them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.edges.queues import wait_in, wait_out
from hxloop_chip.wiring.link_loss import exact_rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch
    from hxloop_chip.chip.delivery import Delivered
    from hxloop_chip.wiring.neurons import Neurons
    from hxloop_chip.wiring.synapses import Wiring

OUTPUT_PER_TICK: Final = 1.0
"""Spikes that an event output of the neurons serves in a tick (assumed: one per cycle of 125 MHz)."""


def late_events(delivered: Delivered, inputs: SpikeBatch, wiring: Wiring, spec: ChipSpec, trial: at.Trial) -> Delivered:
    """Events as they leave the queues of the link and of their buses; what comes too late for its sample is lost.

    Parameters
    ----------
    delivered : Delivered
        Its arrays are changed.
    inputs : SpikeBatch
        The host's, as `delivered` was made of them.
    wiring : Wiring
    spec : ChipSpec
    trial : Trial
    """
    offsets, tick, source = delivered.inputs
    event = delivered.event
    assert event is not None, "queues need to know which event each is"
    n_buses = spec.n_hemispheres * spec.n_padi_buses
    rates = exact_rate(spec.link_in_per_tick), exact_rate(spec.padi_per_tick)
    kept, gone = wait_in(
        offsets, tick, source, event, inputs.n_spikes, wiring.source_bus, wiring.source_id, n_buses, rates,
        trial.sigma, trial.duration, trial.key, trial.first_sample,
    )  # fmt: skip
    return replace(delivered, inputs=at.Inputs(offsets, tick[:kept], source[:kept]), lost=delivered.lost + gone)


def late_stamps(
    packed: NDArray[np.int64], counts: NDArray[np.int64], neurons: Neurons, spec: ChipSpec, trial: at.Trial
) -> NDArray[np.int64]:
    """Spikes with the stamps they get behind their event outputs; what is stamped too late for its sample is lost.

    Parameters
    ----------
    packed, counts : int64 [n_spikes], [n_samples, N_COUNTS]
        As `hxloop_chip.chip.running.Runner.run` gives them; changed in place.
    neurons : Neurons
    spec : ChipSpec
    trial : Trial
    """
    if spec.free_routing:  # a chip without limits has no outputs to share
        return packed
    lane = neurons.heads % spec.n_columns // (spec.n_columns // spec.n_event_outputs)
    kept = wait_out(
        packed, counts, lane, spec.n_event_outputs, OUTPUT_PER_TICK, trial.sigma, trial.duration, trial.key,
        trial.first_sample,
    )  # fmt: skip
    return packed[:kept]
