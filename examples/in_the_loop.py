"""Place a small network on a chip, send spikes, read spikes back: what training does in every batch.

Run it with ``python examples/in_the_loop.py``; it starts a chip of its own in another process and ends it.
"""

import numpy as np

import hxloop
from hxloop.network import Network, Population, Projection
from hxloop_host.placing.mapping import place

NEURON = {
    "tau_mem_us": 6.0,
    "tau_syn_us": 6.0,
    "t_refractory_us": 32.0,
    "v_leak_mv": 420.0,
    "v_reset_mv": 420.0,
    "v_threshold_mv": 735.0,
    "synapse_gain_mv_per_us": 1.15,
}


def main() -> None:
    """Show that equal neurons of one chip, and equal trials of one neuron, are not equal."""
    network = Network(2, (Population("neurons", 4, **NEURON),), (Projection("input", "neurons", copies=5),))
    codes = np.full((10, 4), 40)  # 2 inputs x 5 rows, 4 neurons: all the same
    n_trials = 5
    inputs = hxloop.SpikeBatch.from_arrays(
        sample=np.repeat(np.arange(n_trials), 2),
        tick=np.tile([100, 300], n_trials),  # 0.8 us and 2.4 us
        source=np.tile([0, 1], n_trials),
        n_samples=n_trials,
    )
    with hxloop.launch(chip="typical", serial=1) as chip:
        placement = place(network, chip.spec, chip.boot)
        chip.configure(placement.configure([codes]))
        result = chip.run(inputs, duration_ticks=3750, trial_seed=1)
    times_us = placement.decode_first_spikes(result.spikes, "neurons") * chip.spec.tick_us
    print("first spike in us of hardware time (a row per trial, a column per neuron):")
    print(np.array2string(times_us, precision=3))
    print(f"the chip ran {result.chip_time_us:.0f} us, the emulation took {result.emulation_time_us:.0f} us")


if __name__ == "__main__":
    main()
