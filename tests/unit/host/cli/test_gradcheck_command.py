"""`hxloop gradcheck` as a command: files, exit codes, refusals. On ideal it needs no daemon."""

import json

import pytest
from typer.testing import CliRunner

from hxloop.cli import app
from hxloop_host.gradients.check_result import load_check

WRONG = '''
import hxloop
from hxloop_host.learning.first_spike.fast_and_deep import FastAndDeep, FastAndDeepSettings


class Settings(FastAndDeepSettings):
    limits: list[float] = [0.5, 0.5]


class Wrong(hxloop.Rule):
    """Gradients of another size than it says."""

    Settings = Settings
    exact = True

    def __init__(self, settings=None, **values):
        super().__init__(settings, **values)
        self.inner = FastAndDeep(FastAndDeepSettings(**self.settings.model_dump() | {"kind": "fast_and_deep"}))

    def check(self, network, readout):
        self.inner.check(network, readout)

    def observe(self, network):
        return self.inner.observe(network)

    def step(self, runner, batch, weights):
        update = self.inner.step(runner, batch, weights)
        gradients = update.gradients and [2.0 * g for g in update.gradients]
        return hxloop.Update(update.loss, update.answers, gradients)
'''
QUICK = ["--seeds", "1", "--coordinates", "4"]


def run(*arguments):
    return CliRunner().invoke(app, ["gradcheck", *map(str, arguments)])


def test_a_rule_that_is_built_in(tmp_path):
    out = tmp_path / "check.h5"
    done = run("fast_and_deep", *QUICK, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert values["passed"] is True
    assert values["rule"] == "fast_and_deep"
    found = load_check(out)
    assert [row.projection for row in found.rows] == [row["projection"] for row in values["rows"]]
    assert out.with_suffix(".png").is_file()
    again = run("fast_and_deep", *QUICK, "--out", out)
    assert again.exit_code != 0
    assert "there already" in f"{again.output}{again.exception}"


def test_a_rule_of_ones_own_that_is_wrong_fails(tmp_path):
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    done = run(f"{file}:Wrong", *QUICK, "--out", tmp_path / "wrong.h5")
    assert done.exit_code == 1
    assert "failed: " in done.stdout
    assert load_check(tmp_path / "wrong.h5").passed is False


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nobody"], "rule"),
        (["fast_and_deep", "--preset", "nothing"], "preset"),
        (["fast_and_deep", "--out", "check.txt"], "does not end in"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments, text):
    done = run(*arguments)
    assert done.exit_code != 0
    assert text in f"{done.output}{done.exception}"
