"""What a transfer study is made of, and where its parts are stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from host.calibrated import AUTO, TABLE_FILE
from host.settings import load_settings
from hxloop.connection import file_safe
from hxloop.errors import InvalidInputError, OutOfRangeError

REFERENCE: Final = "ideal"
REFERENCE_SERIAL: Final = 1
"""The textbook chip that all others are compared with; its serial number means nothing."""


@dataclass(frozen=True)
class Plan:
    """A transfer study; plain values, so that it can be sent to another process.

    Attributes
    ----------
    task : str
        For example ``yin-yang``.
    preset : str
        Preset or TOML file of the trainings.
    chip : str
        Named chip whose serials are studied.
    serials : tuple of int
        Serial numbers; weights of one are also run on the next, those of the last on the first.
    seed : int
        Seed of every training.
    epochs : int
        Epochs of every training.
    trials : int
        Repetitions of the test on the chip the weights were trained on.
    out : Path
        Directory of the study.
    calibrated : bool
        Every chip is calibrated for the operating point of the trainings, instead of running with its boot codes.
    """

    task: str
    preset: str
    chip: str
    serials: tuple[int, ...]
    seed: int
    epochs: int
    trials: int
    out: Path
    calibrated: bool = False

    @property
    def title(self) -> str:
        """One line."""
        chip = f"{self.chip} (calibrated)" if self.calibrated else self.chip
        return f"{self.task}, preset {Path(self.preset).stem}, chip {chip}, seed {self.seed}, {self.epochs} epochs"

    def calibration(self, chip: str, serial: int) -> Path | str | None:
        """What `train` and `evaluate` shall use on a chip: its table, once there is one."""
        if not self.calibrated or chip == REFERENCE:
            return None
        file = self.run_directory(chip, serial) / TABLE_FILE
        return file if file.exists() else AUTO

    def run_directory(self, chip: str, serial: int) -> Path:
        """Where the training on a chip is stored."""
        return self.out / "runs" / f"{file_safe(chip)}-{serial}"

    @property
    def reference_directory(self) -> Path:
        """Where the training on the textbook chip is stored."""
        return self.run_directory(REFERENCE, REFERENCE_SERIAL)

    def measurement_file(self, serial: int) -> Path:
        """Where the measurements with the weights of a chip are stored."""
        return self.out / "measurements" / f"{file_safe(self.chip)}-{serial}.h5"

    def other(self, serial: int) -> int | None:
        """Serial number of the other chip that runs the weights of this one; None if there is no other."""
        following = self.serials[(self.serials.index(serial) + 1) % len(self.serials)]
        return None if following == serial else following


def make_plan(
    task: str, preset: str | Path, chip: str, serials: tuple[int, ...], seed: int, epochs: int | None, trials: int,
    out: Path | None, calibrated: bool = False,
) -> Plan:  # fmt: skip
    """Check the arguments of `host.studies.transfer.transfer_study` and fill in what was left open.

    Raises
    ------
    InvalidInputError
        No serials, one of them twice, the textbook chip as the chip to be studied, or an unknown preset.
    OutOfRangeError
        Fewer than two trials.
    """
    if not serials or len(set(serials)) != len(serials):
        raise InvalidInputError("serial numbers must be given, each of them once", field="serials")
    if chip == REFERENCE:
        raise InvalidInputError(
            f"{REFERENCE} is what the other chips are compared with", field="chip", hint="name another chip"
        )
    if trials < 2:
        raise OutOfRangeError(f"{trials} trials have no scatter, at least 2 are needed", field="trials")
    wanted = load_settings(preset).with_epochs(epochs).training.epochs
    name = f"{file_safe(chip)}-calibrated" if calibrated else file_safe(chip)
    directory = out or Path("studies") / f"transfer-{task}-{Path(preset).stem}-{name}-seed{seed}"
    return Plan(task, str(preset), chip, serials, seed, wanted, trials, directory, calibrated)
