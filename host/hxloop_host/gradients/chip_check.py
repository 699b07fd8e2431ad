"""Gradients of a rule on a noisy chip, against slopes that are measured on the chip itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.progress import Advanced
from hxloop.seeds import derive_seed, generator
from hxloop_host.gradients.check_result import ALL, Row
from hxloop_host.gradients.measured_cosine import Cosine, Slopes, ceiling_of, cosine_of
from hxloop_host.gradients.subjects import direction_of, lively, role
from hxloop_host.network.chip_runner import ChipRunner
from hxloop_host.training.guarded_rule import unguarded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.progress import Progress
    from hxloop.rule import Batch, Weights
    from hxloop_host.gradients.subjects import Subject

    Array = NDArray[np.float64]

CODES: Final = 2.0
"""Weight codes of a displacement. The chip can make 1, but with other weights part of its noise is another one, which
both signs then do not share; twice as large a slope takes a quarter of the trials (assumed: still small)."""
DELAY_STEP_US: Final = 0.5
"""Displacement of a delay (assumed: four steps of the finest clock of the refractory counter)."""
WEIGHT_BITS: Final = 6
_REPEATS: Final = 2


def check_on_chip(
    subject: Subject,
    chip: Chip,
    seed: int,
    n_samples: int,
    trials: int,
    directions: int,
    progress: Progress,
    begun: int,
) -> tuple[list[Row], dict[str, Array], list[str]]:
    """Rows of a network: one for each projection, one for all; see `measured_cosine` for what is measured.

    Parameters
    ----------
    subject : Subject
    chip : Chip
    seed : int
        Of weights, samples, directions, and the names of trials.
    n_samples : int
    trials : int
        Steps of the rule, each with other noise.
    directions : int
        Random displacements of each projection, each measured in two pairs of trials.
    progress : Progress
    begun : int
        Steps that were done before.

    Returns
    -------
    rows, pairs, notes
        As `exact_check.check_exactly`.
    """
    runner = ChipRunner(
        subject.network, subject.readout, chip, duration_ticks=round(subject.duration_us / chip.spec.tick_us),
        weight_bits=WEIGHT_BITS, observe=subject.make_rule().observe(subject.network),
    )  # fmt: skip
    batch = subject.batch(runner, n_samples, seed)
    weights = lively(subject, runner, batch, derive_seed(seed, "gradcheck", "weights"))[0]
    # At codes of the chip, one step away from the ends of their range.
    weights = _inside(subject, runner, batch, weights)
    gradients = _gradients(subject, runner, batch, weights, trials, progress, begun)
    found: list[Slopes] = []
    for n in range(len(weights)):
        found.append(
            _slopes(subject, runner, batch, weights, n, [g[n] for g in gradients], directions, progress, begun)
        )
    rows, pairs = [], {}
    for n, projection in enumerate(subject.network.projections):
        stacked = np.stack([g[n].ravel() for g in gradients])
        kind = role(subject.network, projection)
        rows.append(_row(subject, projection.name, kind, cosine_of([found[n]], seed), stacked, directions))
        pairs[f"{subject.name}/{subject.loss}/{projection.name}"] = np.stack(
            [found[n].predicted.mean(axis=0), found[n].measured.mean(axis=1)]
        )
    stacked = np.stack([np.concatenate([m.ravel() for m in g]) for g in gradients])
    rows.append(_row(subject, ALL, "all parameters", cosine_of(found, seed), stacked, directions * len(found)))
    return rows, pairs, []


def _row(subject: Subject, projection: str, kind: str, found: Cosine, gradients: Array, directions: int) -> Row:
    return Row(
        subject.name, subject.loss, projection, kind, directions,
        cosine=found.value, low=found.low, high=found.high, attenuated=found.attenuated,
        reliability=found.reliability, ceiling=ceiling_of(gradients),
    )  # fmt: skip


def _steps(subject: Subject) -> list[float]:
    """Displacement of each projection, in units of its matrix."""
    return [
        DELAY_STEP_US if subject.network.holds_delays(p) else CODES / p.scale_weights
        for p in subject.network.projections
    ]


def _inside(subject: Subject, runner: ChipRunner, batch: Batch, weights: Weights) -> Weights:
    """Weights that the chip runs with, moved so far from the ends of their range that a step does not leave it."""
    low, high = [np.full_like(w, -np.inf) for w in weights], [np.full_like(w, np.inf) for w in weights]
    runner.clip(low)
    runner.clip(high)
    steps = _steps(subject)
    moved = [
        np.where(b - a > 2.0 * c, np.clip(w, a + c, np.maximum(b - c, a + c)), w)
        for w, a, b, c in zip(weights, low, high, steps, strict=True)
    ]
    return list(runner.run(batch, moved).weights)


def _gradients(
    subject: Subject, runner: ChipRunner, batch: Batch, weights: Weights, trials: int, progress: Progress, begun: int
) -> list[Weights]:
    """Gradients of the rule in trials of their own; the rule goes on from one to the next, as in a training."""
    rule = subject.make_rule()
    exact = unguarded(rule).exact
    found: list[Weights] = []
    for k in range(trials):
        update = rule.step(runner, replace(batch, number=k), weights)
        direction = direction_of(update, weights, exact=exact)
        found.append(direction or [np.zeros_like(w) for w in weights])
        progress.tell(Advanced(begun, k + 1))
    return found


def _slopes(
    subject: Subject,
    runner: ChipRunner,
    batch: Batch,
    weights: Weights,
    number: int,
    gradients: list[Array],
    directions: int,
    progress: Progress,
    begun: int,
) -> Slopes:
    """What the chip shows along random displacements of one matrix, and what the rule says of them."""
    step, connected = _steps(subject)[number], subject.network.connected(subject.network.projections[number])
    rng = generator(batch.seed, "gradcheck", "directions", number)
    measured, predicted = np.empty((directions, _REPEATS)), np.empty((len(gradients), directions))
    for j in range(directions):
        delta = np.where(connected, step * rng.choice([-1.0, 1.0], connected.shape), 0.0)
        went = delta
        for repeat in range(_REPEATS):
            # Far from the numbers of the rule's trials; both signs have the same noise.
            trial = replace(batch, epoch=1 + number, number=_REPEATS * j + repeat)
            up, down = (_at(runner, trial, weights, number, sign * delta) for sign in (1.0, -1.0))
            went = 0.5 * (up[1] - down[1])
            measured[j, repeat] = 0.5 * (up[0] - down[0])
        size = float(np.sqrt(np.mean(went[connected] ** 2)))
        measured[j] /= size or 1.0
        predicted[:, j] = [float((g * went).sum()) / (size or 1.0) for g in gradients]
        progress.tell(Advanced(begun, j + 1, subject.network.projections[number].name))
    return Slopes(measured, predicted)


def _at(runner: ChipRunner, batch: Batch, weights: Weights, number: int, delta: Array) -> tuple[float, Any]:
    """Loss with one matrix displaced, and the matrix that the chip then had."""
    moved = [*weights[:number], weights[number] + delta, *weights[number + 1 :]]
    recording = runner.run(batch, moved, observe=runner.readout.observe(runner.network))
    readout = runner.readout
    loss, _ = readout.value_and_gradient(readout.scores(recording), batch.label)
    return loss, recording.weights[number]
