"""Targets and plans: presets, TOML files, and what is refused before anything runs."""

import re

import pytest
from support.chips.fake_chip import FakeChip

from hxloop.codes.boot import OperatingPoint
from hxloop.errors import InvalidInputError, MissingFileError, OutOfRangeError, UnknownKeyError
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop_calibration.families import FAMILIES
from hxloop_calibration.options import Options
from hxloop_calibration.pipeline import calibrate, complete, plan
from hxloop_calibration.targets import PRESETS, DelayTarget, Target, load_target


def changed(section, **values):
    return Target.model_validate({section: values})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_reached(name):
    names = plan(load_target(name), Options(), HICANN_X)
    assert {"cadc", "leak", "reset", "threshold", "tau_mem", "tau_syn", "gain", "weight_scale"} <= set(names)
    assert not {"rates", "adaptation", "correlation", "delays"} & set(names)
    target = load_target(name).model_copy(update={"delays": DelayTarget()})
    assert plan(target, Options(), HICANN_X) == [*names, "delays"]
    assert plan(target, Options(only=("delays",)), HICANN_X) == ["delays"]


def test_without_delays_a_target_is_written_as_before_there_were_any():
    assert "delays" not in Target().model_dump_json()
    assert Target.model_validate_json(Target(delays=DelayTarget(repeats=9)).model_dump_json()).delays.repeats == 9


@pytest.mark.parametrize(
    ("target", "field", "text"),
    [
        (changed("neuron", v_leak_mv=200.0), "neuron.v_leak_mv", "285..780"),
        (changed("neuron", v_threshold_mv=1100.0), "neuron.v_threshold_mv", "285..1050"),
        (changed("neuron", tau_mem_us=0.2), "neuron.tau_mem_us", "0.5..60"),
        (changed("neuron", tau_syn_us=31.0), "neuron.tau_syn_us", "0.3..30"),
        (changed("neuron", t_refractory_us=40.0), "neuron.t_refractory_us", "0.04..32"),
        (changed("neuron", synapse_gain_mv_per_us=5.0), "neuron.synapse_gain_mv_per_us", "0..4.7"),
        (changed("neuron", synapse_gain_mv_per_us=0.0), "neuron.synapse_gain_mv_per_us", "above 0"),
        (changed("neuron", v_threshold_mv=400.0), "neuron.v_threshold_mv", "above leak"),
        (changed("cadc", low_mv=1100.0), "cadc.high_mv", "above"),
        (changed("cadc", high_lsb=300.0), "cadc.high_lsb", "1..254"),
        (changed("adaptation", tau_us=5.0), "adaptation.tau_us", "1..1022"),
        (changed("adaptation", a_ns=1000.0), "adaptation.a_ns", "1..1022"),
        (changed("adaptation", b_na=100.0), "adaptation.b_na", "1..1022"),
        (changed("correlation", tau_us=0.5), "correlation.tau_us", "1..1022"),
        (changed("correlation", amplitude_lsb=3.0), "correlation.amplitude_lsb", "1..1022"),
        (changed("rates", rate_khz=500.0), "rates.rate_khz", "60.2"),
        (changed("rates", rate_khz=5.0), "rates.rate_khz", "29.4"),
    ],
)  # fmt: skip
def test_what_cannot_be_reached_is_refused_with_its_range(target, field, text):
    with pytest.raises(InvalidInputError, match=re.escape(text)) as caught:
        plan(target, Options(), HICANN_X)
    assert caught.value.field == field


def test_unknown_names_are_refused_with_the_nearest():
    for options, hint in ((Options(only=("lek",)), "leak"), (Options(search={"treshold": "binary"}), "threshold")):
        with pytest.raises(InvalidInputError, match=hint):
            plan(Target(), options, HICANN_X)


def test_unknown_parameters_have_no_tolerance():
    for name, hint in (("v_lek_mv", "v_leak_mv"), ("x" * 10_000, None)):
        with pytest.raises(InvalidInputError, match=hint) as caught:
            calibrate(FakeChip("uncalibrated"), Target(), Options(tolerance={name: 1.0}))
        assert caught.value.field == "tolerance"


