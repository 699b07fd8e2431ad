"""Gradients of a rule on neurons that obey their equations, against central differences of the exact reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hxloop.progress import Advanced
from hxloop.rule import Observe
from hxloop.seeds import derive_seed, generator
from hxloop_host.gradients.central_differences import Differences, central_differences
from hxloop_host.gradients.check_result import ALL, Row
from hxloop_host.gradients.exact_runner import FINE
from hxloop_host.gradients.measured_cosine import cosine
from hxloop_host.gradients.subjects import lively, role, scaled
from hxloop_host.training.guarded_rule import unguarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hxloop.progress import Progress
    from hxloop.rule import Batch, Weights
    from hxloop_host.gradients.exact_runner import ExactRunner
    from hxloop_host.gradients.subjects import Subject

    Array = NDArray[np.float64]

FACTOR: Final = 1e-4
"""By which the loss is smaller for rules that claim exactness: what clips large gradients then clips nothing."""
SAME: Final = 1e-9
"""Losses that differ by less are the same."""


class Compared(NamedTuple):
    """Gradients and derivatives of one projection, with one seed."""

    said: Array
    differences: Differences

    def trusted(self) -> tuple[Array, Array]:
        """What the rule said, and the derivative, where there is one."""
        sure = self.differences.trusted
        return self.said[sure], self.differences.values[sure]


def check_exactly(
    subject: Subject, seeds: list[int], n_samples: int, coordinates: int, progress: Progress, begun: int
) -> tuple[list[Row], dict[str, Array], list[str]]:
    """Rows of a network: one for each projection, one for all.

    Parameters
    ----------
    subject : Subject
    seeds : list of int
        Each with weights and samples of its own.
    n_samples : int
    coordinates : int
        Entries of each matrix that are varied at most, drawn at random.
    progress : Progress
    begun : int
        Steps that were done before.

    Returns
    -------
    rows : list of Row
    pairs : dict of str to float64 [2, n]
        Gradients and derivatives that were compared.
    notes : list of str
    """
    found: list[list[Compared]] = []
    notes: list[str] = []
    for k, seed in enumerate(seeds):
        found.append(_compared(subject, seed, n_samples, coordinates, progress, begun + k, notes))
    names = [p.name for p in subject.network.projections]
    rows, pairs = [], {}
    for n, projection in enumerate(subject.network.projections):
        parts = [seed[n] for seed in found]
        rows.append(_row(subject, projection.name, role(subject.network, projection), parts))
        said, true = (np.concatenate(side) for side in zip(*(part.trusted() for part in parts), strict=True))
        pairs[f"{subject.name}/{subject.loss}/{names[n]}"] = np.stack([said, true])
    rows.append(_row(subject, ALL, "all parameters", [part for seed in found for part in seed]))
    return rows, pairs, sorted(set(notes))


def _compared(
    subject: Subject, seed: int, n_samples: int, coordinates: int, progress: Progress, step: int, notes: list[str]
) -> list[Compared]:
    exact = unguarded(subject.make_rule()).exact
    readout = scaled(subject.readout, FACTOR) if exact else subject.readout
    reference = subject.exact_runner(readout, ticks=FINE)
    batch = subject.batch(reference, n_samples, seed)
    # Rules that are not exact may count ticks one by one; on the clock of the chip they are what they are.
    runner = reference if exact else subject.exact_runner(readout, ticks=1)
    own = batch if exact else subject.batch(runner, n_samples, seed)
    weights, said, update = lively(subject, runner, own, derive_seed(seed, "gradcheck", "weights"))
    loss_of = _loss(reference, batch)
    loss = loss_of(weights)[0]
    if exact and abs(update.loss - loss) > SAME * max(abs(loss), FACTOR):
        notes.append(
            f"{subject.title}: the rule has another loss than its readout; derivatives of the rule's are compared"
        )
        loss_of = _own_loss(subject, reference, batch)
    rng = generator(seed, "gradcheck", "places")
    found = []
    for n, projection in enumerate(subject.network.projections):
        places = np.argwhere(subject.network.connected(projection))
        picked = np.sort(rng.permutation(len(places))[:coordinates])
        values = []
        for k, pair in enumerate(central_differences(loss_of, weights, n, places[picked])):
            values.append(pair)
            progress.tell(Advanced(step, k + 1, share=None))
        value, error = np.array(values).reshape(-1, 2).T
        places = places[picked]
        found.append(Compared(said[n][places[:, 0], places[:, 1]], Differences(places, value, error)))
    return found


def _loss(runner: ExactRunner, batch: Batch) -> Callable[[Weights], tuple[float, NDArray[np.int64]]]:
    """Loss of the readout by weights, and numbers of spikes of all neurons."""
    readout, network = runner.readout, runner.network
    observe = runner.observe | Observe("all")

    def loss_of(weights: Weights) -> tuple[float, NDArray[np.int64]]:
        recording = runner.run(batch, weights, observe=observe)
        loss, _ = readout.value_and_gradient(readout.scores(recording), batch.label)
        counts = [s.counts(batch.n_samples, network.population(n).size) for n, s in recording.spikes.items()]
        return loss, np.concatenate([np.empty(0, np.int64), *(c.ravel() for c in counts)])

    return loss_of


def _own_loss(
    subject: Subject, runner: ExactRunner, batch: Batch
) -> Callable[[Weights], tuple[float, NDArray[np.int64]]]:
    """Loss that the rule states, made anew each time, and numbers of spikes."""
    plain = _loss(runner, batch)

    def loss_of(weights: Weights) -> tuple[float, NDArray[np.int64]]:
        return subject.make_rule().step(runner, batch, weights).loss, plain(weights)[1]

    return loss_of


def _row(subject: Subject, projection: str, kind: str, parts: list[Compared]) -> Row:
    said, true, errors, excluded = [], [], [0.0], 0
    for part in parts:
        one, other = part.trusted()
        said.append(one)
        true.append(other)
        excluded += len(part.said) - len(one)
        largest = float(np.abs(other).max(initial=0.0))
        # A projection that moves nothing has no size to compare with: then any gradient is wrong.
        gap = float(np.abs(one - other).max(initial=0.0))
        errors.append(gap / largest if largest > 0.0 else (np.inf if gap > 0.0 else 0.0))
    compared = sum(map(len, said))
    return Row(
        subject.name, subject.loss, projection, kind, compared, excluded,
        error=max(errors) if compared else np.nan,
        cosine=cosine(np.concatenate(said), np.concatenate(true)),
    )  # fmt: skip
