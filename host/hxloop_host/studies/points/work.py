"""The work of one point: train or test on its chip, and store what came of it. What is done is not done again."""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from hxloop.codes.boot import OperatingPoint
from hxloop.codes.calibration_table import load_calibration
from hxloop.errors import ChipMismatchError, RecordError
from hxloop.files.directories import make_directory
from hxloop.files.records import Quantity
from hxloop.progress import EpochDone, Message, silent
from hxloop_host.link.launch import launch
from hxloop_host.runs.run_content import read_columns
from hxloop_host.runs.trained_run import load_run
from hxloop_host.spike_times.closed_form import warm_up
from hxloop_host.studies.design.own_parts import rule_of, task_of
from hxloop_host.studies.points.peak_memory import PeakMemory
from hxloop_host.studies.points.point_store import FIGURES, Outcome
from hxloop_host.training.assembly import readout_of
from hxloop_host.training.evaluation import evaluate
from hxloop_host.training.experiment import train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop.progress import Event
    from hxloop.rule import Column
    from hxloop_host.link.client import RemoteChip
    from hxloop_host.studies.design.point import Point
    from hxloop_host.studies.points.point_store import Store

_held: Final[dict[int, dict[tuple[str, int], RemoteChip]]] = {}
"""Chips that a thread of a worker has open, by name and serial, the last used last: a daemon each."""
_MOST_HELD: Final = 2
"""Many studies go back and forth between a chip and the textbook's."""
_busy: Final[set[int]] = set()
"""Threads at work, perhaps for another study."""


def do_point(point: Point, store: Store, on_epoch: Callable[[int], None], say: Callable[[str], None]) -> Outcome:
    """Do a point, or read what it found before.

    Parameters
    ----------
    point : Point
        What it begins with must be done.
    store : Store
    on_epoch : callable
        Told of the epochs that are trained.
    say : callable
        Told of files that cannot be read, and are made again.

    Raises
    ------
    HxloopError
        As `hxloop_host.training.experiment.train` and `hxloop_host.training.evaluation.evaluate`.
    """
    with store.alone(point.key), _at_work():
        try:
            known = store.read(point)
        except RecordError as error:
            say(f"{error.message}: computing point {point.key[:8]} again")
            store.forget(point)
            known = None
        if known is None:
            begin, memory = time.monotonic(), PeakMemory()
            figures, quantities = _ACTIONS[point.action](point, store, on_epoch, say)
            known = Outcome(figures, time.monotonic() - begin, memory.growth_mb())
            store.write(point, known, quantities)
        return known


def _train(
    point: Point, store: Store, on_epoch: Callable[[int], None], say: Callable[[str], None]
) -> tuple[dict[str, float | int], dict[str, Quantity]]:
    directory = store.run_directory(point)
    arguments: dict[str, Any] = {
        "seed": point.seed,
        "out": directory,
        "report": partial(_tell, point, on_epoch, say),
    }
    if point.initial is not None:
        arguments["initial"] = store.run_directory(point.initial)
    device = chip_of_this_thread(point)
    table = _calibration(point, store, device)
    for resume in (directory.exists(), False):
        try:
            run = train(
                task_of(point), preset=point.settings, rule=rule_of(point), chip=device, calibration=table,
                resume=resume, **arguments,
            )  # fmt: skip
            break
        except RecordError as error:
            if not resume:
                raise
            say(f"{error.message}: training point {point.key[:8]} from its beginning")
            store.forget(point)
    for checkpoint in (directory / "checkpoints").glob("*.h5"):
        checkpoint.unlink()  # the run file has all that is in the last one
    return _figures(run.summary(), read_columns(run.record)), {}


def _test(
    point: Point, store: Store, on_epoch: Callable[[int], None], say: Callable[[str], None]
) -> tuple[dict[str, float | int], dict[str, Quantity]]:
    assert point.initial is not None
    device = chip_of_this_thread(point)
    run = load_run(store.run_directory(point.initial))
    table = _calibration(point, store, device)
    found = evaluate(
        run, chip=device, calibration=table, trial=point.trial, at_s=point.at_s, rule=rule_of(point),
        task=task_of(point) if point.data else None, report=partial(_tell, point, on_epoch, say),
    )  # fmt: skip
    readout = readout_of(point.settings)
    scores = Quantity(found.scores, readout.score_unit, f"{readout.score_text}, by (sample, class)")
    return _figures(found.summary()), {readout.score_name: scores}


