"""The solver of the ideal chip against the independent reference: every spike of 200 random networks."""

import numpy as np
import pytest
from support.solving.comparison import GRAZING, Tally, check_network, compare
from support.solving.networks import TOPOLOGIES, draw_plan, random_network
from support.solving.reference import solve

from hxloop.spec import TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip

SEED, N_NETWORKS, PART = 1, 200, 50


@pytest.fixture(scope="module")
def chip():
    return EmulatedChip("ideal", 1)


@pytest.mark.parametrize("first", range(0, N_NETWORKS, PART))
def test_every_spike_is_within_one_tick(chip, first):
    total, neurons = Tally(), 0
    for index in range(first, first + PART):
        tally, size = check_network(chip, index, SEED)
        assert tally.exact, f"network {index}: {tally}"
        total.add(tally)
        neurons += size
    assert total.compared > 10_000
    assert total.not_compared < 1e-3 * total.compared
    assert total.flips < 1e-3 * total.compared, "roundings to the other tick should be rare"
    print(f"networks {first}..{first + PART - 1}, {neurons} neurons: {total}")


def test_the_networks_are_what_they_should_be():
    plans = [draw_plan(index, SEED) for index in range(N_NETWORKS)]
    assert {plan.topology for plan in plans} == set(TOPOLOGIES)
    assert {1, 512} <= {size for plan in plans for size in plan.sizes}
    ratios = np.array([plan.tau_mem_us / plan.tau_exc_us for plan in plans])
    assert np.isclose(ratios, 1).sum() > 50
    assert np.isclose(ratios, 2).sum() > 50
    assert sum(plan.tau_inh_us != plan.tau_exc_us for plan in plans) > 40
    assert 50 < sum(plan.t_refractory_us == 0 for plan in plans) < 150
    assert {plan.merge for plan in plans} == {1, 2, 4}
    assert 50 < sum(plan.events_per_input > 4 for plan in plans) < 150


def test_the_comparison_notices_what_is_wrong():
    network = random_network(0, SEED)
    right = solve(network.config, TEXTBOOK, network.inputs, network.plan.duration_ticks)
    spikes = right.spikes
    k = spikes.n_spikes // 2
    assert compare(spikes, right).exact
    assert right.margin[k] > GRAZING
    keep = np.arange(spikes.n_spikes) != k
    without = SpikeBatch.from_arrays(spikes.sample[keep], spikes.tick[keep], spikes.source[keep], spikes.n_samples)
    assert compare(without, right).missing == 1
    late = SpikeBatch.from_arrays(spikes.sample, spikes.tick + 2 * ~keep, spikes.source, spikes.n_samples)
    assert compare(late, right).max_tick_error == 2
    more = SpikeBatch.from_arrays(
        [*spikes.sample, spikes.sample[k]],
        [*spikes.tick, network.plan.duration_ticks - 1],
        [*spikes.source, spikes.source[k]],
        spikes.n_samples,
    )
    assert compare(more, right).extra == 1
