"""A kind of study: the question it answers, the points it takes, and how the answer is shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from hxloop.kit.brief import brief
from hxloop_host.settings.virtual_chip_settings import VirtualChipSettings
from hxloop_host.studies.design.draws import drawn
from hxloop_host.studies.design.keys_of_before import DEFAULT_METHOD, losses_left
from hxloop_host.studies.design.knobs import Knobs, knobs_of
from hxloop_host.studies.design.point import Point
from hxloop_host.studies.design.sheet import read_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from hxloop.kit.page import Section
    from hxloop.plugins import Source
    from hxloop_calibration.options import Method
    from hxloop_host.runs.trained_run import Run
    from hxloop_host.settings.experiment_settings import Settings
    from hxloop_host.studies.design.chart import Chart

    Analyses = Mapping[str, pd.DataFrame]

IDEAL: Final = "ideal"
"""The textbook chip; all of its serial numbers are the same chip."""

PresetName = Literal["quick", "paper"]


@brief
@dataclass(frozen=True)
class Results:
    """What the points of a study have stored, for tables that follow from more than their figures.

    Attributes
    ----------
    spikes : callable
        First spikes of the label layer in the test of a point, by its key: float64 [n_samples, n_classes] in tau_syn.
    run : callable
        Run of a point that trains, by its key.
    costs : callable
        Wall time of a point in s and memory in MB, by its key; NaN where nobody knows.
    """

    spikes: Callable[[str], NDArray[np.float64]]
    run: Callable[[str], Run]
    costs: Callable[[str], tuple[float, float]]


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    labels : dict of str to value
        What was varied: the first columns.
    point : Point
        What is computed for it.
    serial : int or None
        Serial number that was asked for, where `point` has another one because the chips are equal.
    """

    labels: Mapping[str, Any]
    point: Point
    serial: int | None = None

    def drawn(self) -> Row:
        """The same row with the point of the first of equal chips."""
        return replace(self, point=drawn(self.point), serial=self.point.serial)


