"""References of the synaptic inputs: without events, an input should draw no current.

What is measured
    The shift of the resting potential when an input is switched on, with a weak leak, which makes small currents show.
How
    CADC; three settings: both inputs off, one on, the other on. The shift, divided by the measured ratio of gain and
    leak, is the offset at the input. A code moves it by 0.1 mV: model.
Expected accuracy
    0.1 mV at the input, which moves the resting potential by 0.3 mV.
Runtime on silicon
    0.3 s: twelve settings of the analog memory.

References
----------
calix, hagen/neuron_synin.py (ExcSynReferenceCalib, InhSynReferenceCalib).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell
from hxloop_calibration.measuring.membrane_measurements import OUT_OF_REACH, rest_mv, voltage_code, weaker_leak
from hxloop_calibration.routine_interface import CellRoutine, Parameter
from hxloop_calibration.search import Straight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Values
    from hxloop_calibration.search import Curve
    from hxloop_calibration.targets import Target

NAMES: Final = ("synaptic_reference_exc_mv", "synaptic_reference_inh_mv")
_REST_MV: Final = 600.0
_WEAKEST_US: Final = 30.0


@final
class References(CellRoutine):
    """See the module."""

    name = "references"
    needs = ("cadc", "gain")
    low = 0

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Offset of both inputs."""
        texts = ("offset of the excitatory input's reference", "offset of the inhibitory input's reference")
        return tuple(Parameter(n, "mV", x, 0.0, 1.0) for n, x in zip(NAMES, texts, strict=True))

    def cells(self) -> Mapping[str, Cell]:
        """One for each sign."""
        return dict(zip(NAMES, (Cell.i_shift_exc, Cell.i_shift_inh), strict=True))

    def curve(self, bench: Bench, target: Target) -> Curve:
        """Straight, with the nominal slope."""
        return Straight(nominal.SHIFT_MV_PER_CODE)

    def measure(self, bench: Bench, target: Target) -> Values:
        """Shifts of the resting potential, as offsets at the inputs."""
        factor = max(1.0, _WEAKEST_US / target.neuron.tau_mem_us)
        cells = {Cell.v_leak: voltage_code(_REST_MV), Cell.v_reset: 0, Cell.v_threshold: OUT_OF_REACH}
        weak, leak_range, reached = weaker_leak(bench, factor)
        gm = {Cell.i_gm_exc: 0, Cell.i_gm_inh: 0}
        levels = []
        for on in (None, Cell.i_gm_exc, Cell.i_gm_inh):
            own = {cell: bench.neurons.capmem_code[:, cell] if cell == on else 0 for cell in gm}
            neurons = bench.with_cells({**cells, Cell.i_leak: weak, **own}, leak_range=leak_range)
            levels.append(rest_mv(bench, neurons, target.neuron.tau_mem_us * factor))
        found = {}
        for name, sign, level in zip(NAMES, ("exc", "inh"), levels[1:], strict=True):
            # Gain x tau / step is what 1 mV at the input moves the resting potential by.
            slope = bench.known[f"synapse_gain_{sign}_mv_per_us"] * bench.known["tau_mem_us"] / bench.synapse_step_mv
            found[name] = (level - levels[0]) / slope / reached * (1.0 if sign == "exc" else -1.0)
        return found
