"""Section ``[network]`` of the settings: layers, or any populations and projections.

Both forms say how many neurons of which name there are; what else they have is of interest to
`hxloop_host.network.building` alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from hxloop.codes.neuron_model import NeuronModel
from hxloop.errors import InvalidInputError
from hxloop.kit.ranges import TAU_SYN, Count, CountOrZero, Fraction, NotNegative, Positive, Signed
from hxloop.kit.strict import Strict, WrongFieldError
from hxloop.network import INPUT

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

MOST_LAYERS: Final = 100
BIAS: Final = "bias"
"""Source of a projection that is an input of its own, which spikes once in every sample."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
Pairs = Annotated[str, StringConstraints(pattern=r"^[01]{1,8192}$")]
Signs = Annotated[str, StringConstraints(pattern=r"^[+-]{1,65536}$")]
Share = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]


_NEEDS: Final = {
    "adaptation_a_ns": ("tau_adaptation_us",),
    "adaptation_b_na": ("tau_adaptation_us",),
    "v_adapt_leak_mv": ("tau_adaptation_us",),
    "v_exp_mv": ("exponential_na",),
    "v_reference_mv": ("reversal_exc_mv", "reversal_inh_mv"),
}
"""Keys of a term of the neuron, and what switches the term on."""


class NetworkSettings(Strict):
    """A network: its layers (`LayeredNetwork`), or its populations and projections (`PopulationNetwork`)."""

    if TYPE_CHECKING:

        @property
        def names(self) -> list[str]:
            """Names of the populations."""

        @property
        def sizes(self) -> list[int]:
            """Neurons of each population."""

        @property
        def n_outputs(self) -> int:
            """Neurons of the population that answers."""

        @property
        def has_delays(self) -> bool:
            """Whether there are delay neurons."""

        def check(self, duration: float, tau_syn_us: float) -> None:
            """Refuse times that no sample has.

            Parameters
            ----------
            duration : float, tau_syn
                Length of a sample.
            tau_syn_us : float

            Raises
            ------
            WrongFieldError
            """


class LayeredNetwork(NetworkSettings):
    """Layers, the label layer last. Lists have one entry per layer."""

    sizes: Annotated[list[Count], Field(min_length=1, max_length=MOST_LAYERS)] = Field(
        description="neurons of each layer"
    )
    copies: list[Count] = Field(description="signed rows driven by every afferent neuron or input")
    bias_copies: list[CountOrZero] = Field(description="signed rows driven by the layer's bias spike, 0: no bias")
    bias_times: list[NotNegative] = Field(description="time of the layer's bias spike", json_schema_extra=TAU_SYN)
    init_mean: list[Signed] = Field(description="mean of the initial model weights")
    init_std: list[NotNegative] = Field(description="standard deviation of the initial model weights")

    @model_validator(mode="after")
    def _check(self) -> LayeredNetwork:
        layers = len(self.sizes)
        for key in ("copies", "bias_copies", "bias_times", "init_mean", "init_std"):
            if len(getattr(self, key)) != layers:
                raise WrongFieldError(key, f"{key} needs one entry for each of the {layers} layers in network.sizes")
        return self

    @property
    def names(self) -> list[str]:
        """``hidden`` (``hidden1``, ``hidden2``, ... if there are several) and ``output``."""
        n_hidden = len(self.sizes) - 1
        return [*(["hidden"] if n_hidden == 1 else [f"hidden{k + 1}" for k in range(n_hidden)]), "output"]

    @property
    def n_outputs(self) -> int:
        """Neurons of the label layer."""
        return self.sizes[-1]

    @property
    def has_delays(self) -> bool:
        """Layers have none."""
        return False

    def check(self, duration: float, tau_syn_us: float) -> None:
        """Refuse bias spikes that no sample has; see `NetworkSettings.check`."""
        del tau_syn_us
        for k, (copies, time) in enumerate(zip(self.bias_copies, self.bias_times, strict=True)):
            if copies and time >= duration:
                raise WrongFieldError(
                    f"bias_times[{k}]", f"a bias spike must come before coding.duration ({duration:g} tau_syn)"
                )


