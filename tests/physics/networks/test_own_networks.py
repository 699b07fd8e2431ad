"""Networks as users write them, placed by the host and run by the emulator, against independent references."""

from dataclasses import replace

import numpy as np
import pytest
from support import own_network
from support.solving.comparison import Tally, compare
from support.solving.recurrent import DURATION_TICKS, recurrent
from support.solving.reference import solve

from hxloop.network import INPUT, Network, Population, Projection
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.network.building import build_network
from hxloop_host.placing.mapping import place

N_NETWORKS = 6
CHIPS = ["ideal", "typical[all=0]"]
"""Continuous codes and free routing; and the codes, rows and buses of HICANN-X without mismatch and noise."""
DELAY_TICKS = 128


@pytest.mark.parametrize("name", CHIPS)
def test_every_spike_of_recurrent_networks(name):
    """Masks, signs, merged circuits, own constants, recurrence and skips: as the wiring says, and no spike more."""
    chip, total = EmulatedChip(name, 1), Tally()
    for index in range(N_NETWORKS):
        case = recurrent(index)
        placement = place(case.network, chip.spec, chip.boot)
        config = placement.configure(case.codes)
        result = chip.run(case.inputs, duration_ticks=DURATION_TICKS, config=config)
        total.add(compare(result.spikes, solve(config, chip.spec, case.inputs, DURATION_TICKS, measured=result.spikes)))
        for population in case.network.populations:
            n_spikes = int(np.isin(result.spikes.source, placement.circuits(population.name)).sum())
            assert (n_spikes > population.size) == population.spiking, population.name
    assert total.exact, total
    assert total.compared > 20_000
    assert total.not_compared < 1e-3 * total.compared


def membrane_mv(population, arrivals_tick, codes, at_tick):
    """Potential of a leaky integrator at times, float64 [n_times]: a sum of closed forms, one for each event."""
    tau_m, tau_s = population.tau_mem_us, population.tau_syn_us
    age_us = (at_tick[:, None] - arrivals_tick[None]) * 0.008
    kernel = (np.exp(-age_us / tau_m) - np.exp(-age_us / tau_s)) / (1 / tau_s - 1 / tau_m)
    slope = population.synapse_gain_mv_per_us * codes
    return population.v_leak_mv + np.where(age_us > 0, kernel * slope, 0.0).sum(axis=1)


def test_membranes_of_a_readout_follow_the_spikes_they_get():
    chip, compared = EmulatedChip("ideal", 1), 0
    for index in range(3):
        case = recurrent(index)
        placement = place(case.network, chip.spec, chip.boot)
        readout = placement.readout(membranes=("readout",), period_us=2.0)
        result = chip.run(
            case.inputs, duration_ticks=DURATION_TICKS, readout=readout, config=placement.configure(case.codes)
        )
        lsb = placement.decode_membranes(result.observations, readout, ("readout",))["readout"]
        at_tick = np.arange(lsb.shape[1]) * readout.cadc_period_ticks
        population = case.network.population("readout")
        onto = {case.network.projections[k].source: case.codes[k] for k in case.network.onto("readout")}
        for sample in range(lsb.shape[0]):
            events = [(name, *placement.decode_spikes(result.spikes, name)) for name in onto]
            mine = [(name, neuron[s == sample], tick[s == sample]) for name, s, neuron, tick in events]
            arrivals = np.concatenate([tick + DELAY_TICKS for _, _, tick in mine])
            for k in range(population.size):
                codes = np.concatenate([onto[name][neuron, k] for name, neuron, _ in mine])
                wanted = 20 + (membrane_mv(population, arrivals, codes, at_tick) - 150) / 4.5
                inside = (wanted > 1) & (wanted < 254)
                assert np.abs(lsb[sample, inside, k] - wanted[inside]).max(initial=0.0) <= 0.51
                compared += int((inside & (np.abs(wanted - wanted[0]) > 5)).sum())
    assert compared > 300


