"""Adaptation: time constant, subthreshold strength a and spike-triggered step b.

What is measured
    The membrane after one spike, with reset at the leak potential: only the adaptation current moves it, down and back.
    And the shift of the resting potential when the reference of the adaptation is moved.
How
    CADC, with a weak leak, which makes small currents show. After a spike, with a = 0, the membrane follows a current
    ``b exp(-t / tau_w)``: a fit gives tau_w and, with the nominal capacitance, b. The way from reset to rest is
    measured without adaptation and taken off. At rest, moving the reference by d moves the potential by
    ``d a / (a + g_leak)`` with ``g_leak = C / tau_mem``. Time constant inverse, a and b proportional to their codes:
    model.
Expected accuracy
    4 %: the capacitance of single circuits is known to 1.5 %, the leak conductance to 2 %.
Runtime on silicon
    0.3 s: 16 settings of the analog memory.

References
----------
Brette, Gerstner, J. Neurophysiol. 94, 3637 (2005); Billaudelle et al., AdEx on BrainScaleS-2 (2022), for the procedure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from hxloop.codes import nominal
from hxloop.codes.capmem import Cell, Switch
from hxloop_calibration.measuring.fits import amplitude, least_squares, psp
from hxloop_calibration.measuring.membrane_measurements import (
    BURST_US,
    OUT_OF_REACH,
    burst,
    burst_cells,
    burst_weights,
    by_circuit,
    refractory,
    since_spike_us,
    voltage_code,
    weaker_leak,
)  # fmt: skip
from hxloop_calibration.routine_interface import CellRoutine, Parameter
from hxloop_calibration.search import Curve, Inverse, Proportional
from hxloop_calibration.targets import AdaptationTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hxloop_calibration.measuring.chip_bench import Bench
    from hxloop_calibration.routine_interface import Floats, Values
    from hxloop_calibration.search import Search
    from hxloop_calibration.targets import Target

NAMES: Final = ("tau_adaptation_us", "adaptation_a_ns", "adaptation_b_na")
_SAMPLES: Final = 5
_WEAK: Final = 8.0  # times weaker leak than at the operating point
_REST_MV, _SHIFT_MV = 600.0, 150.0
_REFRACTORY_US: Final = 8.0
_TO_THRESHOLD_MV: Final = 300.0
_TAUS: Final = 4.0


@final
class _TimeAndStep(Curve):
    """Time constants of all circuits, inverse to their codes, and then steps b, proportional to theirs."""

    def __init__(self, n: int) -> None:
        self._n = n
        self.rising = np.repeat([False, True], n)

    def predict(self, code: Floats, value: Floats, target: Floats) -> Floats:
        """Each by its own curve."""
        parts = ((a[: self._n], a[self._n :]) for a in (code, value, target))
        first, second = zip(*parts, strict=True)
        return np.concatenate([Inverse().predict(*first), Proportional().predict(*second)])


@final
class Adaptation(CellRoutine):
    """See the module."""

    name = "adaptation"
    needs = ("cadc", "tau_mem", "references", "leak", "reset")

    def wanted(self, target: Target) -> bool:
        """Only if there is adaptation."""
        return target.adaptation is not None

    def with_defaults(self, target: Target) -> Target:
        """With adaptation."""
        return target if target.adaptation else target.model_copy(update={"adaptation": AdaptationTarget()})

    def parameters(self, bench: Bench, target: Target) -> tuple[Parameter, ...]:
        """Time constant, a, b."""
        assert target.adaptation is not None
        values = (target.adaptation.tau_us, target.adaptation.a_ns, target.adaptation.b_na)
        units = ("us", "nS", "nA")
        texts = ("adaptation time constant", "subthreshold adaptation a", "spike-triggered adaptation b")
        return tuple(
            Parameter(n, u, x, v, 0.15 * v) for n, u, x, v in zip(NAMES, units, texts, values, strict=True)
        )  # fmt: skip

    def cells(self) -> Mapping[str, Cell]:
        """Three."""
        return dict(zip(NAMES, (Cell.i_adapt_tau, Cell.i_adapt_a, Cell.i_adapt_b), strict=True))

    def curve(self, bench: Bench, target: Target) -> Curve:
        """Of time constant and b; a has its own search (see `find`)."""
        return _TimeAndStep(bench.n)

    def find(self, bench: Bench, target: Target, search: Search | None) -> Values:
        """Search time constant and b together, then a."""
        assert target.adaptation is not None
        wanted = target.adaptation
        bench.keep(
            {
                Cell.i_adapt_tau: np.rint(nominal.ADAPT_TAU_US_CODE / wanted.tau_us),
                Cell.i_adapt_a: np.rint(wanted.a_ns / nominal.ADAPT_A_NS_PER_CODE),
                Cell.i_adapt_b: np.rint(wanted.b_na / nominal.ADAPT_B_NA_PER_CODE),
            }
        )

        def after_spike() -> Values:
            return dict(zip((NAMES[0], NAMES[2]), self._after_spike(bench, target), strict=True))

        def at_rest() -> Values:
            return {NAMES[1]: self._at_rest(bench, target)}

        return self.search_cells(
            bench, target, search, (NAMES[0], NAMES[2]), self.curve(bench, target), after_spike, NAMES[0], NAMES[2]
        ) | self.search_cells(bench, target, search, (NAMES[1],), Proportional(), at_rest, NAMES[1])

    def measure(self, bench: Bench, target: Target) -> Values:
        """Time constant and b after a spike, a at rest."""
        tau, b = self._after_spike(bench, target)
        return dict(zip(NAMES, (tau, self._at_rest(bench, target), b), strict=True))

    def systematic(self, bench: Bench, target: Target) -> dict[str, float | Floats]:
        """Capacitance and leak conductance of single circuits."""
        aims = {p.name: p.target for p in self.parameters(bench, target)}
        return {NAMES[0]: 0.01 * aims[NAMES[0]], NAMES[1]: 0.02 * aims[NAMES[1]], NAMES[2]: 0.02 * aims[NAMES[2]]}

    @staticmethod
    def _after_spike(bench: Bench, target: Target) -> tuple[Floats, Floats]:
        """Time constant in us and b in nA."""
        assert target.adaptation is not None
        tau = target.adaptation.tau_us
        t, plain, weight, tau_mem = _traces(bench, tau, Switch(0))
        # Reset and rest are never quite the same: the way from one to the other is taken off.
        rest, way = amplitude(np.exp(-t / tau_mem), plain, weight)
        t, y, weight, tau_mem = _traces(bench, tau, Switch.adaptation)
        y = y - rest[:, None] - way[:, None] * np.exp(-t / tau_mem)

        def model(p: Floats, since: Floats) -> tuple[Floats, Floats]:
            """Offset, height and log of the time constant; the derivative by the latter from a difference."""

            def shape(log_tau: Floats) -> Floats:
                tau_w = np.exp(np.clip(log_tau, -20.0, 20.0))
                return -np.exp(-_REFRACTORY_US / tau_w) * psp(since, tau_mem, tau_w)

            here = shape(p[:, 2:3])
            slope = (shape(p[:, 2:3] + 1e-5) - here) / 1e-5
            return p[:, :1] + p[:, 1:2] * here, np.stack([np.ones_like(since), here, p[:, 1:2] * slope], axis=-1)

        start = np.tile([0.0, target.adaptation.b_na / bench.capacitance_pf, np.log(tau)], (bench.n, 1))
        fitted = least_squares(model, start, t, y, weight)
        found, b_na = np.exp(np.clip(fitted[:, 2], -50.0, 50.0)), fitted[:, 1] * bench.capacitance_pf
        good = (found > 0.02 * tau) & (found < 50.0 * tau) & (b_na > 0)
        return np.where(good, found, np.nan), np.where(good, b_na, np.nan)

    @staticmethod
    def _at_rest(bench: Bench, target: Target) -> Floats:
        """A in nS."""
        assert target.adaptation is not None
        switches = np.full(bench.n, int(Switch.adaptation), np.uint8)
        levels = []
        for sign in (-1.0, 1.0):
            cells: dict[Cell, Any] = {
                Cell.v_leak: _moved(bench, Cell.v_leak), Cell.v_reset: 0, Cell.v_threshold: OUT_OF_REACH,
                Cell.v_adapt_leak: voltage_code(_REST_MV + sign * _SHIFT_MV),
            }  # fmt: skip
            bench.write(bench.with_cells(cells, switches=switches))
            length_us = 5.0 * target.adaptation.tau_us
            readout = bench.cadc(0.01 * length_us)
            result = bench.run(2, 1.2 * length_us, readout)
            read_us = np.arange(result.observations.cadc.shape[1]) * readout.cadc_period_ticks
            settled = read_us * bench.spec.tick_us > length_us
            levels.append(bench.cadc_mv(result)[:, settled].mean(axis=(0, 1)))
        moved = np.clip((levels[1] - levels[0]) / (2.0 * _SHIFT_MV), 0.0, 0.99)
        leak_ns = 1e3 * bench.capacitance_pf / bench.known["tau_mem_us"]
        return np.where(moved > 0, leak_ns * moved / (1.0 - moved), np.nan)


def _traces(bench: Bench, tau: float, switch: Switch) -> tuple[Floats, Floats, Floats, Floats]:
    """Membranes after a spike: time since the refractory period's end, potential, weight [n, m]; tau_mem [n, 1]."""
    counter, clock, period_us = refractory(bench, _REFRACTORY_US)
    leak, leak_range, factor = weaker_leak(bench, _WEAK)
    cells: dict[Cell, Any] = {
        **burst_cells(),
        Cell.v_leak: _moved(bench, Cell.v_leak),
        Cell.v_reset: _moved(bench, Cell.v_reset),
        Cell.v_threshold: voltage_code(_REST_MV + _TO_THRESHOLD_MV),
        Cell.i_leak: leak,
        Cell.i_adapt_a: 0,
    }
    neurons = bench.with_cells(
        cells, leak_range=leak_range, switches=np.full(bench.n, int(switch), np.uint8),
        refractory_counter=counter, refractory_clock=clock,
    )  # fmt: skip
    bench.write(neurons, burst_weights(bench))
    readout = bench.cadc(tau / 60.0)
    shift = max(1, readout.cadc_period_ticks // _SAMPLES)
    result = bench.run(burst(bench, _SAMPLES, shift), BURST_US + _REFRACTORY_US + _TAUS * tau, readout)
    t = since_spike_us(bench, result, readout) - period_us
    bench.silent |= ~np.isfinite(t).any(axis=(0, 1))
    mv = bench.cadc_mv(result)
    used = np.isfinite(t) & (t > 0.5) & np.isfinite(mv)
    t, mv, weight = by_circuit(np.where(used, t, 0.0), mv, used)
    return t, mv, weight, (bench.known["tau_mem_us"] * factor)[:, None]


def _moved(bench: Bench, cell: Cell) -> Floats:
    """Codes of a potential, moved from where calibration brought it to the potential of the measurement."""
    own = bench.neurons.capmem_code[:, cell].astype(np.float64)
    return own + (_REST_MV - bench.known[f"{cell.name}_mv"]) / nominal.V_MV_PER_CODE
