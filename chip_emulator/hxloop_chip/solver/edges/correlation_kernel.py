"""Pairs of pre- and postsynaptic events, summed for every synapse."""

import numpy as np

from hxloop_chip.solver.compiled import compiled
from hxloop_chip.solver.stopping import is_stopped

FRACTION_BITS = 32
"""Sums are integers in units of 2^-32 LSB, so that they do not depend on the order of samples or on threads."""

_UNIT = 2.0**FRACTION_BITS
_NEVER = np.iinfo(np.int64).max
_NEITHER, _PRE, _POST = 0, 1, 2


@compiled
def add_pairs(sums, n_samples, pre, post, reach, head, rate, amplitude, stop_words):
    """Add the pairs of all samples to the sums of all synapses.

    Parameters
    ----------
    sums : int64 [2, n_synapses]
        Causal and acausal, in units of 2^-FRACTION_BITS LSB.
    n_samples : int
    pre, post : (int64 [n_samples * n + 1], int64 [n_events])
        Ticks of the events of sample ``k`` and source (neuron) ``s``, rising: those from entry ``k * n + s`` of the
        first array to the next entry.
    reach : (int64 [n_synapses + 1], int64 [k])
        Sources that reach each synapse.
    head : int64 [n_synapses]
        Neuron whose spikes each synapse sees.
    rate : float64 [2, n_synapses]
        Inverse time constants in 1/tick.
    amplitude : float64 [2, n_synapses]
        Worth of a pair without delay, in LSB.
    stop_words : int64 [N_WORDS]
        Asked before every synapse, see `hxloop_chip.solver.stopping`; the sums are not valid if it was told to stop.
    """
    pre_first, pre_tick = pre
    post_first, post_tick = post
    reach_first, reach_source = reach
    if n_samples == 0:
        return
    n_sources, n_heads = (pre_first.size - 1) // n_samples, (post_first.size - 1) // n_samples
    merged = np.empty(pre_tick.size, np.int64)
    for sample in range(n_samples):
        for synapse in range(head.size):
            if is_stopped(stop_words):
                return
            at = sample * n_heads + head[synapse]
            begin, end = post_first[at], post_first[at + 1]
            if begin == end:
                continue
            count, n_lists = 0, 0
            for k in range(reach_first[synapse], reach_first[synapse + 1]):
                source = sample * n_sources + reach_source[k]
                low, high = pre_first[source], pre_first[source + 1]
                n_lists += high > low
                for j in range(low, high):
                    merged[count] = pre_tick[j]
                    count += 1
            if n_lists > 1:
                merged[:count].sort()
            if count:
                _pair(sums, synapse, merged, count, post_tick, begin, end, rate, amplitude)


@compiled
def _pair(sums, synapse, pre, n_pre, post, begin, end, rate, amplitude):
    """Walk through both trains; a pair is two neighbours of different kind, and simultaneous events are no pair."""
    i, j = 0, begin
    kind, last = _NEITHER, 0
    while i < n_pre or j < end:
        t_pre = pre[i] if i < n_pre else _NEVER
        t_post = post[j] if j < end else _NEVER
        now = min(t_pre, t_post)
        if t_post == now and kind == _PRE:
            worth = amplitude[0, synapse] * np.exp(-rate[0, synapse] * (now - last))
            sums[0, synapse] += np.int64(np.rint(worth * _UNIT))
        if t_pre == now and kind == _POST:
            worth = amplitude[1, synapse] * np.exp(-rate[1, synapse] * (now - last))
            sums[1, synapse] += np.int64(np.rint(worth * _UNIT))
        kind = _NEITHER if t_pre == t_post else (_PRE if t_pre == now else _POST)
        last = now
        while i < n_pre and pre[i] == now:
            i += 1
        while j < end and post[j] == now:
            j += 1
