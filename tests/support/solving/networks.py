"""Random networks on the textbook datasheet, with their input spikes.

Rates are kept realistic without trial runs: input events at rate r with weights of mean m and standard deviation s give
the free membrane a mean r m A and a variance r (m^2 + s^2) B (Campbell's theorem, A and B the integrals of the
postsynaptic potential and of its square), and both are chosen as fractions of the distance from leak to threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.codes.operating_point import Wanted, codes_for, nominal_boot
from hxloop.program import ChipConfig, Routes, Synapses
from hxloop.seeds import generator
from hxloop.spec import TEXTBOOK
from hxloop.spikes import SpikeBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOPOLOGIES = {"one layer": 1, "two layers": 2, "three layers": 3, "recurrent": 1, "recurrent, two layers": 2}
"""Number of layers; recurrent: each layer also drives itself."""
SPIKES_PER_NEURON = 1.5
"""Assumed of hidden layers when the weights behind them are drawn."""


@dataclass(frozen=True)
class Plan:
    """What a random network looks like; times in us. `sizes`: neurons of each layer."""

    topology: str
    n_inputs: int
    sizes: tuple[int, ...]
    merge: int
    tau_mem_us: float
    tau_exc_us: float
    tau_inh_us: float
    t_refractory_us: float
    duration_ticks: int
    events_per_input: float
    n_samples: int

    @property
    def recurrent(self) -> bool:
        return "recurrent" in self.topology


@dataclass(frozen=True)
class RandomNetwork:
    plan: Plan
    config: ChipConfig
    inputs: SpikeBatch


def draw_plan(index: int, seed: int) -> Plan:
    """Plan number `index`; topology, ratio of time constants, refractoriness and merging go round independently."""
    rng = generator(seed, "plan", index)
    topology = list(TOPOLOGIES)[index % len(TOPOLOGIES)]
    tau_exc = float(rng.uniform(1.0, 15.0))
    tau_mem = tau_exc * (1.0, 2.0, float(rng.uniform(0.3, 6.0)))[index % 3]
    tau_inh = tau_exc if index % 4 else tau_exc * float(rng.uniform(0.4, 2.5))
    largest = 512 if topology == "one layer" else 128
    sizes = tuple(int(2 ** rng.uniform(0, np.log2(largest + 1))) for _ in range(TOPOLOGIES[topology]))
    if index % 50 in (0, 5):
        sizes = (largest,) if index % 50 == 0 else (1,)
    dense = bool(rng.integers(2))
    return Plan(
        topology=topology,
        n_inputs=int(2 ** rng.uniform(0, 6 if dense else 8)),
        sizes=sizes,
        merge=(1, 1, 1, 2, 4)[int(rng.integers(5))],
        tau_mem_us=tau_mem,
        tau_exc_us=tau_exc,
        tau_inh_us=tau_inh,
        t_refractory_us=0.0 if rng.integers(2) else float(rng.uniform(0.0, 3.0)),
        duration_ticks=int(rng.uniform(5.0, 9.0) * tau_exc / TEXTBOOK.tick_us),
        events_per_input=float(rng.uniform(5, 12)) if dense else float(rng.uniform(0.4, 1.5)),
        n_samples=4,
    )


def random_network(index: int, seed: int) -> RandomNetwork:
    """Network number `index` of the family named by `seed`."""
    return build_network(draw_plan(index, seed), index, seed)


def build_network(plan: Plan, index: int, seed: int) -> RandomNetwork:
    """Draw wiring, weights and inputs for a plan."""
    return RandomNetwork(
        plan, _build(plan, generator(seed, "network", index)), _inputs(plan, generator(seed, "in", index))
    )


def _inputs(plan: Plan, rng: np.random.Generator) -> SpikeBatch:
    """Events at uniformly random ticks, several on the same tick now and then; the first tick is always hit."""
    n = rng.poisson(plan.events_per_input * plan.n_inputs, plan.n_samples) + 1
    tick = rng.integers(0, max(1, int(0.8 * plan.duration_ticks)), n.sum())
    tick[0] = 0
    sample = np.repeat(np.arange(plan.n_samples), n)
    return SpikeBatch.from_arrays(sample, tick, channel(rng.integers(0, plan.n_inputs, n.sum())), plan.n_samples)


def channel(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Input channels in use: spread over all channels of the chip."""
    return (number * 251 + 17) % TEXTBOOK.n_input_channels


@dataclass(frozen=True)
class _Layer:
    circuits: NDArray[np.int64]  # [n, merge], the head first
    sources: NDArray[np.int64]  # input channels, or heads
    on_chip: NDArray[np.bool_]
    rate_per_us: float


