"""Networks made in Python, as the section of the settings that makes them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hxloop.codes.boot import OperatingPoint
from hxloop.codes.neuron_model import NeuronModel
from hxloop.errors import InvalidInputError
from hxloop.network import INPUT
from hxloop_host.settings.network_settings import BIAS, PopulationNetwork, PopulationSettings, ProjectionSettings

if TYPE_CHECKING:
    from hxloop.network import Network, Population, Projection

_SAME = 1e-9
_NO_TERMS = NeuronModel()


def settings_of(network: Network) -> PopulationNetwork:
    """Section ``[network]`` of a network.

    Raises
    ------
    InvalidInputError
        What settings cannot say: synaptic gains of one's own, a bias that drives several projections or none, and
        projections from features and biases together.
    """
    biases = iter(range(network.n_features, network.n_inputs))
    projections = [ProjectionSettings(**_projection(network, k, biases)) for k in range(len(network.projections))]
    unused = next(biases, None)
    if unused is not None:
        raise InvalidInputError(f"channel {unused} is a bias, but drives nothing", field="bias_times_us")
    return PopulationNetwork(
        populations=[PopulationSettings(**_population(network, p)) for p in network.populations],
        projections=projections,
        output=network.output,
    )


def _population(network: Network, population: Population) -> dict[str, Any]:
    name = population.name
    onto = network.onto(name)
    swing_mv = population.v_threshold_mv - population.v_leak_mv
    codes_per_unit = population.synapse_gain_mv_per_us * population.tau_syn_us * population.model_threshold
    if population.relay:
        return {"name": name, "size": population.size, "relay": True}
    if onto and abs(codes_per_unit * network.projections[onto[0]].scale_weights / swing_mv - 1.0) > _SAME:
        raise InvalidInputError(
            f"{population.synapse_gain_mv_per_us:g} mV/us is not what threshold and weight scale make it",
            field=f"{name}.synapse_gain_mv_per_us",
            hint="leave it out",
        )
    kept = [*OperatingPoint.model_fields, "name", "size", "spiking", "model_threshold", "circuits_per_neuron"]
    values = {key: getattr(population, key) for key in kept if key != "synapse_gain_mv_per_us"}
    terms = {} if population.model is None else vars(population.model)
    return values | {key: value for key, value in terms.items() if value != getattr(_NO_TERMS, key)}


def _projection(network: Network, k: int, biases: Any) -> dict[str, Any]:
    projection = network.projections[k]
    values: dict[str, Any] = {
        key: getattr(projection, key) for key in ("target", "copies", "scale_weights", "init_mean", "init_std")
    }
    values |= _source(network, projection, f"projections[{k}].part", biases)
    if projection.label and projection.label != f"{values['source']}->{projection.target}":
        values["label"] = projection.label
    if projection.mask is not None:
        values["connected"] = ["".join("01"[pair] for pair in row) for row in projection.mask.astype(int).tolist()]
    if projection.signs is not None:
        values["signs"] = "".join("+" if sign > 0 else "-" for sign in projection.signs.tolist())
    return values


def _source(network: Network, projection: Projection, field: str, biases: Any) -> dict[str, Any]:
    """Source and part, or bias and its time."""
    first, last = network.sources(projection)
    n_sources = network.n_features if projection.source == INPUT else network.source_size(projection.source)
    if last <= n_sources:
        part = None if (first, last) == (0, n_sources) else [first, last]
        return {"source": projection.source, "part": part}
    if first < n_sources or last != first + 1:
        raise InvalidInputError(
            f"channels {first}..{last} are features and biases, or several biases",
            field=field,
            hint="give features and each bias projections of their own",
        )
    if next(biases, None) != first:
        raise InvalidInputError(
            f"channel {first} is a bias; biases drive one projection each, in their order", field=field
        )
    return {"source": BIAS, "bias_time_us": network.bias_times_us[first - n_sources]}
