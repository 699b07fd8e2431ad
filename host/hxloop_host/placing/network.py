"""Networks as the user thinks of them: populations of neurons and all-to-all projections between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hxloop.errors import InvalidInputError

if TYPE_CHECKING:
    from hxloop_host.placing.neuron_model import NeuronModel

INPUT: Final = "input"
"""Name of the external input as the source of a projection."""


@dataclass(frozen=True)
class Population:
    """Neurons with equal parameters.

    Attributes
    ----------
    name : str
        Unique name; not ``input``.
    size : int
        Number of neurons.
    tau_mem_us, tau_syn_us, t_refractory_us : float
        Time constants and refractory period in us of hardware time.
    v_leak_mv, v_reset_mv, v_threshold_mv : float
        Potentials in mV.
    synapse_gain_mv_per_us : float
        Slope of the *neuron's* membrane that one event at weight code 1 causes. The mapping gives each circuit of a
        neuron merged from k circuits k times as much, because its current then counts 1/k.
    circuits_per_neuron : int, optional
        Circuits merged into one neuron (1, 2, 4, 8, ...); by default as few as its signed inputs need.
    model : NeuronModel, optional
        Terms beyond leaky integrate-and-fire: adaptation, exponential term, conductance-based inputs.
    """

    name: str
    size: int
    tau_mem_us: float
    tau_syn_us: float
    t_refractory_us: float
    v_leak_mv: float
    v_reset_mv: float
    v_threshold_mv: float
    synapse_gain_mv_per_us: float
    circuits_per_neuron: int | None = None
    model: NeuronModel | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name == INPUT:
            raise InvalidInputError(f"a population cannot be called {self.name!r}", field="population.name")
        if self.size < 1:
            raise InvalidInputError(f"needs at least one neuron, got {self.size}", field=f"{self.name}.size")
        merged = self.circuits_per_neuron
        if merged is not None and (merged < 1 or merged & (merged - 1)):
            raise InvalidInputError(
                f"circuits merge in powers of two (1, 2, 4, 8, ...), got {merged}",
                field=f"{self.name}.circuits_per_neuron",
            )


@dataclass(frozen=True)
class Projection:
    """All-to-all connections from one source to one target.

    Attributes
    ----------
    source : str
        ``input`` or the name of a population, the target itself for recurrence.
    target : str
        Name of a population.
    copies : int
        Signed rows that every source drives, each with weights of its own (one 6-bit synapse may be too weak); the
        weight matrix has the shape ``[n_sources * copies, n_target]`` and row ``source * copies + copy``.
    part : (int, int), optional
        Only the sources ``part[0] <= s < part[1]`` project, by default all of them.
    """

    source: str
    target: str
    copies: int = 1
    part: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """``source->target``, for messages."""
        return f"{self.source}->{self.target}"


@dataclass(frozen=True)
class Network:
    """Populations and projections.

    Attributes
    ----------
    n_inputs : int
        External input channels.
    populations : tuple of Population
    projections : tuple of Projection

    Raises
    ------
    InvalidInputError
        Names that are used twice or refer to nothing, no copies, or a part outside its source.
    """

    n_inputs: int
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]

    def __post_init__(self) -> None:
        if self.n_inputs < 0:
            raise InvalidInputError(f"cannot be negative, got {self.n_inputs}", field="n_inputs")
        if not self.populations:
            raise InvalidInputError("a network needs at least one population", field="populations")
        twice = [name for name, count in Counter(p.name for p in self.populations).items() if count > 1]
        if twice:
            raise InvalidInputError(f"two populations are called {twice[0]!r}", field="populations")
        names = [p.name for p in self.populations]
        for k, projection in enumerate(self.projections):
            self._check(projection, f"projections[{k}]", names)

    def _check(self, projection: Projection, field: str, names: list[str]) -> None:
        for end, allowed in (("source", [INPUT, *names]), ("target", names)):
            if getattr(projection, end) not in allowed:
                raise InvalidInputError(
                    f"no population is called {getattr(projection, end)!r}",
                    field=f"{field}.{end}",
                    hint="known: " + ", ".join(allowed),
                )
        if projection.copies < 1:
            raise InvalidInputError(f"needs at least one copy, got {projection.copies}", field=f"{field}.copies")
        first, last = self.sources(projection)
        size = self.source_size(projection.source)
        if not 0 <= first < last <= size:
            raise InvalidInputError(
                f"part {first}..{last} is empty or outside the {size} sources of {projection.source!r}",
                field=f"{field}.part",
            )

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
        raise InvalidInputError(
            f"no population is called {name!r}",
            field="population",
            hint="known: " + ", ".join(p.name for p in self.populations),
        )

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

    def fan_in(self, population: str) -> int:
        """Signed inputs of every neuron of a population."""
        return sum(self.weight_shape(p)[0] for p in self.projections if p.target == population)
