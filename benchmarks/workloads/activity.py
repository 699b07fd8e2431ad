"""What went through a chip: events, spikes, and the synaptic events they caused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.workloads.networks import Load
    from hxloop.chip import Chip
    from hxloop.program import ChipConfig, Routes
    from hxloop.spec import ChipSpec


def activity(load: Load, chip: Chip) -> dict[str, float]:
    """Run a load once more, record all spikes, and say what happened, per sample.

    Returns
    -------
    dict
        Input events, spikes of a neuron, its mean rate, synaptic events (synapses of any weight but 0 that an event
        reaches), and events lost in all samples.
    """
    result = load.run(chip)
    n_samples, config = load.inputs.n_samples, load.config
    n_neurons = len(np.unique(config.neurons.head))
    duration_ms = load.duration_ticks * chip.spec.tick_us * 1e-3
    spikes = result.events_out / (n_samples * n_neurons)
    by_input, by_neuron = (fan_out(config, routes, chip.spec) for routes in (config.input_routes, config.neuron_routes))
    reached = by_input[load.inputs.source].sum() + by_neuron[result.spikes.source].sum()
    return {
        "events_in_per_sample": round(result.events_in / n_samples, 1),
        "spikes_per_neuron": round(spikes, 3),
        "mean_rate_khz": round(spikes / duration_ms, 2),
        "synaptic_events_per_sample": round(float(reached) / n_samples),
        "events_lost": result.events_lost,
    }


def fan_out(config: ChipConfig, routes: Routes, spec: ChipSpec) -> NDArray[np.int64]:
    """Synapses of any weight but 0 that an event of each source reaches, int64 [largest source + 1 or more]."""
    synapses = config.synapses
    used = synapses.weight_code != 0
    driver = synapses.circuit[used].astype(np.int64) // spec.n_columns * spec.n_drivers + synapses.row[used] // 2
    n_places = spec.n_hemispheres * spec.n_drivers * spec.n_labels
    there = np.bincount(driver * spec.n_labels + synapses.label[used], minlength=n_places)
    reached = there[routes.driver.astype(np.int64) * spec.n_labels + routes.label]
    size = max(spec.n_circuits, int(routes.source.max(initial=0)) + 1)
    return np.bincount(routes.source, reached, size).astype(np.int64)
