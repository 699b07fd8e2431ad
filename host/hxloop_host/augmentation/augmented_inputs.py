"""Training samples as input spikes, changed anew whenever they are taken."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np

from hxloop.errors import InvalidInputError
from hxloop.kit.arguments import shown
from hxloop.plugins import file_of, foreign_code, is_of_program
from hxloop.task import Dataset, SpikeTrains
from hxloop_host.coding.coding_interface import InputSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hxloop.rule import Inputs
    from hxloop_host.augmentation.augmentation_interface import Augmentation


@final
class AugmentedInputs(InputSource):
    """Samples of a training set with steps of augmentation before their coding.

    Parameters
    ----------
    data : Dataset
    steps : sequence of Augmentation
        One after the other.
    plain : InputSource
        The samples as they are.
    encode : callable
        Changed samples to their source of input spikes; errors are those of `Coding.inputs`.
    """

    def __init__(
        self,
        data: Dataset,
        steps: Sequence[Augmentation],
        plain: InputSource,
        encode: Callable[[Dataset], InputSource],
    ) -> None:
        self.n_samples = data.n_samples
        self._data, self._steps, self._plain, self._encode = data, tuple(steps), plain, encode

    def take(self, samples: NDArray[np.int64] | slice, random: np.random.Generator | None = None) -> Inputs:
        """See `InputSource.take`; without a generator samples are as they are.

        Every step has a stream of its own (2^128 numbers further on), so that neither the noise of the coding nor
        another step depends on it.
        """
        if random is None:
            return self._plain.take(samples)
        part, stream = self._data.take(samples), cast("np.random.Philox", random.bit_generator)
        for k, step in enumerate(self._steps, start=1):
            part = changed(step, part, self._data, np.random.Generator(stream.jumped(k)))
        return self._encode(part).take(slice(None), random)


def changed(step: Augmentation, part: Dataset, whole: Dataset, random: np.random.Generator) -> Dataset:
    """Samples of which a share has gone through a step.

    Raises
    ------
    InvalidInputError
        A step that is not part of the program fails, or returns other samples than it must.
    """
    chosen = np.flatnonzero(random.random(part.n_samples) < step.settings.share)
    given = part if len(chosen) == part.n_samples else part.take(chosen)
    if not len(chosen):
        return part
    kind = type(step)
    if is_of_program(kind):
        found = step.apply(given, whole, random)
    else:
        with foreign_code(f"{kind.__qualname__} failed in apply", "augmentation", file_of(kind)):
            found = step.apply(given, whole, random)
        _check(kind, given, found)
        found = replace(found, grid=given.grid, ordered_channels=given.ordered_channels)  # for steps behind it
    if given is part:
        return found
    numbers = np.arange(part.n_samples)
    numbers[chosen] = part.n_samples + np.arange(len(chosen))
    return _joined(part, found).take(numbers)


def _check(kind: type, given: Dataset, found: Any) -> None:
    must = f"{kind.__qualname__}.apply must return"
    if not isinstance(found, Dataset):
        raise InvalidInputError(f"{must} a Dataset, got {shown(found)}", field="augmentation")
    if not np.array_equal(found.label, given.label):
        raise InvalidInputError(f"{must} the labels that it got", field="augmentation")
    if (found.kind, found.n_inputs) != (given.kind, given.n_inputs):
        raise InvalidInputError(
            f"{must} {given.n_inputs} inputs that are {given.kind}, got {found.n_inputs} {found.kind}",
            field="augmentation",
        )


def _joined(one: Dataset, other: Dataset) -> Dataset:
    """Samples of one, and then those of another."""
    trains = None
    if one.trains is not None and other.trains is not None:
        a, b = one.trains, other.trains
        trains = SpikeTrains(
            np.concatenate([a.offsets, a.offsets[-1] + b.offsets[1:]]),
            np.concatenate([a.channel, b.channel]),
            np.concatenate([a.time_us, b.time_us]),
            a.n_channels,
            a.duration_us,
        )
    return replace(
        one,
        features=np.concatenate([one.features, other.features]),
        label=np.concatenate([one.label, other.label]),
        trains=trains,
    )
