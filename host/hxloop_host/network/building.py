"""Networks of settings: populations and projections with everything that rules and the placing ask of them."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.boot import OperatingPoint
from hxloop.errors import InvalidInputError
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.seeds import generator
from hxloop_host.settings.network_settings import BIAS, PopulationNetwork, layered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop_host.settings.experiment_settings import NeuronSettings, Settings
    from hxloop_host.settings.network_settings import LayeredNetwork, PopulationSettings, ProjectionSettings


MOST_PAIRS: Final = 2**26
"""Most pairs of sources and targets of a projection: synapses of the largest chip, that of the textbook."""


def build_network(settings: Settings, n_features: int) -> Network:
    """Network of an experiment.

    Parameters
    ----------
    settings : Settings
    n_features : int
        Input channels without those of the biases; these follow, in the order of the layers or projections.

    Returns
    -------
    Network
        Of layers: for each one, its afferents and then its bias, if any.

    Raises
    ------
    InvalidInputError
        What settings cannot know by themselves: projections onto a population with different weight scales, a
        threshold that is not above leak, or pairs of sources and targets that are not as many.
    """
    if isinstance(settings.network, PopulationNetwork):
        return _of_populations(settings.network, settings.neuron, n_features)
    return _of_layers(layered(settings.network), settings.neuron, n_features)


def _of_layers(network: LayeredNetwork, neuron: NeuronSettings, n_features: int) -> Network:
    projections: list[Projection] = []
    bias_times_us: list[float] = []
    for k, name in enumerate(network.names):
        onto = partial(
            Projection,
            target=name,
            scale_weights=neuron.scale_weights,
            init_mean=network.init_mean[k],
            init_std=network.init_std[k],
        )
        source, part = (network.names[k - 1], None) if k else (INPUT, (0, n_features))
        projections.append(onto(source, copies=network.copies[k], part=part, label=name))
        if network.bias_copies[k]:
            channel = n_features + len(bias_times_us)
            bias_times_us.append(network.bias_times[k] * neuron.tau_syn_us)
            bias = (channel, channel + 1)
            projections.append(onto(INPUT, copies=network.bias_copies[k], part=bias, label=f"{name}_bias"))
    populations = tuple(_layer(name, size, neuron) for name, size in zip(network.names, network.sizes, strict=True))
    return Network(n_features + len(bias_times_us), populations, tuple(projections), tuple(bias_times_us))


def _layer(name: str, size: int, neuron: NeuronSettings) -> Population:
    return Population(
        name,
        size,
        **OperatingPoint.of(neuron).model_dump(),
        model_threshold=neuron.model_threshold,
    )


def _of_populations(network: PopulationNetwork, neuron: NeuronSettings, n_features: int) -> Network:
    populations = tuple(_population(f"network.populations.{k}", p, neuron) for k, p in enumerate(network.populations))
    size_of = dict(zip(network.names, network.sizes, strict=True)) | {INPUT: n_features, BIAS: 1}
    projections: list[Projection] = []
    bias_times_us: list[float] = []
    for k, projection in enumerate(network.projections):
        field, source, size = f"network.projections.{k}", projection.source, size_of[projection.source]
        part = tuple(projection.part or (0, size))
        if projection.bias_time_us is not None:
            channel = n_features + len(bias_times_us)
            source, part = INPUT, (channel, channel + 1)
            bias_times_us.append(projection.bias_time_us)
        elif not 0 <= part[0] < part[1] <= size:
            text = f"{part[0]}..{part[1]} is empty or outside the {size} sources of {source!r}"
            raise InvalidInputError(text, field=f"{field}.part")
        sizes = part[1] - part[0], size_of[projection.target]
        if sizes[0] * sizes[1] > MOST_PAIRS:
            raise InvalidInputError(
                f"{sizes[0]} sources and {sizes[1]} targets are {sizes[0] * sizes[1]} pairs, more than {MOST_PAIRS}: "
                "no chip has so many synapses",
                field=field,
                hint="use smaller populations",
            )
        projections.append(
            Projection(
                source,
                projection.target,
                projection.copies,
                (part[0], part[1]),
                scale_weights=projection.scale_weights or neuron.scale_weights,
                mask=_mask(field, projection, k, sizes),
                signs=_signs(field, projection, sizes[0]),
                init_mean=projection.init_mean,
                init_std=projection.init_std,
                label=projection.name,
            )
        )
    n_inputs = n_features + len(bias_times_us)
    try:
        return Network(n_inputs, populations, tuple(projections), tuple(bias_times_us), network.output or "")
    except InvalidInputError as error:
        field = re.sub(r"\[(\d+)\]", r".\1", f"network.{error.field}")
        raise type(error)(error.message, field=field, hint=error.hint) from None


def _population(field: str, given: PopulationSettings, neuron: NeuronSettings) -> Population:
    values = {
        name: getattr(neuron, name) if getattr(given, name) is None else getattr(given, name)
        for name in (*OperatingPoint.model_fields, "model_threshold")
        if name != "synapse_gain_mv_per_us"  # follows from the others
    }
    if given.relay:
        return Population(given.name, given.size, relay=True)
    for below in ("v_leak_mv", "v_reset_mv") if given.spiking else ("v_leak_mv",):
        if values["v_threshold_mv"] <= values[below]:
            raise InvalidInputError(
                f"{values['v_threshold_mv']:g} mV is not above {below} = {values[below]:g} mV",
                field=f"{field}.v_threshold_mv",
            )
    return Population(
        given.name,
        given.size,
        **values,
        circuits_per_neuron=given.circuits_per_neuron,
        model=given.model,
        spiking=given.spiking,
    )


def _mask(field: str, projection: ProjectionSettings, k: int, sizes: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Pairs that are connected, None for all; random ones depend on the projection's seed and place alone."""
    if projection.mask == "one_to_one" and sizes[0] != sizes[1]:
        raise InvalidInputError(
            f"one_to_one needs as many sources as targets, but {projection.source!r} has {sizes[0]} and "
            f"{projection.target!r} has {sizes[1]}",
            field=f"{field}.mask",
        )
    if projection.mask in {"one_to_many", "many_to_one"}:
        large, small = sizes[::-1] if projection.mask == "one_to_many" else sizes
        if large % small:
            raise InvalidInputError(
                f"{projection.mask} needs a multiple of {small}, but there are {large}", field=f"{field}.mask"
            )
    if projection.connected is not None:
        if [len(row) for row in projection.connected] != [sizes[1]] * sizes[0]:
            raise InvalidInputError(
                f"must be {sizes[0]} texts, one for each source, of {sizes[1]} times 0 or 1, one for each target",
                field=f"{field}.connected",
            )
        return np.array([[pair == "1" for pair in row] for row in projection.connected])
    if projection.mask == "all" and projection.density == 1.0:
        return None
    same = np.eye(*sizes, dtype=np.bool_)
    source, target = (np.arange(size) for size in sizes)
    allowed = {
        "all": np.ones(sizes, np.bool_),
        "one_to_one": same,
        "not_self": ~same,
        "one_to_many": source[:, None] == target * sizes[0] // sizes[1],
        "many_to_one": source[:, None] % sizes[1] == target,
    }[projection.mask]
    drawn = generator(projection.seed, "mask", k).random(sizes) < projection.density
    return np.asarray(allowed & drawn)


def _signs(field: str, projection: ProjectionSettings, n_sources: int) -> NDArray[np.int8] | None:
    if projection.signs is not None:
        if len(projection.signs) != n_sources:
            raise InvalidInputError(
                f"{len(projection.signs)} signs, but {n_sources} sources project", field=f"{field}.signs"
            )
        return np.array([1 if sign == "+" else -1 for sign in projection.signs], np.int8)
    if projection.sign == "both":
        return None
    share = {"excitatory": 0.0, "inhibitory": 1.0}.get(projection.sign, projection.inhibitory)
    n_inhibitory = round(share * n_sources)
    return np.repeat(np.array([1, -1], np.int8), [n_sources - n_inhibitory, n_inhibitory])
