"""The verb `hxloop.calibrate`: a table from the cache, or a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hxloop.chip import Chip
from hxloop.kit import arguments
from hxloop.progress import progress_of
from hxloop_calibration.cache import cached_file, look_up, store
from hxloop_calibration.options import Options
from hxloop_calibration.pipeline import cache_key, complete, plan
from hxloop_calibration.pipeline import calibrate as run_calibration
from hxloop_calibration.recheck import answers_moved_us
from hxloop_calibration.targets import DelayTarget, Target, load_target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hxloop.codes.calibration_table import CalibrationTable
    from hxloop.progress import Report
    from hxloop_calibration.options import Method


def calibrate(
    chip: Chip,
    *,
    preset: str | Path = "lif-6us",
    target: Target | None = None,
    only: Sequence[str] = (),
    method: Method = "default",
    delays: bool = False,
    seed: int = 0,
    options: Options | None = None,
    cache: bool = True,
    report: Report = None,
) -> CalibrationTable:
    """Find the codes with which all circuits of a chip do what they should, and how well they do it.

    Parameters
    ----------
    chip : Chip
        Emulated or real; only what it shows is used.
    preset : str or Path
        One of `hxloop_calibration.targets.PRESETS` (``lif-6us``, ``lif-10us``, ``jaxsnn-12-6``) or a TOML file.
    target : Target, optional
        Instead of a preset.
    only : sequence of str, or str
        Routines to run (in one string: with commas), with those they need; by default all that the target asks for.
    method : str
        ``default`` or ``published``: whose routines (see `Options`).
    delays : bool
        Measure the delays of delay neurons, too, whatever the target says; as the table ``[delays]`` in a target.
    seed : int
        Same seed, same chip, same target: same table, byte for byte.
    options : Options, optional
        Instead of `only`, `method` and `seed`.
    cache : bool
        Take a table that was measured in the last 24 hours and whose chip still answers as it did.
    report : listener or list of listeners, optional
        Told of the progress (`hxloop.progress`); lines on stderr by default.

    Returns
    -------
    CalibrationTable

    Raises
    ------
    InvalidInputError
        A target that the chip cannot reach, or a name that does not exist; nothing is run then.
    ServiceError
        The chip cannot be reached any more.

    Examples
    --------
    >>> with hxloop.launch("uncalibrated", serial=7) as chip:  # doctest: +SKIP
    ...     table = hxloop.calibrate(chip, preset="lif-6us")
    """
    return calibrate_with_source(
        chip,
        preset=preset,
        target=target,
        only=only,
        method=method,
        delays=delays,
        seed=seed,
        options=options,
        cache=cache,
        report=report,
    )[0]


def calibrate_with_source(
    chip: Chip,
    *,
    preset: str | Path = "lif-6us",
    target: Target | None = None,
    only: Sequence[str] = (),
    method: Method = "default",
    delays: bool = False,
    seed: int = 0,
    options: Options | None = None,
    cache: bool = True,
    report: Report = None,
) -> tuple[CalibrationTable, Path | None, bool]:
    """As `calibrate`.

    Returns
    -------
    table : CalibrationTable
    file : Path or None
        Where the cache keeps it.
    hit : bool
        Whether it was there before.
    """
    arguments.like(chip, "chip", Chip, "a chip (hxloop.launch, hxloop.connect)")
    cache = arguments.switch(cache, "cache")
    arguments.optional(arguments.of_type, target, "target", kind=Target, takes="a hxloop_calibration.targets.Target")
    arguments.optional(
        arguments.of_type, options, "options", kind=Options, takes="a hxloop_calibration.options.Options"
    )
    progress = progress_of(report)
    wanted = options or Options(method=method, seed=seed, only=arguments.texts(only, "only"))
    aim = complete(target or load_target(preset), wanted)
    if arguments.switch(delays, "delays") and aim.delays is None:
        aim = aim.model_copy(update={"delays": DelayTarget()})
    plan(aim, wanted, chip.spec)
    key = cache_key(aim, wanted, chip.identity, chip.spec)
    known = look_up(key) if cache else None
    if known is not None:
        with progress.doing("comparing the chip with its calibration in the cache"):
            moved_us = answers_moved_us(chip, known, max(known.ended_s, wanted.begin_s))
        if moved_us <= known.drift.limit_us:
            progress.message(f"calibration of {chip.identity} found in the cache, the chip answers as it did")
            return known, cached_file(key), True
        progress.message(f"the chip has drifted since its calibration ({moved_us:.2g} us): calibrating again")
    table = run_calibration(chip, aim, wanted, progress)
    return table, store(table) if cache else None, False
