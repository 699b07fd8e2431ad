"""Arguments of the kernels: packed arrays and their row numbers (many separate arrays would stop vectorisation)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hxloop.codes.capmem import Switch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEP_TICKS = 64
"""Length of a macro-step; routing delays must be at least twice as long when spike times jitter."""

MAX_JITTER_TICKS = 64.0
"""Spike-time jitter is cut off here, so that no event reaches back into a step that is already done."""

BULGE = 0.2500001
"""A curve whose slope falls by F in all over a time T exceeds its end points by at most T F / 4; rounding included."""

LANES = 64
"""Neurons are handled in blocks of so many, the last one filled up with neurons that never spike: loops of a fixed
length, at fixed distances in flat arrays, are what a compiler turns into vector instructions."""

GROUP = 16
"""Neurons near threshold are followed together, so many at a time."""

# float64 parameters [N_PARAMETERS, width]; times in ticks, voltages in mV above the neuron's own leak potential
R_MEM, R_EXC, R_INH, THRESHOLD, RESET, REFRACTORY, MEMBRANE_SHIFT = range(7)
N_PARAMETERS = 7

# uint8 switches [n_neurons]: bits that make a neuron more than leaky integrate-and-fire; other bits mean nothing here
SWITCH_ADAPTATION, SWITCH_EXPONENTIAL = int(Switch.adaptation), int(Switch.exponential)
SWITCH_COBA_EXC, SWITCH_COBA_INH = int(Switch.coba_exc), int(Switch.coba_inh)
MODEL_SWITCHES = SWITCH_ADAPTATION | SWITCH_EXPONENTIAL | SWITCH_COBA_EXC | SWITCH_COBA_INH

# float64 model [N_MODEL, n_neurons], for the equations of `near.substep`; potentials in mV above leak
# adaptation: rate (1/tick), a (1/tick, signed), b (mV/tick, signed), rest (mV)
# exponential: current (mV/tick) at the potential EXP_AT (mV), slope (mV)
# conductance-based inputs: modulation (1/mV) and reversal potential (mV) of each
(
    ADAPT_RATE, ADAPT_A, ADAPT_B, ADAPT_REST,
    EXP_CURRENT, EXP_AT, EXP_SLOPE,
    COBA_EXC, REVERSAL_EXC, COBA_INH, REVERSAL_INH,
) = range(11)  # fmt: skip
N_MODEL = 11

# float64 tables [N_TABLES, STEP_TICKS + 1, width]: effect after d ticks
DECAY_MEM, DECAY_EXC, DECAY_INH, KERNEL_EXC, KERNEL_INH = range(5)
N_TABLES = 5

# float32 steps, flat [n_blocks, N_STEPS, LANES]: what a whole step needs of each neuron, its propagator and the factors
# of the bound of `fast.advance`; float32 kernels, flat [n_blocks, STEP_TICKS + 1, N_KERNELS, LANES]: what an event so
# many ticks before the end of a step does by that end to V (by either current) and to the currents
(
    STEP_LOSS,
    STEP_EXC,
    STEP_INH,
    STEP_LOSS_EXC,
    STEP_LOSS_INH,
    BOUND_EXC,
    BOUND_INH,
    BOUND_BELOW,
    STEP_RESET,
    STEP_NOISE,
) = range(10)
N_STEPS = 10
N_KERNELS = 4

EPOCH_STEPS = 1 << 20
"""Steps are counted in single precision from the start of an epoch: so many of them are exact."""

RANK = 4
"""Functions of the event's tick that together make up all kernels of a chip, see `hxloop_chip.solver.tables`."""

# rows of the float32 flat arrays [n_blocks, N_ROWS, LANES] `now`, `end`, `change` and `level`
ROW_V, ROW_EXC, ROW_INH, ROW_NEAR = range(4)
ROW_SHIFT, ROW_THRESHOLD, ROW_FREE = range(3)
N_ROWS = 4

# float64 noise levels, 0: none: threshold (mV), amplitude (relative), jitter (ticks), membrane (mV), drift of the
# threshold (mV)
SIGMA_THRESHOLD, SIGMA_AMPLITUDE, SIGMA_JITTER, SIGMA_MEMBRANE, SIGMA_DRIFT = range(5)
N_SIGMAS = 5