@pytest.mark.parametrize(("name", "code"), [("ideal", 3), ("typical", 4), ("uncalibrated", 3), ("rough", 5)])
@pytest.mark.parametrize("serial", [1, 2])
def test_readouts_never_spike_up_to_the_supply(name, code, serial):
    """Driven to where the supply ends (1.2 V), far above what stands for their threshold; neurons beside them spike.

    Inputs of silicon pass on less to a membrane this high.
    """
    chip = EmulatedChip(name, serial)
    neuron = {
        "tau_mem_us": 10.0, "tau_syn_us": 5.0, "t_refractory_us": 1.0, "v_leak_mv": 420.0, "v_reset_mv": 420.0,
        "v_threshold_mv": 735.0, "synapse_gain_mv_per_us": 1.0,
    }  # fmt: skip
    populations = (Population("readout", 100, spiking=False, **neuron), Population("neurons", 100, **neuron))
    network = Network(4, populations, (Projection(INPUT, "readout"), Projection(INPUT, "neurons")))
    placement = place(network, chip.spec, chip.boot)
    rng = generator(3, "events")
    tick = np.sort(rng.integers(0, 8000, 300))
    inputs = SpikeBatch.from_arrays(np.zeros(300, np.int64), tick, rng.integers(0, 4, 300), 1)
    readout = placement.readout(membranes=("readout",), counters=True)
    codes = [np.full((4, 100), float(code)), np.full((4, 100), 3.0)]
    result = chip.run(inputs, duration_ticks=10_000, readout=readout, config=placement.configure(codes))
    highest = placement.decode_membranes(result.observations, readout, ("readout",))["readout"].max(axis=(0, 1))
    assert np.median(highest) > 220  # 1.05 V; 253 is 1.2 V
    assert np.median(placement.decode_counts(result.observations, "neurons")) > 3
    within = placement.circuits("readout")[highest < 250]  # the others passed the supply, which no silicon does
    assert len(within) > 30
    assert not np.isin(result.spikes.source, within).any()
    heads = placement.wiring.neurons.circuit
    assert result.observations.spike_count[:, np.isin(heads, within)].max() == 0


def test_a_network_of_a_settings_file_runs():
    """Three populations, a readout: what the host believes of its model is what the emulated chip does."""
    settings = own_network.settings()
    network = build_network(settings, 4)
    chip = EmulatedChip("typical", 1)
    placement = place(network, chip.spec, chip.boot)
    weights = [network.initial_weights(p, generator(1, "weights", k)) for k, p in enumerate(network.projections)]
    weights[0] = np.full_like(weights[0], 0.4)
    weights[1] = np.full_like(weights[1], 0.5)
    codes = [w * p.scale_weights for w, p in zip(weights, network.projections, strict=True)]
    rng = generator(2, "events")
    tick = np.sort(rng.integers(0, 3000, (2, 40)), axis=1)
    tick[:, 0] = round(network.bias_times_us[0] / 0.008)
    channel = rng.integers(0, 4, (2, 40))
    channel[:, 0] = 4
    inputs = SpikeBatch.from_arrays(np.repeat([0, 1], 40), tick.ravel(), channel.ravel(), 2)
    readout = placement.readout(membranes=("answer",), counters=True)
    result = chip.run(inputs, duration_ticks=3750, readout=readout, config=placement.configure(codes))
    counts = {name: placement.decode_counts(result.observations, name) for name in network.spiking}
    assert list(counts) == ["exc", "inh"]
    assert all((found.sum(axis=1) > 0).all() for found in counts.values())
    membranes = placement.decode_membranes(result.observations, readout, ("answer",))["answer"]
    assert membranes.shape == (2, -(-3750 // 213), 3)
    assert np.ptp(membranes.astype(int), axis=1).max() > 5


def test_model_weights_mean_what_the_network_says():
    """The smallest model weight whose event lifts the membrane to `model_threshold` makes a neuron just spike."""
    chip = EmulatedChip("ideal", 1)
    network = build_network(own_network.settings(), 4)
    inh = network.population("inh")
    scale = network.projections[3].scale_weights
    # d V / dt = w / tau_syn exp(-t / tau_syn) - V / tau_mem: the peak of a closed form in model units
    tau_m, tau_s = inh.tau_mem_us, inh.tau_syn_us
    t = np.linspace(0, 30, 30_001)
    peak = ((np.exp(-t / tau_m) - np.exp(-t / tau_s)) / (1 / tau_s - 1 / tau_m) / tau_s).max()
    alone = Network(1, (replace(inh, size=2),), (Projection(INPUT, "inh", 9, scale_weights=scale),))
    placement = place(alone, chip.spec, chip.boot)
    just = inh.model_threshold / peak * scale / 9
    codes = np.repeat([[0.99 * just, 1.01 * just]], 9, axis=0)
    inputs = SpikeBatch.from_arrays([0], [10], [0], 1)
    result = chip.run(inputs, duration_ticks=5000, config=placement.configure([codes]))
    assert placement.decode_first_spikes(result.spikes, "inh")[0].tolist()[0] == np.inf
    assert np.isfinite(placement.decode_first_spikes(result.spikes, "inh")[0, 1])
