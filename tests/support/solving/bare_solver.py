"""The solver by itself: circuits written down as arrays in ticks and millivolts above leak, without chip or codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from hxloop_chip.solver import layout as at
from hxloop_chip.solver.depletion import make_drivers
from hxloop_chip.solver.kernel import run_samples
from hxloop_chip.solver.near import substep
from hxloop_chip.solver.packing import pack_circuit, padded, with_weights
from hxloop_chip.solver.stopping import never

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def called(kernel: Any) -> Any:
    """A kernel that only kernels may call, to be called from Python."""

    @numba.njit
    def call(*arguments):
        return kernel(*arguments)

    return call


_next_model_spike, _step_at_spike = called(substep.next_model_spike), called(substep.step_at_spike)


@dataclass(frozen=True)
class Spikes:
    """Spikes of all samples in order of (sample, stamp, neuron), and the counters [n_samples, N_COUNTS]."""

    sample: NDArray[np.int64]
    stamp: NDArray[np.int64]
    neuron: NDArray[np.int64]
    counts: NDArray[np.int64]

    def of(self, sample: int, neuron: int) -> NDArray[np.int64]:
        """Stamps of one neuron in one sample."""
        return self.stamp[(self.sample == sample) & (self.neuron == neuron)]

    def __eq__(self, other: object) -> bool:
        names = ("sample", "stamp", "neuron", "counts")
        return isinstance(other, Spikes) and all(np.array_equal(getattr(self, n), getattr(other, n)) for n in names)

    __hash__ = None


def make_circuit(
    weights: ArrayLike,
    *,
    tau_mem: ArrayLike = 750.0,
    tau_exc: ArrayLike = 750.0,
    tau_inh: ArrayLike = 750.0,
    threshold: ArrayLike = 300.0,
    reset: ArrayLike = 0.0,
    refractory: ArrayLike = 0.0,
    sigma_membrane: float = 0.0,
    neuron_source: ArrayLike = -1,
    recorded: ArrayLike = True,
    delay: int = 128,
    switches: ArrayLike = 0,
    model: dict[int, ArrayLike] | None = None,
    compression: ArrayLike = 0.0,
    drivers: at.Drivers | None = None,
) -> at.Circuit:
    """Circuit of plain neurons, or others where `switches` says so.

    weights [2, n_sources, n_neurons]: excitatory and inhibitory current steps in mV per tick. sigma_membrane: of an
    Ornstein-Uhlenbeck process. model: row of `layout` -> values of all neurons. compression [N_COMPRESSION, n_neurons].
    Times in ticks.
    """
    exc, inh = np.asarray(weights, np.float64)
    n_sources, n = exc.shape
    p = np.empty((at.N_PARAMETERS, n))
    p[at.R_MEM], p[at.R_EXC], p[at.R_INH] = (1.0 / np.asarray(tau) for tau in (tau_mem, tau_exc, tau_inh))
    p[at.THRESHOLD], p[at.RESET], p[at.REFRACTORY] = threshold, reset, refractory
    a = np.exp(-at.STEP_TICKS * p[at.R_MEM])
    p[at.MEMBRANE_SHIFT] = sigma_membrane * np.sqrt((1.0 + a) / (1.0 - a))
    rows = np.zeros((at.N_MODEL, n))
    for row, values in (model or {}).items():
        rows[row] = values

    def each(values: ArrayLike, kind: type) -> NDArray[np.generic]:
        return np.broadcast_to(np.asarray(values, kind), n)

    circuit = pack_circuit(
        p,
        neuron_id=np.arange(n, dtype=np.uint64),
        neuron_source=each(neuron_source, np.int64),
        neuron_reach=each(0, np.int64),
        switches=each(switches, np.uint8),
        model=rows,
        compression=np.broadcast_to(np.asarray(compression, np.float64), (at.N_COMPRESSION, n)),
        drivers=drivers or make_drivers(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0), 1.0),
        delay=delay,
    )
    circuit = circuit._replace(recorded=padded(each(recorded, np.bool_), False))
    source_id = np.arange(n_sources, dtype=np.uint64)
    return with_weights(circuit, exc, inh, source_id, np.tile([0, n], (n_sources, 1)))


def steps_of(circuit: at.Circuit, source: int, neuron: int) -> tuple[float, float]:
    """Excitatory and inhibitory current step of a source in a neuron, in single precision as the circuit has them."""
    weights = circuit.weights.reshape(-1, circuit.row_id.size, at.BLOCK)
    used = [row for row in circuit.rows[source] if row >= 0]
    signed = weights[neuron // at.BLOCK, used, neuron % at.BLOCK].astype(np.float64)
    return float(signed[signed > 0].sum()), float(-signed[signed < 0].sum())


def make_inputs(*trains: list[tuple[int, int]]) -> at.Inputs:
    """Input events of each sample, lists of (tick, source)."""
    flat = [event for train in trains for event in sorted(train)]
    pairs = np.array(flat, np.int64).reshape(len(flat), 2)
    offsets = np.cumsum([0, *map(len, trains)]).astype(np.int64)
    return at.Inputs(offsets, pairs[:, 0].copy(), pairs[:, 1].copy())


def make_trial(
    duration: int,
    sigma: dict[int, float] | None = None,
    *,
    key: int = 1,
    first_sample: int = 0,
    first_only: bool = False,
    drift_samples: float = 1.0,
    event_by_event: bool = False,
) -> at.Trial:
    """Trial with the given noise levels (row of `layout` -> value), 0 elsewhere."""
    levels = np.zeros(at.N_SIGMAS)
    for row, value in (sigma or {}).items():
        levels[row] = value
    return at.Trial(duration, levels, np.uint64(key), first_sample, first_only, drift_samples, event_by_event)


def make_watch(
    n_samples: int,
    duration: int,
    *,
    neuron: ArrayLike = (),
    period: int = 0,
    madc_neuron: int = -1,
    madc_period: float = 4.25,
) -> at.Watch:
    """Arrays for all reads within a run, filled with NaN."""
    neuron = np.array(neuron, np.int64, ndmin=1, order="C")  # as the chip has it: a view has kernels of its own
    n_reads = -(-duration // period) if period else 0
    n_madc = int(np.ceil(duration / madc_period)) if madc_neuron >= 0 else 0
    return at.Watch(
        neuron,
        period,
        np.full((n_samples, n_reads, neuron.size), np.nan),
        madc_neuron,
        madc_period,
        np.full((n_samples, n_madc), np.nan),
    )


def solve(
    circuit: at.Circuit,
    inputs: at.Inputs,
    trial: at.Trial,
    watch: at.Watch | None = None,
    part: tuple[int, int] | None = None,
) -> Spikes:
    """Run all samples, or those of `part`, in one call."""
    n_samples = len(inputs.offsets) - 1
    first, last = part or (0, n_samples)
    counts = np.zeros((n_samples, at.N_COUNTS), np.int64)
    out = np.empty(1_000_000, np.int64)
    if watch is not None:
        watch = watch._replace(cadc=watch.cadc[first:last], madc=watch.madc[first:last])
    models = circuit.model_neurons if circuit.model_neurons.size else None
    written = run_samples(inputs, first, last, circuit, models, trial, 4096, out, counts, watch, never())
    assert written >= 0
    sample = np.repeat(np.arange(n_samples), counts[:, at.COUNT_RECORDED])
    return Spikes(sample, out[:written] >> at.NEURON_BITS, out[:written] & at.NEURON_MASK, counts)


def all_heard(circuit: at.Circuit, inputs: at.Inputs, sample: int) -> at.Heard:
    """All inputs of one sample as events of one step, so that kernels of one neuron run a sample at a time."""
    part = slice(inputs.offsets[sample], inputs.offsets[sample + 1])
    rows = circuit.rows[inputs.source[part]]
    assert (rows[:, 1] < 0).all(), "a source of both signs has two events"
    place = (rows[:, 0] * at.BLOCK).astype(np.uint32)
    return at.Heard(inputs.tick[part].astype(np.uint32), place, np.ones(place.size, np.float32), place.size, 1.0, 1.0)


def exact_spike_ticks(circuit: at.Circuit, inputs: at.Inputs, sample: int, neuron: int, duration: int) -> list[float]:
    """Spike times of one sub-stepped neuron before they are rounded to stamps."""
    heard, p = all_heard(circuit, inputs, sample), circuit.parameters[:, neuron]
    t, k, x, w, ie, ii, free, times = 0.0, 0, 0.0, 0.0, 0.0, 0.0, -1.0, []
    while True:
        t, x, w, ie, ii, k, spiked = _next_model_spike(
            neuron, t, x, w, ie, ii, free, k, p[at.THRESHOLD], p[at.RESET], 0.0, float(duration), circuit, heard,
        )  # fmt: skip
        if not spiked:
            return times
        times.append(t)
        x, w, free = p[at.RESET], w + _step_at_spike(neuron, circuit), t + p[at.REFRACTORY]
