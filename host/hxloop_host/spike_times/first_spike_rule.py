"""What rules at measured first spikes have in common: gradients, and what moves neurons that are silent.

Without spikes there is no gradient. Weights onto silent neurons are raised instead, in batches that need it (``bump``),
or beside the gradients of all others in every batch (``lift``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.rule import Column
from hxloop_host.spike_times.backward import arrivals, check_first_spikes, first_times
from hxloop_host.spike_times.closed_form import warm_up
from hxloop_host.spike_times.silent_lift import SilentLift
from hxloop_host.spike_times.spike_rule import SpikeRule
from hxloop_host.spike_times.weight_bumper import WeightBumper, silent_share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Answered, Readout
    from hxloop.rule import Recording, RuleSettings, State, Weights
    from hxloop_host.spike_times.silence_settings import SilenceSettings

    Array = NDArray[np.float64]
    Shown = dict[str, float | Array]

_LIFTED: Final = Column(
    "lifted_fraction", "fraction of (sample, neuron) pairs of the layer that were lifted", each="population",
    total="last", short="lifted outputs",
)  # fmt: skip


class FirstSpikeRule(SpikeRule):
    """A rule that sees the first spikes of all neurons; subclasses add the step, and settings of their own.

    Attributes
    ----------
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
    settings: SilenceSettings
    unless_silent: ClassVar[str] = "is optimizer.learning_rate or rule.max_dw_norm too small?"

    def __init__(self, settings: RuleSettings | None = None, **values: object) -> None:
        super().__init__(settings, **values)
        own = self.settings
        self.bumper = WeightBumper(own.limits, own.bump, doubling=own.doubling, targeted=own.targeted)
        self.lifter = SilentLift(own.limits, own.lift, own.memory, own.wanted_lift)
        if own.silent == "lift":  # not of the class: runs of before, which go on, have no such column
            self.columns = (*type(self).columns, _LIFTED)  # type: ignore[misc]

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
        self, recording: Recording, weights: Weights, seen: Answered, label: NDArray[np.int64],
        gradients: Callable[[], Weights],
    ) -> tuple[Weights | None, Weights | None, Shown]:  # fmt: skip
        """Gradients, or new weights where a population was too silent; and the columns of this class."""
        if self.settings.silent == "lift":
            found, shown = self._lifted(recording, gradients(), seen.derivative, label)
            return found, None, shown
        return self._learned_or_bumped(recording, weights, seen.derivative, gradients)

    def _lifted(
        self, recording: Recording, gradients: Weights, grad_out: Array, label: NDArray[np.int64]
    ) -> tuple[Weights, Shown]:
        """Gradients with what lifts silent neurons, and the columns."""
        network, times = recording.network, first_times(recording)
        names = with_weights(network)
        lifts = dict(
            zip(
                names,
                self.lifter.lifts(
                    [times[name] for name in names], names.index(network.output), label,
                    all_silent=without_model(grad_out, gradients),
                ),
                strict=True,
            )
        )  # fmt: skip
        for name, lift in lifts.items():
            if lift.any():
                population = network.population(name)
                ratio = round(population.tau_mem_us / population.tau_syn_us)
                for k in network.onto(name):
                    gradients[k] = gradients[k] + self.lifter.gradient(
                        arrivals(recording, k), times[name], lift, ratio, wanted=name == network.output
                    )
        lifted = {name: np.count_nonzero(lift) / max(1, lift.size) for name, lift in lifts.items()}
        return gradients, _shown(network, times, None) | {
            "lifted_fraction": np.array([lifted.get(p.name, 0.0) for p in network.populations])
        }

    def _learned_or_bumped(
        self, recording: Recording, weights: Weights, grad_out: Array, gradients: Callable[[], Weights]
    ) -> tuple[Weights | None, Weights | None, Shown]:
        """Gradients, or raised weights.

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
        if bumped is None:
            return found, None, _shown(network, times, None)
        return None, self._bumped(network, weights, bumped, silent), _shown(network, times, names[bumped])

    def _bumped(self, network: Network, weights: Weights, number: int, silent: list[Array]) -> Weights:
        onto = network.onto(with_weights(network)[number])
        new = [matrix.copy() if k in onto else matrix for k, matrix in enumerate(weights)]
        self.bumper.apply([new[k] for k in onto], number, silent)
        return new

    def state(self) -> State:
        """What the next bump or lift depends on."""
        return self._keeper.state()

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned; errors as in `WeightBumper.load_state`."""
        self._keeper.load_state(state)

    @property
    def _keeper(self) -> WeightBumper | SilentLift:
        return self.lifter if self.settings.silent == "lift" else self.bumper

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        """Silence that nothing is done about."""
        silent = diagnostics["silent_fraction"]
        if isinstance(silent, tuple) and silent[-1] == 1.0:
            return (
                "no output spiked, and no weight was raised for that: nothing will be learned (set rule.bump above 0 "
                "and rule.limits below 1, or begin with a larger network.init_mean)"
            )
        return self.unless_silent


def _shown(network: Network, times: Mapping[str, Array], bumped: str | None) -> Shown:
    return {
        "bump_fraction": np.array([float(p.name == bumped) for p in network.populations]),
        "silent_fraction": np.array([silent_share(times[p.name]) for p in network.populations]),
    }


def with_weights(network: Network) -> list[str]:
    """Populations other than delay neurons, in the order of the network."""
    return [p.name for p in network.populations if not p.relay]


def without_model(grad_out: Array, gradients: Weights) -> bool:
    """Whether outputs spike, and have gradients, where the model never does, in every sample."""
    return bool(grad_out.any()) and not any(g.any() for g in gradients)