# int64 counters of a sample
COUNT_IN, COUNT_OUT, COUNT_LOST, COUNT_RECORDED = range(4)
N_COUNTS = 4

# int64 tally of the running sample: spikes within the run, spikes stamped too late, recorded neurons that have not
# spiked yet, latest stamp of a first spike, spikes noted for the reads of membranes (-1: nothing is read)
TALLY_OUT, TALLY_LOST, TALLY_SILENT, TALLY_LATEST, TALLY_NOTED = range(5)
N_TALLY = 5

# A spike is one int64: stamp in ticks above, neuron index below; an event likewise: tick in its step, source
NEURON_BITS = 16
NEURON_MASK = (1 << NEURON_BITS) - 1
SOURCE_BITS = 32
SOURCE_MASK = (1 << SOURCE_BITS) - 1

# What `run_samples` returns instead of a number of spikes
OUT_FULL = -1
EVENTS_FULL = -2
STOPPED = -3


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
    """A configured chip; `width` is its number of neurons rounded up to whole blocks.

    Attributes
    ----------
    weights : float32, flat [n_sources, width]
        Current steps in mV per tick; those of negative weights are inhibitory.
    source_blocks : int64 [n_sources, 2]
        Blocks that a source reaches: first, last + 1.
    source_sign : int8 [n_sources]
        1 if all weights of a source are excitatory or zero, -1 if inhibitory or zero, 0 if it has both.
    partner : int64 [n_sources]
        Row of `weights` with what a source does to the neurons that it both excites and inhibits; -1 if none.
    source_id, neuron_id : uint64 [n_sources], [width]
        Names for the random numbers.
    neuron_source : int64 [width]
        Row of `weights` that a neuron's spikes drive, -1 if none.
    recorded : bool [width]
        Neurons whose spikes are recorded.
    parameters : float64 [N_PARAMETERS, width]
    tables : float64 [N_TABLES, STEP_TICKS + 1, width]
    steps : float32, flat [n_blocks, N_STEPS, LANES]
    kernels : float32, flat [n_blocks, STEP_TICKS + 1, N_KERNELS, LANES]
    basis : float32 [STEP_TICKS + 1, RANK]
    coefficients : float32, flat [n_blocks, RANK, N_KERNELS, LANES]
        See `hxloop_chip.solver.tables`.
    peaks : float64 [2, width]
        Most that the membrane can rise after now, in mV: by 1 mV per tick of excitatory current, by noise.
    dense_events : int
        Events for each block in a step from which on `basis` is used.
    longest : int
        Ticks over which the short series of `walk` hold.
    delay : int
        Routing delay in ticks.
    switches : uint8 [width]
        Neurons with one of `MODEL_SWITCHES` are sub-stepped, the others solved in closed form.
    model : float64 [N_MODEL, width]
        Only rows of a neuron's switches are read.
    """

    weights: NDArray[np.float32]
    source_blocks: NDArray[np.int64]
    source_sign: NDArray[np.int8]
    partner: NDArray[np.int64]
    source_id: NDArray[np.uint64]
    neuron_id: NDArray[np.uint64]
    neuron_source: NDArray[np.int64]
    recorded: NDArray[np.bool_]
    parameters: NDArray[np.float64]
    tables: NDArray[np.float64]
    steps: NDArray[np.float32]
    kernels: NDArray[np.float32]
    basis: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    peaks: NDArray[np.float64]
    dense_events: int
    longest: int
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
        Keep only the first spike of each neuron and sample; a sample ends when all recorded neurons have spiked.
    drift_samples : float
        Samples between two points of the drift; above 0 if there is a drift.
    event_by_event : bool
        Take no neuron as far from threshold and none of the short cuts: for tests of the short cuts.
    """

    duration: int
    sigma: NDArray[np.float64]
    key: np.uint64
    first_sample: int
    first_only: bool
    drift_samples: float
    event_by_event: bool


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
        Receives those reads; row 0 is the first sample that is run.
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
    """State of all neurons in one sample, beside V and currents at both ends of the step (`now`, `end`).

    Attributes
    ----------
    level : float32, flat [n_blocks, N_ROWS, LANES]
        Resting potential of this step (membrane noise) and threshold of this trial in mV above leak, step of the epoch
        in which the refractory period ends.
    epoch : int64 [1]
        First step of the epoch.
    free : float64 [width]
        Tick at which the refractory period ends.
    change : float32, flat [n_blocks, N_ROWS, LANES]
        What the events of the step add to V, I_exc, I_inh by its end.
    sums : float32, flat [n_blocks, 2 x RANK, LANES]
        Of the excitatory and of the inhibitory events of the step, for each function of the basis.
    noise : int32, flat [n_blocks, 4, LANES]
        Membrane noise of four steps, as sums of random bytes.
    drift : float64 [2, width]
        Drift of the thresholds at the points before and after this sample.
    drift_point : int64 [1]
        The first of these points.
    near : uint8 [width]
        May reach threshold within the step, or leaves its refractory period.
    near_words : uint64 [width / 8]
        The same memory.
    near_neurons : int64 [width + GROUP]
        Those of them that are solved in closed form.
    closed : uint8 [width]
        Is solved in closed form.
    order : int64 [3, capacity]
        Events by the sign of their source: excitatory, inhibitory, both. Later in the step, the first row has those
        that a group listens to.
    group : float32 [rows x GROUP]
        Neurons that are followed together, see `walk`.
    group_words : uint64 [rows x GROUP / 2]
        The same memory, two values a word.
    aside : int64 [1]
        Pieces in which one of them was looked at.
    arriving : float32, flat [capacity, GROUP]
        What the events of the step add to their currents, inhibitory steps negative.
    n_spikes : int64 [width]
    tally : int64 [N_TALLY]
    key : int64 [capacity]
        Events of the step in order: tick in the step above, source below.
    event : int64 [2, capacity]
        The same as tick in the step, source.
    event_gain : float64 [capacity]
        Their relative amplitudes.
    name : uint64 [capacity]
        Names of their sources for the random numbers.
    pending : int64, flat [reach, capacity]
        Events of spikes, on their way to later steps; as `key`.
    n_pending : int64 [reach]
    stepped : bool [width]
        Is sub-stepped.
    model_neurons : int64 [n_stepped]
        Neurons that are.
    w : float64 [width]
        Adaptation current in mV per tick.
    trace : float64 [width]
        Membranes at the time of a read.
    column : int64 [width]
        Where the reads of a neuron go: column of `Watch.cadc`, -1 if none.
    read_blocks : int64 [2]
        Blocks with neurons that are read: first, last + 1.
    in_order : bool [1]
        They are neighbours and read in their order.
    noted : int64 [capacity]
        Neurons of the spikes that reads may have to be corrected for.
    noted_at : float64 [capacity]
        When these spikes were, in ticks.
    """

    level: NDArray[np.float32]
    epoch: NDArray[np.int64]
    free: NDArray[np.float64]
    change: NDArray[np.float32]
    sums: NDArray[np.float32]
    noise: NDArray[np.int32]
    drift: NDArray[np.float64]
    drift_point: NDArray[np.int64]
    near: NDArray[np.uint8]
    near_words: NDArray[np.uint64]
    near_neurons: NDArray[np.int64]
    closed: NDArray[np.uint8]
    order: NDArray[np.int64]
    group: NDArray[np.float32]
    group_words: NDArray[np.uint64]
    aside: NDArray[np.int64]
    arriving: NDArray[np.float32]
    n_spikes: NDArray[np.int64]
    tally: NDArray[np.int64]
    key: NDArray[np.int64]
    event: NDArray[np.int64]
    event_gain: NDArray[np.float64]
    name: NDArray[np.uint64]
    pending: NDArray[np.int64]
    n_pending: NDArray[np.int64]
    stepped: NDArray[np.bool_]
    model_neurons: NDArray[np.int64]
    w: NDArray[np.float64]
    trace: NDArray[np.float64]
    column: NDArray[np.int64]
    read_blocks: NDArray[np.int64]
    in_order: NDArray[np.bool_]
    noted: NDArray[np.int64]
    noted_at: NDArray[np.float64]
