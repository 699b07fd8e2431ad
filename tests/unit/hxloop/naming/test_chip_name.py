"""Names of chips: what they mean, and how they are written."""

import pytest

from hxloop.errors import InvalidInputError
from hxloop.naming.chip_name import ChipName, file_safe, in_brief, split_serial, with_serial

DEFAULTS = {"jitter_trial_us": 0.1, "drift_trial_mv": 1.0, "dead_fixed": 0.0}


@pytest.mark.parametrize(
    ("text", "base", "changes", "strengths"),
    [
        ("typical", "typical", (), DEFAULTS),
        ("rough[ dead_fixed = 0.25 ]", "rough", (("dead_fixed", 0.25),), {**DEFAULTS, "dead_fixed": 0.25}),
        (
            "typical[all=0,jitter_trial_us=3e-1]", "typical", (("all", 0.0), ("jitter_trial_us", 0.3)),
            {"jitter_trial_us": 0.3, "drift_trial_mv": 0.0, "dead_fixed": 0.0},
        ),
        (
            "typical[jitter_trial_us=0.3,all=2]", "typical", (("jitter_trial_us", 0.3), ("all", 2.0)),
            dict.fromkeys(DEFAULTS, 2.0),
        ),
    ],
)  # fmt: skip
def test_names_are_taken_apart_and_changes_apply_in_order(text, base, changes, strengths):
    name = ChipName.parse(text)
    assert (name.base, name.changes) == (base, changes)
    assert name.strengths(DEFAULTS) == strengths
    assert ChipName.parse(str(name)) == name


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("tipical", "chip", "no chip is called 'tipical' (did you mean 'typical'?)"),
        ("typical[", "chip", "no chip is called"),
        ("typical]a=1[", "chip", "no chip is called"),
        ("typical[a=1][b=2]", "chip", "no chip is called"),
        ("[a=1]", "chip", "no chip is called"),
        ("", "chip", "no chip is called"),
        ("typical[]", "chip[]", "'' is not a number"),
        ("typical[jitter_trial_us]", "chip[jitter_trial_us]", "'' is not a number"),
        ("typical[jitter_trial_us=x]", "chip[jitter_trial_us]", "'x' is not a number (write typical[jitter"),
    ],
)
def test_what_is_no_name_is_refused_with_its_field(text, field, words):
    with pytest.raises(InvalidInputError) as caught:
        ChipName.parse(text, ["typical", "rough"])
    assert caught.value.field == field and words in str(caught.value)


def test_an_unknown_imperfection_is_suggested():
    with pytest.raises(InvalidInputError, match=r"'jiter_trial_us'.*did you mean 'jitter_trial_us'"):
        ChipName.parse("typical[jiter_trial_us=0]").strengths(DEFAULTS)


def test_the_shortest_name_stands_for_the_strengths():
    def shortest(**strengths):
        return str(ChipName.shortest("typical", {**DEFAULTS, **strengths}, DEFAULTS))

    assert shortest() == "typical"
    assert shortest(jitter_trial_us=0.25) == "typical[jitter_trial_us=0.25]"
    assert shortest(jitter_trial_us=0.0, drift_trial_mv=0.0) == "typical[all=0]"
    for strengths in ({"dead_fixed": 1e-17}, {"jitter_trial_us": 0.0, "drift_trial_mv": 1 / 3, "dead_fixed": 0.5}):
        assert ChipName.parse(shortest(**strengths)).strengths(DEFAULTS) == {**DEFAULTS, **strengths}


@pytest.mark.parametrize("chip", ["typical", "a_b", "typical[all=0,jitter_trial_us=1e-3]"])
def test_serial_numbers_come_and_go(chip):
    assert split_serial(with_serial(chip, 2**63 - 1)) == (chip, 2**63 - 1)


@pytest.mark.parametrize(
    "text", ["typical", "typical/", "/3", "typical/-1", "runs/typical/3", "tcp://a/3", "typical/3x"]
)
def test_what_has_no_serial_number_has_none(text):
    assert split_serial(text) is None


def test_names_of_files_are_safe_and_short():
    assert file_safe("typical[a=0,b=1]", 3) == "typical-a=0-b=1-3"
    assert not set(file_safe("a[b=1]/../*?")) & set("[]/*? ")
    long = [file_safe(f"typical[{','.join(['x=1'] * 99)}{k}]") for k in range(2)]
    assert long[0] != long[1] and all(len(name) <= 100 for name in long)


def test_a_line_for_people_is_not_a_thousand_characters_long():
    few, many = "typical[jitter_trial_us=0,tau_syn_residual=0.1]", f"typical[{','.join(f'a{k}=1' for k in range(31))}]"
    assert in_brief(few, 3) == with_serial(few, 3)
    shown = in_brief(many, 3)
    assert shown.startswith("typical[31 strengths, ") and shown.endswith("]/3") and len(shown) < 60
    assert in_brief(many.replace("a3=1", "a3=2"), 3) != shown
