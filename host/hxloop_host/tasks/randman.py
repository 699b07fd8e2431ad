"""Random manifolds: classes that only the times of spikes tell apart, as every input spikes once in every sample.

A class is a smooth random curve (or surface) in the space of spike times. Input `i` of a sample at the point `x` of
its manifold spikes at a time proportional to

    f_i(x) = prod_d sum_k a_idk / k^alpha  sin(2 pi (k b_idk x_d + c_idk)),

scaled to 0..1 over the manifold, where `a`, `b` and `c` are uniform on 0..1 and drawn once for each class: the larger
`alpha`, the smoother. Points `x` are uniform on the unit cube.

References
----------
Zenke, Vogels, "The remarkable robustness of surrogate gradient learning for instilling complex function in spiking
neural networks", Neural Computation 33, 899-925 (2021), doi:10.1162/neco_a_01367: the idea. Numbers of inputs,
harmonics and samples, and the span of times are of this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.kit.arguments import SEED_MAX, real_number, whole_number
from hxloop.seeds import generator
from hxloop.task import Dataset, SpikeTrains, Split, Task, check_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

HARMONICS: Final = 16
"""Terms of the sums."""
SPAN_US: Final = 40.8
"""Spike times are 0..this: 24 reads of the CADC, seven usual time constants."""
DURATION_US: Final = 54.4
"""Length of a sample: 32 reads, so that the latest spikes can have their effect."""
SIZES: Final[dict[Split, int]] = {"train": 5000, "validation": 1000, "test": 1000}
_N_SCALE: Final = 1024
"""Points of a manifold over which spike times are scaled."""


@dataclass(frozen=True)
class Manifolds:
    """Which manifolds.

    Attributes
    ----------
    n_inputs : int
        Dimensions of the space, each the spike time of an input.
    n_classes : int
    dimension : int
        Of each manifold.
    alpha : float
        Smoothness.
    seed : int
    """

    n_inputs: int = 32
    n_classes: int = 10
    dimension: int = 1
    alpha: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("n_inputs", 1, 10_000),
            ("n_classes", 2, 1000),
            ("dimension", 1, 10),
            ("seed", 0, SEED_MAX),
        ):
            number = whole_number(getattr(self, name), name, lowest=lowest, highest=highest)
            object.__setattr__(self, name, number)
        object.__setattr__(self, "alpha", real_number(self.alpha, "alpha", lowest=0.0, highest=100.0))

    def times(self, label: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Spike times of a class, float64 [n, n_inputs] in 0..1, at the points float64 [n, dimension] of 0..1."""
        shape = (self.n_inputs, self.dimension, HARMONICS)
        amplitude, stretch, phase = generator(self.seed, "randman", "class", label).random((3, *shape))
        k = np.arange(1, HARMONICS + 1)
        height = amplitude / k**self.alpha

        def f(x: NDArray[np.float64]) -> NDArray[np.float64]:
            waves = np.ones((len(x), self.n_inputs))
            for d in range(self.dimension):
                turns = x[:, d, None, None] * (k * stretch[:, d]) + phase[:, d]
                waves *= np.einsum("nik,ik->ni", np.sin(2 * np.pi * turns), height[:, d])
            return waves

        seen = f(generator(self.seed, "randman", "scale").random((_N_SCALE, self.dimension)))
        lowest, highest = seen.min(axis=0), seen.max(axis=0)
        return np.asarray(np.clip((f(points) - lowest) / (highest - lowest), 0.0, 1.0))


@cache
def randman(manifolds: Manifolds, split: Split) -> Dataset:
    """One split; samples are the same whenever they are asked for.

    Parameters
    ----------
    manifolds : Manifolds
    split : {"train", "validation", "test"}
        5000, 1000 and 1000 samples, as many of each class as can be.

    Raises
    ------
    InvalidInputError
        No such split.
    """
    check_split(split)
    random = generator(manifolds.seed, "randman", split)
    label = random.permutation(np.arange(SIZES[split]) % manifolds.n_classes)
    times = np.empty((len(label), manifolds.n_inputs))
    for k in range(manifolds.n_classes):
        mine = np.flatnonzero(label == k)
        times[mine] = manifolds.times(k, random.random((len(mine), manifolds.dimension)))
    order = np.argsort(times, axis=1, kind="stable")
    trains = SpikeTrains(
        np.arange(len(label) + 1) * manifolds.n_inputs,
        order.ravel().astype(np.int32),
        SPAN_US * np.take_along_axis(times, order, axis=1).ravel(),
        manifolds.n_inputs,
        DURATION_US,
    )
    return Dataset.of_trains(trains, label, tuple(str(k) for k in range(manifolds.n_classes)))


def manifold_task(name: str, manifolds: Manifolds, presets: tuple[str, ...] = ()) -> Task:
    """Task of manifolds, the program's (`RANDMAN`) or others, under another name."""
    return Task(
        name,
        partial(randman, manifolds),
        manifolds.n_inputs,
        manifolds.n_classes,
        kind="spikes",
        presets=presets,
        duration_us=DURATION_US,
        n_samples=tuple(SIZES.values()),
        source="generated: random manifolds in the space of spike times, one spike an input",
        licence="MIT",
        reference="Zenke, Vogels, Neural Computation 33:899 (2021), doi:10.1162/neco_a_01367",
    )


RANDMAN: Final = manifold_task("randman", Manifolds(), ("randman",))
