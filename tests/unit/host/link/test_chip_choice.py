"""A chip that is there already is the one that is used, or nothing is done."""

from pathlib import Path

import pytest
from support.chips.grid_chip import GridChip

import hxloop_host
from hxloop import load_run
from hxloop.errors import ChipMismatchError, InvalidInputError, MissingFileError
from hxloop.progress import silent
from hxloop_host.training.experiment import evaluate, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choice")
    small = (Path(hxloop_host.__file__).parent / "presets" / "small.toml").read_text()
    (folder / "p.toml").write_text(f"{small}\n[data]\ntrain = 40\nvalidation = 20\ntest = 20\n")
    out = folder / "runs" / "first"
    return train(preset=folder / "p.toml", chip=GridChip(), epochs=1, out=out, report=silent)


@pytest.mark.parametrize("verb", [train, evaluate])
def test_another_serial_number_or_an_endpoint_is_refused(verb, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ("yin-yang",) if verb is train else (run,)
    chip = GridChip()
    for serial in (chip.identity.serial + 1, 0):
        with pytest.raises(ChipMismatchError, match=f"the chip is grid/1, not grid/{serial}") as caught:
            verb(*given, chip=chip, serial=serial)
        assert caught.value.field == "serial"
    with pytest.raises(InvalidInputError, match="a chip is there already") as caught:
        verb(*given, chip=chip, endpoint="typical/1")
    assert caught.value.field == "endpoint"
    assert list(tmp_path.iterdir()) == []


def test_its_own_serial_number_is_taken(run):
    chip = GridChip()
    assert evaluate(run, chip=chip, serial=chip.identity.serial).test_accuracy == run.test_accuracy


def test_names_of_the_list_are_recognized(run, monkeypatch):
    monkeypatch.chdir(run.directory.parent.parent)
    assert load_run("first").digest == load_run("runs/first").digest == run.digest
    with pytest.raises(MissingFileError, match="did you mean 'first'"):
        load_run("frist")
