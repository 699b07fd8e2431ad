"""Help on a terminal of 80 columns: nothing is cut, paragraphs are whole, and every command has an example."""

import re
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from hxloop.cli import COMMANDS, app
from hxloop.errors import InvalidInputError
from hxloop_host.cli.shared_options import possible

GROUPS = {"chip": ("describe", "reveal", "report"), "runs": ("list", "show", "cost"), "new": ("task", "rule")}
PAGES = [(name, *more) for name in COMMANDS for more in ([(inner,) for inner in GROUPS.get(name, ())] or [()])]


def page(*command):
    found = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert found.exit_code == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", found.output)


@pytest.mark.parametrize("command", PAGES, ids=" ".join)
def test_help_fits_80_columns(command):
    text = page(*command)
    assert "…" not in text
    above = text.partition("╭")[0].rstrip().split("Examples:")
    prose = [line.rstrip() for line in above[0].split("\n")]
    for line, following in pairwise(prose):
        if line and following:  # a line ends where the next word has no room
            assert len(line) + 1 + len(following.split()[0]) >= 79, line
    examples = [line for line in above[1].split("\n") if line.strip()]
    assert examples and all(line.lstrip().startswith("hxloop ") for line in examples), examples


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ("train", "--virtual-chips published"),
        ("train", "--beginning first_spikes"),
        ("train", "--rule eventprop"),
        ("calibrate", "--delays"),
        ("gradcheck", "hxloop gradcheck fast_and_deep"),
        ("study", "hxloop study rules"),
    ],
)
def test_what_is_new_has_an_example(command, example):
    assert example in page(command).partition("╭")[0]


def test_a_misspelt_chip_is_refused_by_its_name():
    assert possible("typical[jitter_trial_us=0]") == "typical[jitter_trial_us=0]"
    with pytest.raises(InvalidInputError, match=r"no chip is called 'typcal' \(did you mean 'typical'"):
        possible("typcal")
