"""Sections whose keys depend on their kind: found, checked, written and read again; strangers' code never runs."""

import json
import sys
from types import SimpleNamespace
from typing import Annotated

import pytest
from pydantic import Field, ValidationError, model_validator

from hxloop.errors import InvalidInputError, MissingFileError, UnknownKeyError
from hxloop.files.toml import load_toml, settings_from_mapping
from hxloop.kit.strict import Strict, WrongFieldError
from hxloop.plugins import Registry
from hxloop_host.settings.kind_sections import KindSection


class MotorSettings(Strict):
    kind: str = ""
    power_kw: Annotated[float, Field(gt=0)]


class Motor:
    Settings = MotorSettings


class Steam(Motor):
    class Settings(MotorSettings):
        kind: str = "steam"
        boiler_bar: float = 10.0

        @model_validator(mode="after")
        def _check(self):
            if self.boiler_bar > 100 * self.power_kw:
                raise WrongFieldError("boiler_bar", "the boiler bursts")
            return self


class Electric(Motor):
    class Settings(MotorSettings):
        kind: str = "electric"
        volts: int = 230


def rename_old(kind, values):
    return {("boiler_bar" if key == "pressure" else key): value for key, value in values.items()}


@pytest.fixture
def section(monkeypatch):
    monkeypatch.setitem(sys.modules, "motors", SimpleNamespace(Steam=Steam, Electric=Electric))
    registry = Registry(
        "motor",
        {"steam": "motors:Steam", "electric": "motors:Electric"},
        lambda found: isinstance(found, type) and hasattr(found, "Settings"),
        "a motor",
    )
    return KindSection("motor", registry, MotorSettings, default="steam", older=rename_old)


@pytest.fixture
def model(section):
    class Machine(Strict):
        motor: Annotated[MotorSettings, section]
        wheels: int = 4

    return Machine


OWN = """
from pathlib import Path
from tests_motor_settings import MotorSettings

Path({trace!r}).touch()

class Diesel:
    class Settings(MotorSettings):
        litres: float = 2.0
"""


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """A file of the user's, and the trace it leaves when it is run."""
    monkeypatch.setitem(sys.modules, "tests_motor_settings", SimpleNamespace(MotorSettings=MotorSettings))
    file, trace = tmp_path / "own.py", tmp_path / "was_run"
    file.write_text(OWN.format(trace=str(trace)))
    return f"{file}:Diesel", trace


def test_the_kind_says_which_keys_there_are(model):
    assert type(model(motor={"kind": "electric", "power_kw": 1.0, "volts": 400}).motor) is Electric.Settings
    steam = model(motor={"power_kw": 1.0}).motor
    assert (type(steam), steam.kind, steam.boiler_bar) == (Steam.Settings, "steam", 10.0)
    assert model(motor=Electric.Settings(power_kw=2.0)).motor.volts == 230


def test_all_that_a_kind_has_is_written_and_read_again(model):
    machine = model(motor={"kind": "electric", "power_kw": 1.0, "volts": 400})
    assert machine.model_dump() == {"motor": {"kind": "electric", "power_kw": 1.0, "volts": 400}, "wheels": 4}
    again = model.model_validate_json(machine.model_dump_json())
    assert again == machine
    assert type(again.motor) is Electric.Settings


@pytest.mark.parametrize(
    ("motor", "error", "field", "message"),
    [
        ({"kind": "electric", "power_kw": 1.0, "vols": 3}, UnknownKeyError, "motor.vols", "did you mean 'motor.volts'"),
        ({"kind": "electric", "power_kv": 1.0}, UnknownKeyError, "motor.power_kv", "did you mean 'motor.power_kw'"),
        ({"kind": "electric", "power_kw": 1.0, "boiler_bar": 3.0}, UnknownKeyError, "motor.boiler_bar", "unknown key"),
        ({"kind": "electric", "power_kw": -1.0}, InvalidInputError, "motor.power_kw", "greater than 0"),
        ({"kind": "electric", "power_kw": 1.0, "volts": 1.5}, InvalidInputError, "motor.volts", "integer"),
        ({"kind": "steam"}, InvalidInputError, "motor.power_kw", "Field required"),
        ({"power_kw": 1.0, "boiler_bar": 101.0}, InvalidInputError, "motor.boiler_bar", "the boiler bursts"),
        ({"kind": "stean", "power_kw": 1.0}, InvalidInputError, "motor.kind", "did you mean 'steam'"),
        ({"kind": 3, "power_kw": 1.0}, InvalidInputError, "motor.kind", "name of a kind"),
        (3, InvalidInputError, "motor", "dictionary"),
        ([], InvalidInputError, "motor", "dictionary"),
        ({3: 4}, InvalidInputError, "motor.power_kw", "Field required"),
    ],
)
def test_mistakes_are_named_by_section_and_key(model, motor, error, field, message):
    with pytest.raises(error, match=message) as caught:
        settings_from_mapping({"motor": motor}, model, "a file")
    assert caught.value.field == field
    assert type(caught.value) is error