@dataclass(frozen=True)
class Finding:
    """What a study found beside what the literature says.

    Attributes
    ----------
    statement : str
        What the figure is.
    ours : str
        Our figure with its interval.
    literature : str
    agrees : bool or None
        None: nothing to compare with, or `undecided`.
    note : str
        Why it does not agree.
    caveat : str
        Why the figure does not say much.
    undecided : bool
        There is something to compare with, but too little to tell.
    """

    statement: str
    ours: str
    literature: str
    agrees: bool | None
    note: str = ""
    caveat: str = ""
    undecided: bool = False

    @property
    def verdict(self) -> str:
        """Whether it agrees, in words."""
        if self.undecided:
            return "too few to tell"
        return "-" if self.agrees is None else "yes" if self.agrees else "no"

    def values(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return vars(self) | {"verdict": self.verdict}


@dataclass(frozen=True)
class Base:
    """What all points of a study share.

    Attributes
    ----------
    task : str
    settings : Settings
        Of every training.
    chip : str
        Named chip.
    calibrated : bool
        Calibrate every chip, except the textbook one, before it is used.
    method : str
        Method of these calibrations, as in `hxloop.calibrate`.
    changes : dict of str to value
        Knobs that are turned for all points.
    rule : Source or None
        Of a rule that is not the program's.
    data : dict of str to str
        Name and digest of data that are not the program's.
    """

    task: str
    settings: Settings
    chip: str
    calibrated: bool = False
    method: Method = DEFAULT_METHOD
    changes: Mapping[str, Any] = field(default_factory=dict)
    rule: Source | None = None
    data: Mapping[str, str] = field(default_factory=dict)

    def on(self, chip: str) -> Base:
        """Return the same on another chip."""
        return replace(self, chip=chip)

    @property
    def knobs(self) -> Knobs:
        """What can be turned."""
        return knobs_of(self.settings, read_sheet(self.chip))

    def strength(self, imperfection: str) -> float:
        """How strong an imperfection of the base chip is."""
        return self.knobs.sheet.all[imperfection].value

    def calibrating(self, calibrated: bool, method: Method = DEFAULT_METHOD) -> Base:
        """Return the same with or without calibration."""
        return replace(self, calibrated=calibrated, method=method)

    def reference(self) -> Base:
        """Return the same on the textbook chip, with the same settings of the trainings."""
        changes = {key: value for key, value in self.changes.items() if not key.startswith("chip.")}
        return replace(self, chip=IDEAL, changes=changes)

    def on_virtual_chips(self) -> Base:
        """Return the same with a virtual chip for each batch of a training; statistics of the settings stay."""
        statistics = self.settings.virtual_chips or VirtualChipSettings()
        return replace(self, settings=self.settings.with_virtual_chips(statistics))

    def turned(self, changes: Mapping[str, Any]) -> Base:
        """Return the same with more knobs turned."""
        return replace(self, changes={**self.changes, **changes})

    def train(
        self, serial: int, seed: int, *, initial: Point | None = None, calibrated_at_s: float | None = None
    ) -> Point:
        """Train on a chip."""
        settings, chip = self.knobs.apply(self.changes)
        return Point(
            action="train", task=self.task, settings=settings, chip=chip, serial=serial, seed=seed,
            model=self.knobs.sheet.model, initial=initial, **self._calibration(calibrated_at_s),
            rule=self._rule_of(settings), data=dict(self.data), losses_left=losses_left(self.settings, settings),
        )  # fmt: skip

    def test(
        self, weights: Point, serial: int, *, trial: int = 0, at_s: float | None = None,
        calibrated_at_s: float | None = None,
    ) -> Point:  # fmt: skip
        """Test the weights of a training on a chip."""
        _, chip = self.knobs.apply(self.changes)
        return Point(
            action="test", task=self.task, settings=weights.settings, chip=chip, serial=serial, seed=weights.seed,
            model=self.knobs.sheet.model, initial=weights, **self._calibration(calibrated_at_s),
            at_s=at_s, trial=trial, rule=weights.rule, data=weights.data, losses_left=weights.losses_left,
        )  # fmt: skip

    def _rule_of(self, settings: Settings) -> Source | None:
        """Source of a rule that is not the program's, unless another rule was turned to."""
        return None if self.rule is None or settings.rule.kind != self.rule.name else self.rule

    def measure(self, serial: int, *, at_s: float = 0.0) -> Point:
        """Measure a chip itself, from this chip time on."""
        settings, chip = self.knobs.apply(self.changes)
        return Point(
            action="measure", task=self.task, settings=settings, chip=chip, serial=serial, seed=0,
            model=self.knobs.sheet.model, at_s=at_s, data=dict(self.data), **self._calibration(None),
        )  # fmt: skip

    def _calibration(self, asked_s: float | None) -> dict[str, Any]:
        """When as asked for; else at 0 if the study calibrates every chip, but never the textbook one."""
        textbook = self.knobs.sheet.base == IDEAL
        at_s = 0.0 if asked_s is None and self.calibrated and not textbook else asked_s
        return {"calibrated_at_s": at_s, "calibration_method": DEFAULT_METHOD if at_s is None else self.method}


@dataclass(frozen=True)
class Plan:
    """What to do: the arguments of a kind's `points`.

    Attributes
    ----------
    base : Base
    serials, seeds : tuple of int
    options : dict of str to value
        Lists of the kind (spreads, epochs of fine-tuning, ...), by name.
    """

    base: Base
    serials: tuple[int, ...]
    seeds: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Preset:
    """Sizes of a study.

    Attributes
    ----------
    settings : str
        Preset of the trainings.
    serials, seeds : str
        As people write them.
    changes : dict
        Knobs turned for all points.
    options : dict
        Lists of the kind.
    """

    settings: str
    serials: str
    seeds: str = "0"
    changes: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@brief
@dataclass(frozen=True)
class Kind:
    """A named study.

    Attributes
    ----------
    name, title : str
    question : str
    reading : tuple of str
        Paragraphs: what is varied, and how to read the figures.
    chip : str
        Named chip that it studies.
    presets : dict of str to Preset
        ``quick`` and ``paper``.
    points : callable
        Rows of a plan, in the order of the table.
    charts : callable
        Figures of a table.
    groups : tuple of str
        Columns by which the summary groups.
    findings : callable or None
        What the table says, beside what the literature says.
    derive : callable or None
        The finished table with more columns.
    analyse : callable or None
        More tables that follow from it, by name.
    sections : callable or None
        Parts of the page that are made of these tables.
    analysis_charts : dict of str to tuple of Chart
        Figures of these tables.
    literature : tuple of str
        What others found.
    compares_spikes : bool
        It compares first spikes of the output, so trainings need a loss of first spikes.
    all_columns : bool
        What the user varies is what the kind is about: its figures and findings take the whole table. Otherwise they
        are made for each combination of it, so that no mean mixes different ones.
    """

    name: str
    title: str
    question: str
    reading: tuple[str, ...]
    chip: str
    presets: Mapping[str, Preset]
    points: Callable[[Plan], Sequence[Row]]
    charts: Callable[[pd.DataFrame], Sequence[Chart]]
    groups: tuple[str, ...]
    findings: Callable[[pd.DataFrame, Analyses], Sequence[Finding]] | None = None
    derive: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    analyse: Callable[[pd.DataFrame, Results], Analyses] | None = None
    sections: Callable[[Analyses], Sequence[Section]] | None = None
    analysis_charts: Mapping[str, tuple[Chart, ...]] = field(default_factory=dict)
    literature: tuple[str, ...] = ()
    compares_spikes: bool = False
    all_columns: bool = False
