"""Online training through time: the error of the moment times traces of the sources, summed over a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from hxloop.rule import Column, Update
from hxloop_host.learning.through_time.kernels import add_online
from hxloop_host.readings.first_use import small_recording
from hxloop_host.readings.forward_pass import forward_gradients, sources_of
from hxloop_host.readings.kernels import CURRENT, MEMBRANE, POPULATION, RISE, SOURCE
from hxloop_host.readings.membrane_rule import MembraneRule, MembraneRuleSettings
from hxloop_host.readings.surrogates import CODES, shape_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.rule import Batch, Recording, Runner, Weights
    from hxloop_host.readings.reading_grid import ReadingGrid
    from hxloop_host.readings.seen import Seen

TRACE_BYTES = Column("trace_bytes", "bytes of traces that are held beside the recording, a sample", "B", per="batch")


class OnlineSettings(MembraneRuleSettings):
    """Those of all rules that see membranes."""

    kind: str = "ottt"


@final
class OnlineThroughTime(MembraneRule):
    """Gradients without a backward pass in time: traces go forward, errors through space alone.

    The variant that accumulates over a sample: one optimiser step a batch, as the chip runs one.

    References
    ----------
    Xiao, Meng, Zhang, He, Lin, "Online training through time for spiking neural networks", NeurIPS 2022
    (arXiv:2210.04195).
    """

    Settings = OnlineSettings
    settings: OnlineSettings
    title = "gradients of online training"
    reference = "Xiao et al., NeurIPS 2022, arXiv:2210.04195"
    summary = "online training through time: traces and errors of the moment, no backward pass in time"
    columns: ClassVar[tuple[Column, ...]] = (*MembraneRule.columns, TRACE_BYTES)

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """Run the batch, and carry traces through what was recorded."""
        recording = runner.run(batch, weights)
        seen = self._seen(runner, batch, recording)
        found, trace_bytes = online_gradients(recording, seen, self.settings)
        shown = self._diagnostics(runner.network, seen.counts) | {"trace_bytes": np.float64(trace_bytes)}
        return Update(seen.loss, seen.answers, found, None, shown)


def online_gradients(recording: Recording, seen: Seen, own: MembraneRuleSettings) -> tuple[Weights, float]:
    """Gradients per projection, summed over the samples, and bytes of traces a sample.

    Parameters
    ----------
    recording : Recording
        With all spikes, and the membranes of all populations that spike.
    seen : Seen
    own : MembraneRuleSettings
        Shape of the surrogate.
    """
    grid = seen.grid
    dtype, begins = grid.dtype, sources_of(grid)
    weights = grid.flat([own.height * w * f for w, f in zip(recording.weights, seen.factors, strict=True)])
    gain, onwards = gains(grid), towards_output(grid)
    per_threshold, shape = (1.0 / seen.threshold).astype(dtype), shape_of(own.steepness, dtype)
    of_count = (own.height * seen.grad_count).astype(dtype)
    answering = grid.part[grid.network.output].start

    def begin(n_samples: int) -> tuple[NDArray[Any], ...]:
        return np.zeros((n_samples, begins[-1]), dtype), np.zeros((n_samples, begins[-1]), dtype)

    def advance(
        part: Recording, samples: slice, readings: slice, traces: tuple[NDArray[Any], ...], found: NDArray[Any]
    ) -> None:
        add_online(
            grid.membranes(part), per_threshold, seen.of_membranes(samples, readings), answering, of_count[samples],
            grid.inputs(part), grid.spikes(part), grid.links, weights, grid.kernels, grid.decay, gain, onwards, begins,
            grid.period, grid.delay, CODES[own.surrogate], shape, *traces, found,
        )  # fmt: skip

    return forward_gradients(grid, recording, begin, advance, seen.factors)


def gains(grid: ReadingGrid) -> NDArray[Any]:
    """Per population, what a spike a reading through a weight of 1 adds to its membrane in the end.

    Synapses of the chip are currents: at the moment at which a spike arrives the membrane has not moved yet. Its error
    goes back as if spikes came at a constant rate, as in the weighted rates from which the rule was derived.
    """
    firsts = [part.start for part in grid.part.values()]
    left, kept, rise = (grid.decay[row, firsts] for row in (MEMBRANE, CURRENT, RISE))
    return np.asarray(rise / ((1 - left) * (1 - kept)), grid.dtype)


def towards_output(grid: ReadingGrid) -> NDArray[np.int64]:
    """Links between populations that lead towards the output, those that end there first; loops do not."""
    network = grid.network
    hops = np.full(len(network.populations), np.inf)
    hops[[p.name for p in network.populations].index(network.output)] = 0
    for _ in network.populations:
        for link in grid.links[grid.links[:, SOURCE] >= 0]:
            hops[link[SOURCE]] = min(hops[link[SOURCE]], hops[link[POPULATION]] + 1)
    inside = [k for k, link in enumerate(grid.links) if link[SOURCE] >= 0]
    onwards = [k for k in inside if hops[grid.links[k, SOURCE]] > hops[grid.links[k, POPULATION]]]
    return np.array(sorted(onwards, key=lambda k: hops[grid.links[k, POPULATION]]), np.int64)


def warm_up() -> None:
    """Take a gradient in a network of one neuron."""
    recording, seen = small_recording()
    online_gradients(recording, seen, OnlineSettings())
