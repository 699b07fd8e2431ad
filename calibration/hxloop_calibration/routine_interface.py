"""What a routine is: something a chip shows, codes that change it, and a search that brings it to its target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop_calibration.search import Inverse, ModelBased, Problem, Straight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hxloop.codes.capmem import QuadrantCell
    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.search import Curve, Search
    from hxloop_calibration.targets import Target

    Floats = NDArray[np.float64]
    Values = dict[str, NDArray[np.float64]]

WARMTH: Final = 1.0 / 300.0
"""Relative change of a time constant by the 1 K that a laboratory is off (assumed): conductances in weak inversion are
their bias current over kT / q (Vittoz and Fellrath, IEEE J. Solid-State Circuits 12, 224 (1977))."""


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
        ``circuit``, ``quadrant``, ``pair`` (of circuits) or ``trigger`` (a pair on a synapse driver).
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
    judged_by_edge : bool
        A circuit fails only if its code is at the edge of the range, as in calix; else if its residual is too large.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    judged_by_edge: ClassVar[bool] = False

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
        return self.search_cells(
            bench, target, search, tuple(self.cells()), self.curve(bench, target), lambda: self.measure(bench, target)
        )

    def search_cells(
        self,
        bench: Bench,
        target: Target,
        search: Search | None,
        names: tuple[str, ...],
        curve: Curve,
        read: Callable[[], Values],
        *path: str,
    ) -> Values:
        """Search the cells of some parameters, of all circuits, and keep what was found.

        Parameters
        ----------
        bench : Bench
        target : Target
        search : Search, optional
            Instead of the routine's own.
        names : tuple of str
            Parameters.
        curve : Curve
            Of their values, one after the other.
        read : callable
            Measures them with the codes there are.
        *path : str
            Names of the random numbers, after that of the routine.

        Returns
        -------
        dict of str to float64 array
            The values measured first.
        """
        aims = {p.name: p.target for p in self.parameters(bench, target)}
        cells = [self.cells()[name] for name in names]
        shape = (len(cells), bench.n)

        def measure(code: NDArray[np.int64]) -> Floats:
            bench.keep(dict(zip(cells, code.reshape(shape), strict=True)))
            values = read()
            return np.concatenate([values[name] for name in names])

        start = np.concatenate([bench.neurons.capmem_code[:, cell] for cell in cells]).astype(np.int64)
        goal = np.repeat([aims[name] for name in names], bench.n)
        rng = bench.rng(self.name, *path)
        found = (search or self.default).find(
            Problem(measure, start, goal, self.low, bench.spec.capmem_code_max, curve, rng)
        )  # fmt: skip
        bench.keep(dict(zip(cells, found.code.reshape(shape), strict=True)))
        bench.at_edge |= dict(zip(names, found.at_edge.reshape(shape), strict=True))
        return dict(zip(names, found.first.reshape(shape), strict=True))

    def codes(self, bench: Bench) -> Values:
        """Codes of the cells."""
        return {name: bench.neurons.capmem_code[:, cell].astype(np.float64) for name, cell in self.cells().items()}


class TimeConstantRoutine(CellRoutine):
    """A routine for time constants, each of which is inverse to the code of a cell.

    Attributes
    ----------
    aim : str
        Field of the target.
    constants : mapping of str to (Cell, str)
        Cell of each parameter, and what it is called.
    """

    aim: ClassVar[str]
    constants: ClassVar[Mapping[str, tuple[Cell, str]]]

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """The time constants."""
        tau = getattr(target.neuron, self.aim)
        return tuple(Parameter(name, "us", text, tau, 0.1 * tau) for name, (_, text) in self.constants.items())

    def cells(self) -> Mapping[str, Cell]:
        """One for each."""
        return {name: cell for name, (cell, _) in self.constants.items()}

    def curve(self, bench: Bench, target: Target) -> Curve:
        """Inverse to the code."""
        return Inverse()


class TauSynRoutine(TimeConstantRoutine):
    """Synaptic time constants of both signs."""

    name = "tau_syn"
    aim = "tau_syn_us"
    constants: ClassVar = {
        "tau_syn_exc_us": (Cell.i_tau_syn_exc, "excitatory synaptic time constant"),
        "tau_syn_inh_us": (Cell.i_tau_syn_inh, "inhibitory synaptic time constant"),
    }


class TauMemRoutine(TimeConstantRoutine):
    """Membrane time constant."""

    name = "tau_mem"
    needs = ("cadc",)
    aim = "tau_mem_us"
    constants: ClassVar = {"tau_mem_us": (Cell.i_leak, "membrane time constant")}


class PotentialRoutine(CellRoutine):
    """A routine for one potential of every circuit, whose code moves it by the nominal slope.

    Attributes
    ----------
    cell : Cell
    text : str
        What the potential is called.
    tolerance_mv : float
    """

    low = 0
    cell: ClassVar[Cell]
    text: ClassVar[str]
    tolerance_mv: ClassVar[float]

    @property
    def parameter(self) -> str:
        """Name of its parameter, and of the field of the target."""
        return f"{self.cell.name}_mv"

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """The potential."""
        aim = getattr(target.neuron, self.parameter)
        return (Parameter(self.parameter, "mV", self.text, aim, self.tolerance_mv),)

    def cells(self) -> Mapping[str, Cell]:
        """One."""
        return {self.parameter: self.cell}

    def curve(self, bench: Bench, target: Target) -> Curve:
        """Straight, with the nominal slope."""
        return Straight(nominal.V_MV_PER_CODE)

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """The absolute scale."""
        return {self.parameter: bench.absolute_mv}


class QuadrantRoutine(Routine):
    """A routine whose parameters each have a cell of every quadrant."""

    @abstractmethod
    def quadrant_cells(self) -> Mapping[str, QuadrantCell]:
        """Cell of each parameter."""

    def search_quadrants(
        self, bench: Bench, target: Target, search: Search | None, name: str, curve: Curve, *path: str
    ) -> Values:
        """Search the cell of one parameter in all quadrants at once, and keep what was found.

        Returns
        -------
        dict of str to float64 array
            The values measured first.
        """
        cell = self.quadrant_cells()[name]

        def measure(code: NDArray[np.int64]) -> Floats:
            bench.keep_shared({cell: code})
            return self.measure(bench, target)[name]

        start = bench.shared.quadrant_code[:, cell].astype(np.int64)
        goal = np.full(len(start), {p.name: p.target for p in self.parameters(bench, target)}[name])
        rng = bench.rng(self.name, *path)
        problem = Problem(measure, start, goal, 1, bench.spec.capmem_code_max, curve, rng)
        found = (search or ModelBased()).find(problem)
        bench.keep_shared({cell: found.code})
        bench.at_edge[name] = found.at_edge
        return {name: found.first}

    def codes(self, bench: Bench) -> Values:
        """Codes of the cells."""
        codes = bench.shared.quadrant_code.astype(np.float64)
        return {name: codes[:, cell] for name, cell in self.quadrant_cells().items()}
