"""Membranes, noise spectrum, and scatter of spike times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hxloop.kit.figures import BLUE, GREEN, GREY, ORANGE, RED, color_of, draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hxloop_chip.report.recordings import Recording
    from hxloop_chip.report.scatter import Scatter
    from hxloop_chip.report.spectrum import Spectrum


def membrane_picture(recording: Recording) -> bytes:
    """MADC of one neuron, and CADC of several."""

    def fill(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True)
        upper.plot(
            recording.madc_us, recording.madc_mv, color=BLUE, lw=0.6, label=f"MADC, circuit {recording.circuit[0]}"
        )
        upper.plot(
            recording.cadc_us, recording.cadc_mv[:, 0], "o", color=ORANGE, ms=2.5, label="CADC of the same circuit"
        )
        upper.axhline(recording.v_threshold_mv[0], color="black", lw=0.8, ls="--", label="true threshold")
        upper.axhline(recording.v_leak_mv[0], color=GREY, lw=0.8, ls=":", label="true resting potential")
        for k, circuit in enumerate(recording.circuit):
            color = color_of(k)
            lower.plot(
                recording.cadc_us, recording.cadc_mv[:, k], "o-", color=color, ms=2, lw=0.6, label=f"CADC, {circuit}"
            )
            lower.plot(recording.spike_us[k], np.full(len(recording.spike_us[k]), 790.0 + 12.0 * k), "|", color=color)
        for axes in (upper, lower):
            axes.plot(recording.input_us, np.full(len(recording.input_us), 340.0), "^", color=GREY, ms=3)
            axes.legend(ncols=3, loc="upper right", bbox_to_anchor=(1.0, 1.22))
            axes.set(ylabel="membrane (mV)")
        lower.set(xlabel="time (us)")

    return draw(9.0, 5.5, fill)


def spectrum_picture(spectrum: Spectrum) -> bytes:
    """Measured and closed-form power spectral density."""

    def fill(figure: Figure) -> None:
        axes = figure.subplots()
        axes.loglog(spectrum.f_mhz, spectrum.measured, color=BLUE, lw=0.7, label="MADC readings")
        axes.loglog(
            spectrum.f_mhz, spectrum.expected, color="black", lw=1, ls="--", label="closed form: held noise + converter"
        )
        axes.loglog(spectrum.f_mhz, spectrum.diffusion, color=ORANGE, lw=1, label="unlimited diffusion (Lorentzian)")
        axes.loglog(spectrum.f_mhz, spectrum.floor, color=GREY, lw=1, ls=":", label="converter: noise and rounding")
        axes.set(xlabel="frequency (MHz)", ylabel="power spectral density (mV²/MHz)")
        axes.set_ylim(0.1 * min(spectrum.floor[0], spectrum.measured.min()), 3 * spectrum.measured.max())
        axes.legend()

    return draw(7.0, 3.6, fill)


def scatter_picture(scatter: Scatter) -> bytes:
    """Deviations of first spikes, the circuits' standard deviations, and the share of each mechanism."""

    def fill(figure: Figure) -> None:
        left, middle, right = figure.subplots(1, 3)
        left.hist(scatter.deviation_us, 60, color=BLUE, alpha=0.8)
        left.set(xlabel="spike time - mean of its circuit (us)", ylabel="spikes", title="all trials")
        middle.hist(scatter.circuit_std_us, 20, color=GREEN, alpha=0.8)
        middle.set(xlabel="standard deviation (us)", ylabel="circuits", title="circuits")
        names = [*scatter.alone_us, "all"]
        right.barh(names, [*scatter.alone_us.values(), scatter.std_us], color=[GREY] * len(scatter.alone_us) + [RED])
        right.set(xlabel="standard deviation (us)", title="each mechanism alone")

    return draw(10.0, 2.8, fill)
