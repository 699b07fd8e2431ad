"""The work of a transfer study: train on a chip, and run trained weights on chips. What is done is not done again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from host.checkpoint import RunDirectory
from host.chips import open_chip
from host.evaluation import evaluate
from host.experiment import train
from host.reporting import SilentReporter
from host.resume import check_chip
from host.run import load_run
from host.run_file import read_origin
from host.studies.plan import REFERENCE, REFERENCE_SERIAL
from hxloop.errors import InvalidInputError, RecordError
from hxloop.records import Quantity, Record, read_record, write_record

if TYPE_CHECKING:
    from pathlib import Path

    from host.evaluation import Evaluation
    from host.run import Run
    from host.studies.plan import Plan

MEASUREMENT: Final = "transfer-measurement"


def refuse_other_codes(plan: Plan) -> None:
    """Refuse a directory with runs on this chip that are calibrated where the plan's are not, or the other way round.

    A run goes on with its own calibration, asked for or not, and the figures of a study would be those of both kinds.

    Raises
    ------
    InvalidInputError
        There is such a run, of whatever serial number.
    """
    for directory in sorted((plan.out / "runs").glob("*")):
        try:
            stored = RunDirectory(directory).newest(lambda _: None)
            origin = None if stored is None else read_origin(stored)
        except RecordError:
            continue  # whoever needs it will say so
        if origin is None:
            continue
        serial = origin.identity.serial
        if directory != plan.run_directory(plan.chip, serial) or bool(origin.calibration) == plan.calibrated:
            continue
        theirs, mine = ("without", "with") if plan.calibrated else ("with", "without")
        raise InvalidInputError(
            f"the runs in {plan.out} were trained {theirs} calibration ({plan.chip}/{serial}), but now it is {mine}",
            field="calibrated",
            hint="go on as the study was begun, or choose another directory (--out)",
        )


def train_on(plan: Plan, chip: str, serial: int, threads: int) -> float:
    """Train on a chip, or go on with a training that was interrupted; see `host.experiment.train`.

    Returns
    -------
    float
        Test accuracy.
    """
    directory = plan.run_directory(chip, serial)
    return train(
        plan.task,
        preset=plan.preset,
        chip=chip,
        serial=serial,
        seed=plan.seed,
        epochs=plan.epochs,
        out=directory,
        resume=RunDirectory(directory).is_used(),
        threads=threads,
        calibration=plan.calibration(chip, serial),
        report=SilentReporter(),
    ).test_accuracy


def measure(plan: Plan, serial: int, threads: int) -> float:
    """Run the weights of a chip on it again, on another chip and on the textbook chip, and textbook weights on it.

    Returns
    -------
    float
        Test accuracy on the textbook chip.

    Raises
    ------
    ChipMismatchError
        A chip is not any more what a run was trained on.
    HxloopError
        As `host.evaluation.evaluate`.
    """
    own = load_run(plan.run_directory(plan.chip, serial))
    reference = load_run(plan.reference_directory)
    file, key = plan.measurement_file(serial), _key(plan, serial, own, reference)
    stored = _stored(file, key)
    if stored is None:
        stored = _measure(plan, serial, threads, own, reference, key)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_record(file, stored)
    return float(stored.attributes["on_ideal_accuracy"])


def _measure(plan: Plan, serial: int, threads: int, own: Run, reference: Run, key: str) -> Record:
    with open_chip(plan.chip, serial, None, threads) as device:
        check_chip(own.record, device.identity)
        again = [evaluate(own, chip=device, trial=1 + k) for k in range(plan.trials)]
        from_ideal = evaluate(reference, chip=device, calibration=plan.calibration(plan.chip, serial))
    accuracies = {"from_ideal_accuracy": from_ideal.test_accuracy, "other_accuracy": np.nan}
    other = plan.other(serial)
    if other is not None:
        with open_chip(plan.chip, other, None, threads) as device:
            accuracies["other_accuracy"] = evaluate(
                own, chip=device, calibration=plan.calibration(plan.chip, other)
            ).test_accuracy  # fmt: skip
    with open_chip(REFERENCE, REFERENCE_SERIAL, None, threads) as device:
        check_chip(reference.record, device.identity)
        on_ideal = evaluate(own, chip=device)
    accuracies["on_ideal_accuracy"] = on_ideal.test_accuracy
    attributes: dict[str, str | int | float] = {"key": key, "serial": serial, "other": -1 if other is None else other}
    return Record(MEASUREMENT, attributes | accuracies, _times(own, again, on_ideal))


def _times(own: Run, again: list[Evaluation], on_ideal: Evaluation) -> dict[str, Quantity]:
    unit, axes = "tau_syn", "first spikes of the label layer by (sample, class), inf: none"
    return {
        "again/accuracy": Quantity(np.array([e.test_accuracy for e in again]), "1", "test accuracy of each trial"),
        "again/t_out": Quantity(np.stack([e.t_out for e in again]), unit, f"by trial; {axes}"),
        "in_loop/t_out": Quantity(own.record.quantities["test/t_out"].values, unit, f"end of the training; {axes}"),
        "on_ideal/t_out": Quantity(on_ideal.t_out, unit, f"same weights on {REFERENCE}; {axes}"),
        "label": Quantity(on_ideal.label, "1", "class of each test sample"),
    }


def _key(plan: Plan, serial: int, own: Run, reference: Run) -> str:
    """Names everything that a measurement depends on: weights, settings, chips and number of trials."""
    digest = hashlib.sha256(f"{plan.trials} {plan.other(serial)}".encode())
    for run in (own, reference):
        digest.update(run.origin.settings.model_dump_json().encode() + run.origin.identity.model_dump_json().encode())
        digest.update(run.origin.calibration.encode())
        for codes in run.codes:
            digest.update(codes.tobytes())
    return digest.hexdigest()


def _stored(file: Path, key: str) -> Record | None:
    """Measurement that is there, whole and of these weights."""
    if not file.exists():
        return None
    try:
        record = read_record(file, MEASUREMENT)
    except RecordError:
        return None
    return record if record.attributes.get("key") == key else None
