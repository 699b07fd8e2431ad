"""Networks of settings: populations and projections with everything that rules and the placing ask of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hxloop.network import INPUT, Network, Population, Projection
from hxloop_host.network.layers import layer_names

if TYPE_CHECKING:
    from hxloop_host.settings.experiment_settings import NeuronSettings, Settings


def build_network(settings: Settings, n_features: int) -> Network:
    """Network of an experiment.

    Parameters
    ----------
    settings : Settings
    n_features : int
        Input channels without those of the biases; these follow, in the order of the layers.

    Returns
    -------
    Network
        For each layer, its afferents and then its bias, if any.
    """
    network, neuron = settings.network, settings.neuron
    names = layer_names(len(network.sizes))
    projections: list[Projection] = []
    bias_times_us: list[float] = []
    for k, name in enumerate(names):
        onto = partial(
            Projection,
            target=name,
            scale_weights=neuron.scale_weights,
            init_mean=network.init_mean[k],
            init_std=network.init_std[k],
        )
        source, part = (names[k - 1], None) if k else (INPUT, (0, n_features))
        projections.append(onto(source, copies=network.copies[k], part=part, label=name))
        if network.bias_copies[k]:
            channel = n_features + len(bias_times_us)
            bias_times_us.append(network.bias_times[k] * neuron.tau_syn_us)
            bias = (channel, channel + 1)
            projections.append(onto(INPUT, copies=network.bias_copies[k], part=bias, label=f"{name}_bias"))
    populations = tuple(_layer(name, size, neuron) for name, size in zip(names, network.sizes, strict=True))
    return Network(n_features + len(bias_times_us), populations, tuple(projections), tuple(bias_times_us))


def _layer(name: str, size: int, neuron: NeuronSettings) -> Population:
    return Population(
        name,
        size,
        tau_mem_us=neuron.tau_mem_us,
        tau_syn_us=neuron.tau_syn_us,
        t_refractory_us=neuron.t_refractory_us,
        v_leak_mv=neuron.v_leak_mv,
        v_reset_mv=neuron.v_reset_mv,
        v_threshold_mv=neuron.v_threshold_mv,
        synapse_gain_mv_per_us=neuron.synapse_gain_mv_per_us,
        model_threshold=neuron.model_threshold,
    )
