"""`hxloop rules` and `hxloop gradcheck`: what can teach, and whether its gradients are what the loss does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hxloop.errors import HxloopError
from hxloop.files.writing import HDF5, check_target
from hxloop.kit.extras import extra
from hxloop.kit.terminal import print_json, print_table, say, show
from hxloop_host.cli.shared_options import AsJson, Chip, Endpoint, Force, Serial, make_app

if TYPE_CHECKING:
    from hxloop.rule import Rule
    from hxloop_host.gradients.check_result import GradientCheck, Row

RuleName = Annotated[
    str,
    typer.Argument(
        metavar="RULE",
        help="Learning rule: a name of hxloop rules, or FILE.py:CLASS, a class in a file of yours, which is run.",
        show_default=False,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Settings whose network, loss and samples are taken, instead of small networks that the rule accepts.",
        metavar="NAME|FILE",
    ),
]
TaskName = Annotated[
    str | None,
    typer.Option("--task", help="Whose samples the preset is for; by default the task that has it.", metavar="TASK"),
]

rules = make_app()
gradcheck = make_app()


@rules.command(name="rules")
def _rules(as_json: AsJson = False) -> None:
    """List the learning rules that can train: built in, and those of installed packages.

    A class of your own is a rule too: [bold]hxloop train yin-yang --rule my_rules.py:Hebb[/bold];
    [bold]hxloop new rule NAME[/bold] writes one that works.

    [dim]Examples:[/dim]

      hxloop rules

      hxloop rules --json
    """
    from hxloop_host.learning.registry import RULES

    found: list[dict[str, Any]] = []
    for name in RULES.names():
        try:
            kind, source = RULES.find(name)
        except HxloopError as error:
            say(f"{name}: {error}")
            continue
        found.append({"rule": name, **_entry(kind), "module": source.module, "version": source.version})
    if as_json:
        print_json({"rules": found})
        return
    rows = [(entry["rule"], entry["summary"], entry["observes"], entry["reference"]) for entry in found]
    print_table(("rule", "what it does", "observes", "reference"), rows)


def _entry(kind: type[Rule]) -> dict[str, Any]:
    return {
        "summary": kind.summary,
        "observes": kind.observes,
        "reference": kind.reference,
        "settings": {key: info.description or "" for key, info in kind.Settings.model_fields.items() if key != "kind"},
        "columns": [column.name for column in kind.columns],
    }


@gradcheck.command(name="gradcheck")
def _gradcheck(
    rule: RuleName,
    chip: Chip = None,
    serial: Serial = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Root of all random numbers.", metavar="N")] = 0,
    trials: Annotated[int, typer.Option("--trials", min=4, help="Noisy chip: steps of the rule.", metavar="N")] = 32,
    directions: Annotated[
        int, typer.Option("--directions", min=8, help="Noisy chip: displacements of each projection.", metavar="N")
    ] = 64,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="ideal: draws of weights and samples.", metavar="N")] = 3,
    coordinates: Annotated[
        int, typer.Option("--coordinates", min=1, help="ideal: parameters of each projection, at most.", metavar="N")
    ] = 40,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=1, help="Of a batch; 4 on ideal, 48 on others by default.", metavar="N"),
    ] = None,
    preset: Preset = None,
    task: TaskName = None,
    endpoint: Endpoint = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; else gradcheck-RULE-CHIP-SERIAL.h5.", metavar="FILE")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compare a rule's gradients with what the loss really does.

    On [bold]ideal[/bold], where nothing is noisy, with central differences of a reference that is exact in continuous
    time. On another chip, with slopes that are measured on that chip over many trials: a cosine with its 95 % interval.
    Exit code 1: a rule that claims exact gradients has others on ideal. The picture lies beside the file.

    [dim]Examples:[/dim]

      hxloop gradcheck fast_and_deep

      hxloop gradcheck surrogate --chip typical --serial 2 --trials 64

      hxloop gradcheck my_rule.py:MyRule --chip typical
    """
    from hxloop_host.cli.progress_bar import watching
    from hxloop_host.gradients.gradcheck_verb import IDEAL
    from hxloop_host.gradients.gradcheck_verb import gradcheck as run

    if endpoint is None:
        chip, serial = chip or IDEAL, 1 if serial is None else serial
    file = out or _file_of(rule, chip, serial)
    check_target(file, HDF5, force=force)
    try:
        found = run(
            rule, chip=chip, serial=serial, seed=seed, trials=trials, directions=directions, seeds=seeds,
            coordinates=coordinates, samples=samples, preset=preset, task=task, endpoint=endpoint, report=watching(),
        )  # fmt: skip
    except KeyboardInterrupt:
        say("stopped; nothing is written")
        raise
    found.save(file)
    _draw(found, file.with_suffix(".png"))
    if as_json:
        print_json({**found.values(), "path": str(file)})
    else:
        _print(found)
        show(file)
    if found.passed is False:
        raise typer.Exit(1)


def _file_of(rule: str, chip: str | None, serial: int | None) -> Path:
    """What a result is called where nobody says."""
    from hxloop.naming.chip_name import file_safe

    names = ("gradcheck", Path(rule.rpartition(":")[0] or rule).stem, file_safe(chip or "endpoint"))
    return Path("-".join([*names, *([] if serial is None else [str(serial)])]) + ".h5")


def _draw(found: GradientCheck, picture: Path) -> None:
    from hxloop_host.gradients.check_picture import draw_check

    with extra("picture", say):
        draw_check(found, picture)
        say(f"picture: {picture}")


def _print(found: GradientCheck) -> None:
    measured = found.is_measured
    headings = ("network", "loss", "parameters", *(_MEASURED if measured else _KNOWN))
    rows = [(r.network, r.loss, r.projection, *(_measured(r) if measured else _known(r))) for r in found.rows]
    print_table(headings, rows, title=f"{found.rule} on {found.chip}", plain=True)
    for note in found.notes:
        show(f" {note}")
    show(f" {verdict(found)}")


_KNOWN = ("compared", "left out", "largest error", "cosine")
_MEASURED = ("cosine", "95 %", "with noise", "slopes no noise", "rule with itself")


def _known(row: Row) -> tuple[object, ...]:
    return row.compared, row.excluded, f"{row.error:.1e}", f"{row.cosine:.6f}"


def _measured(row: Row) -> tuple[object, ...]:
    if row.cosine != row.cosine:
        return "noise", "-", f"{row.attenuated:.3f}", f"{100 * row.reliability:.0f} %", f"{row.ceiling:.3f}"
    interval = f"{row.low:.3f} .. {row.high:.3f}"
    return (
        f"{row.cosine:.3f}",
        interval,
        f"{row.attenuated:.3f}",
        f"{100 * row.reliability:.0f} %",
        f"{row.ceiling:.3f}",
    )


def verdict(found: GradientCheck) -> str:
    """What follows, in one line."""
    from hxloop_host.gradients.check_result import BAR

    if found.is_measured:
        return "cosines with slopes measured on the chip; no rule claims to be exact there"
    if not found.exact:
        return f"{found.rule} makes no claim to be exact: this is how far it points with the true gradient"
    failed = found.failed
    if not failed:
        return f"passed: {found.rule} is exact, within {BAR:g} of the largest derivative of each projection"
    first = failed[0]
    return (
        f"failed: {found.rule} says it is exact, but {first.projection} of {first.network}, {first.loss} has an error "
        f"of {first.error:.1e} ({first.compared} compared, {first.excluded} left out)"
    )
