"""Independent reference: spikes of a chip without mismatch and noise, solved event by event in float64.

Works from a `ChipConfig` and input spikes alone and shares nothing with the emulator. `solve` runs a network by itself,
or *driven*: the events that travel on the chip are then taken from measured spikes, so that a time stamp that was
rounded the other way in one neuron is not followed by others that hang on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from support.solving.decode import decode
from support.solving.reference_kernel import FULL, run_sample

from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from types import SimpleNamespace

    from numpy.typing import NDArray

    from hxloop.program import ChipConfig
    from hxloop.spec import ChipSpec


@dataclass(frozen=True)
class Wiring:
    """A configuration as neurons, sources and the drive of each source on each neuron.

    heads [n]: circuit of each neuron. params [n, 6]: see reference_kernel. channels: input channels in use.
    Source `k` is channel ``channels[k]``, source ``len(channels) + n`` is neuron `n`; pointers, target and drive are
    its synapses as compressed rows.
    """

    heads: NDArray[np.int64]
    params: NDArray[np.float64]
    channels: NDArray[np.int64]
    pointers: NDArray[np.int64]
    target: NDArray[np.int64]
    drive: NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """Solution.

    spikes: as the chip would stamp them. time_us, margin [n_spikes]: exact time, and by which fraction of (threshold -
    leak) the membrane would have passed the threshold. near_*: peaks that just missed it. lost: spikes stamped later
    than the run.
    """

    spikes: SpikeBatch
    time_us: NDArray[np.float64]
    margin: NDArray[np.float64]
    near_sample: NDArray[np.int64]
    near_source: NDArray[np.int64]
    near_tick: NDArray[np.float64]
    near_margin: NDArray[np.float64]
    lost: int


def wire(config: ChipConfig, spec: ChipSpec, values: SimpleNamespace | None = None) -> Wiring:
    """Who drives whom how strongly; `values` in place of what the codes nominally mean (`support.solving.decode`)."""
    neurons = values or decode(config, spec)
    heads = np.unique(neurons.head).astype(np.int64)
    place_of_circuit = {int(c): k for k, c in enumerate(neurons.circuit)}
    members = {int(head): np.flatnonzero(neurons.head == head) for head in heads}
    params = np.empty((len(heads), 6))
    for n, head in enumerate(heads):
        k, rows = place_of_circuit[int(head)], members[int(head)]
        for name in (
            "tau_mem_us",
            "tau_syn_exc_us",
            "tau_syn_inh_us",
            "v_leak_mv",
            "v_threshold_mv",
            "t_refractory_us",
        ):
            values = getattr(neurons, name)[rows]
            assert (values == values[0]).all(), "the reference wants equal circuits in a merged neuron"
        leak = neurons.v_leak_mv[k]
        params[n] = (
            neurons.tau_mem_us[k],
            neurons.tau_syn_exc_us[k],
            neurons.tau_syn_inh_us[k],
            neurons.v_threshold_mv[k] - leak,
            neurons.v_reset_mv[k] - leak,
            neurons.t_refractory_us[k],
        )
    assert (params[:, 3] > 0).all(), "leak above threshold"
    assert (params[:, 4] < params[:, 3]).all(), "reset above threshold"

    synapses = config.synapses
    member = np.array([place_of_circuit[int(c)] for c in synapses.circuit], np.int64)
    sign = config.row_sign[synapses.circuit // spec.n_columns, synapses.row]
    gain = np.where(sign > 0, neurons.gain_exc_mv_per_us[member], neurons.gain_inh_mv_per_us[member])
    gain = gain * np.abs(synapses.weight_code.astype(np.float64))
    gain /= np.array([len(members[int(head)]) for head in neurons.head])[member]
    synapse_key = _key(synapses.circuit // spec.n_columns, synapses.row, synapses.label)
    by_key = np.argsort(synapse_key, kind="stable")

    channels = np.unique(config.input_routes.source).astype(np.int64)
    inputs, on_chip = config.input_routes, config.neuron_routes
    number = np.concatenate(
        [np.searchsorted(channels, inputs.source), len(channels) + np.searchsorted(heads, on_chip.source)]
    )
    driver = np.concatenate([inputs.driver, on_chip.driver]).astype(np.int64)
    label = np.concatenate([inputs.label, on_chip.label])
    hemisphere, pair = driver // (spec.n_rows // 2), driver % (spec.n_rows // 2)
    # a driver drives its two rows, both with the label of the event
    number = np.tile(number, 2)
    route_key = np.concatenate([_key(hemisphere, 2 * pair + k, label) for k in (0, 1)])
    first = np.searchsorted(synapse_key[by_key], route_key, "left")
    count = np.searchsorted(synapse_key[by_key], route_key, "right") - first
    source = np.repeat(number, count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    synapse = by_key[np.repeat(first, count) + within][np.argsort(source, kind="stable")]
    return Wiring(
        heads=heads,
        params=params,
        channels=channels,
        pointers=np.searchsorted(np.sort(source), np.arange(len(channels) + len(heads) + 1)),
        target=np.searchsorted(heads, neurons.head[member[synapse]]),
        drive=np.ascontiguousarray(gain[synapse, None] * (sign[synapse, None] == [1, -1])),
    )


def _key(hemisphere: NDArray[np.int16], row: NDArray[np.int16], label: NDArray[np.uint8]) -> NDArray[np.int64]:
    return (hemisphere.astype(np.int64) << 40) + (row.astype(np.int64) << 8) + label


def solve(
    config: ChipConfig,
    spec: ChipSpec,
    inputs: SpikeBatch,
    duration_ticks: int,
    measured: SpikeBatch | None = None,
    wiring: Wiring | None = None,
) -> Reference:
    """Spikes of every neuron in every sample.

    measured: all spikes of all neurons as a chip reported them; if given, they and not the reference's own are
    delivered on the chip, `routing_delay_ticks` after their stamps.
    """
    wiring = wiring or wire(config, spec)
    on_chip = np.unique(config.neuron_routes.source)
    neuron_source = np.where(np.isin(wiring.heads, on_chip), len(wiring.channels) + np.arange(len(wiring.heads)), -1)
    timing = np.array([spec.tick_us, duration_ticks, spec.routing_delay_ticks], np.float64)
    columns: list[NDArray[np.float64]] = []
    near: list[NDArray[np.float64]] = []
    capacity = 16 * len(wiring.heads) + 1024
    for k in range(inputs.n_samples):
        tick, source = _events(inputs.part(k, k + 1), wiring, measured.part(k, k + 1) if measured else None, spec)
        while True:
            found = np.empty((2, capacity, 3))
            counts = run_sample(
                tick,
                source,
                wiring.pointers,
                wiring.target,
                wiring.drive,
                wiring.params,
                timing,
                neuron_source,
                measured is None and on_chip.size > 0,
                found,
            )
            if counts[0] != FULL:
                break
            capacity *= 2
        columns.append(np.column_stack([np.full(counts[0], float(k)), found[0, : counts[0]]]))
        near.append(np.column_stack([np.full(counts[1], float(k)), found[1, : counts[1]]]))
    return _collect(np.concatenate(columns), np.concatenate(near), wiring, inputs.n_samples, duration_ticks, spec)


def _events(
    inputs: SpikeBatch, wiring: Wiring, measured: SpikeBatch | None, spec: ChipSpec
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    used = np.isin(inputs.source, wiring.channels)
    tick, source = inputs.tick[used], np.searchsorted(wiring.channels, inputs.source[used])
    if measured is not None:
        tick = np.concatenate([tick, measured.tick + spec.routing_delay_ticks])
        on_chip = len(wiring.channels) + np.searchsorted(wiring.heads, measured.source)
        source = np.concatenate([source, on_chip])
    order = np.argsort(tick, kind="stable")
    return tick[order], source[order].astype(np.int64)


def _collect(
    spikes: NDArray[np.float64],
    near: NDArray[np.float64],
    wiring: Wiring,
    n_samples: int,
    duration_ticks: int,
    spec: ChipSpec,
) -> Reference:
    stamp = np.ceil(spikes[:, 2] / spec.tick_us).astype(np.int64)
    kept = stamp < duration_ticks
    spikes, stamp = spikes[kept], stamp[kept]
    sample, source = spikes[:, 0].astype(np.int64), wiring.heads[spikes[:, 1].astype(np.int64)]
    order = np.lexsort((source, stamp, sample))
    return Reference(
        spikes=SpikeBatch.from_arrays(sample, stamp, source, n_samples),
        time_us=spikes[order, 2],
        margin=spikes[order, 3],
        near_sample=near[:, 0].astype(np.int64),
        near_source=wiring.heads[near[:, 1].astype(np.int64)],
        near_tick=near[:, 2] / spec.tick_us,
        near_margin=near[:, 3],
        lost=int((~kept).sum()),
    )
