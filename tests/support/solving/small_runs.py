"""Small runs of chips, and a digest of all that each gives back: to be compared with those of other machines.

Run by itself, it prints them as JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING

import numpy as np
from support.solving.recurrent import DURATION_TICKS, recurrent
from support.solving.single import side_by_side

from hxloop.result import Readout
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_host.placing.mapping import place

if TYPE_CHECKING:
    from hxloop.program import ChipConfig
    from hxloop.result import RunResult

N_NEURONS, N_SAMPLES, DURATION = 130, 6, 2500


def _feedforward() -> tuple[ChipConfig, SpikeBatch]:
    """Neurons of three blocks, the last of which is hardly filled, with many events and few."""
    rng = generator(2, "small runs")
    config = side_by_side(
        N_NEURONS, gain_mv_per_us=rng.uniform(0.4, 2.0, N_NEURONS), code_exc=rng.integers(20, 64, N_NEURONS)
    )
    sample, tick = np.repeat(np.arange(N_SAMPLES), 40), rng.integers(0, DURATION, 40 * N_SAMPLES)
    tick[::3] = 640 + tick[::3] % 64
    return config, SpikeBatch.from_arrays(sample, tick, (rng.random(tick.size) < 0.3).astype(int), N_SAMPLES)


def _digest(result: RunResult) -> str:
    """Of spikes, counters and readings."""
    read = result.observations
    spikes = result.spikes
    digest = hashlib.sha256(repr((result.events_in, result.events_out, result.events_lost)).encode())
    for values in (spikes.offsets, spikes.tick, spikes.source, read.cadc, read.madc, read.spike_count):
        assert values.size > 0
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def circuit_digests(chip: EmulatedChip) -> dict[str, str]:
    """Of each array of the circuit that a chip was configured as, where a difference would begin."""
    assert chip._configured is not None
    arrays = chip._configured.circuit._asdict().items()
    return {
        name: hashlib.sha256(values.tobytes()).hexdigest() for name, values in arrays if isinstance(values, np.ndarray)
    }


def digests() -> dict[str, dict[str, str]]:
    """Chip and network -> what -> digest: recurrent networks and one without, with all noise and without any."""
    found = {}
    for name in ("typical", "ideal"):
        chip, case = EmulatedChip(name, 3), recurrent(1)
        config = place(case.network, chip.spec, chip.boot).configure(case.codes)
        cases = [("recurrent", config, case.inputs, DURATION_TICKS)]
        if name == "typical":
            cases.append(("feedforward", *_feedforward(), DURATION))
        for kind, config, inputs, duration in cases:
            circuit = config.neurons.circuit
            readout = Readout(
                cadc_circuits=tuple(circuit.tolist()),
                cadc_period_ticks=213,
                madc_circuit=int(circuit[0]),
                counters=True,
            )
            result = chip.run(inputs, duration_ticks=duration, trial_seed=5, readout=readout, config=config)
            assert result.spikes.n_spikes > 500
            found[f"{name}, {kind}"] = {"results": _digest(result), **circuit_digests(chip)}
    return found


if __name__ == "__main__":
    json.dump(digests(), sys.stdout)