def _build(plan: Plan, rng: np.random.Generator) -> ChipConfig:
    layers: list[_Layer] = []
    column = 0
    for depth, size in enumerate(plan.sizes):
        circuits, column = _circuits(size, plan.merge, column, rng)
        duration_us = plan.duration_ticks * TEXTBOOK.tick_us
        if depth == 0:
            sources, count = channel(np.arange(plan.n_inputs)), plan.events_per_input * plan.n_inputs
        else:
            sources, count = layers[-1].circuits[:, 0], SPIKES_PER_NEURON * plan.sizes[depth - 1]
        on_chip = np.full(len(sources), depth > 0)
        if plan.recurrent:
            sources, on_chip = np.concatenate([sources, circuits[:, 0]]), np.concatenate([on_chip, np.full(size, True)])
            count += SPIKES_PER_NEURON * size
        layers.append(_Layer(circuits, sources, on_chip, count / duration_us))
    parts = [_wire(plan, layer, label, rng) for label, layer in zip(rng.permutation(64), layers, strict=False)]
    row_sign = np.tile(np.array([1, -1], np.int8), (TEXTBOOK.n_hemispheres, TEXTBOOK.n_rows // 2))
    neurons, synapses, inputs, routes = zip(*parts, strict=True)
    boot = nominal_boot(TEXTBOOK)
    return ChipConfig(
        neurons=codes_for(_join(Wanted, neurons), boot, TEXTBOOK),
        shared=boot.shared,
        synapses=_join(Synapses, synapses),
        row_sign=row_sign,
        input_routes=_join(Routes, inputs),
        neuron_routes=_join(Routes, routes),
    )


def _join(cls, parts):
    return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__))


def _circuits(size: int, merge: int, column: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], int]:
    """Circuits [size, merge]: single ones in either hemisphere, merged ones in columns of both."""
    hemisphere = rng.integers(0, 2, (size, 1))  # drawn in any case: `merge` alone changes nothing else
    if merge == 1:
        return column + np.arange(size)[:, None] + TEXTBOOK.n_columns * hemisphere, column + size
    width = merge // 2
    columns = column + np.arange(size * width).reshape(size, width)
    return np.concatenate([columns, columns + TEXTBOOK.n_columns], axis=1), column + size * width


def _weights(plan: Plan, layer: _Layer, rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
    """Signed codes [sources, neurons] and the gain in mV/us, for a distance from leak to threshold of 1 mV."""
    mean, spread = (rng.uniform(-0.8, 0.2), 0.7) if plan.recurrent else (rng.uniform(0.1, 1.0), rng.uniform(0.6, 1.1))
    tau_m, tau_s = plan.tau_mem_us, 0.5 * (plan.tau_exc_us + plan.tau_inh_us)
    bias = np.clip(mean / spread / np.sqrt(2 * layer.rate_per_us * (tau_m + tau_s)), -0.9, 0.9)
    codes = 25.0 * (bias + np.sqrt(1 - bias**2) * rng.standard_normal((len(layer.sources), len(layer.circuits))))
    codes *= rng.random(codes.shape) < rng.choice([0.5, 1.0])
    gain = spread * np.sqrt(2 * (tau_m + tau_s) / layer.rate_per_us) / (25.0 * tau_m * tau_s)
    return np.clip(codes, -63, 63), float(gain)


def _wire(plan: Plan, layer: _Layer, label: int, rng: np.random.Generator):
    """Parameters, synapses, input routes and on-chip routes of one layer; source `i` uses member ``i % merge``."""
    codes, gain = _weights(plan, layer, rng)
    leak, height = float(rng.uniform(-100, 500)), float(rng.uniform(50, 400))
    n_circuits = layer.circuits.size
    values = (
        leak,
        leak - height * float(rng.choice([0.0, 0.5, -0.3])),
        leak + height,
        plan.tau_mem_us,
        plan.tau_exc_us,
        plan.tau_inh_us,
        plan.t_refractory_us,
        gain * height * plan.merge,
    )
    neurons = Wanted(
        layer.circuits.ravel().astype(np.int16),
        np.repeat(layer.circuits[:, 0], plan.merge).astype(np.int16),
        *(np.full(n_circuits, value) for value in values),
    )
    pair = rng.permutation(TEXTBOOK.n_rows // 2)[: len(layer.sources)]
    source, neuron = np.nonzero(codes)
    code = codes[source, neuron]
    synapses = Synapses(
        layer.circuits[neuron, source % plan.merge].astype(np.int16),
        (2 * pair[source] + (code < 0)).astype(np.int16),
        np.full(len(code), label, np.uint8),
        code,
    )
    index, hemisphere = (a.ravel() for a in np.indices((len(layer.sources), 2)))

    def routes(chosen: NDArray[np.bool_]) -> Routes:
        return Routes(
            layer.sources[index[chosen]].astype(np.int32),
            (hemisphere * TEXTBOOK.n_drivers + pair[index])[chosen].astype(np.int16),
            np.full(chosen.sum(), label, np.uint8),
        )

    return neurons, synapses, routes(~layer.on_chip[index]), routes(layer.on_chip[index])
