"""Arguments of the kernels: packed arrays and their row numbers (many separate arrays would stop vectorisation)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hxloop.capmem import Switch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEP_TICKS = 64
"""Length of a macro-step; routing delays must be at least twice as long when spike times jitter."""

MAX_JITTER_TICKS = 64.0
"""Spike-time jitter is cut off here, so that no event reaches back into a step that is already done."""

BULGE = 0.2500001
"""A curve whose slope falls by F in all over a time T exceeds its end points by at most T F / 4; rounding included."""

# float64 parameters [N_PARAMETERS, n_neurons]; times in ticks, voltages in mV above the neuron's own leak potential
# (GROWTH: a current's inverse decay over a step)
R_MEM, R_EXC, R_INH, THRESHOLD, RESET, REFRACTORY, MEMBRANE_SHIFT, GROWTH_EXC, GROWTH_INH = range(9)
N_PARAMETERS = 9

# uint8 switches [n_neurons]: bits that make a neuron more than leaky integrate-and-fire; other bits mean nothing here
SWITCH_ADAPTATION, SWITCH_EXPONENTIAL = int(Switch.adaptation), int(Switch.exponential)
SWITCH_COBA_EXC, SWITCH_COBA_INH = int(Switch.coba_exc), int(Switch.coba_inh)
MODEL_SWITCHES = SWITCH_ADAPTATION | SWITCH_EXPONENTIAL | SWITCH_COBA_EXC | SWITCH_COBA_INH

# float64 model [N_MODEL, n_neurons], for the equations of `chip_emulator.solver.substep`; potentials in mV above leak
# adaptation: rate (1/tick), a (1/tick, signed), b (mV/tick, signed), rest (mV)
# exponential: current (mV/tick) at the potential EXP_AT (mV), slope (mV)
# conductance-based inputs: modulation (1/mV) and reversal potential (mV) of each
(
    ADAPT_RATE, ADAPT_A, ADAPT_B, ADAPT_REST,
    EXP_CURRENT, EXP_AT, EXP_SLOPE,
    COBA_EXC, REVERSAL_EXC, COBA_INH, REVERSAL_INH,
) = range(11)  # fmt: skip
N_MODEL = 11

# float64 tables [N_TABLES, STEP_TICKS + 1, n_neurons]: effect after d ticks
DECAY_MEM, DECAY_EXC, DECAY_INH, KERNEL_EXC, KERNEL_INH = range(5)
N_TABLES = 5

# float64 noise levels, 0: none: threshold (mV), amplitude (relative), jitter (ticks), membrane (mV), drift of the
# threshold (mV)
SIGMA_THRESHOLD, SIGMA_AMPLITUDE, SIGMA_JITTER, SIGMA_MEMBRANE, SIGMA_DRIFT = range(5)
N_SIGMAS = 5

# int64 counters of a sample
COUNT_IN, COUNT_OUT, COUNT_LOST, COUNT_RECORDED = range(4)
N_COUNTS = 4

# A spike is one int64: stamp in ticks above, neuron index below
NEURON_BITS = 16
NEURON_MASK = (1 << NEURON_BITS) - 1

# What `run_samples` returns instead of a number of spikes
OUT_FULL = -1
EVENTS_FULL = -2


class Inputs(NamedTuple):
    """Input spikes of a batch.

    Attributes
    ----------
    offsets, tick, source : int64
        As in `hxloop.spikes.SpikeBatch`; the source is a row of `Circuit.weights`.
    """

    offsets: NDArray[np.int64]
    tick: NDArray[np.int64]
    source: NDArray[np.int64]


class Circuit(NamedTuple):
    """A configured chip.

    Attributes
    ----------
    weights : float64 [2, n_sources, n_neurons]
        Excitatory and inhibitory current steps in mV per tick.
    source_range : int64 [n_sources, 2]
        Neurons that a source reaches: first, last + 1.
    source_id, neuron_id : uint64 [n_sources], [n_neurons]
        Names for the random numbers.
    neuron_source : int64 [n_neurons]
        Row of `weights` that a neuron's spikes drive, -1 if none.
    parameters : float64 [N_PARAMETERS, n_neurons]
    tables : float64 [N_TABLES, STEP_TICKS + 1, n_neurons]
    delay : int
        Routing delay in ticks.
    switches : uint8 [n_neurons]
        Neurons with one of `MODEL_SWITCHES` are sub-stepped, the others solved in closed form.
    model : float64 [N_MODEL, n_neurons]
        Only rows of a neuron's switches are read.
    """

    weights: NDArray[np.float64]
    source_range: NDArray[np.int64]
    source_id: NDArray[np.uint64]
    neuron_id: NDArray[np.uint64]
    neuron_source: NDArray[np.int64]
    parameters: NDArray[np.float64]
    tables: NDArray[np.float64]
    delay: int
    switches: NDArray[np.uint8]
    model: NDArray[np.float64]


class Trial(NamedTuple):
    """How a batch is run.

    Attributes
    ----------
    duration : int
        Ticks per sample.
    sigma : float64 [N_SIGMAS]
        Noise levels.
    key : uint64
        Of chip and trial, for the random numbers.
    first_sample : int
        Number of the batch's sample 0 within the trial.
    first_only : bool
        Keep only the first spike of each neuron and sample.
    drift_samples : float
        Samples between two points of the drift; above 0 if there is a drift.
    """

    duration: int
    sigma: NDArray[np.float64]
    key: np.uint64
    first_sample: int
    first_only: bool
    drift_samples: float


class Watch(NamedTuple):
    """Membranes to read, in mV above each neuron's own leak potential.

    A read at a spike's very time sees the membrane before the reset; during the refractory period it sees the reset
    potential. Reads at `Trial.duration` or later are not taken: their places in the arrays stay as they are.

    Attributes
    ----------
    neuron : int64 [n_watch]
        Neurons read at whole ticks.
    period : int
        Read `k` is taken at tick `k * period`; 0: none.
    cadc : float64 [n_samples, n_reads, n_watch]
        Receives those reads.
    madc_neuron : int
        Neuron read at any times, -1: none.
    madc_period : float
        Read `k` is taken `k * madc_period` ticks after the start.
    madc : float64 [n_samples, n_madc]
        Receives those reads.
    """

    neuron: NDArray[np.int64]
    period: int
    cadc: NDArray[np.float64]
    madc_neuron: int
    madc_period: float
    madc: NDArray[np.float64]


class State(NamedTuple):
    """State of all neurons in one sample.

    Attributes
    ----------
    now, end : float64 [3, n_neurons]
        V (mV above leak), I_exc, I_inh (mV per tick) at start and end of the step; in `end`, V is above `shift`.
    shift : float64 [n_neurons]
        Resting potential of this step (membrane noise), mV above leak.
    threshold : float64 [n_neurons]
        Of this trial, mV above leak.
    near : bool [n_neurons]
        May reach threshold within the step.
    free : float64 [n_neurons]
        Tick at which the refractory period ends.
    n_spikes : int64 [n_neurons]
    event : int64 [2, capacity]
        Events of the step: tick in the step, source.
    event_gain : float64 [capacity]
        Their relative amplitudes.
    stepped : bool [n_neurons]
        Is sub-stepped.
    model_neurons : int64 [n_stepped]
        Neurons that are.
    w : float64 [n_neurons]
        Adaptation current in mV per tick.
    trace : float64 [n_neurons]
        Membranes at the time of a read.
    starts : int64 [reach]
        Number of spikes written before each of the last steps, from which events may still arrive.
    """

    now: NDArray[np.float64]
    end: NDArray[np.float64]
    shift: NDArray[np.float64]
    threshold: NDArray[np.float64]
    near: NDArray[np.bool_]
    free: NDArray[np.float64]
    n_spikes: NDArray[np.int64]
    event: NDArray[np.int64]
    event_gain: NDArray[np.float64]
    stepped: NDArray[np.bool_]
    model_neurons: NDArray[np.int64]
    w: NDArray[np.float64]
    trace: NDArray[np.float64]
    starts: NDArray[np.int64]
