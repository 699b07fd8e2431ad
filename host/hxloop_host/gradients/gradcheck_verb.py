"""The verb `hxloop.gradcheck`: whether a rule's gradients are what the loss does."""

from __future__ import annotations

import time
from math import isnan
from typing import TYPE_CHECKING, Final

from hxloop.errors import InvalidInputError
from hxloop.kit import arguments
from hxloop.progress import Started, StepDone, progress_of
from hxloop.seeds import SEED_MAX, derive_seed
from hxloop.version import __version__
from hxloop_host.gradients.check_result import ALL, GradientCheck, Row
from hxloop_host.gradients.chip_check import check_on_chip
from hxloop_host.gradients.exact_check import check_exactly
from hxloop_host.gradients.subjects import find_subjects
from hxloop_host.link.choosing import check_choice, open_chip
from hxloop_host.training.guarded_rule import unguarded

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hxloop.chip import Chip
    from hxloop.progress import Progress, Report
    from hxloop.rule import Rule
    from hxloop.task import Task
    from hxloop_host.gradients.subjects import Subject
    from hxloop_host.settings.experiment_settings import Settings

    Found = tuple[list[Row], dict[str, NDArray[np.float64]], list[str]]

IDEAL: Final = "ideal"
"""The chip that equals its model: no daemon is needed for it."""
SAMPLES_IDEAL: Final = 4
SAMPLES_CHIP: Final = 48


def gradcheck(
    rule: str | Rule | type[Rule],
    *,
    chip: str | Chip | None = IDEAL,
    serial: int | None = None,
    seed: int = 0,
    trials: int = 32,
    directions: int = 64,
    seeds: int = 3,
    coordinates: int = 40,
    samples: int | None = None,
    preset: str | Path | Settings | None = None,
    task: str | Path | Task | None = None,
    endpoint: str | Path | None = None,
    threads: int | None = None,
    report: Report = None,
) -> GradientCheck:
    """Compare a rule's gradients with what the loss really does.

    On ``ideal``, with central differences of a reference that is exact in continuous time; a rule that is `Rule.exact`
    must agree within `check_result.BAR`. On any other chip, with slopes that are measured on the chip over many trials.

    Parameters
    ----------
    rule : str, Rule or subclass of Rule
        A name (``hxloop rules``), ``FILE.py:CLASS`` (which is run), or an object.
    chip : str or Chip
        ``ideal`` needs no daemon; for another name an emulator is started.
    serial : int, optional
        Serial number of the named chip, by default 1.
    seed : int
        Root of all random numbers.
    trials : int
        On a noisy chip: steps of the rule, each with other noise, at least 4.
    directions : int
        On a noisy chip: random displacements of each projection, at least 8, each measured twice.
    seeds : int
        On ``ideal``: draws of weights and samples.
    coordinates : int
        On ``ideal``: parameters of each projection that are varied at most.
    samples : int, optional
        Samples of a batch, by default 4 on ``ideal``, 48 on other chips.
    preset : str, Path or Settings, optional
        Settings whose network, loss and task are taken; by default small networks, for each kind of loss the most
        general that the rule accepts.
    task : str, Path or Task, optional
        Task whose samples go with the preset, by default the one that has it.
    endpoint : str, optional
        A daemon that runs already.
    threads : int, optional
        Threads of an emulator started here.
    report : listener or list of listeners, optional
        Told of the progress (`hxloop.progress`); lines on stderr by default.

    Returns
    -------
    GradientCheck

    Raises
    ------
    InvalidInputError
        No such rule or preset, or a rule that accepts none of the networks, or never gives gradients.
    OutOfRangeError
        An argument out of its range.
    ServiceError
        No daemon can be started, or nobody is at the endpoint.
    """
    progress, begin_s = progress_of(report), time.perf_counter()
    chip, serial, endpoint = check_choice(chip, serial, endpoint, default_serial=1)
    seed = arguments.whole_number(seed, "seed", highest=SEED_MAX)
    numbers = {
        "trials": arguments.whole_number(trials, "trials", lowest=4, highest=100_000),
        "directions": arguments.whole_number(directions, "directions", lowest=8, highest=100_000),
        "seeds": arguments.whole_number(seeds, "seeds", lowest=1, highest=1000),
        "coordinates": arguments.whole_number(coordinates, "coordinates", lowest=1, highest=100_000),
    }
    threads = arguments.optional(arguments.whole_number, threads, "threads", lowest=1, highest=arguments.THREADS_MAX)
    is_ideal = chip == IDEAL and endpoint is None
    n_samples = SAMPLES_IDEAL if is_ideal else SAMPLES_CHIP
    if samples is not None:
        n_samples = arguments.whole_number(samples, "samples", lowest=1, highest=100_000)
    with progress.doing("looking for networks that the rule can train"):
        name, subjects = find_subjects(rule, preset, task)
    first = subjects[0].make_rule()
    exact = unguarded(first).exact
    progress.message(f"kernels of {name} are compiled, or loaded")
    first.prepare()
    attributes: dict[str, str | int | float | bool] = {"seed": seed, "samples": n_samples, "version": __version__}
    if is_ideal:
        attributes |= {"seeds": numbers["seeds"], "coordinates": numbers["coordinates"]}
        found = _on_ideal(subjects, seed, n_samples, numbers, progress)
        identity = IDEAL
    else:
        attributes |= {"trials": numbers["trials"], "directions": numbers["directions"]}
        with open_chip(chip, serial, endpoint, threads) as device:
            identity = str(device.identity)
            found = _on_chip(_one_of_each(subjects), device, seed, n_samples, numbers, progress)
    attributes["wall_s"] = time.perf_counter() - begin_s
    rows, pairs, notes = found
    return GradientCheck(name, identity, exact, tuple(rows), tuple(notes), attributes, pairs)


