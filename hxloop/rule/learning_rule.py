"""The seam between a training and its rule.

A training keeps the order of the samples, the optimiser, the clock, checkpoints, evaluation and the journal, and knows
no rule by name. A rule says what it observes, runs the chip as often as it needs, and says what becomes of the weights;
it knows neither files nor sockets. What it wants to show it names.

Weights are one float64 matrix ``[n_sources * copies, n_target]`` in model units for each projection, in the order of
`hxloop.network.Network.projections`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from hxloop.errors import OutOfRangeError
from hxloop.kit.brief import brief
from hxloop.kit.strict import Strict, given_or_made
from hxloop.rule.observation import Batch, Observe, Recording, State, Weights
from hxloop.seeds import generator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.readout import Readout
    from hxloop.spec import ChipSpec


class RuleSettings(Strict):
    """Settings of a rule; subclasses add fields. ``kind`` names it: built in, installed, or FILE:CLASS."""

    kind: str = ""


class Strength(Protocol):
    """What calibration measured of the chip that a rule's model may take instead of nominal values."""

    @property
    def tau_factor(self) -> float:
        """Measured synaptic time constant over the nominal one."""

    def factor(self, projection: int, codes: NDArray[Any]) -> NDArray[np.float64]:
        """Measured over nominal strength, float64 [n_sources * copies, n_target], of a projection with these codes."""


class Runner(Protocol):
    """The chip, as a rule sees it.

    Attributes
    ----------
    network : Network
    readout : Readout
        What answers, and its loss.
    spec : ChipSpec
        Datasheet of the chip.
    strength : Strength or None
        What calibration measured, None where nothing was.
    duration_ticks : int
        Length of a sample.
    """

    network: Network
    readout: Readout
    spec: ChipSpec
    strength: Strength | None
    duration_ticks: int

    def run(
        self, batch: Batch, weights: Sequence[NDArray[np.float64]], *, trial: int = 0, observe: Observe | None = None
    ) -> Recording:
        """Run the samples of a batch.

        Parameters
        ----------
        batch : Batch
        weights : sequence of float64 [n_sources * copies, n_target]
            Model weights of each projection; they are rounded to codes, and clipped to what the chip has.
        trial : int
            Number of this run within the step: runs of other numbers have other noise.
        observe : Observe, optional
            Instead of what the rule and the readout ask for.
        """


@dataclass(frozen=True)
class Column:
    """Something a rule shows of every epoch: a column of the journal, a curve, a dataset of the run file.

    Attributes
    ----------
    name : str
        Key of `Update.diagnostics`, and name in journal and run file.
    text : str
        What it is, in a few words.
    unit : str
    per : {"sample", "batch"}
        Means over the samples, or over the batches, of an epoch.
    each : {"", "population"}
        Whether there is one value, or one for every population of the network.
    total : {"mean", "sum", "last"}
        How values of several populations become one, in summaries and in the line of an epoch.
    short : str
        What the line of an epoch calls it, in per cent; empty: it does not show it.
    curve : bool
        Whether the pictures of a run draw it.
    """

    name: str
    text: str
    unit: str = "1"
    per: Literal["sample", "batch"] = "sample"
    each: Literal["", "population"] = ""
    total: Literal["mean", "sum", "last"] = "mean"
    short: str = ""
    curve: bool = True

    def one(self, value: float | Sequence[float]) -> float:
        """One number for all populations."""
        if isinstance(value, float | int):
            return float(value)
        values = [float(v) for v in value]
        if self.total == "last":
            return values[-1]
        return sum(values) if self.total == "sum" else sum(values) / len(values)


