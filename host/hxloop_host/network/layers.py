"""The layered networks of experiments: their wiring, their weight matrices, and what arrives at each layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.network import INPUT, Network, Population, Projection
from hxloop.seeds import generator
from hxloop_host.settings.network_settings import layered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop_host.network.weight_codes import Codes
    from hxloop_host.settings.experiment_settings import Settings


@dataclass(frozen=True)
class Layer:
    """One layer: its weight matrix has one row per signed input, those of the bias last.

    Attributes
    ----------
    name : str
        Name of the population.
    size : int
        Neurons.
    n_afferent : int
        Inputs, or neurons of the layer before.
    copies : int
        Rows driven by each of them.
    bias_copies : int
        Rows driven by the bias spike.
    bias_channel : int
        Input channel of the bias, -1 without one.
    bias_time : float
        Time of the bias spike in tau_syn.
    """

    name: str
    size: int
    n_afferent: int
    copies: int
    bias_copies: int
    bias_channel: int
    bias_time: float

    @property
    def weight_shape(self) -> tuple[int, int]:
        """Signed inputs and neurons."""
        return self.n_afferent * self.copies + self.bias_copies, self.size

    def arrivals(self, afferent: NDArray[np.float64], inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Times at which events reach the layer's rows.

        Parameters
        ----------
        afferent : float64 [n_samples, n_afferent]
            Arrival times of the layer before.
        inputs : float64 [n_samples, n_channels]
            Times of the input channels.

        Returns
        -------
        float64 [n_samples, n_rows]
        """
        rows = afferent if self.copies == 1 else np.repeat(afferent, self.copies, axis=1)
        if not self.bias_copies:
            return rows
        return np.hstack([rows, np.repeat(inputs[:, [self.bias_channel]], self.bias_copies, axis=1)])

    def afferent_gradient(self, grad_rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gradient of the afferent times [n_samples, n_afferent] from that of the rows [n_samples, n_rows]."""
        main = grad_rows[:, : self.n_afferent * self.copies]
        return np.asarray(main.reshape(len(main), self.n_afferent, self.copies).sum(axis=2))


def layer_names(n_layers: int) -> list[str]:
    """Names of the populations: ``hidden`` (``hidden1``, ``hidden2``, ... if there are several) and ``output``."""
    n_hidden = n_layers - 1
    return [*(["hidden"] if n_hidden == 1 else [f"hidden{k + 1}" for k in range(n_hidden)]), "output"]


def build_layers(settings: Settings, n_features: int) -> list[Layer]:
    """Layers of an experiment; channel ``f`` is feature ``f``, bias channels follow."""
    network, layers = layered(settings.network), []
    n_afferent, channel = n_features, n_features
    for k, size in enumerate(network.sizes):
        name = layer_names(len(network.sizes))[k]
        biased = network.bias_copies[k] > 0
        layers.append(
            Layer(
                name, size, n_afferent, network.copies[k], network.bias_copies[k], channel if biased else -1,
                network.bias_times[k],
            )
        )  # fmt: skip
        channel += biased
        n_afferent = size
    return layers


def build_network(settings: Settings, layers: list[Layer]) -> Network:
    """Populations and projections, for each layer its afferents and then its bias, if any."""
    neuron = settings.neuron
    populations = tuple(
        Population(
            layer.name,
            layer.size,
            tau_mem_us=neuron.tau_mem_us,
            tau_syn_us=neuron.tau_syn_us,
            t_refractory_us=neuron.t_refractory_us,
            v_leak_mv=neuron.v_leak_mv,
            v_reset_mv=neuron.v_reset_mv,
            v_threshold_mv=neuron.v_threshold_mv,
            synapse_gain_mv_per_us=neuron.synapse_gain_mv_per_us,
        )
        for layer in layers
    )
    n_features, source, projections = layers[0].n_afferent, INPUT, []
    for layer in layers:
        part = (0, n_features) if source == INPUT else None
        projections.append(Projection(source, layer.name, layer.copies, part))
        if layer.bias_copies:
            bias = (layer.bias_channel, layer.bias_channel + 1)
            projections.append(Projection(INPUT, layer.name, layer.bias_copies, bias))
        source = layer.name
    n_biases = sum(layer.bias_copies > 0 for layer in layers)
    return Network(n_features + n_biases, populations, tuple(projections))


def split_by_projection(layers: list[Layer], matrices: Sequence[Codes]) -> list[Codes]:
    """Matrices of the projections of `build_network` (views) from those of the layers."""
    parts: list[Codes] = []
    for layer, matrix in zip(layers, matrices, strict=True):
        n_main = layer.n_afferent * layer.copies
        parts.append(matrix[:n_main])
        if layer.bias_copies:
            parts.append(matrix[n_main:])
    return parts


def initial_weights(settings: Settings, layers: list[Layer], seed: int) -> list[NDArray[np.float64]]:
    """Normally distributed model weights, float64 [n_rows, n_neurons] per layer."""
    network = layered(settings.network)
    return [
        generator(seed, "weights", k).normal(network.init_mean[k], network.init_std[k], layer.weight_shape)
        for k, layer in enumerate(layers)
    ]
