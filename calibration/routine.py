"""What a routine is: something a chip shows, codes that change it, and a search that brings it to its target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from calibration.search import ModelBased, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from calibration.bench import Bench
    from calibration.search import Curve, Search
    from calibration.targets import Target
    from hxloop.capmem import Cell

    Floats = NDArray[np.float64]
    Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Parameter:
    """What a routine calibrates.

    Attributes
    ----------
    name : str
        With its unit as suffix.
    unit : str
    long_name : str
    target : float
    tolerance : float
        Largest residual that counts as success.
    per : str
        ``circuit`` or ``quadrant``.
    """

    name: str
    unit: str
    long_name: str
    target: float
    tolerance: float
    per: str = "circuit"


class Routine(ABC):
    """One step of a calibration.

    Attributes
    ----------
    name : str
        As in ``hxloop calibrate --only``.
    needs : tuple of str
        Routines that must have run before.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    def wanted(self, target: Target) -> bool:
        """Whether the target asks for it."""
        return True

    def with_defaults(self, target: Target) -> Target:
        """The target with what this routine needs filled in, for a routine that is asked for by name."""
        return target

    @abstractmethod
    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """What it calibrates."""

    @abstractmethod
    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Find codes and keep them.

        Parameters
        ----------
        bench : Bench
        target : Target
        search : Search, optional
            Instead of the routine's own.

        Returns
        -------
        dict of str to float64 array
            Per parameter, the values measured first, with the codes there were.
        """

    @abstractmethod
    def measure(self, bench: Bench, target: Target) -> Values:
        """Measure with the codes there are.

        Returns
        -------
        dict of str to float64 array
            Per parameter; NaN where nothing can be measured.
        """

    def codes(self, bench: Bench) -> Values:
        """Codes of the parameters, for the table; none for what is measured only."""
        return {}

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """Standard deviation of what repeating the measurement does not show, per parameter."""
        return {}


class CellRoutine(Routine):
    """A routine whose parameters each have a cell of every circuit."""

    default: ClassVar[Search] = ModelBased()
    low: ClassVar[int] = 1

    @abstractmethod
    def cells(self) -> Mapping[str, Cell]:
        """Cell of each parameter."""

    @abstractmethod
    def curve(self, bench: Bench, target: Target) -> Curve:
        """How the values follow the codes."""

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Search all cells of all circuits at once; see `Routine.find`."""
        cells, aims = self.cells(), {p.name: p.target for p in self.parameters(bench, target)}
        shape = (len(cells), bench.n)

        def measure(code: NDArray[np.int64]) -> Floats:
            bench.keep(dict(zip(cells.values(), code.reshape(shape), strict=True)))
            values = self.measure(bench, target)
            return np.concatenate([values[name] for name in cells])

        start = np.concatenate([bench.neurons.capmem_code[:, cell] for cell in cells.values()]).astype(np.int64)
        goal = np.concatenate([np.full(bench.n, aims[name]) for name in cells])
        problem = Problem(
            measure, start, goal, self.low, bench.spec.capmem_code_max, self.curve(bench, target), bench.rng(self.name)
        )
        found = (search or self.default).find(problem)
        bench.keep(dict(zip(cells.values(), found.code.reshape(shape), strict=True)))
        bench.at_edge |= dict(zip(cells, found.at_edge.reshape(shape), strict=True))
        return dict(zip(cells, found.first.reshape(shape), strict=True))

    def codes(self, bench: Bench) -> Values:
        """Codes of the cells."""
        return {name: bench.neurons.capmem_code[:, cell].astype(np.float64) for name, cell in self.cells().items()}