def _measure(
    point: Point, store: Store, _: Callable[[int], None], __: Callable[[str], None]
) -> tuple[dict[str, float | int], dict[str, Quantity]]:
    from hxloop_host.studies.points.chip_bench_figures import measure_chip

    device = chip_of_this_thread(point)
    table = _calibration(point, store, device)
    boot = device.boot if table is None else table.boot
    found = measure_chip(device, boot, OperatingPoint.of(point.settings.neuron), point.at_s or 0.0)
    return _figures({}) | found, {}


_ACTIONS: Final = {"train": _train, "test": _test, "measure": _measure}


def _figures(summary: dict[str, Any], columns: Sequence[Column] = ()) -> dict[str, float | int]:
    """Figures of every point, and what its rule shows; NaN for what a test does not have."""
    names = dict.fromkeys([*FIGURES, *(column.name for column in columns)])
    return {name: np.nan if summary.get(name) is None else summary[name] for name in names}


def chip_of_this_thread(point: Point) -> RemoteChip:
    """Chip of a point, on a daemon of this thread's own; of others that it has open, only the one used last is kept.

    Raises
    ------
    ChipMismatchError
        The emulator is of another version than the driver's.
    """
    chips, name = _held.setdefault(threading.get_ident(), {}), (point.chip, point.serial)
    held = chips.pop(name, None)
    if held is None:
        while len(chips) >= _MOST_HELD:
            chips.pop(next(iter(chips))).close()
        held = launch(point.chip, point.serial, threads=1)  # workers are what runs side by side
    if held.identity.model != point.model:
        held.close()
        raise ChipMismatchError(
            f"this worker's chips are of model {held.identity.model}, the study's of {point.model}",
            field="model",
            hint="install the same version of hxloop on all machines",
        )
    chips[name] = held
    return held


def make_ready() -> None:
    """Compile the kernels of chips and trainings here, once and where the user is told, and not in every worker."""
    launch(threads=1).close()
    warm_up()


def close_chips() -> None:
    """End the daemons of all threads of this process that have nothing to do."""
    for thread in set(_held) - _busy:
        for chip in _held.pop(thread).values():
            chip.close()


@contextmanager
def _at_work() -> Iterator[None]:
    _busy.add(threading.get_ident())
    try:
        yield
    finally:
        _busy.discard(threading.get_ident())


def _calibration(point: Point, store: Store, chip: RemoteChip) -> CalibrationTable | None:
    """Table of the chip at that time, made once for the whole study."""
    if point.calibrated_at_s is None:
        return None
    from hxloop_calibration.calibrate_verb import calibrate
    from hxloop_calibration.options import Options
    from hxloop_calibration.targets import Target

    target = Target(neuron=OperatingPoint.of(point.settings.neuron))
    options = Options(begin_s=point.calibrated_at_s, method=point.calibration_method)
    wanted = f"{chip.identity.model_dump_json()} {target.model_dump_json()} {options.model_dump_json()}"
    key = hashlib.sha256(wanted.encode()).hexdigest()[:20]
    file = store.calibration_file(key)
    with store.alone(f"calibration-{key}"):
        if file.exists():
            try:
                return load_calibration(file)
            except RecordError:
                file.unlink()
        table = calibrate(chip, target=target, options=options, cache=False, report=silent)
        make_directory(file.parent)
        table.save(file)
        return table


def _tell(point: Point, on_epoch: Callable[[int], None], say: Callable[[str], None], event: Event) -> None:
    """Listen to a training or test of a point: tell of every epoch, and what there is to say."""
    if isinstance(event, Message):
        say(f"point {point.key[:8]}: {event.text}")
    elif isinstance(event, EpochDone):
        on_epoch(event.epoch)
