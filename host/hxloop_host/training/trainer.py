"""Training in the loop: the chip runs, the host differentiates at the measured times, the weights move.

Everything random is addressed by epoch and batch (`hxloop.seeds`), so the state at the end of an epoch is all a
training needs to continue bit by bit.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.kit.brief import brief
from hxloop.result import ChipUse
from hxloop.seeds import derive_seed, generator
from hxloop_host.learning.first_spike.weight_bumper import WeightBumper
from hxloop_host.network.layers import initial_weights
from hxloop_host.network.weight_codes import clip_weights
from hxloop_host.readouts.first_spikes import FirstSpikeReadout
from hxloop_host.runs.epoch_metrics import EpochMetrics
from hxloop_host.settings.experiment_settings import LOSS_SECTION, OPTIMIZER_SECTION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hxloop.readout import Readout, ReadoutSettings
    from hxloop.task import Dataset
    from hxloop_host.network.chip_network import ChipNetwork
    from hxloop_host.network.weight_codes import Codes
    from hxloop_host.optimizers.optimizer import Optimizer, OptimizerSettings
    from hxloop_host.settings.experiment_settings import Settings

EVALUATION_SAMPLES = 2000
"""Samples sent to the chip in one run when nothing is learned from them."""


@brief
@dataclass(frozen=True, eq=False)
class Score:
    """A data set on the chip.

    Attributes
    ----------
    accuracy : float
        Fraction of right answers.
    loss : float
        Mean loss.
    silent_fraction : tuple of float
        Per layer, (sample, neuron) pairs without a spike.
    t_out : float64 [n_samples, n_classes]
        First spike times of the label layer in tau_syn, inf where none.
    """

    accuracy: float
    loss: float
    silent_fraction: tuple[float, ...]
    t_out: NDArray[np.float64]


class Trainer:
    """State of a training, and the step from one epoch to the next.

    Parameters
    ----------
    settings : Settings
    network : ChipNetwork
        Network on its chip.
    train, validation : Dataset
    seed : int
        Root of all random numbers of the training.
    initial : sequence of float64 [n_rows, n_neurons], optional
        Model weights to begin with, per layer, by default random ones; clipped to the range of the chip.

    Attributes
    ----------
    weights : list of float64 [n_rows, n_neurons]
        Model weights.
    best_weights : list of float64 [n_rows, n_neurons]
        Those with the best validation accuracy so far, the first of equals.
    best_accuracy : float
        That accuracy, NaN before the first evaluation.
    metrics : list of EpochMetrics
        One entry per finished epoch.
    """

    def __init__(
        self,
        settings: Settings,
        network: ChipNetwork,
        train: Dataset,
        validation: Dataset,
        *,
        seed: int,
        initial: Sequence[NDArray[np.float64]] | None = None,
    ) -> None:
        self.settings, self.network, self.seed = settings, network, seed
        self.loss = build_loss(settings.loss)
        self.optimizer = build_optimizer(settings.optimizer, settings.training.epochs)
        silence = settings.silence
        self.bumper = WeightBumper(silence.limits, silence.bump, doubling=silence.doubling, targeted=silence.targeted)
        given = initial_weights(settings, network.layers, seed) if initial is None else initial
        self.weights = [w.copy() for w in given]
        for weights in self.weights:
            clip_weights(weights, network.weight_limit)
        if settings.training.clock == "running":
            network.start_clock(settings.training.begin_s)
        self.best_weights = [w.copy() for w in self.weights]
        self.best_accuracy = math.nan
        self.metrics: list[EpochMetrics] = []
        self._train, self._validation = train, validation
        self._times = network.input_times(train.features)
        if not settings.coding.jitter:
            self._times = network.on_grid(self._times)
        self._validation_times = network.on_grid(network.input_times(validation.features))

    @property
    def epochs_done(self) -> int:
        """Finished epochs."""
        return len(self.metrics)

    @property
    def n_batches(self) -> int:
        """Batches of one epoch; the last one may be smaller."""
        return -(-self._train.n_samples // self.settings.training.batch_size)

    def epoch(self, on_batch: Callable[[int], None]) -> EpochMetrics:
        """Train one epoch, evaluate if it is time to, and add a line to `metrics`.

        Parameters
        ----------
        on_batch : callable
            Called with the number of batches done.
        """
        start, self.network.use = time.perf_counter(), ChipUse()
        epoch = self.epochs_done
        self.optimizer.start_epoch(epoch)
        order = generator(self.seed, "shuffle", epoch).permutation(self._train.n_samples)
        size = self.settings.training.batch_size
        tally = _Tally(len(self.weights))
        for batch in range(self.n_batches):
            self._batch(epoch, batch, order[batch * size : (batch + 1) * size], tally)
            on_batch(batch + 1)
        accuracy = self._validate(epoch)
        metrics = tally.metrics(epoch + 1, accuracy, self.optimizer.current_rate, self.network.use, start)
        self.metrics.append(metrics)
        return metrics

    def _batch(self, epoch: int, batch: int, samples: NDArray[np.int64], tally: _Tally) -> None:
        network, label = self.network, self._train.label[samples]
        codes = network.codes(self.weights)
        network.configure(codes)
        trial_seed = derive_seed(self.seed, "train", epoch, batch)
        times = self._batch_times(epoch, batch, samples)
        forward = network.run(times, trial_seed, self.settings.training.batch_split)
        t_out = forward.t_out[-1]
        loss, grad_out = self.loss.value_and_gradient(t_out, label)
        silent, bumped = forward.t_out, self.bumper.check(forward.t_out)
        if bumped is None:
            gradients = network.gradients(forward, codes, grad_out)
            if grad_out.any() and not any(g.any() for g in gradients):
                # The label layer spikes where the nominal model never does, in every sample: neither gradient nor
                # silence would ever move a weight again. In the model its neurons are silent, so they are bumped.
                bumped, silent = len(self.weights) - 1, [np.full_like(t, np.inf) for t in forward.t_out]
        tally.count(loss, self.loss.predict(t_out) == label, forward.t_out, bumped)
        if bumped is not None:
            self.bumper.apply(self.weights, bumped, silent)
        else:
            # Straight-through: the gradient at the rounded weights moves the float weights.
            self.optimizer.step(self.weights, gradients)
        for weights in self.weights:
            clip_weights(weights, network.weight_limit)

    def _batch_times(self, epoch: int, batch: int, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        times, jitter = self._times[samples], self.settings.coding.jitter
        if not jitter:
            return times
        return self.network.on_grid(
            times + generator(self.seed, "jitter", epoch, batch).normal(0.0, jitter, times.shape)
        )

    def _validate(self, epoch: int) -> float:
        done, training = epoch + 1, self.settings.training
        if done % training.evaluate_every and done != training.epochs:
            return math.nan
        trial_seed, times = derive_seed(self.seed, "validation", epoch), self._validation_times
        self.network.configure(self.network.codes(self.weights))
        answers = self.loss.predict(self.network.answers(times, trial_seed, _parts(times)))
        accuracy = float(np.mean(answers == self._validation.label))
        if not accuracy <= self.best_accuracy:  # also true for NaN
            self.best_accuracy = accuracy
            self.best_weights = [w.copy() for w in self.weights]
        return accuracy

    def selected(self) -> list[NDArray[np.float64]]:
        """Model weights that the settings say to keep."""
        return self.best_weights if self.settings.training.select == "best" else self.weights


class _Tally:
    """Sums over the batches of an epoch."""

    def __init__(self, n_layers: int) -> None:
        self.loss, self.correct, self.samples, self.batches = 0.0, 0, 0, 0
        self.bumps = [0] * n_layers
        self.silent = [0] * n_layers
        self.neurons = [0] * n_layers

    def count(
        self, loss: float, correct: NDArray[np.bool_], t_out: list[NDArray[np.float64]], bumped: int | None
    ) -> None:
        self.batches += 1
        self.samples += len(correct)
        self.loss += loss * len(correct)
        self.correct += int(correct.sum())
        if bumped is not None:
            self.bumps[bumped] += 1
        for k, times in enumerate(t_out):
            self.silent[k] += times.size - int(np.isfinite(times).sum())
            self.neurons[k] += times.size

    def metrics(
        self, epoch: int, val_accuracy: float, rate: float, use: ChipUse, start: float
    ) -> EpochMetrics:  # fmt: skip
        return EpochMetrics(
            epoch=epoch,
            loss=self.loss / self.samples,
            train_accuracy=self.correct / self.samples,
            val_accuracy=val_accuracy,
            bump_fraction=tuple(n / self.batches for n in self.bumps),
            silent_fraction=tuple(s / n for s, n in zip(self.silent, self.neurons, strict=True)),
            gradient_steps=self.batches - sum(self.bumps),
            learning_rate=rate,
            **vars(use),
            wall_s=time.perf_counter() - start,
        )


def standstill(metrics: EpochMetrics) -> str:
    """Why an epoch may have moved no weight, in one line with what to do."""
    if metrics.silent_fraction[-1] == 1.0:
        return (
            f"no output spiked in epoch {metrics.epoch}, and no weight was raised for that: nothing will be learned "
            "(set silence.bump above 0 and silence.limits below 1, or begin with a larger network.init_mean)"
        )
    return f"epoch {metrics.epoch} moved no weight (is optimizer.learning_rate or optimizer.max_dw_norm too small?)"


def score(network: ChipNetwork, codes: Sequence[Codes], data: Dataset, loss: Readout, trial_seed: int) -> Score:
    """Run a data set with given weight codes; nothing is learned."""
    network.configure(codes)
    times = network.on_grid(network.input_times(data.features))
    forward = network.run(times, trial_seed, _parts(times))
    t_out = forward.t_out[-1]
    return Score(
        accuracy=float(np.mean(loss.predict(t_out) == data.label)),
        loss=loss.value_and_gradient(t_out, data.label)[0],
        silent_fraction=tuple(float(np.mean(~np.isfinite(t))) for t in forward.t_out),
        t_out=t_out,
    )


def _parts(times: NDArray[np.float64]) -> int:
    """Runs into which an evaluation is divided."""
    return -(-len(times) // EVALUATION_SAMPLES)


def build_loss(settings: ReadoutSettings) -> FirstSpikeReadout:
    """Readout with the loss that the settings name.

    Raises
    ------
    InvalidInputError
        It reads something else than first spikes.
    """
    loss = LOSS_SECTION.part(settings.kind)(settings)
    if not isinstance(loss, FirstSpikeReadout):
        raise InvalidInputError("first-spike learning needs a readout of first spikes", field="loss.kind")
    return loss


def build_optimizer(settings: OptimizerSettings, epochs: int) -> Optimizer:
    """Optimiser the settings name."""
    return OPTIMIZER_SECTION.part(settings.kind)(settings, epochs=epochs)
