"""Chips in files: one canonical name for what they say, and refusal of all else."""

import pytest

from hxloop.errors import InvalidInputError, UnknownKeyError
from hxloop.naming.chip_file import ChipFile, FittedStrength, chip_name, load_chip_file
from hxloop.naming.chip_name import ChipName


def test_a_file_is_a_name_whatever_its_order(tmp_path):
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text('base = "typical"\n[strengths]\njitter_trial_us = 0.12345678\ndead_fixed = { value = 0.02 }\n')
    second.write_text('base = "typical"\n[strengths]\ndead_fixed = 0.02\njitter_trial_us = 0.12350001\n')
    assert chip_name(first) == chip_name(str(second)) == "typical[dead_fixed=0.02,jitter_trial_us=0.1235]"
    assert ChipName.parse(chip_name(first)).strengths({"dead_fixed": 0.0, "jitter_trial_us": 0.1})["dead_fixed"] == 0.02


def test_names_stay_names():
    assert chip_name("rough[all=0]") == "rough[all=0]"


def test_a_file_without_strengths_is_its_base(tmp_path):
    (tmp_path / "plain.toml").write_text('base = "rough"\n')
    assert chip_name(tmp_path / "plain.toml") == "rough"


def test_what_is_written_is_read_back(tmp_path):
    written = ChipFile(
        base="typical",
        strengths={"tau_syn_fixed": FittedStrength(value=0.3, low=0.25, high=0.36, source='a "lab"\'s\\own\n')},
        kept={"coba_fixed": "not measured"},
    )
    written.save(tmp_path / "chip.toml")
    assert load_chip_file(tmp_path / "chip.toml") == written


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ('bas = "typical"', UnknownKeyError, "base"),
        ('base = "typical"\n[strenghts]\na = 1', UnknownKeyError, "strengths"),
        ('base = "typical"\n[strengths]\na = { vlue = 1.0 }', InvalidInputError, "a"),
        ('base = "typical[all=0]"', InvalidInputError, "base"),
        ('base = "typical"\n[strengths]\n"a]/../x" = 1', InvalidInputError, "strengths"),
        ('base = "typical"\n[strengths]\na = -1', InvalidInputError, "strengths.a"),
        ('base = "typical"\n[strengths]\na = nan', InvalidInputError, "strengths.a"),
        ('base = "typical"\n[strengths]\na = 1e4', InvalidInputError, "strengths.a"),
        ('base = "typical"\n[strengths]\na = "1"', InvalidInputError, "strengths.a"),
        ('base = "typical"\n[strengths]\nall = 0', InvalidInputError, "strengths.all"),
        ("[strengths]\na = 1", InvalidInputError, "base"),
        (
            'base = "typical"\n[strengths]\n' + "\n".join(f"a{k} = 1" for k in range(300)),
            InvalidInputError,
            "strengths",
        ),
        ('base = "typical"\nkept = 3', InvalidInputError, "kept"),
        ("\0", InvalidInputError, "cannot read"),
    ],
)
def test_files_are_hostile_until_checked(tmp_path, text, error, words):
    (tmp_path / "chip.toml").write_text(text)
    with pytest.raises(error, match=words.replace("[", r"\[")):
        chip_name(tmp_path / "chip.toml")


def test_a_file_that_is_missing_or_huge_is_refused(tmp_path):
    with pytest.raises(InvalidInputError):
        chip_name("nowhere.toml")
    (tmp_path / "huge.toml").write_text('base = "typical"\n#' + "x" * 300_000)
    with pytest.raises(InvalidInputError):
        chip_name(tmp_path / "huge.toml")
