"""What the emulator says of its chips, without the emulator."""

import functools

import pytest

from hxloop.errors import InvalidInputError
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_host.studies.design.sheet import ChipSheet, Strength
from hxloop_host.studies.kinds.faults import FAULTS
from hxloop_host.studies.kinds.mechanisms import MISMATCH, NOISE
from hxloop_host.studies.kinds.sensitivity import FACTORS
from hxloop_host.studies.trust.chip_columns import LEFT_BY_DEFAULT

_PROBABILITIES = {key.rpartition(".")[2] for key in FAULTS.values()}
_NAMES = sorted(
    {name for group in (*MISMATCH.values(), *NOISE.values(), *FACTORS.values()) for name in group}
    | _PROBABILITIES
    | {"drift_trial_mv", "v_leak_fixed_mv", *LEFT_BY_DEFAULT}
)
_UNITS = {"mv": "mV", "us": "us"}


@functools.lru_cache
def fake_sheet(chip):
    """Sheet of a chip: 0.04 of everything but faults on all chips but ideal, changes in brackets as the emulator."""
    base, _, changes = chip.partition("[")
    if base not in {"ideal", "typical", "uncalibrated", "rough"}:
        raise InvalidInputError(f"no chip is called {chip[:60]!r}", field="chip")
    value = 0.0 if base == "ideal" else 0.04
    defaults = {name: 0.0 if name in _PROBABILITIES else value for name in _NAMES}
    strengths = dict(defaults)
    for change in filter(None, changes.rstrip("]").split(",")):
        key, _, text = change.partition("=")
        strengths |= dict.fromkeys(_NAMES, float(text)) if key == "all" else {key: float(text)}
    entries = {
        name: Strength(
            v,
            _UNITS.get(name.rpartition("_")[2], "1"),
            name,
            0.0,
            1.0 if name in _PROBABILITIES or not name.endswith("_mv") else 1000.0,
        )
        for name, v in strengths.items()
    }
    return ChipSheet(chip, base, "4", TEXTBOOK if base == "ideal" else HICANN_X, entries, defaults)


@pytest.fixture
def sheets(monkeypatch):
    """Studies that ask nobody what a chip is."""
    for module in (
        "hxloop_host.studies.design.kind",
        "hxloop_host.studies.design.sheet",
        "hxloop_host.studies.study_request",
    ):
        monkeypatch.setattr(f"{module}.read_sheet", fake_sheet)
