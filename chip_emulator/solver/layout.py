"""Row numbers of the packed arrays that kernels take (few arrays: alias checks on many stop vectorisation)."""

STEP_TICKS = 64
"""Length of a macro-step; routing delays must be at least twice as long when spike times jitter."""

MAX_JITTER_TICKS = 64.0
"""Spike-time jitter is cut off here, so that no event reaches back into a step that is already done."""

# float64 parameters [N_PARAMETERS, n_neurons]; times in ticks, voltages in mV above the neuron's own leak potential
R_MEM, R_EXC, R_INH, THRESHOLD, RESET, REFRACTORY, MEMBRANE_SHIFT = range(7)
N_PARAMETERS = 7

# float64 tables [N_TABLES, STEP_TICKS + 1, n_neurons]: effect after d ticks
DECAY_MEM, DECAY_EXC, DECAY_INH, KERNEL_EXC, KERNEL_INH = range(5)
N_TABLES = 5

# float64 noise levels: threshold (mV), amplitude (relative), jitter (ticks); membrane noise is a parameter row
SIGMA_THRESHOLD, SIGMA_AMPLITUDE, SIGMA_JITTER, SIGMA_MEMBRANE = range(4)
N_SIGMAS = 4

# int64 counters a kernel call returns per sample
COUNT_IN, COUNT_OUT, COUNT_LOST, COUNT_RECORDED = range(4)
N_COUNTS = 4

# A recorded spike is one int64: stamp in ticks above, neuron index below
NEURON_BITS = 16
