"""e-prop: eligibility of weights, carried forward in time, times a learning signal that comes from the output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, final

import numpy as np
from pydantic import Field

from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import Fraction, NotNegative, Positive
from hxloop.network import INPUT
from hxloop.rule import Batch, Column, Recording, RuleSettings, Update
from hxloop.seeds import generator
from hxloop_host.learning.eligibility.kernels import add_eligible
from hxloop_host.readings.first_use import small_recording
from hxloop_host.readings.forward_pass import forward_gradients, sources_of
from hxloop_host.readings.kernels import JUMP
from hxloop_host.readings.membrane_rule import MembraneRule, MembraneRuleSettings
from hxloop_host.readings.surrogates import CODES, shape_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Runner, State, Weights
    from hxloop_host.readings.reading_grid import ReadingGrid
    from hxloop_host.readings.seen import Seen

    Array = NDArray[np.float64]


class EligibilitySettings(MembraneRuleSettings):
    """Those of all rules that see membranes, how errors reach neurons, and a target for their rates."""

    kind: str = "eprop"
    broadcast: Literal["symmetric", "random", "adaptive"] = Field(
        "symmetric", description="weights by which errors of the outputs reach a neuron: those of its synapses onto "
        "them, random ones, or random ones that follow what the weights onto the outputs learn"
    )  # fmt: skip
    broadcast_std: Positive = Field(0.1, description="standard deviation of random broadcast weights")
    broadcast_decay: Fraction = Field(0.01, description="share of adaptive broadcast weights that is lost in a batch")
    c_reg: NotNegative = Field(0.0, description="factor on half the mean squared distance of rates from target_spikes")
    target_spikes: Annotated[float, Field(ge=0, le=1e3)] = Field(
        1.0, description="mean spikes of a neuron in a sample that c_reg pulls towards"
    )


@final
class EligibilityPropagation(MembraneRule):
    """e-prop for leaky and adapting neurons, with loops.

    References
    ----------
    Bellec, Scherr, Subramoney et al., "A solution to the learning dilemma for recurrent networks of spiking neurons",
    Nature Communications 11:3625 (2020).
    """

    Settings = EligibilitySettings
    settings: EligibilitySettings
    title = "eligibility traces"
    reference = "Bellec et al., Nature Communications 11:3625 (2020)"
    summary = "e-prop: eligibility traces times a learning signal that is broadcast"
    columns: ClassVar[tuple[Column, ...]] = (
        *MembraneRule.columns,
        Column("trace_bytes", "bytes of traces that are held beside the recording, a sample", "B", per="batch"),
    )

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        self.broadcast: Array | None = None
        self.onto_output: Array | None = None

    def state(self) -> State:
        """What was measured; adaptive broadcast weights, and the weights onto the output that they follow."""
        found = super().state()
        if self.broadcast is not None and self.onto_output is not None:
            found |= {"broadcast": self.broadcast.copy(), "onto_output": self.onto_output.copy()}
        return found

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        ArrayError
            As `MeasuredScale.load_state`.
        """
        measured = {name: values for name, values in state.items() if name not in ("broadcast", "onto_output")}
        super().load_state(measured)
        self.broadcast, self.onto_output = (
            np.array(state[name], np.float64) if name in state else None for name in ("broadcast", "onto_output")
        )

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse what has no learning signal.

        Raises
        ------
        InvalidInputError
            As `MembraneRule.check`; an output that spikes, a loss of something else than its membranes, or, with
            symmetric broadcast, a population without synapses onto the output.
        """
        super().check(network, readout)
        if network.population(network.output).spiking or not readout.observe(network).membranes:
            raise InvalidInputError(
                "e-prop takes errors of an output that does not spike, by its membranes",
                field="loss.kind",
                hint="membrane_cross_entropy or membrane_mse, and spiking = false for the output",
            )
        if self.settings.broadcast == "symmetric":
            reaching = {p.source for p in network.projections if p.target == network.output}
            for name in network.spiking:
                if name not in reaching:
                    raise InvalidInputError(
                        f"{name!r} has no synapses onto the output, so no error reaches it",
                        field="rule.broadcast",
                        hint="take random or adaptive",
                    )

    def prepare(self) -> None:
        """Compile the kernels."""
        warm_up()

    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """Run the batch, and carry eligibility through what was recorded."""
        recording = runner.run(batch, weights)
        seen = self._seen(runner, batch, recording)
        broadcast = self._broadcast(seen, recording, weights, batch)
        found, trace_bytes = eligible_gradients(recording, seen, broadcast, self.settings)
        shown = self._diagnostics(runner.network, seen.counts) | {"trace_bytes": np.float64(trace_bytes)}
        return Update(seen.loss, seen.answers, found, None, shown)

    def _activity_cost(self, network: Network, grid: ReadingGrid, counts: NDArray[np.int64]) -> tuple[float, Array]:
        """Those of all rules, and the distance of rates from their target."""
        cost, grad = super()._activity_cost(network, grid, counts)
        own = self.settings
        for name in network.spiking:
            part = grid.part[name]
            off = counts[:, part].mean(axis=0) - own.target_spikes
            cost += 0.5 * own.c_reg * float((off**2).mean())
            grad[:, part] += own.c_reg * off / counts[:, part].size
        return cost, grad

    def _broadcast(self, seen: Seen, recording: Recording, weights: Weights, batch: Batch) -> Array:
        """float64 [n_neurons, n_classes]: derivative of an output's current by a neuron's spike, as the rule has it."""
        grid, own = seen.grid, self.settings
        if own.broadcast == "symmetric":
            return onto_output(grid, [w * f for w, f in zip(recording.weights, seen.factors, strict=True)])
        drawn = own.broadcast_std * generator(batch.seed, "broadcast").normal(
            size=(grid.n_neurons, grid.network.population(grid.network.output).size)
        )
        if own.broadcast == "random":
            return np.asarray(drawn)
        now = onto_output(grid, weights)
        if self.broadcast is None or self.onto_output is None:
            self.broadcast = drawn
        else:
            self.broadcast = (1.0 - own.broadcast_decay) * self.broadcast + (now - self.onto_output)
        self.onto_output = now
        return self.broadcast


def onto_output(grid: ReadingGrid, matrices: Weights) -> Array:
    """float64 [n_neurons, n_classes]: weights of each neuron onto the output, 0 where there are none."""
    network = grid.network
    found = np.zeros((grid.n_neurons, network.population(network.output).size))
    for projection, matrix in zip(network.projections, matrices, strict=True):
        if projection.target == network.output and projection.source != INPUT:
            first, last = network.sources(projection)
            begin = grid.part[projection.source].start
            found[begin + first : begin + last] += matrix.reshape(last - first, projection.copies, -1).sum(axis=1)
    return found


def eligible_gradients(
    recording: Recording, seen: Seen, broadcast: Array, own: MembraneRuleSettings
) -> tuple[Weights, float]:
    """Gradients per projection, summed over the samples, and bytes of traces a sample.

    Parameters
    ----------
    recording : Recording
        With all spikes, and the membranes of all populations that spike.
    seen : Seen
    broadcast : float64 [n_neurons, n_classes]
        Derivative of an output's current by a neuron's spike.
    own : MembraneRuleSettings
        Shape of the surrogate.
    """
    grid = seen.grid
    dtype, begins = grid.dtype, sources_of(grid)
    per_threshold, shape = (1.0 / seen.threshold).astype(dtype), shape_of(own.steepness, dtype)
    of_count, told = (own.height * seen.grad_count).astype(dtype), (own.height * broadcast).astype(dtype)
    answering, decay = grid.part[grid.network.output].start, grid.decay.copy()
    decay[JUMP] *= own.height

    def begin(n_samples: int) -> tuple[NDArray[Any], ...]:
        of_weights = [np.zeros((n_samples, grid.n_weights), dtype) for _ in range(4)]
        return np.zeros((n_samples, begins[-1]), dtype), *of_weights, np.ones((n_samples, grid.n_neurons), dtype)

    def advance(
        part: Recording, samples: slice, readings: slice, traces: tuple[NDArray[Any], ...], found: NDArray[Any]
    ) -> None:
        add_eligible(
            grid.membranes(part), per_threshold, seen.of_membranes(samples, readings), answering, of_count[samples],
            told, grid.inputs(part), grid.spikes(part), grid.links, grid.kernels, decay, begins, grid.period,
            grid.delay, CODES[own.surrogate], shape, *traces, found,
        )  # fmt: skip

    return forward_gradients(grid, recording, begin, advance, seen.factors)


def warm_up() -> None:
    """Take a gradient in a network of one neuron."""
    recording, seen = small_recording()
    eligible_gradients(recording, seen, np.zeros((1, 1)), EligibilitySettings())