@pytest.mark.parametrize(
    ("section", "values"),
    [
        *(("cadc", {name: value}) for name in ("low_mv", "high_mv") for value in (0.0, -1.0, 1e300, float("nan"))),
        *(("adaptation", {"tau_us": value}) for value in (0.0, 1e-320, 1e300, float("inf"), True)),
        *(("correlation", {"amplitude_lsb": value}) for value in (0.0, 1e-320, 1e300)),
        *(("rates", {"rate_khz": value}) for value in (0.0, 1e-320, 1e300)),
        *(("neuron", {name: value}) for name in OperatingPoint.model_fields for value in (float("nan"), 1e300, -1e300)),
    ],
)
def test_extreme_targets_are_refused_before_anything_runs(section, values):
    with pytest.raises(InvalidInputError) as caught:
        plan(Target(**{section: values}), Options(), HICANN_X)
    assert caught.value.field.startswith(section)


def test_the_textbook_chip_has_no_codes_to_calibrate():
    with pytest.raises(InvalidInputError, match="no codes"):
        plan(Target(), Options(), TEXTBOOK)


def test_a_subset_brings_what_it_needs_in_order():
    assert plan(Target(), Options(only=("threshold",)), HICANN_X) == ["cadc", "threshold"]
    assert plan(Target(), Options(only=("references",)), HICANN_X) == [
        "cadc",
        "tau_syn",
        "tau_mem",
        "gain",
        "references",
    ]
    for method, family in FAMILIES.items():
        for name, routine in family.routines.items():
            options = Options(method=method, only=(name,))
            order = plan(complete(Target(), options), options, HICANN_X)
            assert all(order.index(need) < order.index(name) for need in routine.needs)
            assert set(family.refined) <= set(family.routines)


@pytest.mark.parametrize(
    ("options", "section", "field", "text"),
    [
        ({"only": ("gain",)}, None, "only", "no routine is called 'gain' in the method published"),
        ({"search": {"synaptc_input": "linear"}}, None, "search", "synaptic_input"),
        ({"tolerance": {"v_leak_mv": 9.0}}, None, "tolerance", "knows no tolerance"),
        ({}, "rates", "rates", "no routine for rates"),
        ({}, "adaptation", "adaptation", "no routine for adaptation"),
        ({}, "correlation", "correlation", "no routine for correlation"),
    ],
)
def test_what_the_published_method_has_not_is_refused(options, section, field, text):
    target = Target() if section is None else complete(Target(), Options(only=(section,)))
    with pytest.raises(InvalidInputError, match=text) as refused:
        plan(target, Options(method="published", **options), HICANN_X)
    assert refused.value.field == field
    with pytest.raises(InvalidInputError, match="method") as refused:
        Options(method="publishd")


def test_a_routine_asked_for_by_name_has_defaults():
    for name, section in (("adaptation", "adaptation"), ("rates", "rates"), ("correlation", "correlation")):
        assert getattr(complete(Target(), Options(only=(name,))), section) is not None
    given = changed("rates", rate_khz=45.0)
    assert complete(given, Options(only=("rates",))) == given


def test_files_are_read_and_misspelt_keys_corrected(tmp_path):
    file = tmp_path / "aims.toml"
    file.write_text("[neuron]\nv_leak_mv = 450\ntau_mem_us = 8.0\n[correlation]\ntau_us = 4.0\n")
    target = load_target(file)
    assert (target.neuron.v_leak_mv, target.neuron.tau_mem_us, target.neuron.v_reset_mv) == (450.0, 8.0, 420.0)
    assert target.correlation.tau_us == 4.0
    file.write_text("[neuron]\nv_leek_mv = 450\n")
    with pytest.raises(UnknownKeyError, match="v_leak_mv"):
        load_target(file)
    with pytest.raises(MissingFileError):
        load_target(tmp_path / "none.toml")
    with pytest.raises(InvalidInputError, match="lif-6us"):
        load_target("lif-6")


def test_out_of_range_is_a_range_error():
    with pytest.raises(OutOfRangeError):
        plan(changed("neuron", v_leak_mv=200.0), Options(), HICANN_X)