@brief
@dataclass(frozen=True, eq=False)
class Update:
    """What a step comes to.

    Attributes
    ----------
    loss : float
        Mean over the samples.
    answers : int64 [n_samples]
        Classes that were read out, -1: none.
    gradients : list of float64, optional
        Derivative of the loss, for the optimiser to follow.
    weights : list of float64, optional
        New weights, instead of gradients. Neither: nothing moves.
    diagnostics : mapping of str to float or float64 [n]
        Values of this batch for the rule's `columns`.
    """

    loss: float
    answers: NDArray[np.int64]
    gradients: Sequence[NDArray[np.float64]] | None = None
    weights: Sequence[NDArray[np.float64]] | None = None
    diagnostics: Mapping[str, float | NDArray[np.float64]] = field(default_factory=dict)


class Rule(ABC):
    """A learning rule.

    Attributes
    ----------
    Settings : subclass of RuleSettings
        Section ``[rule]`` of a settings file.
    reference : str
        Where the rule comes from.
    summary : str
        What it does, in a few words.
    observes : str
        What it looks at, in a few words; `observe` says it for a network.
    columns : tuple of Column
        What it shows of every epoch.
    exact : bool
        Whether its gradients are the derivatives of the loss where the chip equals its model: ``hxloop gradcheck``
        holds it to that.
    runs_per_sample : float
        How often a step runs each of its samples, on average; what ``hxloop study rules`` gives rules as much chip time
        by.
    takes_delays : bool
        Whether it trains networks with delay neurons: projections onto these have delays in us, not weights.

    Parameters
    ----------
    settings : RuleSettings, optional
        An object of the class's `Settings`.
    **values
        Or its fields.
    """

    Settings: ClassVar[type[RuleSettings]] = RuleSettings
    reference: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    observes: ClassVar[str] = ""
    columns: ClassVar[tuple[Column, ...]] = ()
    exact: ClassVar[bool] = False
    runs_per_sample: ClassVar[float] = 1.0
    takes_delays: ClassVar[bool] = False

    def __init__(self, settings: RuleSettings | None = None, **values: Any) -> None:
        self.settings = given_or_made(self.Settings, settings, values)

    def check(self, network: Network, readout: Readout) -> None:
        """Refuse what the rule cannot train; by default nothing.

        Raises
        ------
        InvalidInputError
            Naming the population, projection or readout.
        """
        del network, readout

    def observe(self, network: Network) -> Observe:
        """What the rule needs from every run beside what the readout needs; by default nothing."""
        del network
        return Observe("none")

    def prepare(self) -> None:
        """Compile or load what steps need, before the first one; by default nothing."""
        return

    def begin(self, network: Network, seed: int) -> Weights:
        """Initial weights; by default normal ones with each projection's mean and standard deviation."""
        return [network.initial_weights(p, generator(seed, "weights", k)) for k, p in enumerate(network.projections)]

    @abstractmethod
    def step(self, runner: Runner, batch: Batch, weights: Weights) -> Update:
        """Run the samples of a batch, and say what becomes of the weights.

        Parameters
        ----------
        runner : Runner
        batch : Batch
        weights : list of float64 [n_sources * copies, n_target]
            Model weights; not to be changed.
        """

    def state(self) -> State:
        """Arrays that later steps depend on beside weights and batch, to go on bit by bit; copies."""
        return {}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from what `state` returned.

        Raises
        ------
        ArrayError
            An entry is missing.
        """
        if state:
            raise OutOfRangeError(f"this rule has no state, got {sorted(state)}", field="rule state")

    def standstill(self, diagnostics: Mapping[str, float | tuple[float, ...]]) -> str | None:
        """Why an epoch with these means moved no weight, and what to do; None where the rule does not know."""
        del diagnostics
        return None

    def modelled(self, recording: Recording, strength: Strength | None) -> Mapping[str, NDArray[np.float32]]:
        """What the rule's model says of observed membranes, for pictures to show beside them; by default nothing.

        Parameters
        ----------
        recording : Recording
        strength : Strength or None
            What calibration measured, None where nothing was.

        Returns
        -------
        mapping of str to float32 [n_samples, n_reads, size]
            Per population, in model units, of the shape of `Recording.membranes`; NaN where the model says nothing.
        """
        del recording, strength
        return {}
