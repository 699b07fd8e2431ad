"""The table of trust on the page of a study and in its findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hxloop.kit.page import Marked, Section, Table
from hxloop_host.studies.design.kind import Finding
from hxloop_host.studies.trust.chip_columns import COLUMNS
from hxloop_host.studies.trust.published_figures import BANDS, FIGURES
from hxloop_host.studies.trust.trust_table import GREEN, GREY, RED

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from hxloop_host.studies.design.kind import Analyses

_DIGITS: Final = {figure.key: figure.digits for figure in FIGURES}
_READING: Final = (
    "Green: the mean over the chips lies in the band; red: it does not; grey: there is no published figure, or none "
    "was measured. In brackets the 95 % interval of the mean; a star: it reaches across an edge of the band, or there "
    "are too few chips."
)


def trust_sections(analyses: Analyses) -> list[Section]:
    """Parts of the page; none if no chip is done."""
    if "trust" not in analyses:
        return []
    trust = _named(analyses["trust"])
    columns = list(dict.fromkeys(trust["column"]))
    rows = [
        [lines["figure"].iloc[0], lines["published"].iloc[0], band_text(lines.iloc[0])]
        + [_cell(lines[lines["column"] == column]) for column in columns]
        for _, lines in trust.groupby("key", sort=False)
    ]
    counts = "; ".join(
        f"{column}: " + ", ".join(f"{(lines['verdict'] == colour).sum()} {colour}" for colour in (GREEN, RED, GREY))
        for column, lines in trust.groupby("column", sort=False)
    )
    meanings = "; ".join(f"{name}: {COLUMNS[name]}" for name in dict.fromkeys(trust["calibration"]))
    table = Table(("figure", "published", "band", *columns), rows)
    sources = [
        (line["figure"], line["source"], line["band"])
        for line in trust.drop_duplicates("key").to_dict("records")
        if line["source"]
    ]
    return [
        Section("trust", "Published figures and ours", [_READING, f"{meanings}.", f"{counts}."], tables=[table]),
        *_explained(analyses),
        Section(
            "sources", "Sources of the published figures",
            tables=[Table(("figure", "source", "why this band"), sources, folded=f"{len(sources)} figures")],
        ),
    ]  # fmt: skip


def _explained(analyses: Analyses) -> list[Section]:
    if "explained" not in analyses:
        return []
    rows = [
        [f"{line['column']}: {line['figure']}" if line["column"] else line["figure"],
         *(_number(line["key"], line[name]) for name in ("difference", "by_residuals")),
         Marked(_share(line["share"]), line["verdict"])]
        for line in _named(analyses["explained"]).to_dict("records")
    ]  # fmt: skip
    words = "How much of default - published the residuals that the default method leaves explain; green: half or more."
    table = Table(("figure", "default - published", "residuals - published", "explained"), rows)
    return [Section("explained", "What residuals explain", [words], tables=[table])]


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """With a name of what is common to a row: its chips, and whatever else was varied, which stands before the key."""
    names = [str(c) for c in table.columns[: table.columns.get_loc("key")]]
    own = [*names, *(["calibration"] if "calibration" in table else [])]
    texts = [
        ", ".join(str(v) if name == "calibration" else f"{name} = {v}" for name, v in zip(own, values, strict=True))
        for values in table[own].itertuples(index=False, name=None)
    ]
    return table.assign(column=texts)


def trust_findings(analyses: Analyses) -> list[Finding]:
    """What agrees: a count for each column of chips, the figures that the chips are fitted to, what is explained."""
    found = []
    for column, lines in analyses["trust"].groupby("calibration", sort=False):
        judged = lines[lines["verdict"] != GREY]
        red = judged.loc[judged["verdict"] == RED, "key"].tolist()
        found.append(
            Finding(
                f"{column}: figures that agree", f"{len(judged) - len(red)} of {len(judged)}", "published figures",
                not red if len(judged) else None, f"not {', '.join(red)}" if red else "",
            )
        )  # fmt: skip
    found += [
        Finding(
            f"{line['calibration']}: {line['figure']}", cell_text(line), f"{line['published']} ({band_text(line)})",
            None if line["verdict"] == GREY else line["verdict"] == GREEN, caveat=line["caveat"],
        )
        for line in analyses["trust"].to_dict("records")
        if line["key"] in BANDS
    ]  # fmt: skip
    found += [
        Finding(
            f"share of default - published that residuals explain: {line['figure']}", _share(line["share"]), "half",
            None if line["verdict"] == GREY else line["verdict"] == GREEN,
            caveat="" if line["verdict"] != GREY else "the two methods do not differ for certain",
        )
        for line in (analyses["explained"].to_dict("records") if "explained" in analyses else ())
    ]  # fmt: skip
    return found


def cell_text(line: Mapping[Any, Any] | pd.Series) -> str:
    """Mean with its interval."""
    if line["mean"] != line["mean"]:  # NaN is not itself
        return ""
    text = _number(line["key"], line["mean"])
    if line["low"] == line["low"]:
        text += f" ({_number(line['key'], line['low'])} .. {_number(line['key'], line['high'])})"
    return text + (" *" if line["caveat"] and line["verdict"] != GREY else "")


def band_text(line: Mapping[Any, Any] | pd.Series) -> str:
    """Band of a figure."""
    ends = [
        None if line[name] is None or line[name] != line[name] else line[name] for name in ("band_low", "band_high")
    ]
    low, high = ends
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f"<= {high:g}" if low is None else f">= {low:g}"
    return f"{low:.4g} .. {high:.4g}"


def _cell(lines: pd.DataFrame) -> Marked:
    return Marked("", GREY) if lines.empty else Marked(cell_text(lines.iloc[0]), lines["verdict"].iloc[0])


def _number(key: str, value: float) -> str:
    return f"{value:.{_DIGITS[key]}f}"


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"
