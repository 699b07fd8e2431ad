"""`hxloop train`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads annotations when it runs)
from typing import TYPE_CHECKING, Annotated

import typer

from hxloop.errors import UnsavedResultError
from hxloop.kit.extras import extra
from hxloop.kit.terminal import print_json, say, show
from hxloop_host.cli.shared_options import AsJson, Calibration, Chip, DataDir, Endpoint, Initial, Rule, Serial, make_app

if TYPE_CHECKING:
    from hxloop_host.runs.trained_run import Run

TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="What to learn: a name that hxloop tasks lists, a file of data (.npz, .h5), or FILE.py:NAME.",
        show_default=False,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="A preset of the task (hxloop tasks lists them), or a TOML file with settings. For data of your own they "
        "are fitted, by a short trial of two rules, and written into settings.toml of the run.",
        metavar="NAME|FILE",
    ),
]
Augmentation = Annotated[
    list[str] | None,
    typer.Option(
        "--augmentation",
        help="A step that changes training samples, beside those of the settings: a name, or FILE.py:CLASS, a "
        "class in a file of yours, which is run. May be given several times.",
        metavar="NAME|FILE",
        show_default=False,
    ),
]

VirtualChips = Annotated[
    str | None,
    typer.Option(
        "--virtual-chips",
        help="Train for chips that nobody has measured: every batch runs on another draw of a virtual chip, with "
        "the spreads that are published (published), or those of a file. Takes the chip ideal.",
        metavar="NAME|FILE",
        show_default=False,
    ),
]

Beginning = Annotated[
    str | None,
    typer.Option(
        "--beginning",
        help="What weights are begun with, instead of what the settings say: drawn, first_spikes, fluctuations, or "
        "FILE.py:CLASS, a class in a file of yours, which is run.",
        metavar="NAME|FILE",
        show_default=False,
    ),
]

train = make_app()


@train.command(name="train")
def _train(
    task: TaskName,
    preset: Preset = None,
    chip: Chip = None,
    serial: Serial = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Root of all random numbers of the training.", metavar="N")
    ] = 0,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Instead of the preset's number.", metavar="N")
    ] = None,
    endpoint: Endpoint = None,
    calibration: Calibration = None,
    initial: Initial = None,
    rule: Rule = None,
    augmentation: Augmentation = None,
    virtual_chips: VirtualChips = None,
    beginning: Beginning = None,
    data_dir: DataDir = None,
    out: Annotated[Path | None, typer.Option("--out", help="Directory of the run; by default a new one.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw pictures beside the run file.")] = True,
    as_json: AsJson = False,
) -> None:
    """Train a network on a chip, in the loop.

    Without [bold]--endpoint[/bold] an emulated chip, typical/1 unless another one is named, is started for the training
    and ended with it. Ctrl-C leaves a run that [bold]--resume[/bold] continues bit by bit.

    [dim]Examples:[/dim]

      hxloop train yin-yang

      hxloop train yin-yang --preset paper --serial 2 --out runs/second

      hxloop train yin-yang --rule eventprop

      hxloop train yin-yang --preset paper --beginning first_spikes

      hxloop train mnist16 --data-dir ~/data

      hxloop train my_data.npz

      hxloop train my_tasks.py:blobs

      hxloop train yin-yang --rule my_rule.py:MyRule

      hxloop train yin-yang --chip uncalibrated --serial 7 --calibration auto

      hxloop train yin-yang --virtual-chips published

      hxloop train yin-yang --serial 2 --from runs/first --epochs 5

      hxloop train yin-yang --out runs/second --preset paper --serial 2 --resume
    """
    from hxloop_host.cli.progress_bar import watching
    from hxloop_host.training import experiment

    if endpoint is None:
        chip, serial = chip or ("ideal" if virtual_chips else "typical"), 1 if serial is None else serial
    try:
        result = experiment.train(
            task,
            preset=preset,
            chip=chip,
            serial=serial,
            seed=seed,
            epochs=epochs,
            endpoint=endpoint,
            out=out,
            resume=resume,
            calibration=calibration,
            initial=initial,
            rule=rule,
            augmentation=augmentation,
            virtual_chips=virtual_chips,
            beginning=beginning,
            data_dir=data_dir,
            report=watching(),
        )
    except UnsavedResultError as error:
        _show(error.result, plots=False, as_json=as_json)
        raise
    except KeyboardInterrupt:
        say("stopped; finished epochs, if there were any, are stored: the same command with --resume goes on")
        raise
    _show(result, plots=plots, as_json=as_json)


def _show(result: Run, *, plots: bool, as_json: bool) -> None:
    summary = result.summary()
    say(f"test accuracy {100 * result.test_accuracy:.2f} %, {summary['speedup_over_biology']:.0f} x biology")
    if plots:
        with extra("pictures", say):
            for picture in result.plot():
                say(f"picture: {picture}")
    if as_json:
        print_json(summary)
        return
    show(result.path)
