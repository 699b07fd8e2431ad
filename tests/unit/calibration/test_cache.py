"""Cache: a table is found again under everything it depends on, and under nothing else."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.strangers.second_user import as_second_user, needs_second_user
from support.tables.calibration_tables import SPEC, small_table

from hxloop.chip import ChipIdentity
from hxloop_calibration.cache import MAX_AGE_S, cached_file, look_up, store
from hxloop_calibration.options import Options
from hxloop_calibration.pipeline import CODE_VERSION, cache_key
from hxloop_calibration.targets import AdaptationTarget, CorrelationTarget, DelayTarget, RateTarget, Target

FULL = Target(adaptation=AdaptationTarget(), rates=RateTarget(), correlation=CorrelationTarget(), delays=DelayTarget())
IDENTITY = ChipIdentity(chip="uncalibrated", serial=7, spec=SPEC.name, model="4")
OPTIONS = Options(only=("leak",), search={"leak": "binary"}, tolerance={"v_leak_mv": 9.0})
KEY = cache_key(FULL, OPTIONS, IDENTITY, SPEC)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(tmp_path))


def leaves(value, path=()):
    """Paths of all values in a nested dictionary."""
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    return [path]


def other(value, draw):
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + draw(st.integers(1, 1000))
    if isinstance(value, float):
        return value * draw(st.floats(1.0001, 5.0)) + 1e-3
    if isinstance(value, tuple | list):
        return type(value)([*value, other(value[-1], draw)]) if value else ("leak",)
    return f"{value}{draw(st.text('abc', min_size=1))}"


MODELS = {"target": FULL, "options": OPTIONS, "identity": IDENTITY, "spec": SPEC}
PLACES = [(name, path) for name, model in MODELS.items() for path in leaves(model.model_dump())]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_change_of_any_field_changes_the_key(data):
    name, path = data.draw(st.sampled_from(PLACES))
    content = MODELS[name].model_dump()
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = other(inner[path[-1]], data.draw)
    # Built without checks: what matters is that the key sees it, whether or not a chip would take it.
    models = {n: m.model_dump_json() for n, m in MODELS.items()}
    models[name] = content

    class Raw:
        def __init__(self, value):
            self._value = value

        def model_dump(self, **_):
            return self._value

    changed = cache_key(*(Raw(content) if n == name else MODELS[n] for n in MODELS))
    assert changed != KEY


def test_every_field_is_among_the_places():
    assert len(PLACES) == len(set(PLACES)) > 60
    for name, model in MODELS.items():
        assert {path[0] for n, path in PLACES if n == name} == set(type(model).model_fields)


def test_leaving_out_a_section_changes_the_key():
    for name in ("adaptation", "rates", "correlation", "delays"):
        assert cache_key(FULL.model_copy(update={name: None}), OPTIONS, IDENTITY, SPEC) != KEY


def test_the_same_values_have_the_same_key(monkeypatch):
    again = Target.model_validate_json(FULL.model_dump_json())
    swapped = Options(tolerance={"v_leak_mv": 9.0}, search={"leak": "binary"}, only=("leak",))
    assert cache_key(again, swapped, IDENTITY, SPEC) == KEY
    monkeypatch.setattr("hxloop_calibration.pipeline.CODE_VERSION", CODE_VERSION + "x")
    assert cache_key(again, swapped, IDENTITY, SPEC) != KEY


def test_tables_are_found_until_they_are_too_old_or_damaged():
    table = small_table(seed=1, key=KEY)
    assert look_up(KEY) is None
    file = store(table)
    assert file == cached_file(KEY) and look_up(KEY).key == KEY
    old = time.time() - MAX_AGE_S - 60
    os.utime(file, (old, old))
    assert look_up(KEY) is None
    store(table)
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    assert look_up(KEY) is None


def test_a_table_under_a_wrong_name_is_not_taken():
    file = store(small_table(seed=1, key=KEY))
    file.rename(cached_file("0" * 64))
    assert look_up("0" * 64) is None


def test_a_cache_that_cannot_be_written_loses_nothing(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(blocked))
    assert store(small_table(seed=1, key=KEY)) is None


def test_a_cache_that_others_can_write_to_is_neither_read_nor_written():
    file = store(small_table(seed=1, key=KEY))
    for place, mode in ((file, 0o606), (file.parent, 0o777), (file.parent.parent, 0o777)):
        before = place.stat().st_mode
        place.chmod(mode)
        assert look_up(KEY) is None
        if place != file:
            assert store(small_table(seed=1, key=KEY)) is None
        place.chmod(before)
        assert look_up(KEY) is not None


def test_the_cache_is_its_owners_whatever_the_umask(umask):
    file = store(small_table(seed=1, key=KEY))
    assert file.parent.stat().st_mode & 0o777 == 0o700


@needs_second_user
def test_a_table_that_a_second_user_planted_is_not_taken(square, tmp_path, monkeypatch):
    content = store(small_table(seed=1, key=KEY)).read_bytes()
    monkeypatch.setenv("HXLOOP_CACHE_DIR", str(square))

    def plant():
        cached_file(KEY).parent.mkdir(mode=0o755)
        cached_file(KEY).write_bytes(content)
        cached_file(KEY).chmod(0o644)

    assert as_second_user(plant) is None
    assert look_up(KEY) is None and store(small_table(seed=2, key="0" * 64)) is None
    assert [file.read_bytes() for file in cached_file(KEY).parent.iterdir()] == [content]
