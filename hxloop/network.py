"""Networks as the user thinks of them: populations of neurons and projections between them.

Model units: a membrane is 0 at its leak potential and `Population.model_threshold` at its threshold; a model weight of
1 is `Projection.scale_weights` weight codes. An event through a model weight w moves the membrane of its target, at
first, with the slope w / tau_syn. Projections onto delay neurons have delays in us in the place of weights.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from hxloop.codes.neuron_population import INPUT, Population
from hxloop.errors import ArrayError, InvalidInputError, OutOfRangeError
from hxloop.kit import arguments
from hxloop.kit.brief import brief

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["INPUT", "Network", "Population", "Projection"]


@brief
@dataclass(frozen=True, eq=False)
class Projection:
    """Connections from one source to one target, all-to-all unless there is a mask.

    Attributes
    ----------
    source : str
        ``input`` or the name of a population, the target itself for recurrence.
    target : str
        Name of a population.
    copies : int
        Inputs that every source drives, each with weights of its own (one 6-bit synapse may be too weak); the weight
        matrix has the shape ``[n_sources * copies, n_target]`` and row ``source * copies + copy``.
    part : (int, int), optional
        Only the sources ``part[0] <= s < part[1]`` project, by default all of them.
    scale_weights : float
        Weight codes per unit of model weight.
    mask : bool [n_sources, n_target], optional
        Which pairs are connected, by default all; weights of others are 0 for ever.
    signs : int8 [n_sources], optional
        Sign of each source's weights, 1 or -1 (Dale's law): each copy then takes one synapse row instead of two.
    init_mean, init_std : float
        Normal distribution of the initial model weights, for rules that know no better; of sources with a sign, of the
        magnitudes.
    label : str
        Name, instead of ``source->target``.

    Raises
    ------
    InvalidInputError, OutOfRangeError, ArrayError
        A value that is none; the attribute is named.
    """

    source: str
    target: str
    copies: int = 1
    part: tuple[int, int] | None = None
    scale_weights: float = 1.0
    mask: NDArray[np.bool_] | None = None
    signs: NDArray[np.int8] | None = None
    init_mean: float = 0.0
    init_std: float = 0.0
    label: str = ""

    def __post_init__(self) -> None:
        for name in ("source", "target", *(["label"] if self.label else [])):
            arguments.text(getattr(self, name), name)
        _set(self, "copies", arguments.whole_number(self.copies, "copies", lowest=1))
        for name, lowest in (("scale_weights", 1e-9), ("init_mean", -1e9), ("init_std", 0.0)):
            _set(self, name, arguments.real_number(getattr(self, name), name, lowest=lowest, highest=1e9))
        if self.part is not None:
            part = arguments.whole_numbers(self.part, "part", np.int64).tolist()
            if len(part) != 2:
                raise ArrayError(f"is the first source and one past the last, got {len(part)} numbers", field="part")
            _set(self, "part", (part[0], part[1]))
        if self.mask is not None:
            _set(self, "mask", np.asarray(self.mask))
            if self.mask.dtype != np.bool_ or self.mask.ndim != 2:
                raise ArrayError(f"must be bool [n_sources, n_target], got {_what(self.mask)}", field="mask")
        if self.signs is not None:
            _set(self, "signs", arguments.whole_numbers(self.signs, "signs", np.int8))
            if not np.isin(self.signs, (-1, 1)).all():
                raise OutOfRangeError("must be 1 or -1, one for each source", field="signs")

    @property
    def name(self) -> str:
        """The label, or ``source->target`` with the part where there is one."""
        if self.label:
            return self.label
        part = "" if self.part is None else f"[{self.part[0]}:{self.part[1]}]"
        return f"{self.source}{part}->{self.target}"

    @property
    def rows_per_input(self) -> int:
        """Synapse rows that each copy takes: an excitatory and an inhibitory one, or one of its source's sign."""
        return 2 if self.signs is None else 1


