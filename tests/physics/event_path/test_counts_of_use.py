"""What energy is worked out from: synapses reached, conversions, circuits in use, against counts of another program."""

import numpy as np
import pytest
from support.solving import reference
from support.solving.networks import build_network, draw_plan

from hxloop.energy.itemised import chip_energy_j
from hxloop.result import Readout
from hxloop.spec import TEXTBOOK
from hxloop_chip.chip.emulated_chip import EmulatedChip


def recurrent_and_layered():
    plans = [(k, draw_plan(k, seed)) for seed in (3, 4) for k in range(12)]
    return [(k, plan) for k, plan in plans if plan.topology in ("recurrent, two layers", "two layers")][:4]


@pytest.mark.parametrize(("index", "plan"), recurrent_and_layered())
def test_every_delivery_is_counted_once(index, plan):
    network = build_network(plan, index, 3)
    chip = EmulatedChip("ideal", 1)
    chip.configure(network.config)
    result = chip.run(network.inputs, duration_ticks=plan.duration_ticks)
    wiring = reference.wire(network.config, TEXTBOOK)
    fan_out = np.diff(wiring.pointers)
    of_inputs = fan_out[np.searchsorted(wiring.channels, network.inputs.source)].sum()
    of_spikes = fan_out[len(wiring.channels) + np.searchsorted(wiring.heads, result.spikes.source)].sum()
    assert of_spikes > 0
    assert result.synaptic_events == of_inputs + of_spikes
    assert result.circuit_time_us == pytest.approx(len(network.config.neurons.circuit) * result.chip_time_us)
    halves = [
        chip.run(network.inputs.part(a, b), duration_ticks=plan.duration_ticks, first_sample=a)
        for a, b in ((0, 1), (1, network.inputs.n_samples))
    ]
    assert sum(half.synaptic_events for half in halves) == result.synaptic_events


def test_conversions_and_the_sum_of_the_items():
    plan = draw_plan(1, 3)
    network = build_network(plan, 1, 3)
    chip, heads = EmulatedChip("ideal", 1), network.config.neurons.head
    chip.configure(network.config)
    readout = Readout(cadc_circuits=(int(heads[0]),), cadc_period_ticks=300, madc_circuit=int(heads[0]))
    result = chip.run(network.inputs, duration_ticks=plan.duration_ticks, readout=readout)
    n = network.inputs.n_samples
    assert (result.cadc_reads, result.madc_reads) == (n * -(-plan.duration_ticks // 300), result.observations.madc.size)
    items = chip_energy_j(
        chip_time_s=result.chip_time_us * 1e-6, circuit_time_s=result.circuit_time_us * 1e-6,
        events=result.events_in + result.events_out, synaptic_events=result.synaptic_events,
        cadc_reads=result.cadc_reads, madc_reads=result.madc_reads,
    )  # fmt: skip
    assert min(items.values()) > 0.0
    assert result.energy_j_estimate == pytest.approx(sum(items.values()))
    sensed = chip.run(network.inputs, duration_ticks=plan.duration_ticks, readout=Readout(correlation=True))
    assert (sensed.cadc_reads, sensed.madc_reads) == (TEXTBOOK.n_rows, 0)
