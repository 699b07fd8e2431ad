"""What rules at measured first spikes have in common: a gradient, or raised weights where many neurons are silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.rule import Column
from hxloop_host.spike_times.backward import check_first_spikes, first_times
from hxloop_host.spike_times.closed_form import warm_up
from hxloop_host.spike_times.spike_rule import SpikeRule
from hxloop_host.spike_times.weight_bumper import silent_share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.rule import Recording, State, Weights
    from hxloop_host.spike_times.weight_bumper import WeightBumper

    Array = NDArray[np.float64]


class FirstSpikeRule(SpikeRule):
    """A rule that sees the first spikes of all neurons; subclasses make `bumper`, and add the step.

    Attributes
    ----------
    bumper : WeightBumper
        With one limit for each population other than delay neurons.
    unless_silent : str
        Why nothing may move although outputs spike.
    """

    observes = "first spikes of all neurons"
    which = "first"
    kernels = staticmethod(warm_up)
    exact = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "bump_fraction", "fraction of batches that bumped the layer", per="batch", each="population", total="sum",
            short="bumped",
        ),
        Column(
            "silent_fraction", "fraction of (sample, neuron) pairs of the layer without a spike", each="population",
            total="last", short="silent outputs",
        ),
    )  # fmt: skip
    bumper: WeightBumper
    unless_silent: ClassVar[str] = "is optimizer.learning_rate or rule.max_dw_norm too small?"

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse networks that first spikes do not describe.

        Raises
        ------
        InvalidInputError
            As `check_first_spikes`, or other limits than populations other than delay neurons.
        """
        check_first_spikes(network, readout)
        names = with_weights(network)
        if len(self.bumper.limits) != len(names):
            raise InvalidInputError(
                f"limits needs one entry for each of the {len(names)} populations ({', '.join(names)})",
                field="rule.limits",
            )

    def _learned(
        self, recording: Recording, weights: Weights, grad_out: Array, gradients: Callable[[], Weights]
    ) -> tuple[Weights | None, Weights | None, dict[str, float | Array]]:
        """Gradients, or new weights where a population was too silent; and the columns of this class.

        An output that spikes where the model never does, in every sample, is silent in the model, so it is bumped:
        neither gradient nor silence would ever move a weight again.
        """
        network, times = recording.network, first_times(recording)
        names = with_weights(network)
        silent = [times[name] for name in names]
        bumped, found = self.bumper.check(silent), None
        if bumped is None:
            found = gradients()
            if without_model(grad_out, found):
                bumped, found = names.index(network.output), None
                silent[bumped] = np.full_like(silent[bumped], np.inf)
        new = None if bumped is None else self._bumped(network, weights, bumped, silent)
        shown: dict[str, float | Array] = {
            "bump_fraction": np.array(
                [float(bumped is not None and p.name == names[bumped]) for p in network.populations]
            ),
            "silent_fraction": np.array([silent_share(times[p.name]) for p in network.populations]),
        }
        return found, new, shown

    def _bumped(self, network: Network, weights: Weights, number: int, silent: list[Array]) -> Weights:
        onto = network.onto(with_weights(network)[number])
        new = [matrix.copy() if k in onto else matrix for k, matrix in enumerate(weights)]
        self.bumper.apply([new[k] for k in onto], number, silent)
        return new

    def state(self) -> State:
        """What the next bump depends on."""
        return self.bumper.state()

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned; errors as in `WeightBumper.load_state`."""
        self.bumper.load_state(state)

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        """Silence that nothing is done about."""
        silent = diagnostics["silent_fraction"]
        if isinstance(silent, tuple) and silent[-1] == 1.0:
            return (
                "no output spiked, and no weight was raised for that: nothing will be learned (set rule.bump above 0 "
                "and rule.limits below 1, or begin with a larger network.init_mean)"
            )
        return self.unless_silent


def with_weights(network: Network) -> list[str]:
    """Populations other than delay neurons, in the order of the network."""
    return [p.name for p in network.populations if not p.relay]


def without_model(grad_out: Array, gradients: Weights) -> bool:
    """Whether outputs spike, and have gradients, where the model never does, in every sample."""
    return bool(grad_out.any()) and not any(g.any() for g in gradients)
