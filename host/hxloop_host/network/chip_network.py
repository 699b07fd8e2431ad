"""A network of an experiment on a chip: runs it, reads first spike times, and differentiates at these times."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import InvalidInputError, OutOfRangeError
from hxloop.kit.brief import brief
from hxloop.result import ChipUse
from hxloop.seeds import bench_trial_seed
from hxloop_host.coding.clock_grid import one_spike_a_channel, to_ticks
from hxloop_host.coding.codings import build_coding
from hxloop_host.coding.timed_features import TimedFeatures, refuse_outside
from hxloop_host.learning.first_spike.closed_form import FirstSpikeLayer
from hxloop_host.network.layers import build_layers, build_network, split_by_projection
from hxloop_host.network.measured_strength import MeasuredStrength
from hxloop_host.network.weight_codes import dequantise, quantise
from hxloop_host.placing.mapping import place
from hxloop_host.settings.experiment_settings import DISCRETE_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop.result import Recording
    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch
    from hxloop_host.network.weight_codes import Codes
    from hxloop_host.settings.experiment_settings import NeuronSettings, Settings

DW_NORM_MAX = 0.2
"""Largest norm of a single weight gradient where the settings do not say."""


@brief
@dataclass(frozen=True, eq=False)
class Forward:
    """What a batch did on the chip, in tau_syn since the start of each sample.

    Attributes
    ----------
    t_in : list of float64 [n_samples, n_rows]
        Per layer, when events arrived at its rows: inputs as sent, spikes of the layer before as measured plus the
        chip's routing delay; inf where none.
    t_out : list of float64 [n_samples, n_neurons]
        Per layer, measured first spikes; inf where none.
    """

    t_in: list[NDArray[np.float64]]
    t_out: list[NDArray[np.float64]]


class ChipNetwork:
    """The layers of an experiment, placed on a chip.

    Parameters
    ----------
    settings : Settings
    chip : Chip
    n_features : int
        Features of a sample.
    calibration : CalibrationTable, optional
        Its codes take the place of those the chip boots with, circuits that failed are not used, and gradients are
        those of neurons with the weight scale and the synaptic time constant that were measured.

    Attributes
    ----------
    layers : list of Layer
    use : ChipUse
        Every run is added to it; put a new one in its place to count anew.
    weight_limit : float
        Largest model weight the chip can have.
    clock : int or None
        Number of the next sample in the continuous trial of a chip that stays switched on; None: every run belongs to
        the trial it names.

    Raises
    ------
    DoesNotFitError, OutOfRangeError
        As in `hxloop_host.placing.mapping.place`, and a sample that is longer than the chip can run.
    ChipMismatchError
        The calibration belongs to another chip.
    """

    def __init__(
        self, settings: Settings, chip: Chip, n_features: int, calibration: CalibrationTable | None = None
    ) -> None:
        self.settings = settings
        self.chip = chip
        self.use = ChipUse()
        self.clock: int | None = None
        self.layers = build_layers(settings, n_features)
        network = build_network(settings, self.layers)
        self._measured: MeasuredStrength | None = None
        if calibration is None:
            self.placement = place(network, chip.spec, chip.boot)
        else:
            calibration.check_chip(chip)
            self.placement = place(network, chip.spec, calibration.boot, calibration.usable)
            self._measured = MeasuredStrength(calibration, self.placement)
        self.weight_limit = chip.spec.weight_code_max / settings.neuron.scale_weights
        self._rule = FirstSpikeLayer(settings.neuron.tau_ratio, settings.neuron.model_threshold)
        coding = build_coding(settings.coding, settings.neuron.tau_syn_us)
        if not isinstance(coding, TimedFeatures):
            raise InvalidInputError(
                f"first-spike learning needs one spike a feature, not {settings.coding.kind!r}", field="coding.kind"
            )
        self._coding = coding
        self._config = self.placement.wiring
        self._tau_per_tick = chip.spec.tick_us / settings.neuron.tau_syn_us
        self.duration_ticks = sample_ticks(settings, chip.spec)
        self._sample_us = self.duration_ticks * chip.spec.tick_us

    def start_clock(self, at_s: float) -> None:
        """Make all runs to come one continuous trial, that of calibration, which goes on at this chip time."""
        self.clock = round(at_s * 1e6 / self._sample_us)

    @property
    def clock_s(self) -> float | None:
        """Chip time of the next sample in s, None without a running clock."""
        return None if self.clock is None else self.clock * self._sample_us * 1e-6

    def input_times(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 [n_samples, n_channels] in tau_syn: features, then the bias channels; not yet on the chip's clock."""
        refuse_outside(features)
        times = self._coding.times(features)
        biases = [np.full((len(times), 1), layer.bias_time) for layer in self.layers if layer.bias_copies]
        return np.hstack([times, *biases])

    def on_grid(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Input times as the chip gets them: rounded to its clock, and within the sample."""
        return self._ticks(times) * self._tau_per_tick

    def _ticks(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        return to_ticks(times, self.settings.neuron.tau_syn_us, self.chip.spec.tick_us, self.duration_ticks)

    def codes(self, weights: list[NDArray[np.float64]]) -> list[Codes]:
        """Weight codes per layer that stand for model weights on this chip, with the bits the settings ask for.

        Raises
        ------
        OutOfRangeError
            The chip has not so many bits, or a weight is not finite.
        """
        neuron, spec = self.settings.neuron, self.chip.spec
        check_weight_bits(neuron, spec)
        return [
            quantise(
                w, neuron.scale_weights, spec.weight_code_max, neuron.weight_bits, continuous=spec.continuous_weights
            )
            for w in weights
        ]

    def configure(self, codes: Sequence[Codes]) -> None:
        """Weights for the runs to come; they go with each of them, for another network may use the chip in between.

        Codes between two others are rounded on a chip that has no such codes.
        """
        self._config = self.placement.configure(split_by_projection(self.layers, codes))

    def run(self, times: NDArray[np.float64], trial_seed: int, parts: int = 1) -> Forward:
        """Run samples and read the first spikes of all layers.

        Parameters
        ----------
        times : float64 [n_samples, n_channels]
            Input times from `on_grid`.
        trial_seed : int
            Names the trial; not used while the clock is running.
        parts : int
            Send the samples in so many parts; the result is the same.
        """
        return self._forward(times, self._first_spikes(times, trial_seed, parts, [layer.name for layer in self.layers]))

    def answers(self, times: NDArray[np.float64], trial_seed: int, parts: int = 1) -> NDArray[np.float64]:
        """First spikes of the label layer alone, float64 [n_samples, n_classes] in tau_syn; arguments as for `run`."""
        return self._first_spikes(times, trial_seed, parts, [self.layers[-1].name])[0] * self._tau_per_tick

    def _first_spikes(
        self, times: NDArray[np.float64], trial_seed: int, parts: int, layers: list[str]
    ) -> list[NDArray[np.float64]]:
        """Ticks of the first spikes of each of these layers, inf where none."""
        bounds = np.linspace(0, len(times), min(parts, max(1, len(times))) + 1).astype(int).tolist()
        neurons = None if len(layers) == len(self.layers) else self._heads(layers)
        found = []
        for first, last in pairwise(bounds):
            spikes = self.spikes(
                times[first:last], trial_seed, first_sample=first, record="first_spikes", neurons=neurons
            )
            found.append(self.placement.first_spikes(spikes, layers))
        return found[0] if len(found) == 1 else [np.concatenate(part) for part in zip(*found, strict=True)]

    def _heads(self, layers: list[str]) -> tuple[int, ...]:
        return tuple(int(head) for layer in layers for head in self.placement.circuits(layer))

    def spikes(
        self,
        times: NDArray[np.float64],
        trial_seed: int,
        *,
        first_sample: int = 0,
        record: Recording = "spikes",
        neurons: tuple[int, ...] | None = None,
    ) -> SpikeBatch:
        """Run samples and return what the chip recorded of these heads, of all if none are named.

        While the clock is running it says which samples of which trial these are.
        """
        if self.clock is not None:
            trial_seed, first_sample = bench_trial_seed(), self.clock
        result = self.chip.run(
            one_spike_a_channel(self._ticks(times)),
            duration_ticks=self.duration_ticks,
            trial_seed=trial_seed,
            first_sample=first_sample,
            record=record,
            neurons=neurons,
            config=self._config,
        )
        if self.clock is not None:
            self.clock += len(times)
        self.use.add(result)
        return result.spikes

    def _forward(self, times: NDArray[np.float64], ticks: list[NDArray[np.float64]]) -> Forward:
        n_features = self.layers[0].n_afferent
        t_in, t_out, arrival = [], [], times[:, :n_features]
        for layer, stamps in zip(self.layers, ticks, strict=True):
            t_in.append(layer.arrivals(arrival, times))
            t_out.append(stamps * self._tau_per_tick)
            arrival = (stamps + self.chip.spec.routing_delay_ticks) * self._tau_per_tick
        return Forward(t_in, t_out)

    def gradients(
        self, forward: Forward, codes: Sequence[Codes], grad_out: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        """Gradients of the model weights at the measured times, summed over the batch, per layer.

        Parameters
        ----------
        forward : Forward
            Measured times.
        codes : sequence of int8 or float64 [n_rows, n_neurons]
            What the chip ran with.
        grad_out : float64 [n_samples, n_classes]
            Derivative of the loss with respect to the output spike times.
        """
        neuron, limit = self.settings.neuron, getattr(self.settings.optimizer, "max_dw_norm", DW_NORM_MAX)
        measured, unit = self._measured, 1.0
        if measured is not None:
            # From here on all times are in units of the measured time constant, t / unit.
            unit = measured.tau_factor
            grad_out = grad_out * unit
        factors = self._factors(codes)
        gradients: list[NDArray[np.float64]] = []
        for k in reversed(range(len(self.layers))):
            weights = dequantise(codes[k], neuron.scale_weights)
            factor = None if factors is None else factors[k]
            seen = weights if factor is None else weights * factor
            t_in, t_out = (t if unit == 1.0 else t / unit for t in (forward.t_in[k], forward.t_out[k]))
            arguments = t_in, seen, t_out, grad_out, limit or None
            if k == 0:
                grad_w = self._rule.weight_gradient(*arguments)
            else:
                grad_w, grad_rows = self._rule.gradients(*arguments)
                # A spike that comes later arrives later by as much: the routing delay is constant.
                grad_out = self.layers[k].afferent_gradient(grad_rows)
            gradients.append(grad_w if factor is None else grad_w * factor)
        return gradients[::-1]

    def _factors(self, codes: Sequence[Codes]) -> list[NDArray[np.float64]] | None:
        """Measured weight factors of all layers, float64 [n_rows, n_neurons]; None without a calibration."""
        if self._measured is None:
            return None
        parts = split_by_projection(self.layers, codes)
        found = iter([self._measured.factor(k, part) for k, part in enumerate(parts)])
        return [np.concatenate([next(found) for _ in range(1 + (layer.bias_copies > 0))]) for layer in self.layers]


def sample_ticks(settings: Settings, spec: ChipSpec) -> int:
    """Length of a sample in ticks of the chip.

    Raises
    ------
    OutOfRangeError
        Shorter than a tick, or longer than the chip can run.
    """
    ticks = round(settings.coding.duration / (spec.tick_us / settings.neuron.tau_syn_us))
    if not 1 <= ticks <= spec.max_run_ticks:
        raise OutOfRangeError(
            f"a sample of {ticks} ticks is outside 1..{spec.max_run_ticks}, what {spec.name} runs",
            field="coding.duration",
        )
    return ticks


def check_training(settings: Settings, spec: ChipSpec, n_features: int) -> None:
    """Refuse a training that no chip with this datasheet can do; none is needed.

    Parameters
    ----------
    settings : Settings
    spec : ChipSpec
    n_features : int
        Features of a sample.

    Raises
    ------
    DoesNotFitError, OutOfRangeError
        As `ChipNetwork`, and `check_weight_bits`.
    """
    check_weight_bits(settings.neuron, spec)
    sample_ticks(settings, spec)
    place(build_network(settings, build_layers(settings, n_features)), spec, nominal_boot(spec))


def check_weight_bits(neuron: NeuronSettings, spec: ChipSpec) -> None:
    """Refuse to train with weights finer than the codes of a chip.

    Raises
    ------
    OutOfRangeError
        The chip has discrete codes, and the settings ask for more bits or for none.
    """
    if not spec.continuous_weights and not 1 <= neuron.weight_bits <= DISCRETE_BITS:
        raise OutOfRangeError(
            f"{neuron.weight_bits or '0 (float)'} is finer than the weight codes of {spec.name}",
            field="neuron.weight_bits",
            hint=f"use 1..{DISCRETE_BITS}, or a chip with continuous weights (ideal)",
        )