def test_a_section_without_default_must_name_its_kind(section):
    class Machine(Strict):
        motor: Annotated[MotorSettings, KindSection("motor", section.registry, MotorSettings)]

    with pytest.raises(InvalidInputError, match="known: steam, electric") as caught:
        Machine(motor={"power_kw": 1.0})
    assert caught.value.field == "motor.kind"


def test_what_earlier_versions_wrote_is_read(model):
    assert model(motor={"power_kw": 1.0, "pressure": 7.0}).motor.boiler_bar == 7.0


def test_a_file_named_as_an_argument_is_run_and_known_from_then_on(model, section, own_file, tmp_path):
    kind, trace = own_file
    part, source = section.named(kind)
    assert trace.exists()
    assert (part.__name__, source.is_own) == ("Diesel", True)
    assert section.part(kind) is part
    assert set(section.models()) == {"steam", "electric", kind}
    path = tmp_path / "machine.toml"
    path.write_text(f'[motor]\nkind = "{kind}"\npower_kw = 1.0\nlitres = 3.0\n')
    assert type(load_toml(path, model).motor) is part.Settings
    path.write_text(f'[motor]\nkind = "{kind}"\npower_kw = 1.0\nliters = 3.0\n')
    with pytest.raises(UnknownKeyError, match=r"did you mean 'motor\.litres'"):
        load_toml(path, model)


@pytest.mark.parametrize("read", ["json", "toml", "constructor"])
def test_a_file_that_a_stranger_may_have_named_is_not_run(model, section, own_file, tmp_path, read):
    kind, trace = own_file
    stored = {"motor": {"kind": kind, "power_kw": 1.0, "litres": 3.0, "list": [1, 2]}}
    path = tmp_path / "machine.toml"
    path.write_text(f'[motor]\nkind = "{kind}"\npower_kw = 1.0\nlitres = 3.0\nlist = [1, 2]\n')
    machine = {
        "json": lambda: model.model_validate_json(json.dumps(stored)),
        "toml": lambda: load_toml(path, model),
        "constructor": lambda: model(**stored),
    }[read]()
    assert not trace.exists()
    assert machine.model_dump() == stored | {"wheels": 4}
    assert model.model_validate_json(machine.model_dump_json()) == machine
    with pytest.raises(InvalidInputError, match="only if you name it yourself"):
        section.part(kind)
    with pytest.raises(ValidationError):
        model.model_validate({"motor": {"kind": kind, "power_kw": -1.0}})
    assert not trace.exists()

    section.named(kind)
    assert trace.exists()
    assert model.model_validate({"motor": {"kind": kind, "power_kw": 1.0, "litres": 3.0}}).motor.litres == 3.0
    with pytest.raises(InvalidInputError):
        model(motor={"kind": kind, "power_kw": 1.0, "litres": "many"})


def test_classes_handed_over_are_known_by_their_name(model, section):
    section.know("notebook:Electric", Electric)
    assert model(motor={"kind": "notebook:Electric", "power_kw": 1.0}).motor.volts == 230


def test_missing_files_and_classes_without_settings_are_refused(section, tmp_path):
    with pytest.raises(MissingFileError):
        section.named(str(tmp_path / "gone.py:X"))
    file = tmp_path / "odd.py"
    file.write_text("class Odd:\n    Settings = dict\n")
    with pytest.raises(InvalidInputError, match="subclass of MotorSettings") as caught:
        section.named(f"{file}:Odd")
    assert caught.value.field == "motor.kind"