def _on_ideal(subjects: list[Subject], seed: int, n_samples: int, numbers: dict[str, int], progress: Progress) -> Found:
    rows: list[Row] = []
    pairs: dict[str, NDArray[np.float64]] = {}
    notes: list[str] = []
    possible = [s for s in subjects if s.smooth]
    notes += [
        f"{s.title}: counts do not move in small steps, so they have no derivative" for s in subjects if not s.smooth
    ]
    if not possible:
        raise InvalidInputError(
            "the rule accepts losses of counts only, which have no derivative on ideal",
            field="chip",
            hint="name a noisy chip, for example --chip typical",
        )
    seeds = [derive_seed(seed, "gradcheck", k) for k in range(numbers["seeds"])]
    begin = Started(
        "gradients against differences", len(possible) * len(seeds), "draw", 0, numbers["coordinates"], "parameter"
    )
    with progress.during(begin):
        for k, subject in enumerate(possible):
            found = check_exactly(subject, seeds, n_samples, numbers["coordinates"], progress, k * len(seeds))
            rows += found[0]
            pairs |= found[1]
            notes += found[2]
            progress.tell(StepDone((k + 1) * len(seeds), subject.title, _words(found[0])))
    return rows, pairs, notes


def _on_chip(
    subjects: list[Subject], device: Chip, seed: int, n_samples: int, numbers: dict[str, int], progress: Progress
) -> Found:
    rows: list[Row] = []
    pairs: dict[str, NDArray[np.float64]] = {}
    notes: list[str] = []
    begin = Started(
        f"gradients against slopes of {device.identity}",
        len(subjects),
        "network",
        0,
        numbers["directions"],
        "direction",
    )
    with progress.during(begin):
        for k, subject in enumerate(subjects):
            found = check_on_chip(
                subject, device, seed, n_samples, numbers["trials"], numbers["directions"], progress, k
            )
            rows += found[0]
            pairs |= found[1]
            notes += found[2]
            progress.tell(StepDone(k + 1, subject.title, _words(found[0])))
    return rows, pairs, notes


def _one_of_each(subjects: list[Subject]) -> list[Subject]:
    """Without those that only differ in time constants from another one."""
    found: dict[tuple[str, str], Subject] = {}
    for subject in subjects:
        found.setdefault((subject.name.partition(",")[0], subject.loss), subject)
    return list(found.values())


def _words(rows: list[Row]) -> str:
    """What came of a network, in a few words."""
    row = next(row for row in rows if row.projection == ALL)
    error = max(r.error for r in rows)
    known = "" if isnan(error) else f"largest error {error:.1e}, "
    return f"{known}cosine {row.cosine:.3f}"
