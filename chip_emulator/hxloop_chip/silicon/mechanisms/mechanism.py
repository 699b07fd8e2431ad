"""What a mechanism is: its strengths, and what it does to a chip through one or more hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from hxloop.program import NeuronCodes, SharedCodes
    from hxloop.spec import ChipSpec
    from hxloop.spikes import SpikeBatch
    from hxloop_chip.silicon.circuits import Circuits
    from hxloop_chip.silicon.imperfections import Imperfections
    from hxloop_chip.silicon.mechanisms.addressed_draws import SiliconDraws, TrialDraws
    from hxloop_chip.silicon.mismatch import Mismatch

    Floats = NDArray[np.float64]

HIGHEST: Final = {"1": 1.0, "mV": 1e3, "pF": 1.0, "us": 100.0, "LSB": 1e3, "K": 10.0, "mV/K": 10.0, "1/K": 0.01}
"""Largest strength by unit, far outside of what any silicon has: with it, and with all of them, numbers stay finite."""

KINDS: Final = ("fixed", "residual", "trial")
"""What the name of a strength says: drawn once for a serial number, left by calibration, drawn anew in every trial."""


LEFT_BY_PUBLISHED: Final = "what calibrate --method published leaves (docs/calibration.md)"
"""Source of residuals."""


@dataclass(frozen=True)
class Strength:
    """A number of a chip that 0 switches off; a standard deviation, unless the text says otherwise.

    Attributes
    ----------
    unit : str
        One of `HIGHEST`; the name of the strength ends in it, but for "1".
    source : str
        Where the number on `typical` comes from, or "assumed".
    text : str
        What varies.
    equation : str
        Where the strength s enters; x is normal with standard deviation s.
    table : str
        Table of the chip's page that lists it.
    highest : float, optional
        Largest value; that of the unit if not given.
    scales : bool
        Whether a chip of so many times the imperfections has so many times of it; a share has not.
    """

    unit: str
    source: str
    text: str
    equation: str
    table: str = "further"
    highest: float | None = None
    scales: bool = True

    @property
    def most(self) -> float:
        """Largest value allowed."""
        return HIGHEST[self.unit] if self.highest is None else self.highest


class Passing(NamedTuple):
    """Events on a link.

    Attributes
    ----------
    batch : SpikeBatch
        Input events (source: channel) or spikes (source: circuit), sorted by sample and tick.
    arrives : bool [n_events]
        Which of them come out at the other end; the others count as lost.
    """

    batch: SpikeBatch
    arrives: NDArray[np.bool_]


class Reads(NamedTuple):
    """What a converter is reading.

    Attributes
    ----------
    converter : str
        ``cadc`` (membranes), ``madc``, or ``correlation`` (sensors, by CADC channels; one sample, causal and acausal).
    channel : int64 [n_channels]
        Circuit, or for sensors ``circuit * n_rows + row``.
    draws : TrialDraws
        Sample 0 is the first of these readings.
    """

    converter: str
    channel: NDArray[np.int64]
    draws: TrialDraws


class Mechanism:
    """An imperfection. A hook that is not defined does nothing and costs nothing, nor does one whose strengths are 0.

    Numbers must come from the draws that the hook is given, addressed by the mechanism's name: then a result depends on
    serial number, trial and sample alone, not on threads, on how a batch is split, or on other mechanisms.

    Attributes
    ----------
    strengths : mapping of str to Strength
        By name: ``WHAT_KIND`` with a kind of `KINDS`, and the unit at the end.
    reference : str
        Where the mechanism is described.
    deviations : mapping of str to (str, str)
        Unit and meaning of each array that `drawn` gives the silicon.
    """

    strengths: ClassVar[Mapping[str, Strength]]
    reference: ClassVar[str]
    deviations: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def drawn(self, s: Imperfections, draws: SiliconDraws, before: Mismatch) -> Mapping[str, object]:
        """Deviations of the silicon: numbers or arrays, which become attributes of `Mismatch`.

        Parameters
        ----------
        s : Imperfections
        draws : SiliconDraws
        before : Mismatch
            As mechanisms earlier in the registry have left it.
        """
        return {}

    def circuits(self, s: Imperfections, circuits: Circuits, circuit: NDArray[np.int64], silicon: Mismatch) -> Circuits:
        """True parameters of configured circuits [n], from those that the codes and the mismatch in the curves make.

        Parameters
        ----------
        s : Imperfections
        circuits : Circuits
        circuit : int64 [n]
            Which circuits they are.
        silicon : Mismatch
            Has what `drawn` gave.
        """
        return circuits

    def at_temperature(
        self, s: Imperfections, circuits: Circuits, circuit: NDArray[np.int64], silicon: Mismatch, kelvin: float
    ) -> Circuits:
        """True parameters of the same circuits at another temperature than that of the nightly calibration.

        Called only where `kelvin` is not 0. Capacitances and currents of events must stay as they are: synapses are
        wired up once for all temperatures.
        """
        return circuits

    def written(
        self, s: Imperfections, cells: Floats, neurons: NeuronCodes, shared: SharedCodes, silicon: Mismatch
    ) -> Floats:
        """What analog cells hold, float64 [n, len(Cell)], after these codes were written.

        If all strengths are ``_fixed``, the nightly calibration finds codes that end right.
        """
        return cells

    def on_way_in(self, s: Imperfections, passing: Passing, draws: TrialDraws) -> Passing:
        """Events of the host on the link, before they reach a bus; also those that find no room on it."""
        return passing

    def on_way_out(self, s: Imperfections, passing: Passing, draws: TrialDraws) -> Passing:
        """Spikes of the chip on the link to the host; counters and sensors have seen them already."""
        return passing

    def in_solver(self, s: Imperfections, sigmas: Floats, spec: ChipSpec) -> None:
        """Set the strengths that the kernels know, float64 [N_SIGMAS] (`hxloop_chip.solver.layout`)."""

    def reading(self, s: Imperfections, lsb: Floats, reads: Reads) -> Floats:
        """Readings [n_samples, n_reads, n_channels] before they are rounded and cut; may be changed in place."""
        return lsb

    def does(self, hook: str) -> bool:
        """Whether the mechanism defines a hook."""
        return getattr(type(self), hook) is not getattr(Mechanism, hook)
