"""The reference solver against brute-force integration of the equations."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from support.solving.networks import build_network, draw_plan, random_network
from support.solving.reference import solve, wire
from support.solving.single import events, side_by_side

from hxloop.spec import TEXTBOOK

CASES = [
    {"topology": "one layer", "sizes": (3,)},
    {"topology": "one layer", "sizes": (2,), "t_refractory_us": 1.3, "tau_mem_us": 6.0},
    {"topology": "one layer", "sizes": (2,), "tau_mem_us": 12.0, "tau_inh_us": 2.5},
    {"topology": "one layer", "sizes": (2,), "tau_mem_us": 3.1, "tau_inh_us": 11.0, "merge": 4},
    {"topology": "two layers", "sizes": (3, 2), "tau_mem_us": 17.0, "t_refractory_us": 0.4},
    {"topology": "recurrent", "sizes": (3,), "tau_inh_us": 4.0, "merge": 2},
]


def integrate(wiring, on_chip, inputs, duration_ticks):
    """(source, us) of all spikes of one sample: all neurons in one state vector, restarted at every event and spike."""
    tau_mem, tau_exc, tau_inh, threshold, reset, refractory = wiring.params.T
    n = len(wiring.heads)
    free_at = np.zeros(n)
    t, state, spikes = 0.0, np.zeros(3 * n), []
    queue = [
        (tick * TEXTBOOK.tick_us, int(np.searchsorted(wiring.channels, s))) for tick, s in zip(*inputs, strict=True)
    ]
    end = duration_ticks * TEXTBOOK.tick_us
    while t < end:
        releases = [f for f in free_at if f > t]
        stop = min([end, *(when for when, _ in queue if when > t), *releases])
        held = free_at > t

        def rates(_, y, held=held):
            u, exc, inh = y.reshape(3, n)
            return np.concatenate([np.where(held, 0.0, exc - inh - u / tau_mem), -exc / tau_exc, -inh / tau_inh])

        def crosses(_, y, held=held):
            return np.max(np.where(held, -1.0, y[:n] - threshold))

        crosses.terminal, crosses.direction = True, 1
        for source in [s for when, s in queue if when == t]:
            for k in range(wiring.pointers[source], wiring.pointers[source + 1]):
                state[n + wiring.target[k]] += wiring.drive[k, 0]
                state[2 * n + wiring.target[k]] += wiring.drive[k, 1]
        queue = [entry for entry in queue if entry[0] > t]
        solution = solve_ivp(rates, (t, stop), state, "DOP853", events=crosses, rtol=1e-11, atol=1e-11, max_step=0.05)
        t, state = float(solution.t[-1]), solution.y[:, -1].copy()
        if solution.status == 1:
            neuron = int(np.argmax(np.where(held, -np.inf, state[:n] - threshold)))
            spikes.append((wiring.heads[neuron], t))
            state[neuron], free_at[neuron] = reset[neuron], t + refractory[neuron]
            if wiring.heads[neuron] in on_chip:
                stamp = int(np.ceil(t / TEXTBOOK.tick_us))
                arrival = (stamp + TEXTBOOK.routing_delay_ticks) * TEXTBOOK.tick_us
                queue.append((arrival, len(wiring.channels) + neuron))
    return sorted(spikes)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_reference_equals_brute_force(case):
    plan = replace(
        draw_plan(0, 5),
        merge=1,
        tau_exc_us=6.0,
        tau_mem_us=6.0,
        tau_inh_us=6.0,
        t_refractory_us=0.0,
        n_inputs=6,
        events_per_input=3.0,
        n_samples=2,
        duration_ticks=3750,
    )
    network = build_network(replace(plan, **CASES[case]), case, 5)
    found = solve(network.config, TEXTBOOK, network.inputs, network.plan.duration_ticks)
    wiring = wire(network.config, TEXTBOOK)
    assert found.spikes.n_spikes > 2
    for k in range(plan.n_samples):
        sample = network.inputs.part(k, k + 1)
        expected = integrate(
            wiring, set(network.config.neuron_routes.source), (sample.tick, sample.source), plan.duration_ticks
        )
        mine = found.spikes.sample == k
        order = np.lexsort((found.time_us[mine], found.spikes.source[mine]))
        assert list(found.spikes.source[mine][order]) == [source for source, _ in expected]
        np.testing.assert_allclose(found.time_us[mine][order], [t for _, t in expected], rtol=0, atol=1e-7)


@pytest.mark.parametrize("index", range(3, 40, 5))
def test_driving_with_its_own_spikes_changes_nothing(index):
    network = random_network(index, 8)
    alone = solve(network.config, TEXTBOOK, network.inputs, network.plan.duration_ticks)
    driven = solve(network.config, TEXTBOOK, network.inputs, network.plan.duration_ticks, measured=alone.spikes)
    np.testing.assert_array_equal(driven.spikes.tick, alone.spikes.tick)
    np.testing.assert_array_equal(driven.spikes.source, alone.spikes.source)


@pytest.mark.parametrize(("excess", "n_spikes"), [(1e-7, 1), (-1e-7, 0)])
def test_a_peak_inside_an_interval_is_found_and_its_margin_is_right(excess, n_spikes):
    # One excitatory event, tau_mem = tau_syn = 6 us: the potential peaks after 6 us at gain * code * 6 us / e.
    gain = 315.0 * np.e / 6.0 * (1 + excess)
    config = side_by_side(spec=TEXTBOOK, code_exc=1.0, gain_mv_per_us=gain)
    found = solve(config, TEXTBOOK, events([(10, 0)]), 9000)
    assert found.spikes.n_spikes == n_spikes
    np.testing.assert_allclose(found.margin if n_spikes else found.near_margin, [1e-7], rtol=1e-6)
    when_us = found.time_us if n_spikes else found.near_tick * TEXTBOOK.tick_us
    np.testing.assert_allclose(when_us, [10 * TEXTBOOK.tick_us + 6.0], rtol=0, atol=6.0 * 5e-4)
