"""Make the report and write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hxloop.files.writing import HTML, check_target, write_atomically
from hxloop.kit.page import page
from hxloop.naming.chip_name import with_serial
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.report import sections
from hxloop_chip.report.specimens import put_on_bench
from hxloop_chip.silicon.presets import MODEL_VERSION, named_chip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def write_report(
    chip: str, serials: Sequence[int], out: Path, *, force: bool = False, say: Callable[[str], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Write one self-contained HTML page about a population of chips.

    Parameters
    ----------
    chip : str
        Named chip.
    serials : sequence of int
        The first one is the chip of the traces, the noise spectrum and the trials.
    out : Path
    force : bool
        Replace a file that is there already.
    say : callable
        Told what is being done.

    Returns
    -------
    list of dict
        The statistics of the page (`hxloop_chip.report.summary.Summary`).

    Raises
    ------
    InvalidInputError
        No such chip, not an HTML file, or a file that is there already or cannot be written.
    RecordError
        The file cannot be written.
    """
    imperfections = named_chip(chip).imperfections
    check_target(out, HTML, force=force)
    chips = []
    for k, serial in enumerate(serials):
        say(f"silicon {with_serial(chip, serial)} ({k + 1} of {len(serials)})")
        chips.append(put_on_bench(chip, serial))
    say("statistics of parameters")
    parameters, summaries = sections.parameters(chips)
    deviations, more = sections.deviations(chips)
    say("transfer curves")
    parts = [sections.curves(chips), sections.converters(chips)]
    say(f"traces, noise and trials of {with_serial(chip, serials[0])}")
    first, emulated = chips[0], EmulatedChip(chip, serials[0])
    parts += [
        sections.traces(emulated, first),
        sections.noise(emulated, first, imperfections),
        sections.trials(chip, first, imperfections),
    ]
    listed = _in_words(serials)
    content = page(
        f"Chips {chip}, serial {listed}",
        [sections.identity(chip, chips, MODEL_VERSION), sections.datasheet(chip), parameters, deviations, *parts],
    )
    write_atomically(out, content.encode())
    return [s.as_dict() for s in (*summaries, *more)]


def _in_words(serials: Sequence[int]) -> str:
    if len(serials) > 2 and list(serials) == list(range(serials[0], serials[-1] + 1)):
        return f"numbers {serials[0]} to {serials[-1]}"
    return ("numbers " if len(serials) > 1 else "number ") + ", ".join(map(str, serials))