class PopulationSettings(Strict):
    """Neurons with equal parameters; what is left out is that of the section ``[neuron]``."""

    name: Name = Field(description="name of the population")
    size: Count = Field(description="number of neurons")
    spiking: bool = Field(
        True, description="false: leaky integrators, read out by their membranes; the threshold is then only a scale"
    )
    relay: bool = Field(
        False, description="delay neurons, each a pair of circuits that spikes so many us after its one source as the "
        "projection onto it says; their other parameters are fixed"
    )  # fmt: skip
    tau_mem_us: Positive | None = Field(None, description="membrane time constant")
    tau_syn_us: Positive | None = Field(None, description="synaptic time constants")
    t_refractory_us: NotNegative | None = Field(None, description="refractory period")
    v_leak_mv: Signed | None = Field(None, description="leak potential")
    v_reset_mv: Signed | None = Field(None, description="reset potential")
    v_threshold_mv: Signed | None = Field(None, description="spike threshold")
    model_threshold: Positive | None = Field(None, description="threshold in units of model weight")
    circuits_per_neuron: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="circuits merged into a neuron (1, 2, 4, ...); by default as few as its rows need"
    )
    tau_adaptation_us: Positive | None = Field(
        None, description="time constant of an adaptation current; by default there is none"
    )
    adaptation_a_ns: Signed | None = Field(None, description="adaptation below threshold, by default 0")
    adaptation_b_na: Signed | None = Field(None, description="step of the adaptation current at a spike, by default 0")
    v_adapt_leak_mv: Signed | None = Field(
        None, description="potential at which adaptation below threshold vanishes, by default the leak potential"
    )
    exponential_na: NotNegative | None = Field(None, description="exponential current at v_exp_mv, by default none")
    v_exp_mv: Signed | None = Field(None, description="potential of the exponential current, by default the threshold")
    reversal_exc_mv: Signed | None = Field(
        None, description="reversal potential that makes excitatory inputs conductance-based; by default they are not"
    )
    reversal_inh_mv: Signed | None = Field(None, description="the same of inhibitory inputs")
    v_reference_mv: Signed | None = Field(
        None,
        description="potential at which a conductance-based input is as strong as others, by default half-way from "
        "leak to threshold",
    )

    @model_validator(mode="after")
    def _check(self) -> PopulationSettings:
        if self.name in {INPUT, BIAS}:
            raise WrongFieldError("name", f"a population cannot be called {self.name!r}")
        merged = self.circuits_per_neuron
        if merged is not None and merged & (merged - 1):
            raise WrongFieldError(
                "circuits_per_neuron", f"circuits merge in powers of two (1, 2, 4, ...), got {merged}"
            )
        for key, needs in _NEEDS.items():
            if getattr(self, key) is not None and all(getattr(self, term) is None for term in needs):
                raise WrongFieldError(key, f"{key} needs {' or '.join(needs)}")
        return self

    @model_serializer(mode="wrap")
    def _without_no_relay(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Values; neurons that are no delay neurons are written as before there were any (names of points hash it)."""
        values: dict[str, Any] = values_of(self)
        if not self.relay:
            values.pop("relay", None)
        return values

    @property
    def model(self) -> NeuronModel | None:
        """Terms beyond leaky integrate-and-fire, None where there are none."""
        given = {item.name: getattr(self, item.name) for item in fields(NeuronModel)}
        given = {name: value for name, value in given.items() if value is not None}
        return NeuronModel(**given) if given else None


class ProjectionSettings(Strict):
    """Connections from one source to one target."""

    source: str = Field(description="input, bias, or the name of a population (the target itself: recurrence)")
    target: str = Field(description="name of a population")
    copies: Count = Field(1, description="synapses from every source to every target, each with a weight of its own")
    bias_time_us: NotNegative | None = Field(None, description="bias: time of its spike in every sample")
    scale_weights: Positive | None = Field(
        None, description="weight codes per unit of model weight, by default those of [neuron]; a target has only one"
    )
    mask: Literal["all", "one_to_one", "not_self", "one_to_many", "many_to_one"] = Field(
        "all", description="pairs that may be connected: all, of equal number, or of different number; one_to_many: "
        "each source with as many targets in a row; many_to_one: targets in turn with one source each"
    )  # fmt: skip
    density: Share = Field(1.0, description="share of these that is connected, drawn at random")
    seed: Seed = Field(0, description="names the random draw of density")
    connected: list[Pairs] | None = Field(
        None, description="instead of mask and density: for each source a text of 0 and 1, one for each target"
    )
    sign: Literal["both", "excitatory", "inhibitory", "dale"] = Field(
        "both", description="of a source's weights: any, or one (one synapse row instead of two); dale: by inhibitory"
    )
    inhibitory: Fraction = Field(0.2, description="dale: share of the sources that are inhibitory, the last ones")
    signs: Signs | None = Field(None, description="instead of sign: a text of + and -, one for each source")
    part: Annotated[list[CountOrZero], Field(min_length=2, max_length=2)] | None = Field(
        None, description="first source that projects, and one past the last; by default all"
    )
    init_mean: Signed = Field(
        0.0, description="mean of the initial model weights; of sources with a sign, of their magnitudes; onto "
        "delay neurons: of the delays in us"
    )  # fmt: skip
    init_std: NotNegative = Field(description="standard deviation of the initial model weights")
    label: Name | None = Field(None, description="name of the projection, by default source->target")

    @property
    def name(self) -> str:
        """The label, or ``source->target``."""
        return self.label or f"{self.source}->{self.target}"

    @model_validator(mode="after")
    def _check(self) -> ProjectionSettings:
        if (self.source == BIAS) != (self.bias_time_us is not None):
            raise WrongFieldError("bias_time_us", "a projection from bias has a bias_time_us, and no other has")
        if self.connected is not None and (self.mask != "all" or self.density != 1.0):
            raise WrongFieldError("connected", "connected says which pairs are connected; leave out mask and density")
        if self.signs is not None and self.sign != "both":
            raise WrongFieldError("signs", "signs says which sign every source has; leave out sign")
        if self.part is not None and self.source == BIAS:
            raise WrongFieldError("part", "bias is a single source and has no part")
        if self.mask == "not_self" and self.part is not None:
            raise WrongFieldError("part", "not_self needs all sources")
        if self.mask == "not_self" and self.source != self.target:
            raise WrongFieldError(
                "mask", f"not_self is for recurrence, but this goes from {self.source} to {self.target}"
            )
        return self


class PopulationNetwork(NetworkSettings):
    """Populations and projections."""

    populations: Annotated[list[PopulationSettings], Field(min_length=1, max_length=MOST_LAYERS)] = Field(
        description="populations of neurons"
    )
    projections: Annotated[list[ProjectionSettings], Field(min_length=1, max_length=10 * MOST_LAYERS)] = Field(
        description="projections between them"
    )
    output: Name | None = Field(None, description="population that answers, one neuron a class; by default the last")

    @model_validator(mode="after")
    def _check(self) -> PopulationNetwork:
        _refuse_twice(self.names, "populations", "name")
        _refuse_twice([p.name for p in self.projections], "projections", "label")
        if self.output is not None and self.output not in self.names:
            text = f"no population is called {self.output!r}, there are: {', '.join(self.names)}"
            raise WrongFieldError("output", text)
        spiking = {p.name: p.spiking for p in self.populations}
        for k, projection in enumerate(self.projections):
            for end, more in (("source", [INPUT, BIAS]), ("target", [])):
                name = getattr(projection, end)
                if name not in [*self.names, *more]:
                    known = ", ".join([*more, *self.names])
                    raise WrongFieldError(
                        f"projections.{k}.{end}", f"no population is called {name!r}, there are: {known}"
                    )
            if not spiking.get(projection.source, True):
                text = f"{projection.source} does not spike, so it can drive nothing"
                raise WrongFieldError(f"projections.{k}.source", text)
        return self

    @property
    def names(self) -> list[str]:
        """Names of the populations."""
        return [p.name for p in self.populations]

    @property
    def has_delays(self) -> bool:
        """Whether there are delay neurons."""
        return any(p.relay for p in self.populations)

    @property
    def sizes(self) -> list[int]:
        """Neurons of each population."""
        return [p.size for p in self.populations]

    @property
    def n_outputs(self) -> int:
        """Neurons of the population that answers."""
        return self.sizes[self.names.index(self.output or self.names[-1])]

    def check(self, duration: float, tau_syn_us: float) -> None:
        """Refuse bias spikes that no sample has; see `NetworkSettings.check`."""
        for k, projection in enumerate(self.projections):
            if projection.bias_time_us is not None and projection.bias_time_us >= duration * tau_syn_us:
                raise WrongFieldError(
                    f"projections.{k}.bias_time_us",
                    f"a bias spike must come before coding.duration ({duration * tau_syn_us:g} us)",
                )


def layered(network: NetworkSettings) -> LayeredNetwork:
    """The layers of a network.

    Raises
    ------
    InvalidInputError
        It has none.
    """
    if not isinstance(network, LayeredNetwork):
        raise InvalidInputError("the network is not made of layers", field="network")
    return network


class NetworkForm:
    """Annotation of the section: a mapping is read as the form that its keys belong to."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate by the form, and write all that it has."""
        return core_schema.no_info_before_validator_function(
            _read, handler(source), serialization=core_schema.simple_ser_schema("any")
        )


def _read(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    general = [key for key in PopulationNetwork.model_fields if key in value]
    of_layers = [key for key in LayeredNetwork.model_fields if key in value]
    if general and of_layers:
        text = f"belongs to a network of layers, but this one has {general[0]}"
        kind = PydanticCustomError("value_error", "{text}", {"text": text, "hint": "use one of the two forms"})
        lines = [InitErrorDetails(type=kind, loc=(of_layers[0],), input=None)]
        raise ValidationError.from_exception_data("network", lines)
    form = PopulationNetwork if general else LayeredNetwork
    try:
        return form.model_validate(value)
    except ValidationError as error:
        raise _with_keys(form, error) from None


def _with_keys(form: type[NetworkSettings], error: ValidationError) -> ValidationError:
    """Tell of misspelt keys which ones there are; they come first, as in all settings."""
    unknown = [found for found in error.errors() if found["type"] == "extra_forbidden"]
    if not unknown:
        return error
    lines = []
    for found in unknown:
        kind = PydanticCustomError("extra_forbidden", "unknown key", {"known": _keys_beside(form, found["loc"])})
        lines.append(InitErrorDetails(type=kind, loc=found["loc"], input=found["input"]))
    return ValidationError.from_exception_data(form.__name__, lines)


def _keys_beside(form: type[NetworkSettings], loc: tuple[int | str, ...]) -> list[str]:
    """Keys of the table that an unknown key is in."""
    model: type[Strict] = form
    if len(loc) == 3 and loc[0] in ("populations", "projections"):
        model = PopulationSettings if loc[0] == "populations" else ProjectionSettings
    return [".".join(["network", *map(str, loc[:-1]), key]) for key in model.model_fields]


def _refuse_twice(names: list[str], what: str, key: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        last = len(names) - 1 - names[::-1].index(twice[0])
        raise WrongFieldError(f"{what}.{last}.{key}", f"two {what} are called {twice[0]!r}")
