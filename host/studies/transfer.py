"""Transfer study: what weights trained on one chip are worth on another, and in the textbook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from host.studies.plan import REFERENCE, REFERENCE_SERIAL, make_plan
from host.studies.pool import Job, run_jobs, threads_per_job
from host.studies.progress import Lines, StudyReporter
from host.studies.transfer_jobs import measure, refuse_other_codes, train_on
from host.studies.transfer_plot import plot_transfer
from host.studies.transfer_result import TransferStudy, collect
from hxloop.errors import OutOfRangeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from host.studies.plan import Plan

__all__ = ["TransferStudy", "transfer_study"]


def transfer_study(
    task: str = "yin-yang",
    *,
    preset: str | Path = "small",
    chip: str = "typical",
    serials: Sequence[int] = range(1, 21),
    seed: int = 0,
    epochs: int | None = None,
    trials: int = 10,
    out: Path | None = None,
    jobs: int = 1,
    calibrated: bool = False,
    report: StudyReporter | None = None,
) -> TransferStudy:
    """Train on every chip and on the textbook chip, then run the weights on each other.

    Every training and every measurement is stored when it is done, and not done again: the same call goes on where the
    last one was stopped, and more serials or epochs may be asked for. Jobs run in processes of their own, so a script
    that calls this needs ``if __name__ == "__main__":``.

    Parameters
    ----------
    task, preset, seed, epochs
        Of every training, as in `host.experiment.train`.
    chip : str
        Named chip whose serials are studied.
    serials : sequence of int
        Serial numbers; the weights of one are also run on the next.
    trials : int
        Repetitions of the test on the chip of the training, at least 2.
    out : Path, optional
        Directory of the study, by default one in ``studies`` that is named after what is studied.
    jobs : int
        Trainings or measurements at a time.
    calibrated : bool
        Calibrate every chip for the operating point of the trainings (`train(calibration="auto")`).
    report : StudyReporter, optional
        Told of the progress; lines on stderr by default.

    Returns
    -------
    TransferStudy
        Also stored in `out`: ``study.h5``, ``table.csv``, ``summary.json`` and ``transfer.png``.

    Raises
    ------
    InvalidInputError
        Unknown task, preset or chip, serials that are not a list of different ones, or settings other than those of
        the runs that are stored in `out`, or these are calibrated and the new ones would not be, or the reverse.
    ChipMismatchError
        The chips are not those that the stored runs were trained on.
    ServiceError
        A daemon cannot be started or reached.
    KeyboardInterrupt
        Passed on; the last finished epoch of every training under way is stored.
    """
    if jobs < 1:
        raise OutOfRangeError(f"{jobs} jobs, at least 1 is needed", field="jobs")
    plan = make_plan(task, preset, chip, tuple(serials), seed, epochs, trials, out, calibrated)
    refuse_other_codes(plan)
    reporter = report or Lines()
    reporter.started(f"{plan.title}, {len(plan.serials)} chips: {plan.out}")
    try:
        _train_and_measure(plan, jobs, reporter)
    finally:
        reporter.finished()
    study = collect(plan)
    study.save()
    plot_transfer(study)
    return study


def _train_and_measure(plan: Plan, jobs: int, reporter: StudyReporter) -> None:
    chips = [(REFERENCE, REFERENCE_SERIAL), *((plan.chip, serial) for serial in plan.serials)]
    threads = threads_per_job(min(jobs, len(chips)))
    trainings = [Job(f"trained on {c}/{s}", train_on, (plan, c, s, threads)) for c, s in chips]
    journals = [plan.run_directory(c, s) / "journal.jsonl" for c, s in chips]
    total = len(chips) * plan.epochs

    def say(job: Job, accuracy: Any) -> None:
        reporter.message(f"{job.title}: {100 * accuracy:.1f} %")

    run_jobs(trainings, jobs, lambda: reporter.progress("epochs trained", _lines(journals), total), say)
    measurements = [
        Job(f"weights of {plan.chip}/{s} on {REFERENCE}", measure, (plan, s, threads)) for s in plan.serials
    ]
    measured = 0

    def count(job: Job, accuracy: Any) -> None:
        nonlocal measured
        measured += 1
        say(job, accuracy)

    run_jobs(measurements, jobs, lambda: reporter.progress("chips measured", measured, len(measurements)), count)


def _lines(files: list[Path]) -> int:
    """Epochs in the journals of the runs."""
    return sum(file.read_bytes().count(b"\n") for file in files if file.exists())