@brief
@dataclass(frozen=True, eq=False)
class Network:
    """Populations and projections.

    Attributes
    ----------
    n_inputs : int
        External input channels, those of the biases included.
    populations : tuple of Population
    projections : tuple of Projection
    bias_times_us : tuple of float
        The last input channels are biases: each spikes once in every sample, at its time in us.
    output : str
        Name of the population that answers, by default the last one: one neuron a class.

    Raises
    ------
    InvalidInputError, ArrayError
        Names that are used twice or refer to nothing, no copies, a part outside its source, masks or signs of another
        shape, or a source that does not spike.
    """

    n_inputs: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    bias_times_us: tuple[float, ...] = ()
    output: str = ""

    def __post_init__(self) -> None:
        _set(self, "n_inputs", arguments.whole_number(self.n_inputs, "n_inputs"))
        for field, kind in (("populations", Population), ("projections", Projection)):
            parts = enumerate(getattr(self, field))
            kinds = (arguments.of_type(p, f"{field}[{k}]", kind, f"a {kind.__name__}") for k, p in parts)
            _set(self, field, tuple(kinds))
        if not self.populations:
            raise InvalidInputError("a network needs at least one population", field="populations")
        if len(self.bias_times_us) > self.n_inputs:
            raise InvalidInputError(
                f"{len(self.bias_times_us)} biases, but {self.n_inputs} input channels", field="bias_times_us"
            )
        names = [p.name for p in self.populations]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise InvalidInputError(f"two populations are called {twice[0]!r}", field="populations")
        if not self.output:
            _set(self, "output", names[-1])
        self.population(self.output)
        for k, projection in enumerate(self.projections):
            self._check(projection, f"projections[{k}]", names)
        _set(self, "populations", tuple(self._with_gain(p) for p in self.populations))
        for population in self.populations:
            if population.relay:
                self._check_relays(population)

    def _check(self, projection: Projection, field: str, names: list[str]) -> None:
        for end, allowed in (("source", [INPUT, *names]), ("target", names)):
            if getattr(projection, end) not in allowed:
                raise _unknown(getattr(projection, end), f"{field}.{end}", allowed)
        if projection.source != INPUT and not self.population(projection.source).spiking:
            raise InvalidInputError(
                f"{projection.source!r} does not spike, so it can drive nothing", field=f"{field}.source"
            )
        first, last = self.sources(projection)
        size = self.source_size(projection.source)
        if not 0 <= first < last <= size:
            raise InvalidInputError(
                f"part {first}..{last} is empty or outside the {size} sources of {projection.source!r}",
                field=f"{field}.part",
            )
        pairs = (last - first, self.population(projection.target).size)
        if projection.mask is not None and projection.mask.shape != pairs:
            raise ArrayError(f"must be bool {list(pairs)}, got {_what(projection.mask)}", field=f"{field}.mask")
        signs = projection.signs
        if signs is not None and signs.shape != pairs[:1]:
            raise ArrayError(f"must be {pairs[0]} numbers 1 or -1, got {_what(signs)}", field=f"{field}.signs")

    def _check_relays(self, population: Population) -> None:
        """Every delay neuron hears one source."""
        onto = [self.projections[k] for k in self.onto(population.name)]
        sources = sum((self.connected(p).sum(axis=0) for p in onto), np.zeros(population.size, np.int64))
        if any(p.signs is not None for p in onto) or not (sources == 1).all():
            raise InvalidInputError(
                f"delay neurons have one source each, without a sign; neuron {int((sources != 1).argmax())} of "
                f"{population.name!r} has {int(sources[(sources != 1).argmax()])}",
                field=f"{population.name}.relay",
                hint="connect them one to one",
            )

    def _with_gain(self, population: Population) -> Population:
        """A population whose synaptic gain makes the membrane between leak and threshold 0..`model_threshold`."""
        onto = self.onto(population.name)
        if not isnan(population.synapse_gain_mv_per_us):
            return population
        scale = self.projections[onto[0]].scale_weights if onto else 1.0
        for k in onto:
            if self.projections[k].scale_weights != scale:
                raise InvalidInputError(
                    f"{self.projections[k].scale_weights:g} weight codes per unit, but another projection onto "
                    f"{population.name!r} has {scale:g}: neurons have one synaptic gain for all their inputs",
                    field=f"projections[{k}].scale_weights",
                    hint="use copies where weights must be larger",
                )
        swing_mv = population.v_threshold_mv - population.v_leak_mv
        if swing_mv <= 0:
            text = f"{population.v_threshold_mv:g} mV is not above v_leak_mv = {population.v_leak_mv:g} mV"
            raise InvalidInputError(text, field=f"{population.name}.v_threshold_mv")
        gain = swing_mv / population.model_threshold / (scale * population.tau_syn_us)
        return replace(population, synapse_gain_mv_per_us=gain if onto else 0.0)

    def population(self, name: str) -> Population:
        """Population of that name.

        Raises
        ------
        InvalidInputError
            There is none.
        """
        for population in self.populations:
            if population.name == name:
                return population
        raise _unknown(name, "population", [p.name for p in self.populations])

    @property
    def n_features(self) -> int:
        """Input channels without those of the biases."""
        return self.n_inputs - len(self.bias_times_us)

    @property
    def n_outputs(self) -> int:
        """Neurons of the population that answers."""
        return self.population(self.output).size

    @cached_property
    def spiking(self) -> tuple[str, ...]:
        """Names of the populations that spike."""
        return tuple(p.name for p in self.populations if p.spiking)

    def holds_delays(self, projection: Projection) -> bool:
        """Whether a projection has delays in us in its matrix, from an event to the spike of a delay neuron."""
        return self.population(projection.target).relay

    def onto(self, population: str) -> list[int]:
        """Numbers of the projections onto a population, in their order."""
        return [k for k, p in enumerate(self.projections) if p.target == population]

    def source_size(self, source: str) -> int:
        """Channels of the input, or neurons of a population."""
        return self.n_inputs if source == INPUT else self.population(source).size

    def sources(self, projection: Projection) -> tuple[int, int]:
        """First source of a projection, and one past its last."""
        return projection.part or (0, self.source_size(projection.source))

    def weight_shape(self, projection: Projection) -> tuple[int, int]:
        """Shape of a projection's weight matrix: ``[n_sources * copies, n_target]``."""
        first, last = self.sources(projection)
        return (last - first) * projection.copies, self.population(projection.target).size

    def connected(self, projection: Projection) -> NDArray[np.bool_]:
        """Which weights of a projection exist, [n_sources * copies, n_target]: all of them without a mask."""
        if projection.mask is None:
            return np.ones(self.weight_shape(projection), np.bool_)
        return np.repeat(projection.mask, projection.copies, axis=0)

    def n_rows(self, projection: Projection) -> int:
        """Rows of a projection's weight matrix in which any weight exists: each takes synapse rows."""
        if projection.mask is None:
            return self.weight_shape(projection)[0]
        return int(projection.mask.any(axis=1).sum()) * projection.copies

    def fan_in(self, population: str) -> int:
        """Inputs of the neurons of a population."""
        return sum(self.n_rows(p) for p in self.projections if p.target == population)

    def synapse_rows(self, population: str) -> int:
        """Synapse rows that the inputs of a population's neurons need: two for an input, one where it has a sign."""
        return sum(self.n_rows(p) * p.rows_per_input for p in self.projections if p.target == population)

    def initial_weights(self, projection: Projection, rng: np.random.Generator) -> NDArray[np.float64]:
        """Normally distributed model weights of a projection.

        Returns
        -------
        float64 [n_sources * copies, n_target]
            With `Projection.init_mean` and `init_std`, which are those of the magnitudes where sources have signs (of
            the other sign: 0); 0 where nothing is connected.
        """
        weights = rng.normal(projection.init_mean, projection.init_std, self.weight_shape(projection))
        return self.as_wired(projection, weights)

    def as_wired(self, projection: Projection, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights drawn without regard to signs and mask, as they may be: magnitudes with signs, 0 where nothing is."""
        if projection.signs is not None:
            weights = np.maximum(weights, 0.0) * np.repeat(projection.signs, projection.copies)[:, None]
        return weights if projection.mask is None else weights * self.connected(projection)

    def limits(self, projection: Projection, code_max: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest model weights a projection may have.

        Parameters
        ----------
        projection : Projection
        code_max : int
            Largest weight code of the chip.

        Returns
        -------
        low, high : float64, broadcast to [n_sources * copies, n_target]
            Equal and 0 where nothing is connected; of one sign where a source has one.
        """
        largest = code_max / projection.scale_weights
        low, high = np.full((1, 1), -largest), np.full((1, 1), largest)
        if projection.signs is not None:
            sign = np.repeat(projection.signs, projection.copies)[:, None]
            low, high = np.where(sign > 0, 0.0, low), np.where(sign > 0, high, 0.0)
        if projection.mask is not None:
            connected = self.connected(projection)
            low, high = np.where(connected, low, 0.0), np.where(connected, high, 0.0)
        return low, high


def _unknown(name: str, field: str, known: list[str]) -> InvalidInputError:
    return InvalidInputError(f"no population is called {name!r}", field=field, hint="known: " + ", ".join(known))


def _what(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _set(owner: object, name: str, value: object) -> None:
    """Put a checked value in the place of what was given."""
    object.__setattr__(owner, name, value)
