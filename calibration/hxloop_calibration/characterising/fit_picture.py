"""Pictures of a fit: strengths with intervals beside those of the base, and what is left after calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hxloop.files.writing import write_atomically
from hxloop.kit.figures import BLUE, FAINT, GREY, ORANGE, draw_alone
from hxloop_calibration.characterising.variances import known_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hxloop_calibration.characterising.fit_verb import Estimate, FittedChip
    from hxloop_calibration.characterising.measurements import Measurements

FORMS: Final = (".png", ".svg", ".pdf")
_WIDTH, _PER_LINE, _LEAST = 7.5, 0.2, 4.0
_SHOWN: Final = (
    ("boot/v_leak_mv", "leak potential (mV)"),
    ("boot/v_reset_mv", "reset potential (mV)"),
    ("boot/v_threshold_mv", "threshold (mV)"),
    ("boot/tau_mem_us", "tau_mem (us)"),
    ("boot/tau_syn_exc_us", "tau_syn (us)"),
    ("boot/gain_exc_mv_per_us", "gain (mV/us)"),
)
"""Histograms, as far as they were measured; without a calibration those with nominal codes."""


def draw_fit(fitted: FittedChip, given: Sequence[Measurements], base: Mapping[str, float], path: Path) -> None:
    """Draw all estimates over the values of the base, and histograms of circuits.

    Parameters
    ----------
    fitted : FittedChip
    given : sequence of Measurements
        What it was fitted to.
    base : mapping of str to float
        Strengths of the base; those that are 0 there are not drawn.
    path : Path
        One of `FORMS`.

    Raises
    ------
    RecordError
        The file cannot be written.
    """
    shown = [e for e in fitted.estimates if base.get(e.name)]
    names = [_present(name, text, given) for name, text in _SHOWN]
    histograms = [one for one in names if one is not None]

    def fill(figure: Figure) -> None:
        left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(2.0, 1.0)))
        _strengths(left.subplots(), shown, base, fitted.base)
        if histograms:
            rows = right.subplots(len(histograms), 1, squeeze=False)[:, 0]
            for axes, (text, values) in zip(rows, histograms, strict=True):
                _histogram(axes, text, values)

    height = max(_LEAST, 1.0 + _PER_LINE * len(shown))
    write_atomically(path, draw_alone(_WIDTH, height, fill, path.suffix[1:].lower())[0])


def _strengths(axes: Axes, shown: Sequence[Estimate], base: Mapping[str, float], name: str) -> None:
    at = np.arange(len(shown))[::-1]
    scale = np.array([base[e.name] for e in shown])
    value, low, high = (np.array([getattr(e, key) for e in shown]) / scale for key in ("value", "low", "high"))
    sure = np.array([e.sure for e in shown], np.bool_)
    axes.axvline(1.0, color=GREY, lw=0.8, ls="--")
    for which, color, label in ((sure, BLUE, "taken"), (~sure, FAINT, f"too uncertain: that of {name} is kept")):
        if which.any():
            error = np.stack([value - low, high - value])[:, which]
            axes.errorbar(value[which], at[which], xerr=error, fmt="o", ms=3, lw=1.2, color=color, label=label)
    axes.set_yticks(at, [e.name for e in shown])
    axes.set_xlim(0.0, max(2.2, 1.1 * float(value.max(initial=0.0))))
    axes.set_ylim(-1.0, len(shown))
    axes.set_xlabel(f"strength / that of {name}, 95 % intervals")
    axes.legend(loc="upper right")


def _present(name: str, text: str, given: Sequence[Measurements]) -> tuple[str, np.ndarray[Any, Any]] | None:
    for key in (name, name.replace("boot/", "nominal/")):
        found = [known_mean(m[key]) for m in given if key in m]
        if found:
            values = np.concatenate(found)
            return f"{text}, {'calibrated' if key == name else 'nominal codes'}", values[np.isfinite(values)]
    return None


def _histogram(axes: Axes, text: str, values: np.ndarray[Any, Any]) -> None:
    middle, width = float(np.median(values)), float(np.std(values))
    axes.hist(values, bins=np.linspace(middle - 4 * width, middle + 4 * width, 33).tolist(), color=FAINT)
    x = np.linspace(middle - 4 * width, middle + 4 * width, 201)
    axes.plot(x, values.size * width / 4 * np.exp(-0.5 * ((x - middle) / width) ** 2) / np.sqrt(2 * np.pi) / width,
              color=ORANGE, lw=1.0)  # fmt: skip
    axes.set_title(text)
    axes.set_yticks([])
