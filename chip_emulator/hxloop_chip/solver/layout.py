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

BLOCK = 64
"""Neurons are handled in blocks of so many, four vectors; the last one is filled up with neurons that never spike."""

LANES = 16
"""Neurons in a vector: rows are so long, all rows of a vector one behind the other. As many near threshold are followed
together."""

SAMPLES = 4
"""Samples that are solved together, step by step and in each step block by block: a block's coefficients are fetched
once for all of them."""

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

# float32 steps, flat [n_vectors, N_STEPS, LANES]: what a whole step needs of each neuron: its propagator, the size of
# its noise, reset potential, and how far the membrane may rise after now by 1 mV per tick of current, and by noise
(
    STEP_LOSS, STEP_EXC, STEP_INH, STEP_LOSS_EXC, STEP_LOSS_INH, STEP_NOISE, STEP_RESET, PEAK_EXC, PEAK_NOISE,
) = range(9)  # fmt: skip
N_STEPS = 9

# float32 compression, flat [n_vectors, N_COMPRESSION, LANES]: c (ticks/mV) and h (1/mV) of both synaptic inputs, see
# `compression`
COMPRESSION_EXC, COMPRESSION_INH, HEADROOM_EXC, HEADROOM_INH = range(4)
N_COMPRESSION = 4

# float32 bounds, flat [n_blocks, N_BOUNDS]: factors of the bound of `blocks`, the largest of a block
BOUND_EXC, BOUND_INH, BOUND_BELOW = range(3)
N_BOUNDS = 3

# float32 neuron, flat [width, N_NEURON]: what `walk` needs of each neuron
NEURON_MEM, NEURON_EXC, NEURON_INH, NEURON_RESET = range(4)
N_NEURON = 4

# float32 passage, flat [n_blocks, STEP_TICKS + 1, N_PASSAGE, BLOCK]: propagator of the membrane over so many ticks
PASS_MEM, PASS_EXC, PASS_INH = range(3)
N_PASSAGE = 3

RANK = 4
"""Functions of the event's tick are added up so many at a time, see `hxloop_chip.solver.tables`."""

# float32 coefficients, flat [n_vectors, n_functions, N_KERNELS, LANES]: what they do to V by either current (negative
# by the inhibitory one), and to the currents
KERNEL_V_EXC, KERNEL_V_INH, KERNEL_EXC, KERNEL_INH = range(4)
N_KERNELS = 4

EPOCH_STEPS = 1 << 20
"""Steps are counted in single precision from the start of an epoch: so many of them are exact."""

# rows of the float32 flat arrays `now` and `end`, [SAMPLES, n_vectors, N_ROWS, LANES]; with equal rates ROW_EXC is the
# difference of the currents, and ROW_INH means nothing
ROW_V, ROW_EXC, ROW_INH = range(3)
N_ROWS = 3

# rows of the float32 flat array `level`, [SAMPLES, n_vectors, N_LEVELS, LANES]: threshold in mV above leak, and what it
# is without its noise; step of the epoch in which the refractory period ends, and the tick of that step; resting
# potential of this step; by how much the membrane may exceed both ends of any part of this step
LEVEL_THRESHOLD, LEVEL_STEADY, LEVEL_FREE, LEVEL_FREE_TICK, LEVEL_SHIFT, LEVEL_BULGE = range(6)
N_LEVELS = 6

# rows of the float32 flat array `divisor`, [SAMPLES, n_vectors, N_INPUTS, LANES]: what compression divides the current
# of each synaptic input by in this step
INPUT_EXC, INPUT_INH = range(2)
N_INPUTS = 2

# kinds of rows of weights: excitatory, inhibitory, both; lists of the events that a class of blocks hears: of rows of
# each kind, and all
EXC, INH, BOTH, HEARD = range(4)
N_HEARD = 4

# float64 noise levels, 0: none: threshold (mV), amplitude (relative), jitter (ticks), membrane (mV), drift of the
# threshold (mV)
SIGMA_THRESHOLD, SIGMA_AMPLITUDE, SIGMA_JITTER, SIGMA_MEMBRANE, SIGMA_DRIFT = range(5)
# and of the queues at its edges: part of the time in a queue, relative spread of the time for an event
SIGMA_WAIT, SIGMA_SERVICE = 5, 6
N_SIGMAS = 7

# int64 counters of a sample
COUNT_IN, COUNT_OUT, COUNT_LOST, COUNT_RECORDED, COUNT_REACHED = range(5)
N_COUNTS = 5

# int64 tally of a running sample: spikes within the run, spikes stamped too late, recorded neurons that have not spiked
# yet, latest stamp of a first spike, spikes noted for the reads of membranes (-1: nothing is read), spikes recorded,
# number within the trial, whether nothing recorded can happen any more, place of its next input event, synapses that
# its spikes have reached
(
    TALLY_OUT, TALLY_LOST, TALLY_SILENT, TALLY_LATEST, TALLY_NOTED, TALLY_RECORDED, TALLY_SAMPLE, TALLY_OVER,
    TALLY_POINTER, TALLY_REACHED,
) = range(10)  # fmt: skip
N_TALLY = 10

# A spike is one int64: stamp in ticks above, neuron index below; an event likewise: tick in its step,
# row of weights
NEURON_BITS = 16
NEURON_MASK = (1 << NEURON_BITS) - 1
COUNT_BITS = 10
COUNT_MASK = (1 << COUNT_BITS) - 1
ROW_BITS = 32
ROW_MASK = (1 << ROW_BITS) - 1


