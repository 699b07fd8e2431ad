"""`hxloop eval`."""

from __future__ import annotations

from typing import Annotated

import typer

from hxloop.kit.terminal import print_json, show
from hxloop_host.cli.shared_options import AsJson, Calibration, Chip, DataDir, Endpoint, Rule, RunPath, Serial, make_app

evaluate = make_app()


@evaluate.command(name="eval")
def _eval(
    run: RunPath,
    chip: Chip = None,
    serial: Serial = None,
    endpoint: Endpoint = None,
    calibration: Calibration = None,
    at_s: Annotated[
        float | None,
        typer.Option(
            "--at-s",
            help="Test at this chip time: in the one continuous trial of calibration and of training with a running "
            "clock, drifted until then.",
            metavar="SECONDS",
            show_default=False,
        ),
    ] = None,
    rule: Rule = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="The data of the run, where they are not found again by themselves: a file (.npz, .h5), FILE.py:NAME. "
            "Other data are refused.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Test the weights of a run, on the chip they were trained on or on any other.

    [dim]Examples:[/dim]

      hxloop eval runs/first

      hxloop eval runs/first --chip ideal

      hxloop eval runs/first --serial 2 --json

      hxloop eval runs/first --at-s 1800

      hxloop eval runs/mine --rule my_rule.py:MyRule --data my_data.npz
    """
    from hxloop_host.training import experiment

    result = experiment.evaluate(
        run,
        chip=chip,
        serial=serial,
        endpoint=endpoint,
        calibration=calibration,
        at_s=at_s,
        rule=rule,
        task=data,
        data_dir=data_dir,
    )
    if as_json:
        print_json(result.summary())
        return
    summary = result.summary()
    speed = f"{summary['speedup_over_biology']:.0f} x biology"
    show(f"test accuracy {100 * result.test_accuracy:.2f} % on {summary['chip']}, {speed}")
