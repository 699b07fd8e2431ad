"""Families of routines, by the method of `hxloop_calibration.options.Options`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hxloop_calibration.routines.adaptation import Adaptation
from hxloop_calibration.routines.cadc import Cadc
from hxloop_calibration.routines.correlation import Correlation
from hxloop_calibration.routines.delays import Delays
from hxloop_calibration.routines.gain import Gain
from hxloop_calibration.routines.leak import Leak
from hxloop_calibration.routines.published.chip_strength import ChipStrength
from hxloop_calibration.routines.published.event_amplitude import SynapticInput
from hxloop_calibration.routines.published.line_decay import TauSynByLine
from hxloop_calibration.routines.published.line_drop import SynapseDacByDrop
from hxloop_calibration.routines.published.membrane_decay import TauMemByDecay
from hxloop_calibration.routines.published.membrane_peak import ThresholdByPeak
from hxloop_calibration.routines.published.ramp_search import CadcByReading
from hxloop_calibration.routines.published.reset_reading import ResetByReading
from hxloop_calibration.routines.published.resting_reading import LeakByReading
from hxloop_calibration.routines.rates import Rates
from hxloop_calibration.routines.references import References
from hxloop_calibration.routines.refractory import Refractory
from hxloop_calibration.routines.reset import Reset
from hxloop_calibration.routines.synapse_dac import SynapseDac
from hxloop_calibration.routines.tau_mem import TauMem
from hxloop_calibration.routines.tau_syn import TauSyn
from hxloop_calibration.routines.threshold import Threshold
from hxloop_calibration.routines.weight_scale import WeightScale
from hxloop_calibration.search import ModelBased

if TYPE_CHECKING:
    from hxloop_calibration.options import Method
    from hxloop_calibration.routine_interface import Routine
    from hxloop_calibration.search import Search


@dataclass(frozen=True)
class Family:
    """Routines that together calibrate a chip.

    Attributes
    ----------
    routines : dict of str to Routine
        In the order in which they run: as in the lab, every routine after those whose results it needs.
    refined : tuple of str
        Run once more when all others have: constant currents, and with them the potentials, have moved.
    refining : Search or None
        What searches then; None: the routine's own.
    """

    routines: dict[str, Routine]
    refined: tuple[str, ...]
    refining: Search | None


def _by_name(*routines: Routine) -> dict[str, Routine]:
    return {routine.name: routine for routine in routines}


FAMILIES: Final[dict[Method, Family]] = {
    "default": Family(
        _by_name(
            Cadc(), TauSyn(), TauMem(), SynapseDac(), Gain(), References(), Leak(), Reset(), Threshold(), Refractory(),
            Adaptation(), Rates(), WeightScale(), Correlation(), Delays(),
        ),
        ("leak", "reset", "threshold"),
        ModelBased(2),
    ),
    "published": Family(
        _by_name(
            CadcByReading(), TauSynByLine(), SynapseDacByDrop(), ThresholdByPeak(), SynapticInput(), TauMemByDecay(),
            ResetByReading(), LeakByReading(), ChipStrength(),
        ),
        ("cadc", "threshold", "reset", "leak", "weight_scale"),
        None,
    ),
}  # fmt: skip
"""Methods; the second one in the order of calix, spiking/__init__.py and spiking/neuron.py, and what trainers do."""

ROUTINES: Final = FAMILIES["default"].routines
"""This project's own."""
