"""Training in the loop: order of the samples, optimiser, evaluation. What a step does, the rule says.

Everything random is addressed by epoch and batch (`hxloop.seeds`), so the state at the end of an epoch is all a
training needs to continue bit by bit.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from hxloop.errors import ArrayError, OutOfRangeError
from hxloop.kit.arguments import shown
from hxloop.result import ChipUse
from hxloop.rule import Batch
from hxloop.seeds import derive_seed, generator
from hxloop_host.arithmetic.one_ahead import WORTH_A_THREAD, made_ahead
from hxloop_host.network.virtual_chips import VirtualChips
from hxloop_host.runs.epoch_metrics import EpochMetrics
from hxloop_host.settings.experiment_settings import OPTIMIZER_SECTION
from hxloop_host.training.chosen_beginning import beginning_of, begun, wanted_samples
from hxloop_host.training.scoring import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hxloop.rule import Rule, Runner, Update, Weights
    from hxloop_host.coding.coding_interface import InputSource
    from hxloop_host.network.chip_runner import ChipRunner
    from hxloop_host.settings.experiment_settings import Settings


class Trainer:
    """State of a training, and the step from one epoch to the next.

    Parameters
    ----------
    settings : Settings
    rule : Rule
    runner : ChipRunner
        Network on its chip.
    inputs : mapping of {"train", "validation"} to InputSource
        Samples as spikes.
    labels : mapping of {"train", "validation"} to int64 [n_samples]
    seed : int
        Root of all random numbers of the training.
    initial : sequence of float64 [n_sources * copies, n_target], optional
        Model weights to begin with, per projection, by default those of the rule, which the beginning of the settings
        then changes; clipped to the range of the chip.

    Attributes
    ----------
    weights : list of float64 [n_sources * copies, n_target]
        Model weights of each projection.
    has_begun : bool
        Whether these are those that training begins with, or later ones; see `begin`.
    begun_with : ChipUse
        What the beginning ran on the chip.
    best_weights : list of float64 [n_sources * copies, n_target]
        Those with the best validation accuracy so far, the first of equals.
    best_accuracy : float
        That accuracy, NaN before the first evaluation.
    metrics : list of EpochMetrics
        One entry per finished epoch.
    """

    def __init__(
        self,
        settings: Settings,
        rule: Rule,
        runner: ChipRunner,
        inputs: Mapping[str, InputSource],
        labels: Mapping[str, NDArray[np.int64]],
        *,
        seed: int,
        initial: Sequence[NDArray[np.float64]] | None = None,
    ) -> None:
        self.settings, self.rule, self.runner, self.seed = settings, rule, runner, seed
        self.optimizer = OPTIMIZER_SECTION.part(settings.optimizer.kind)(
            settings.optimizer, epochs=settings.training.epochs
        )
        given = rule.begin(runner.network, seed) if initial is None else initial
        self.weights = _checked(given, runner, "initial weights")
        runner.clip(self.weights)
        network, delay_rate = runner.network, settings.optimizer.delay_rate
        self._step_factors = [delay_rate if network.holds_delays(p) else 1.0 for p in network.projections]
        if settings.training.clock == "running":
            runner.start_clock(settings.training.begin_s)
        virtual = settings.virtual_chips
        self._taught: Runner = runner if virtual is None else VirtualChips(runner, virtual)
        self.best_weights = [w.copy() for w in self.weights]
        self.best_accuracy = math.nan
        self.metrics: list[EpochMetrics] = []
        self.has_begun, self.begun_with = initial is not None, ChipUse()
        self._inputs, self._label, self._validation_label = inputs["train"], labels["train"], labels["validation"]
        self._validation = inputs["validation"].take(slice(None))

    @property
    def epochs_done(self) -> int:
        """Finished epochs."""
        return len(self.metrics)

    @property
    def n_batches(self) -> int:
        """Batches of one epoch; the last one may be smaller."""
        return -(-len(self._label) // self.settings.training.batch_size)

    def begin(self, say: Callable[[str], object] = lambda _: None) -> None:
        """Make what the settings begin with of the drawn weights, once; a training that goes on has them.

        Parameters
        ----------
        say : callable
            Takes one line for the user.
        """
        if self.has_begun:
            return
        self.has_begun, self.runner.use = True, self.begun_with
        beginning, seed = beginning_of(self.settings), derive_seed(self.seed, "beginning")
        wanted = wanted_samples(beginning, len(self._label))
        samples = generator(seed, "samples").permutation(len(self._label))[:wanted]
        jitter = generator(seed, "jitter") if self._inputs.takes_random else None
        batch = Batch(self._inputs.take(samples, jitter), self._label[samples], 0, 0, seed)
        found = begun(beginning, self.runner, self.weights, batch, say)
        self.weights = _checked(found, self.runner, "weights of the beginning")
        self.runner.clip(self.weights)
        self.best_weights = [w.copy() for w in self.weights]

    def epoch(self, on_batch: Callable[[int], None]) -> EpochMetrics:
        """Train one epoch, evaluate if it is time to, and add a line to `metrics`.

        Parameters
        ----------
        on_batch : callable
            Called with the number of batches done.
        """
        self.begin()
        start, self.runner.use = time.perf_counter(), ChipUse()
        epoch = self.epochs_done
        self.optimizer.start_epoch(epoch)
        order = generator(self.seed, "shuffle", epoch).permutation(len(self._label))
        size = self.settings.training.batch_size
        tally = _Tally(self.rule, len(self.runner.network.populations))

        def batch(number: int) -> Batch:
            samples = order[number * size : (number + 1) * size]
            jitter = generator(self.seed, "jitter", epoch, number) if self._inputs.takes_random else None
            return Batch(self._inputs.take(samples, jitter), self._label[samples], epoch, number, self.seed)

        # The inputs of the next batch are made while the chip runs this one; of few, a thread would cost more.
        each = made_ahead if size * self.runner.network.n_inputs >= WORTH_A_THREAD else map
        for number, coming in enumerate(each(batch, range(self.n_batches)), start=1):
            self._step(coming, tally)
            on_batch(number)
        accuracy = self._validate(epoch)
        metrics = tally.metrics(epoch + 1, accuracy, self.optimizer.current_rate, self.runner.use, start)
        self.metrics.append(metrics)
        return metrics

    def _step(self, batch: Batch, tally: _Tally) -> None:
        update = self.rule.step(self._taught, batch, self.weights)
        tally.count(update, batch.label)
        if update.weights is not None:
            self.weights = _checked(update.weights, self.runner, "new weights")
        elif update.gradients is not None:
            # Straight-through: the gradient at the rounded weights moves the float weights.
            gradients = _like(update.gradients, self.runner, "gradients")
            self.optimizer.step(self.weights, gradients, self._step_factors)
        self.runner.clip(self.weights)

    def _validate(self, epoch: int) -> float:
        done, training = epoch + 1, self.settings.training
        if done % training.evaluate_every and done != training.epochs:
            return math.nan
        found = answers(self.runner, self.runner.codes(self.weights), self._validation,
                        derive_seed(self.seed, "validation", epoch))  # fmt: skip
        accuracy = float(np.mean(found == self._validation_label))
        if not accuracy <= self.best_accuracy:  # also true for NaN
            self.best_accuracy = accuracy
            self.best_weights = [w.copy() for w in self.weights]
        return accuracy

    def selected(self) -> Weights:
        """Model weights that the settings say to keep."""
        return self.best_weights if self.settings.training.select == "best" else self.weights

    def standstill(self, metrics: EpochMetrics) -> str:
        """Why an epoch may have moved no weight, in one line with what to do."""
        reason = self.rule.standstill(metrics.named) or "is optimizer.learning_rate too small?"
        return f"epoch {metrics.epoch} moved no weight: {reason}"


class _Tally:
    """Sums over the batches of an epoch."""

    def __init__(self, rule: Rule, n_populations: int) -> None:
        self.columns, self._n_populations = rule.columns, n_populations
        self.loss, self.correct, self.samples, self.batches, self.steps = 0.0, 0, 0, 0, 0
        self._sums: dict[str, float | NDArray[np.float64]] = {}

    def count(self, update: Update, label: NDArray[np.int64]) -> None:
        """Add a batch.

        Raises
        ------
        ArrayError, OutOfRangeError
            The rule gave back something else than it promised.
        """
        answered = np.asarray(update.answers)
        if answered.shape != label.shape or not np.issubdtype(answered.dtype, np.integer):
            raise ArrayError(
                f"must be {len(label)} classes, one a sample, got {answered.dtype} {answered.shape}",
                field="update.answers",
            )
        loss = _numbers(update.loss, (), "update.loss")
        if not np.isfinite(loss):
            raise OutOfRangeError(f"is {loss}", field="update.loss", hint="did the training diverge?")
        self.batches += 1
        self.samples += len(label)
        self.steps += update.gradients is not None and update.weights is None
        self.loss += float(loss) * len(label)
        self.correct += int((answered == label).sum())
        for column in self.columns:
            if column.name not in update.diagnostics:
                raise ArrayError(
                    f"has no {column.name!r}, which the rule's columns promise", field="update.diagnostics"
                )
            shape = (self._n_populations,) if column.each else ()
            value = _numbers(update.diagnostics[column.name], shape, f"update.diagnostics.{column.name}")
            share = value * (len(label) if column.per == "sample" else 1)
            self._sums[column.name] = share if column.name not in self._sums else self._sums[column.name] + share

    def metrics(self, epoch: int, val_accuracy: float, rate: float, use: ChipUse, start: float) -> EpochMetrics:
        named: dict[str, float | tuple[float, ...]] = {}
        for column in self.columns:
            mean = np.asarray(self._sums[column.name]) / (self.samples if column.per == "sample" else self.batches)
            named[column.name] = tuple(mean.tolist()) if mean.ndim else float(mean)
        return EpochMetrics(
            epoch=epoch,
            loss=self.loss / self.samples,
            train_accuracy=self.correct / self.samples,
            val_accuracy=val_accuracy,
            named=named,
            gradient_steps=self.steps,
            learning_rate=rate,
            use=use,
            wall_s=time.perf_counter() - start,
        )


def _numbers(given: Any, shape: tuple[int, ...], field: str, of: str = "") -> NDArray[np.float64]:
    """What a rule gave, as numbers of this shape.

    Raises
    ------
    ArrayError
    """
    try:
        values = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise ArrayError(f"{of}must be numbers, got {shown(given)}", field=field) from None
    if values.shape != shape:
        raise ArrayError(f"{of}must have the shape {shape}, got {values.shape}", field=field)
    return values


def _like(given: Sequence[NDArray[np.float64]], runner: ChipRunner, field: str) -> Weights:
    """Matrices of the shapes of the projections, finite.

    Raises
    ------
    ArrayError, OutOfRangeError
    """
    network = runner.network
    if len(given) != len(network.projections):
        raise ArrayError(f"expected {len(network.projections)} matrices, got {len(given)}", field=field)
    found = []
    for projection, matrix in zip(network.projections, given, strict=True):
        values = _numbers(matrix, network.weight_shape(projection), field, f"of {projection.name} ")
        if not np.isfinite(values).all():
            raise OutOfRangeError(f"of {projection.name} are not finite", field=field, hint="did the training diverge?")
        found.append(values)
    return found


def _checked(given: Sequence[NDArray[np.float64]], runner: ChipRunner, field: str) -> Weights:
    """Copies of `_like`."""
    return [matrix.copy() for matrix in _like(given, runner, field)]
