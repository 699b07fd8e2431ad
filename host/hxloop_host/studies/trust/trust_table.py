"""The table of trust: published figures in rows, chips in columns, and whether they agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pandas as pd

from hxloop_host.studies.analysis.statistics import ENOUGH, Interval, interval, population
from hxloop_host.studies.trust.chip_columns import DEFAULT, PUBLISHED, RESIDUALS
from hxloop_host.studies.trust.published_figures import BANDS, FIGURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hxloop_host.studies.trust.published_figures import PublishedFigure

GREEN, RED, GREY = "green", "red", "grey"
HALF: Final = 0.5
"""Share of a difference that must be explained."""


@dataclass(frozen=True)
class Verdict:
    """Whether a figure agrees.

    Attributes
    ----------
    colour : str
        ``green``: the mean lies in the band. ``red``: it does not. ``grey``: nothing to compare.
    caveat : str
        Why it may be otherwise; empty if the whole interval says so.
    """

    colour: str
    caveat: str = ""


def verdict(figure: PublishedFigure, ours: Interval) -> Verdict:
    """Whether the mean over chips lies in the band of a published figure."""
    if ours.n == 0 or ours.mean != ours.mean:
        return Verdict(GREY, "not measured")
    if not figure.has_band:
        return Verdict(GREY, "no published figure")
    low = -float("inf") if figure.low is None else figure.low
    high = float("inf") if figure.high is None else figure.high
    caveats = [ours.caveat] if ours.n < ENOUGH else []
    if ours.low == ours.low:  # NaN is not itself
        edges = [f"{edge:.4g}" for edge in (low, high) if ours.low < edge < ours.high]
        caveats += [f"the interval reaches across {' and '.join(edges)}"] if edges else []
    return Verdict(GREEN if low <= ours.mean <= high else RED, "; ".join(caveats))


def trust_table(chips: pd.DataFrame, figures: Sequence[PublishedFigure] = FIGURES) -> pd.DataFrame:
    """Verdicts of all figures for all columns of chips.

    Parameters
    ----------
    chips : DataFrame
        As `hxloop_host.studies.trust.chip_lines.chip_lines`.
    figures : sequence of PublishedFigure

    Returns
    -------
    DataFrame
        One row for each figure and column of chips: ``key``, ``figure``, ``calibration``, ``published``, ``band_low``,
        ``band_high``, ``mean``, ``low``, ``high``, ``n``, ``verdict``, ``caveat``, ``band``, ``source``.
    """
    lines = []
    for figure in figures:
        for column, rows in chips.groupby("calibration", sort=False):
            ours = _of(figure, rows)
            found = _not_comparable(figure, rows) or verdict(figure, ours)
            lines.append({
                "key": figure.key, "figure": figure.text, "calibration": column, "published": figure.published,
                "band_low": figure.low, "band_high": figure.high, "mean": ours.mean, "low": ours.low,
                "high": ours.high, "n": ours.n, "verdict": found.colour, "caveat": found.caveat, "band": figure.band,
                "source": figure.source,
            })  # fmt: skip
    return pd.DataFrame(lines)


def _not_comparable(figure: PublishedFigure, rows: pd.DataFrame) -> Verdict | None:
    """Figures of the published training say nothing about another network, or one that was trained for less."""
    epochs = int(rows["epochs"].min())
    if figure.epochs and not rows["published_network"].all():
        return Verdict(GREY, "another network than the published one")
    if epochs < figure.epochs:
        return Verdict(GREY, f"trained for {epochs} epochs, the published network for {figure.epochs}")
    return None


def _of(figure: PublishedFigure, rows: pd.DataFrame) -> Interval:
    if figure.key not in rows:
        return interval([])
    return population(rows.assign(scaled=figure.scale * rows[figure.key].astype(float)), "scaled")


def explained(chips: pd.DataFrame) -> pd.DataFrame | None:
    """How much of what a better calibration changes its residuals explain.

    The change from the published method to the default one, and from the published one to a chip with the default
    one's residuals put in by hand; chips are paired by serial number and seed.

    Returns
    -------
    DataFrame or None
        One row for each of `BANDS`: ``figure``, ``difference`` with ``low``, ``high`` and ``n``, ``by_residuals``,
        ``share`` and ``verdict``; grey where the difference is no larger than chance makes it. None
        without these columns.
    """
    parts = {name: rows.set_index(["serial", "seed"]) for name, rows in chips.groupby("calibration", sort=False)}
    if not {PUBLISHED, DEFAULT, RESIDUALS} <= set(parts):
        return None
    lines = []
    for figure in (f for f in FIGURES if f.key in BANDS and f.key in chips):
        values = {name: figure.scale * rows[figure.key].astype(float) for name, rows in parts.items()}
        whole = interval((values[DEFAULT] - values[PUBLISHED]).to_numpy())
        by_residuals = interval((values[RESIDUALS] - values[PUBLISHED]).to_numpy()).mean
        share = by_residuals / whole.mean if whole.mean else float("nan")
        sure = whole.n >= ENOUGH and (whole.low > 0.0 or whole.high < 0.0)
        lines.append({
            "key": figure.key, "figure": figure.text, "difference": whole.mean, "low": whole.low, "high": whole.high,
            "n": whole.n, "by_residuals": by_residuals, "share": share,
            "verdict": (GREEN if share >= HALF else RED) if sure else GREY,
        })  # fmt: skip
    return pd.DataFrame(lines)
