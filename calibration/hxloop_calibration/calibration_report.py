"""A page about a calibration: what became of every parameter, where on the chip it failed, what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.calibration_table import TEXTS, Reason
from hxloop.files.writing import HTML, check_ending, write_atomically
from hxloop.kit.figures import BLUE, GREY, RED, draw
from hxloop.kit.page import Section, Table, page

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hxloop.codes.calibration_table import Calibrated, CalibrationTable

_COLUMNS: Final = 3
_MEANING: Final = {
    "default": "The true value lies within value +- uncertainty with 95 % probability, for all that the chip shows.",
    "published": "They are what the readings of the published method say, and the uncertainty is how these scatter: "
    "slopes of CADC channels and the like are not in it. A circuit fails only if its code is at the edge of its range.",
}
_MOST_FAILURES: Final = 200


def write_report(table: CalibrationTable, path: Path) -> None:
    """Write one self-contained HTML page; it needs no network.

    Parameters
    ----------
    table : CalibrationTable
    path : Path
        Must end in ``.html``; a file that is there is replaced.

    Raises
    ------
    InvalidInputError
        Not an HTML file.
    RecordError
        The file cannot be written.
    """
    check_ending(path, HTML, field="report")
    sections = [_summary(table), _histograms(table), _chip_map(table), _failures(table), _costs(table), _origin(table)]
    write_atomically(path, page(f"Calibration of {table.identity}", sections).encode())


def _summary(table: CalibrationTable) -> Section:
    rows = []
    for name, parameter in table.parameters.items():
        s = parameter.summary()
        uncertainty = parameter.uncertainty[np.isfinite(parameter.uncertainty)]
        rows.append(
            [
                name, s["unit"], parameter.per, s["target"], s["median"], s["std_before"], s["std"],
                float(np.median(uncertainty)) if uncertainty.size else None, parameter.tolerance,
                f"{100 * s['success_fraction']:.1f} %",
            ]
        )  # fmt: skip
    heading = (
        "parameter", "unit", "per", "target", "median", "std before", "std of residuals", "uncertainty (95 %)",
        "tolerance", "as wanted",
    )  # fmt: skip
    usable = table.usable
    return Section(
        "summary",
        "Summary",
        [
            f"{int(usable.sum())} of {len(usable)} circuits are as wanted in every parameter. On silicon the"
            f" calibration takes {table.chip_time_s:.1f} s, most of it waiting for the analog memory.",
            "Values are means over several writings of the codes, after the search. " + _MEANING[table.method],
        ],
        tables=[Table(heading, rows)],
    )


def _histograms(table: CalibrationTable) -> Section:
    shown = [p for p in table.parameters.values() if p.per != "quadrant"]
    rows = -(-len(shown) // _COLUMNS)

    def fill(figure: Figure) -> None:
        grid = figure.subplots(rows, _COLUMNS, squeeze=False)
        for axes, parameter in zip(grid.flat, shown, strict=False):
            _histogram(axes, parameter)
        for axes in grid.flat[len(shown) :]:
            axes.set_axis_off()

    return Section(
        "histograms",
        "Before and after",
        [
            "Grey: with the codes the chip had; blue: calibrated; red line: target. Outliers beyond the plotted range "
            "are counted in its first and last bar."
        ],
        [draw(11.0, 2.3 * rows, fill)],
    )


def _histogram(axes: Axes, parameter: Calibrated) -> None:
    before = parameter.before[np.isfinite(parameter.before)]
    after = parameter.achieved[np.isfinite(parameter.achieved)]
    everything = np.concatenate([before, after])
    axes.set_title(parameter.long_name)
    axes.set_xlabel(f"{parameter.name} ({parameter.unit})" if parameter.unit != "1" else parameter.name)
    axes.set_ylabel(f"{parameter.per}s")
    if everything.size == 0:
        axes.text(0.5, 0.5, "nothing measured", ha="center", transform=axes.transAxes)
        return
    low, high = np.percentile(everything, [0.5, 99.5])
    middle, reach = parameter.target[0], max(high - parameter.target[0], parameter.target[0] - low, 1e-12)
    edges = np.linspace(middle - 1.05 * reach, middle + 1.05 * reach, 61)
    for values, color in ((before, GREY), (after, BLUE)):
        if values.size:
            axes.hist(np.clip(values, edges[0], edges[-1]), edges.tolist(), color=color, alpha=0.75)
    axes.axvline(middle, color=RED, lw=0.8, zorder=3)
    axes.locator_params(axis="x", nbins=5)
    axes.set_yscale("log")
    axes.set_ylim(0.6, None)


def _chip_map(table: CalibrationTable) -> Section:
    shown = [p for p in table.parameters.values() if p.per == "circuit"]

    def fill(figure: Figure) -> None:
        rows = figure.subplots(len(shown) + 1, 1, squeeze=False, sharex=True)[:, 0]
        image = None
        for axes, parameter in zip(rows, shown, strict=False):
            relative = (parameter.residual / parameter.tolerance).reshape(2, -1)
            image = axes.imshow(relative, aspect="auto", cmap="RdBu", vmin=-1, vmax=1, interpolation="nearest")
            _mark(axes, ~parameter.success.reshape(2, -1), parameter.name)
        _mark(rows[-1], ~table.usable.reshape(2, -1), "any failure")
        rows[-1].imshow(np.zeros((2, 256)), aspect="auto", cmap="Greys", vmin=0, vmax=2)
        rows[-1].set_xlabel("column; upper and lower hemisphere")
        if image is not None:
            figure.colorbar(image, ax=list(rows), label="residual / tolerance", shrink=0.5)

    return Section(
        "map",
        "On the chip",
        ["Residuals of all circuits in units of the tolerance; crosses: not as wanted."],
        [draw(11.0, 0.62 * (len(shown) + 1), fill)],
    )


def _mark(axes: Axes, failed: np.ndarray, name: str) -> None:
    row, column = np.nonzero(failed)
    axes.plot(column, row, "x", color="black", ms=4)
    axes.set_yticks([])
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)


def _failures(table: CalibrationTable) -> Section:
    grouped: dict[tuple[str, int, str], list[str]] = {}
    for k, name, reason in table.failures():
        p = table.parameters[name]
        residual = float(p.residual[k])
        text = name if np.isnan(residual) else f"{name} ({residual:+.3g} {p.unit})"
        grouped.setdefault((p.per, k, reason), []).append(text)
    text = "What depends on something that failed is listed, too." if grouped else "Everything is as wanted."
    rows = [[f"{per} {k}", reason, ", ".join(names)] for (per, k, reason), names in grouped.items()]
    if len(rows) > _MOST_FAILURES:
        text += f" The first {_MOST_FAILURES} of {len(rows)}:"
    heading = ("where", "why", "parameters (residual)")
    return Section(
        "failures", "What failed, and why", [text], tables=[Table(heading, rows[:_MOST_FAILURES])] if rows else []
    )


def _costs(table: CalibrationTable) -> Section:
    rows: list[list[object]] = [
        [c.routine, c.configurations, c.runs, c.samples, c.settle_s, c.run_s, c.round_trips_s, c.chip_time_s]
        for c in table.costs
    ]
    total = [sum(getattr(c, n) for c in table.costs) for n in ("configurations", "runs", "samples")]
    times = [sum(getattr(c, n) for c in table.costs) for n in ("settle_s", "run_s", "round_trips_s", "chip_time_s")]
    rows.append(["all", *total, *times])
    heading = (
        "routine", "writings of the analog memory", "runs", "samples", "settling (s)", "running (s)",
        "round trips (s)", "all (s)",
    )  # fmt: skip
    return Section(
        "costs",
        "What it costs on silicon",
        [
            "Settling 20 ms after every writing of the analog memory (calix), round trip 150 us (hxcomm, median). The "
            "emulator passes this time without waiting."
        ],
        tables=[Table(heading, rows, digits=3)],
    )


def _origin(table: CalibrationTable) -> Section:
    at = table.identity
    rows: list[list[object]] = [
        ["chip", str(at)], ["datasheet", at.spec], ["model", at.model], ["target", table.target],
        ["options", table.options], ["key", table.key], ["versions", table.versions],
        ["chip time", f"{table.began_s:.3f} .. {table.ended_s:.3f} s"],
        ["answer to the standard stimulus", f"{np.nanmean(table.drift.spike_time_us):.3f} us in the mean"],
        ["expires when the answers move by", f"{table.drift.limit_us:g} us (root mean square)"],
    ]  # fmt: skip
    rows += [[f"reason {r.value}", TEXTS[r]] for r in Reason]
    return Section("origin", "Where it comes from", tables=[Table(("what", "value"), rows)])
