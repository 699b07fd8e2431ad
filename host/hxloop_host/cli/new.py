"""`hxloop new`: files to begin with."""

from __future__ import annotations

import importlib.resources
import keyword
from pathlib import Path
from typing import Annotated

import typer

from hxloop.errors import InvalidInputError
from hxloop.files.writing import check_target, write_atomically
from hxloop.kit.arguments import shown
from hxloop.kit.terminal import show
from hxloop_host.cli.shared_options import Force, make_app

new = make_app()

Out = Annotated[Path | None, typer.Option("--out", help="File to write, by default NAME.py.", metavar="FILE.py")]


@new.callback()
def _new() -> None:
    """Write a working file to begin with."""


@new.command(name="task")
def _task(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the task: a Python name.", show_default=False)],
    out: Out = None,
    force: Force = False,
) -> None:
    """Write a task in Python: data of your own, where a file of arrays is not enough.

    [dim]Examples:[/dim]

      hxloop new task blobs

      hxloop train blobs.py:blobs
    """
    written = from_template("task", name, out, force=force)
    show(f"{written}: train on it with  hxloop train {written}:{name}")


@new.command(name="rule")
def _rule(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the rule: a Python name.", show_default=False)],
    out: Out = None,
    force: Force = False,
) -> None:
    """Write a learning rule in Python: weight perturbation, which trains any network a little.

    [dim]Examples:[/dim]

      hxloop new rule my_rule

      hxloop train yin-yang --rule my_rule.py:MyRule --preset paper --epochs 2
    """
    written = from_template("rule", name, out, force=force)
    # The preset that yin-yang takes by itself has a loss and a beginning that are made for Fast & Deep.
    command = f"hxloop train yin-yang --rule {written}:{as_class(name)} --preset paper --epochs 2"
    show(f"{written}: train with it:  {command}")


def from_template(template: str, name: str, out: Path | None, *, force: bool) -> Path:
    """Write a file from a template of this package.

    Parameters
    ----------
    template : str
        ``templates/TEMPLATE.py.txt``; NAME in it becomes the name, Name the same as the name of a class.
    name : str
        A Python name.
    out : Path or None
        File to write, by default ``NAME.py`` here.
    force : bool
        Replace a file that is there.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInputError
        No Python name, or a file that cannot be written; see `check_target`.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii():
        raise InvalidInputError(
            f"must be a Python name (letters, digits and _), got {shown(name)}",
            field="name",
            hint=f"for example my_{template}",
        )
    target = out or Path(f"{name}.py")
    check_target(target, (".py",), force=force)
    text = (importlib.resources.files("hxloop_host") / "templates" / f"{template}.py.txt").read_text("utf-8")
    write_atomically(target, text.replace("NAME", name).replace("Name", as_class(name)).encode())
    return target


def as_class(name: str) -> str:
    """Name of a class: ``my_rule`` is ``MyRule``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_")) or "Own"
