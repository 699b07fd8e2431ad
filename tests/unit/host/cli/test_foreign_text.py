"""Every command with names that are markup, formulas, or orders to the terminal: harmless, and shown whole."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from support.chips.grid_chip import GridChip
from support.strangers.hostile import FILE_NAME, HOSTILE, SHOWN, assert_harmless
from support.tables.sheets import sheets  # noqa: F401 (a fixture)
from typer.testing import CliRunner

import hxloop_host
from hxloop.chip import ChipIdentity
from hxloop.cli import COMMANDS, app
from hxloop.kit.figures import draw
from hxloop.kit.page import Picture, Section, Table, page
from hxloop.progress import Advanced, Ended, EpochDone, Message, Started, StepDone, silent
from hxloop.text import one_line
from hxloop_host.cli.progress_bar import ProgressBar
from hxloop_host.studies.output.study_table import make_table, write_csv, write_parquet
from hxloop_host.studies.points.cluster import Failure
from hxloop_host.studies.points.point_store import FIGURES, Outcome
from hxloop_host.studies.study_request import Request, work_of
from hxloop_host.training.experiment import train

NAMES = ("typical[jitter_trial_us=0]", HOSTILE)
runner = CliRunner()


def hxloop(*arguments):
    done = runner.invoke(app, [str(a) for a in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert_harmless(done.stdout)
    assert_harmless(done.stderr)
    return done


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs that were trained on chips with these names, with settings in a file of an odd name."""
    folder = tmp_path_factory.mktemp("runs")
    text = (
        (Path(hxloop_host.__file__).parent / "presets" / "small.toml").read_text().replace("epochs = 300", "epochs = 1")
    )
    preset = folder / f"{FILE_NAME}.toml"
    preset.write_text(text + "\n[data]\ntrain = 40\nvalidation = 20\ntest = 20\n")
    for k, name in enumerate(NAMES):
        chip = GridChip()
        chip.identity = ChipIdentity(chip=name, serial=1, spec=chip.spec.name, model="grid")
        train(preset=preset, chip=chip, out=folder / f"run-{k}", report=silent)
    (folder / "run-0").rename(folder / f"run-{FILE_NAME}")
    return folder


def test_lists_show_the_whole_chip(runs):
    done = hxloop("runs", "list", runs)
    assert done.exit_code == 0
    for name in NAMES:
        assert f"{one_line(name)}/1" in done.stdout
    assert one_line(f"run-{FILE_NAME}") in done.stdout
    listed = json.loads(hxloop("runs", "list", runs, "--json").stdout)["runs"]
    assert [entry["chip"] for entry in listed] == [f"{name}/1" for name in NAMES]


DRAWN = ("curves", "activity", "weights", "decision_map", "raster")


@pytest.mark.parametrize(("folder", "name"), [(f"run-{FILE_NAME}", NAMES[0]), ("run-1", NAMES[1])])
def test_a_run_is_shown_and_drawn(runs, folder, name):
    done = hxloop("runs", "show", runs / folder, "--plot")
    assert done.exit_code == 0
    assert f"{one_line(name)}/1" in done.stdout
    assert all((runs / folder / f"{picture}.png").exists() for picture in DRAWN)


ARGUMENTS = [
    *([command] for command in (HOSTILE, f"--{HOSTILE}")),
    *([command, f"--{HOSTILE}"] for command in COMMANDS),
    ["train", HOSTILE],
    ["train", "yin-yang", "--preset", HOSTILE],
    ["train", "yin-yang", "--preset", FILE_NAME],
    ["train", "yin-yang", "--epochs", HOSTILE],
    ["train", "yin-yang", "--from", FILE_NAME],
    ["train", "yin-yang", "--endpoint", HOSTILE],
    ["eval", FILE_NAME],
    ["run", FILE_NAME, "--out", "spikes.npz"],
    ["run", "x.npz", "--out", f"{FILE_NAME}/spikes.npz"],
    ["run", "x.npz", "--out", "spikes.npz", "--madc", HOSTILE],
    ["map", HOSTILE],
    ["map", "mnist16", "--out", FILE_NAME],
    ["calibrate", "--only", HOSTILE, "--endpoint", HOSTILE],
    ["calibrate", "--preset", HOSTILE],
    ["calibrate", "--targets", FILE_NAME],
    ["calibrate", "--check", FILE_NAME],
    ["calibrate", "--report", FILE_NAME],
    ["runs", HOSTILE],
    ["runs", "list", FILE_NAME],
    ["runs", "show", FILE_NAME],
    ["study", HOSTILE],
    ["study", f"{FILE_NAME}.toml"],
    ["study", "noise", "--set", HOSTILE],
    ["study", "noise", "--serials", HOSTILE],
    ["study", "noise", "--preset", HOSTILE],
    ["chip", HOSTILE],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda arguments: ascii(" ".join(arguments))[:60])
def test_what_is_wrong_is_said_harmlessly(arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HXLOOP_RUNTIME_DIR", str(tmp_path / "rt"))
    done = hxloop(*arguments)
    assert done.exit_code in {1, 2}
    assert done.stderr


def test_bars_and_messages(capsys):
    from rich.console import Console

    bar = ProgressBar(Console(file=sys.stderr, width=1000))
    for event in (
        Started(HOSTILE, 2, "epoch"), Message(HOSTILE), Advanced(0, name=HOSTILE), EpochDone(1, text=HOSTILE),
        StepDone(1, HOSTILE, HOSTILE), Ended(),
    ):  # fmt: skip
        bar(event)
    shown = capsys.readouterr().err
    assert_harmless(shown)
    assert SHOWN in shown


def test_a_page_is_text():
    picture = Picture(draw(2, 1, lambda figure: figure.subplots().set_title(FILE_NAME)), HOSTILE, FILE_NAME)
    made = page(HOSTILE, [Section("k", HOSTILE, [FILE_NAME], [picture], [Table([HOSTILE], [[FILE_NAME]])], HOSTILE)])
    made.encode()
    assert "<b>" not in made
    assert_harmless(made.replace("\nforged", ""))


def test_pictures_draw_text_and_no_formulas():
    def filled(text):
        def fill(figure):
            axes = figure.subplots()
            axes.set(title=text, xlabel=text, xticks=[0, 1], xticklabels=[text, "b"], yscale="log", ylim=(0.5, 200))
            axes.plot([0, 1], [1, 100], label=text)
            axes.legend()

        return draw(5, 4, fill)

    assert filled(HOSTILE).startswith(b"\x89PNG")
    assert filled("$x_1$") != filled("x_1")  # would be the same size of letters else, but for the dollars
    assert filled(r"$\frac$") and filled("$")  # no formula, so no error


def test_tables_of_studies(tmp_path, sheets):  # noqa: F811
    work = work_of(Request(study="noise"))
    texts = [FILE_NAME, "=cmd|' /C calc'!A0"]
    failures = {row.point.key: Failure(row.point, text) for row, text in zip(work.rows, texts, strict=False)}
    outcome = Outcome(dict.fromkeys(FIGURES, 1), 1.0)
    table = make_table(work, {row.point.key: outcome for row in work.rows[len(texts) :]}, failures)
    write_csv(tmp_path / "t.csv", table)
    write_parquet(tmp_path / "t.parquet", table)
    assert_harmless((tmp_path / "t.csv").read_text())
    assert pd.read_csv(tmp_path / "t.csv")["error"][:2].tolist() == [one_line(FILE_NAME), f"'{texts[1]}"]
    assert pd.read_parquet(tmp_path / "t.parquet")["error"][:2].tolist() == [one_line(FILE_NAME), texts[1]]
