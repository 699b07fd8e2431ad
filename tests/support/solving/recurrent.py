"""Random recurrent networks as a user may write them: own constants, masks, signs, skips, merging and a readout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.network import INPUT, Network, Population, Projection
from hxloop.seeds import generator
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

DURATION_TICKS = 10_000  # 80 us
N_INPUTS, N_SAMPLES = 24, 3


@dataclass(frozen=True)
class Recurrent:
    network: Network
    codes: list[NDArray[np.int64]]
    inputs: SpikeBatch


def recurrent(index: int) -> Recurrent:
    """Network number `index`: excitatory and inhibitory neurons, a third population behind them, and a readout."""
    rng = generator(21, "recurrent", index)
    sizes = {"exc": int(rng.integers(20, 60)), "inh": int(rng.integers(5, 20)), "third": int(rng.integers(5, 30))}
    populations = [_population(name, size, rng) for name, size in sizes.items()]
    populations.append(_population("readout", int(rng.integers(2, 12)), rng, spiking=False))
    one = {"exc": 1, "inh": -1}
    ends = [(a, b) for a in one for b in ("exc", "inh", "third")]
    projections = [
        Projection(a, b, mask=_mask(sizes[a], sizes[b], rng), signs=np.full(sizes[a], one[a], np.int8)) for a, b in ends
    ]
    mixed = np.where(rng.random(N_INPUTS) < 0.2, -1, 1).astype(np.int8)
    projections += [
        Projection(INPUT, "exc", int(rng.integers(1, 3)), signs=mixed),
        Projection(INPUT, "third", 1, (3, 9)),  # past exc
        Projection("third", "third", mask=_mask(sizes["third"], sizes["third"], rng)),
        Projection("exc", "readout"),
        Projection("third", "readout"),
    ]
    network = Network(N_INPUTS, tuple(populations), tuple(projections))
    return Recurrent(network, [_codes(network, p, rng) for p in network.projections], _inputs(rng))


def _population(name: str, size: int, rng: np.random.Generator, *, spiking: bool = True) -> Population:
    tau_mem, tau_syn = float(rng.uniform(3.0, 20.0)), float(rng.uniform(2.0, 8.0))
    leak, height = float(rng.uniform(350.0, 450.0)), float(rng.uniform(150.0, 350.0))
    return Population(
        name,
        size,
        tau_mem_us=tau_mem,
        tau_syn_us=tau_syn,
        t_refractory_us=float(rng.uniform(0.5, 5.0)),
        v_leak_mv=leak,
        v_reset_mv=leak - float(rng.uniform(-50.0, 50.0)),
        v_threshold_mv=leak + height,
        synapse_gain_mv_per_us=height / 75 / tau_syn,
        circuits_per_neuron=int(rng.choice([1, 2])),
        spiking=spiking,
    )


def _mask(n_sources: int, n_target: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    return rng.random((n_sources, n_target)) < rng.choice([0.1, 0.3])


def _codes(network: Network, projection: Projection, rng: np.random.Generator) -> NDArray[np.int64]:
    mean, spread = (0, 4) if projection.target == "readout" else (40, 20) if projection.source == INPUT else (15, 15)
    codes = np.rint(rng.normal(mean, spread, network.weight_shape(projection))).astype(np.int64)
    low, high = network.limits(projection, 63)  # scale_weights is 1
    if projection.signs is not None:
        codes = np.abs(codes) * np.repeat(projection.signs, projection.copies)[:, None]
    return np.clip(codes, low, high).astype(np.int64)


def _inputs(rng: np.random.Generator) -> SpikeBatch:
    n = 6 * N_INPUTS * N_SAMPLES
    sample, tick = rng.integers(0, N_SAMPLES, n), rng.integers(0, int(0.8 * DURATION_TICKS), n)
    return SpikeBatch.from_arrays(sample, tick, rng.integers(0, N_INPUTS, n), N_SAMPLES)
