"""What must be the same for a run to go on bit by bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hxloop.errors import ChipMismatchError, InvalidInputError
from hxloop.files.toml import flat
from hxloop_host.network.calibrated import check_same_calibration
from hxloop_host.runs.run_content import read_origin

if TYPE_CHECKING:
    from hxloop.chip import ChipIdentity
    from hxloop.files.records import Record
    from hxloop.task import Task
    from hxloop_host.network.calibrated import Calibration
    from hxloop_host.settings.experiment_settings import Settings

NEUTRAL: Final = frozenset(
    {"training.epochs", "training.batch_split", "training.checkpoint_every", "training.keep_checkpoints", "rule.kind"}
)
"""Settings that may change, because finished epochs do not depend on them; of a rule, its source is compared."""


def settings_to_go_on(stored: Record, *, task: str, seed: int, settings: Settings, epochs: int | None) -> Settings:
    """Settings of a resumed run: as given, with `epochs` or else as many epochs as it was started with.

    Raises
    ------
    InvalidInputError
        Task, seed or a setting differs from those of the run, or it has more epochs already.
    """
    origin = read_origin(stored)
    for name, mine, theirs in (("task", task, origin.task), ("seed", seed, origin.seed)):
        if mine != theirs:
            raise InvalidInputError(
                f"the run to resume has {name} {theirs}, not {mine}",
                field=name,
                hint="use its own, or start another run",
            )
    old, new = flat(origin.settings.model_dump()), flat(settings.model_dump())
    changed = [key for key in old.keys() | new.keys() if key not in NEUTRAL and old.get(key) != new.get(key)]
    if changed:
        key = min(changed)
        raise InvalidInputError(
            f"the run to resume (preset {origin.preset}) has {key} = {old.get(key)}, but now it is {new.get(key)}",
            field=key,
            hint="use the settings of the run, or start another run",
        )
    wanted, done = epochs or origin.settings.training.epochs, int(stored.attributes["epochs_done"])
    if wanted < done:
        raise InvalidInputError(f"the run to resume has {done} epochs already, not {wanted}", field="epochs")
    if wanted != origin.settings.training.epochs and settings.optimizer.schedule == "cosine":
        raise InvalidInputError(
            "with the cosine schedule the learning rate depends on the number of epochs, which cannot change any more",
            field="epochs",
            hint=f"resume with {origin.settings.training.epochs} epochs",
        )
    return settings.with_epochs(wanted)


def check_same_parts(stored: Record, task: Task, calibration: Calibration, initial: str | None) -> None:
    """Refuse to go on with other data, another calibration or as if the run had begun with other weights.

    Parameters
    ----------
    stored : Record
    task : Task
    calibration : CalibrationTable, str, Path or None
        What the caller named; None and ``auto`` stand for the run's own.
    initial : str or None
        Digest of the weights the caller named; None stands for the run's own.

    Raises
    ------
    InvalidInputError
        One of them is not that of the run.
    RecordError, MissingFileError
        The calibration that was given cannot be read.
    """
    begun = read_origin(stored)
    mine, theirs = task.digest, str(begun.data.get("digest", ""))
    if mine != theirs:
        raise InvalidInputError(
            f"the run to resume was trained on data {theirs[:12] or 'of the program'}, not {mine[:12] or 'those'}",
            field="task",
            hint="use the data of the run, or start another run",
        )
    check_same_calibration(begun.calibration, calibration)
    _check_same_initial(begun.initial, initial)


def _check_same_initial(begun: str, digest: str | None) -> None:
    if digest is not None and digest != begun:
        raise InvalidInputError(
            f"the run to resume began with {f'weights {begun[:12]}' if begun else 'random weights'}, not {digest[:12]}",
            field="initial",
            hint="leave it out to go on from the run's own checkpoint, or start another run",
        )


def check_chip(stored: Record, identity: ChipIdentity) -> None:
    """Refuse to go on with another chip.

    Raises
    ------
    ChipMismatchError
        Name, serial, datasheet or version of the model differs.
    """
    expected = read_origin(stored).identity
    if identity != expected:
        raise ChipMismatchError(
            f"the run to resume was trained on chip {expected} (model {expected.model}), but this is "
            f"{identity.instead_of(expected)}",
            field="chip",
            hint="use that chip; to see what the weights do on this one, evaluate the run on it",
        )
