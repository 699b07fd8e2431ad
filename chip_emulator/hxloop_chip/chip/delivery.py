"""From the host and the background generators to the synapse drivers: links, buses, and what they drop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.spikes import DTYPES
from hxloop_chip.silicon.mechanisms.addressed_draws import TrialDraws
from hxloop_chip.silicon.mechanisms.mechanism import Passing
from hxloop_chip.solver import layout as at
from hxloop_chip.solver.edges.intake import take_in
from hxloop_chip.wiring.background import background_events
from hxloop_chip.wiring.link_loss import admitted, exact_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hxloop.program import Background
    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch
    from hxloop_chip.wiring.synapses import Wiring

    Ints = NDArray[np.int64]
    OnWay = Callable[[Passing, TrialDraws], Passing]


@dataclass(frozen=True, eq=False)
class Delivered:
    """Events that reach synapse drivers.

    Attributes
    ----------
    inputs : Inputs
        For the solver; sources are those of `hxloop_chip.wiring.synapses.Wiring`.
    events_in : int
        Events sent by the host and the background generators.
    lost : int
        Those of them that did not reach all drivers they are routed to.
    reached : int
        Synapses that they reach, each as often as an event does.
    event : int64 [n] or None
        Which event each is, those of the host first; None: nobody asked.
    """

    inputs: at.Inputs
    events_in: int
    lost: int
    reached: int
    event: Ints | None = None


def deliver_plain(
    inputs: SpikeBatch, background: Background, wiring: Wiring, spec: ChipSpec, duration_ticks: int, *, named: bool
) -> Delivered | None:
    """Do what `SpikeBatch.check` and `deliver` do, in one pass; None if there is anything unusual about the events.

    Parameters
    ----------
    inputs : SpikeBatch
        Events of the host, not yet checked.
    background : Background
    wiring : Wiring
    spec : ChipSpec
    duration_ticks : int
    named : bool
        Say which event each is.
    """
    sound = all(
        isinstance(array, np.ndarray) and array.dtype == dtype and array.ndim == 1 and array.flags.c_contiguous
        for array, dtype in ((getattr(inputs, name), dtype) for name, dtype in DTYPES.items())
    )
    if not sound or len(background.generator):
        return None
    fanout = wiring.inputs
    offsets = np.empty(len(inputs.offsets), np.int64)
    most = len(inputs.tick) * fanout.most
    tick, source = np.empty((2, most), np.int64)
    event = np.empty(most if named else 0, np.int64)
    count, reached = take_in(
        inputs.offsets, inputs.tick, inputs.source, duration_ticks,
        fanout.first, fanout.source, wiring.source_bus, wiring.source_reach, spec.n_hemispheres * spec.n_padi_buses,
        (exact_rate(spec.link_in_per_tick), float(spec.link_in_depth)),
        (exact_rate(spec.padi_per_tick), float(spec.padi_depth)), offsets, tick, source, event,
    )  # fmt: skip
    if count < 0:
        return None
    which = event[:count] if named else None
    return Delivered(at.Inputs(offsets, tick[:count], source[:count]), len(inputs.tick), 0, reached, which)


def deliver(
    inputs: SpikeBatch,
    background: Background,
    wiring: Wiring,
    spec: ChipSpec,
    trial: at.Trial,
    on_way_in: Sequence[OnWay] = (),
) -> Delivered:
    """Bring events to their buses.

    Parameters
    ----------
    inputs : SpikeBatch
        Events of the host; every channel drives something.
    background : Background
    wiring : Wiring
    spec : ChipSpec
    trial : Trial
    on_way_in : sequence of callable
        What mechanisms do to events on the link (`Mechanism.on_way_in`); what they lose has taken its place there all
        the same.
    """
    on_link = admitted(
        inputs.offsets, inputs.tick, np.zeros(inputs.n_spikes, np.int64), 1, spec.link_in_per_tick, spec.link_in_depth
    )
    n_events = inputs.n_spikes
    for pass_on in on_way_in:
        inputs, on_link = pass_on(Passing(inputs, on_link), TrialDraws(trial.key, trial.first_sample))
    event, source = wiring.inputs.expand(inputs.source.astype(np.int64))
    if not on_link.all():
        event, source = event[on_link[event]], source[on_link[event]]
    tick, offsets = inputs.tick[event], np.searchsorted(event, inputs.offsets)
    if len(background.generator):
        made_offsets, made_tick, name = background_events(
            background, trial.duration, inputs.n_samples, trial.first_sample, trial.key
        )
        made, made_source = wiring.backgrounds.expand(name)
        offsets, order = _merged(offsets, tick, np.searchsorted(made, made_offsets), made_tick[made])
        event = np.concatenate([event, inputs.n_spikes + made])[order]
        source = np.concatenate([source, made_source])[order]
        tick = np.concatenate([tick, made_tick[made]])[order]
        n_events += len(name)
    n_buses = spec.n_hemispheres * spec.n_padi_buses
    on_bus = admitted(offsets, tick, wiring.source_bus[source], n_buses, spec.padi_per_tick, spec.padi_depth)
    lost = int((~on_link).sum())
    if not on_bus.all():
        lost += len(np.unique(event[~on_bus]))
        offsets = np.concatenate([[0], np.cumsum(on_bus)])[offsets]
        tick, source, event = tick[on_bus], source[on_bus], event[on_bus]
    reached = int(wiring.source_reach[source].sum())
    return Delivered(at.Inputs(offsets.astype(np.int64), tick, source), n_events, lost, reached, event)


def _merged(offsets: Ints, tick: Ints, other_offsets: Ints, other_tick: Ints) -> tuple[Ints, Ints]:
    """Offsets of two batches taken together, and the order that sorts their concatenated events."""
    samples = [np.repeat(np.arange(len(o) - 1), np.diff(o)) for o in (offsets, other_offsets)]
    order = np.lexsort((np.concatenate([tick, other_tick]), np.concatenate(samples)))
    return offsets + other_offsets, order
