"""A point of a study: everything one result depends on, and the name that follows from it."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import to_json

from hxloop.kit.strict import Strict
from hxloop.naming.chip_name import with_serial
from hxloop.plugins import Source
from hxloop.seeds import SEED_MAX
from hxloop_calibration.options import Method
from hxloop_host.settings.experiment_settings import Settings
from hxloop_host.studies.design.keys_of_before import DEFAULT_METHOD, form_of_before, without_later

_KEY_LENGTH = 20  # 80 bits: among a million points, two with the same name have odds of 1 to 10^12

Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class Point(Strict):
    """One computation of a study.

    Attributes
    ----------
    action : {"train", "test", "measure"}
        Train and test, test only, or measure the chip itself (`hxloop_host.studies.points.chip_bench_figures`).
    task : str
        What finds it: a name, a data file or ``FILE.py:NAME`` with the whole path.
    settings : Settings
        The kind of a rule of the user's own is ``FILE.py:CLASS`` with the whole path.
    chip : str
        Named chip, with all its imperfections.
    serial, seed : int
    model : str
        Version of the chip's physics: results of another one are other results.
    calibrated_at_s : float or None
        Calibrate the chip at this chip time and use the table; None: run with the codes it boots with.
    calibration_method : str
        Method of that calibration, as in `hxloop.calibrate`.
    initial : Point or None
        Weights to begin with, or to test, are those of this training.
    at_s : float or None
        Test at this chip time instead of in a trial of its own; measure from this chip time on.
    trial : int
        Which repetition of the test.
    rule : Source or None
        Source of a rule that is not the program's.
    data : dict of str to str
        Name and digest of data that are not the program's.
    losses_left : dict of str to float
        Without any meaning; see `hxloop_host.studies.design.keys_of_before.losses_left`.
    """

    model_config = ConfigDict(ignored_types=(cached_property,))

    action: Literal["train", "test", "measure"]
    task: str
    settings: Settings
    chip: str
    serial: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=0, le=SEED_MAX)]
    model: str
    calibrated_at_s: Seconds | None = None
    calibration_method: Method = DEFAULT_METHOD
    initial: Point | None = None
    at_s: Seconds | None = None
    trial: Annotated[int, Field(ge=0)] = 0
    rule: Source | None = None
    data: dict[str, str] = Field(default_factory=dict)
    losses_left: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.action == "test" and (self.initial is None or self.initial.action != "train"):
            raise ValueError("a test needs the training whose weights it tests")
        if self.action == "train" and (self.at_s is not None or self.trial):
            raise ValueError("at_s and trial belong to tests")
        if self.action == "measure" and self.initial is not None:
            raise ValueError("no weights take part in measuring a chip")
        return self

    @property
    def text(self) -> str:
        """All that its result depends on, as JSON; the same wherever the files of a rule or of data lie."""
        return to_json(form_of_before(self) or self._form()).decode()

    @cached_property
    def key(self) -> str:
        """Name of the point: a hash of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:_KEY_LENGTH]

    def _form(self) -> dict[str, Any]:
        values = self.model_dump(exclude={"losses_left", "initial", "rule", "data"})
        values["settings"] = without_later(values["settings"])
        if self.calibration_method == DEFAULT_METHOD:  # as it was written before there were others
            del values["calibration_method"]
        if self.rule is not None:
            name = self.rule.name.rpartition(":")[2]
            values["settings"]["rule"]["kind"] = name
            values["rule"] = {"name": name, "sha256": self.rule.sha256}
        if self.data:
            values |= {"task": self.data["name"], "data": self.data["digest"]}
        return values | {"initial": None if self.initial is None else self.initial._form()}

    @property
    def title(self) -> str:
        """One line."""
        whats = {"train": f"{self.settings.training.epochs} epochs", "test": "test", "measure": "measurements"}
        return f"{self.key[:8]} ({whats[self.action]} on {with_serial(self.chip, self.serial)}, seed {self.seed})"

    @property
    def epochs(self) -> int:
        """Epochs it trains."""
        return self.settings.training.epochs if self.action == "train" else 0

    def ancestry(self) -> list[Point]:
        """Points that must be done before this one, the first one first."""
        return [] if self.initial is None else [*self.initial.ancestry(), self.initial]
