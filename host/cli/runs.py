"""`hxloop runs`: what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from host.cli.options import AsJson, RunPath, make_app, print_json, say
from hxloop.errors import HxloopError, MissingFileError

if TYPE_CHECKING:
    from host.run import Run

runs = make_app()

_COLUMNS = {
    "run": "run",
    "preset": "preset",
    "chip": "chip",
    "seed": "seed",
    "epochs": "epochs",
    "finished": "finished",
    "val_accuracy": "val",
    "test_accuracy": "test",
    "wall_s": "wall s",
    "speedup_over_biology": "x biology",
}


@runs.callback()
def _runs() -> None:
    """List trained runs, and look at one of them."""


@runs.command(name="list")
def _list(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder, the newest last.

    [dim]Examples:[/dim]

      hxloop runs list

      hxloop runs list results --json
    """
    from host.run import load_run

    if not folder.is_dir():
        raise MissingFileError(f"no such folder: {folder}", field="folder", hint="hxloop train writes to runs/")
    found: list[dict[str, Any]] = []
    for directory in sorted(folder.iterdir(), key=lambda path: (path.stat().st_mtime, path.name)):
        if not directory.is_dir():
            continue
        try:
            found.append(_entry(load_run(directory)))
        except MissingFileError:
            continue  # not a run
        except HxloopError as error:
            say(f"warning: {directory}: {error}")
    if as_json:
        print_json({"runs": found})
        return
    short = [e | {"run": Path(e["run"]).name} for e in found]
    _print_table(f"runs in {folder}", list(_COLUMNS.values()), [[_cell(e[key]) for key in _COLUMNS] for e in short])


@runs.command(name="show")
def _show(
    run: RunPath,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the pictures of the run anew.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the figures of a run.

    [dim]Examples:[/dim]

      hxloop runs show runs/yin-yang-001

      hxloop runs show runs/yin-yang-001 --plot --json
    """
    from host.run import load_run

    loaded = load_run(run)
    entry = _entry(loaded)
    if plot:
        entry["pictures"] = [str(path) for path in loaded.plot()]
    if as_json:
        print_json(entry)
        return
    _print_table(str(loaded.directory), ["figure", "value"], [[key, _cell(value)] for key, value in entry.items()])


def _entry(run: Run) -> dict[str, Any]:
    origin = run.origin
    about = {"run": str(run.directory), "finished": run.finished, "task": origin.task, "preset": origin.preset}
    return about | {"seed": origin.seed} | run.summary()


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "\n".join(value)
    return str(value)


_PIPED_WIDTH = 160  # columns, where no terminal says how wide it is


def _print_table(title: str, headings: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
    table = Table(title=title)
    for k, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=k == 0)
    for row in rows:
        table.add_row(*row)
    console.print(table)
