"""`hxloop runs`: what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hxloop.errors import HxloopError, MissingFileError
from hxloop.kit.terminal import print_json, print_table, say
from hxloop.kit.waiting import doing
from hxloop.text import one_line
from hxloop_host.cli.shared_options import AsJson, RunPath, make_app

if TYPE_CHECKING:
    from hxloop_host.runs.trained_run import Run

runs = make_app()

_COLUMNS = {
    "run": "run",
    "task": "task",
    "preset": "preset",
    "rule": "rule",
    "chip": "chip",
    "seed": "seed",
    "epochs": "epochs",
    "finished": "done",
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
    from hxloop.files.directories import subdirectories
    from hxloop_host.runs.named_runs import RUNS
    from hxloop_host.runs.trained_run import load_run

    found: list[dict[str, Any]] = []
    chips: list[str] = []
    for directory in subdirectories(folder):
        try:
            run = load_run(directory)
            found.append(_entry(run))
            chips.append(run.origin.identity.brief)
        except MissingFileError:
            continue  # not a run
        except HxloopError as error:
            say(f"warning: {directory}: {error}")
    if as_json:
        print_json({"runs": found})
        return
    # A name says where a run is in the usual folder only: `hxloop runs show` takes what stands here.
    shown = [e | {"run": Path(e["run"]).name} for e in found] if folder == RUNS else found
    rows = [[_cell(e[key]) for key in _COLUMNS] for e in (e | {"chip": c} for e, c in zip(shown, chips, strict=True))]
    print_table(list(_COLUMNS.values()), rows, title=f"runs in {folder}", plain=True, whole=True)


@runs.command(name="show")
def _show(
    run: RunPath,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the pictures of the run anew.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the figures of a run.

    [dim]Examples:[/dim]

      hxloop runs show yin-yang-quick-typical-1-seed0-001

      hxloop runs show runs/first --plot --json
    """
    from hxloop_host.runs.trained_run import load_run

    loaded = load_run(run)
    entry = _entry(loaded)
    if plot:
        with doing("drawing pictures"):
            entry["pictures"] = [str(path) for path in loaded.plot()]
    if as_json:
        print_json(entry)
        return
    rows = [[key, _cell(value)] for key, value in entry.items()]
    print_table(["figure", "value"], rows, title=str(loaded.directory), whole=True)


@runs.command(name="cost")
def _cost(
    run: RunPath,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the items into cost.png beside the run.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a run would cost on silicon, item by item: energy and time.

    [dim]Examples:[/dim]

      hxloop runs cost yin-yang-quick-typical-1-seed0-001

      hxloop runs cost runs/first --plot --json
    """
    from hxloop_host.runs.run_cost import plot_cost
    from hxloop_host.runs.trained_run import load_run

    loaded = load_run(run)
    cost = loaded.cost()
    with doing("drawing the picture"):
        picture = str(plot_cost(loaded)) if plot else None
    if as_json:
        parts = {f"{name} ({unit})": items for name, (unit, items) in cost.parts().items()}
        pictures = {} if picture is None else {"picture": picture}
        print_json({"run": str(loaded.directory), "samples": cost.n_samples, **parts, **pictures})
        return
    rows = [row for name, (unit, items) in cost.parts().items() for row in _items(name, unit, items, cost.n_samples)]
    title = f"{loaded.directory}: {cost.n_samples} samples, {cost.chip_uj_per_sample:.3g} uJ of the chip for each"
    print_table(["part", "item", "in all", "a sample"], rows, title=title, whole=True)
    if picture is not None:
        say(f"picture: {picture}")


def _items(part: str, unit: str, items: dict[str, float], n_samples: int) -> list[list[str]]:
    """Rows of a part, its sum last."""
    return [
        [part, name, f"{value:.4g} {unit}", f"{1e6 * value / max(1, n_samples):.4g} u{unit}"]
        for name, value in (items | {"together": sum(items.values())}).items()
    ]


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
        return "\n".join(map(one_line, value))
    return one_line(value)