class SeparateRates(NamedTuple):
    """Mark of a circuit whose excitatory and inhibitory currents are carried apart."""


class EqualRates(NamedTuple):
    """Mark of a circuit whose currents decay alike, so that only their difference is carried."""


class CompressedRates(NamedTuple):
    """Mark of one with separate currents of which the synaptic inputs pass on a part, see `compression`."""


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


class Drivers(NamedTuple):
    """Synapse drivers that events spend; all arrays are empty if none does.

    Attributes
    ----------
    of_source, driver : uint32 [n_sources], [n]
        Where the drivers of each source begin in `driver` (above `COUNT_BITS`), and how many there are; only those in
        use have a number.
    share : float32 [n_drivers]
        Of what is left, that an event takes.
    decay, growth : float32 [STEP_TICKS * frame + 1]
        What is left after so many ticks of recovery, and 1 over that.
    frame : int
        Steps of a frame.
    """

    of_source: NDArray[np.uint32]
    driver: NDArray[np.uint32]
    share: NDArray[np.float32]
    decay: NDArray[np.float32]
    growth: NDArray[np.float32]
    frame: int


class Circuit(NamedTuple):
    """A configured chip; `width` is its number of neurons rounded up to whole blocks.

    Attributes
    ----------
    weights : float32, flat [n_blocks, n_rows, BLOCK]
        Current steps in mV per tick; those of negative weights are inhibitory.
    rows : int64 [n_sources, 2]
        Row of `weights` that a source drives, and a second one, which inhibits neurons that the first excites, or -1.
    kind : uint8 [n_rows]
        `EXC`, `INH` or `BOTH` by the signs of the weights; with equal rates `EXC`, whatever the signs.
    row_source : uint32 [n_rows]
        Source that drives a row.
    row_id, neuron_id : uint64 [n_rows], [width]
        Names for the random numbers.
    block_class : int64 [n_blocks]
        Blocks of a class hear the same sources.
    hears : uint8 [n_classes, n_rows]
        1 where they do.
    neuron_source : int64 [width]
        Source that a neuron's spikes drive, -1 if none.
    neuron_reach : int64 [width]
        Synapses that a neuron's spikes reach.
    recorded : bool [width]
        Neurons whose spikes are recorded.
    parameters : float64 [N_PARAMETERS, width]
    steps : float32, flat [n_vectors, N_STEPS, LANES]
    compression : float32, flat [n_vectors, N_COMPRESSION, LANES]
        Empty without compression.
    bounds : float32, flat [n_blocks, N_BOUNDS]
    neuron : float32, flat [width, N_NEURON]
    passage : float32, flat [n_blocks, STEP_TICKS + 1, N_PASSAGE, BLOCK]
    basis : float32 [STEP_TICKS + 1, n_functions]
    coefficients : float32, flat [n_vectors, n_functions, N_KERNELS, LANES]
        See `hxloop_chip.solver.tables`.
    one : float32 [n_functions]
        Sum of the basis that is 1 at every tick, to `tables.ONE_ERROR`.
    longest : int
        Ticks over which the short series of `walk` hold; 0 if not even for one.
    delay : int
        Routing delay in ticks.
    late : float64 [width]
        Ticks by which a neuron's spikes leave it later than its membrane spiked.
    most_late : int
        No less than any of them.
    switches : uint8 [width]
        Neurons with one of `MODEL_SWITCHES` are sub-stepped, the others solved in closed form.
    model_neurons : int64 [n]
        The former.
    model : float64 [N_MODEL, width]
        Only rows of a neuron's switches are read.
    drivers : Drivers
    rates : SeparateRates, EqualRates or CompressedRates
        Its type chooses among compiled kernels.
    """

    weights: NDArray[np.float32]
    rows: NDArray[np.int64]
    kind: NDArray[np.uint8]
    row_source: NDArray[np.uint32]
    row_id: NDArray[np.uint64]
    neuron_id: NDArray[np.uint64]
    block_class: NDArray[np.int64]
    hears: NDArray[np.uint8]
    neuron_source: NDArray[np.int64]
    neuron_reach: NDArray[np.int64]
    recorded: NDArray[np.bool_]
    parameters: NDArray[np.float64]
    steps: NDArray[np.float32]
    compression: NDArray[np.float32]
    bounds: NDArray[np.float32]
    neuron: NDArray[np.float32]
    passage: NDArray[np.float32]
    basis: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    one: NDArray[np.float32]
    longest: int
    delay: int
    late: NDArray[np.float64]
    most_late: int
    switches: NDArray[np.uint8]
    model_neurons: NDArray[np.int64]
    model: NDArray[np.float64]
    drivers: Drivers
    rates: SeparateRates | EqualRates | CompressedRates


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


class Heard(NamedTuple):
    """Events of one sample in one step, for one neuron that goes from one to the next.

    Attributes
    ----------
    tick, place : uint32 [capacity]
    gain : float32 [capacity]
        As in `hxloop_chip.solver.state.State`.
    n_events : int
    pass_exc, pass_inh : float
        Share of the current that the neuron's synaptic inputs pass on in this step: 1 without compression.
    """

    tick: NDArray[np.uint32]
    place: NDArray[np.uint32]
    gain: NDArray[np.float32]
    n_events: int
    pass_exc: float
    pass_inh: float
