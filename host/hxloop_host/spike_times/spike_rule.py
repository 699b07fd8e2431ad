"""What rules that see spikes and no membranes have in common: what they observe, how they get ready, what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np

from hxloop.readout import observed
from hxloop.rule import Column, Observe, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hxloop.network import Network
    from hxloop.rule import Recording

SPIKES_PER_NEURON: Final = Column("spikes_per_neuron", "spikes of a neuron in a sample", "spikes", each="population")


class SpikeRule(Rule):
    """A rule that sees spikes of all populations; subclasses add the step.

    Attributes
    ----------
    which : {"all", "first"}
        Which spikes of a neuron.
    kernels : callable
        Compiles or loads what steps need.
    """

    observes = "all spikes"
    which: ClassVar[Literal["all", "first"]] = "all"
    kernels: ClassVar[Callable[[], None]]

    def observe(self, network: Network) -> Observe:
        """Spikes of all neurons."""
        del network
        return Observe(self.which)

    def prepare(self) -> None:
        """Compile the kernels."""
        type(self).kernels()


def counts_of(recording: Recording) -> dict[str, NDArray[np.int64]]:
    """int64 [n_samples, size] per population: spikes of each neuron in each sample.

    Raises
    ------
    ArrayError
        Those of a population were not recorded.
    """
    return {
        p.name: observed(recording.spikes, p.name, "spikes").counts(recording.n_samples, p.size)
        for p in recording.network.populations
    }


def means(values: Mapping[str, NDArray[np.int64] | NDArray[np.bool_]]) -> NDArray[np.float64]:
    """float64 [n]: mean over all samples and neurons of each population, in the order given; 0 where there are none."""
    return np.array([float(np.mean(found)) if found.size else 0.0 for found in values.values()])
