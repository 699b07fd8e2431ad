"""Fixed-pattern mismatch: its statistics over many serials, its independence, and that it reaches the circuits."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest

from hxloop.codes.capmem import Cell
from hxloop.errors import InvalidInputError
from hxloop.spec import HICANN_X
from hxloop_chip.chip.emulated_chip import EmulatedChip
from hxloop_chip.silicon.mechanisms.in_circuits.temperature import Temperature
from hxloop_chip.silicon.mismatch import N_BITS, Mismatch
from hxloop_chip.silicon.presets import CHIPS, TYPICAL, named_chip

SERIALS = range(1, 21)
ALIVE = TYPICAL.model_copy(update={"dead_fixed": 0.01, "correlated_fixed": 0.0})
CORNER = tuple(a.ravel() for a in np.indices((2, 64, 64)))
HASHES = {
    1: "f0d7a70c97a33e4576ba61c01572b3a7b0647f1ecaa46602b9fc5f9a50104d4c",
    7: "6e5894768e80e8f0982ca7165345b766abea751e15f17ed79034ac41ff63f39d",
}


@dataclass(frozen=True)
class Mechanism:
    """How to see a mechanism in units of its spread: `value` of a chip, after a logarithm if it is a factor."""

    knob: str
    value: object
    log: bool

    def draws(self, mismatch, spread):
        values = np.asarray(self.value(mismatch), np.float64).ravel()
        return (np.log(values) if self.log else values) / spread


def bits(mismatch):
    """Deviation of each bit over the square root of its worth."""
    nominal = 2.0 ** np.arange(N_BITS)
    return (mismatch.weight_bits(*CORNER) - nominal) / np.sqrt(nominal)


MECHANISMS = [
    Mechanism("v_leak_fixed_mv", lambda m: m.voltage_offset_mv[Cell.v_leak], log=False),
    Mechanism("v_reset_fixed_mv", lambda m: m.voltage_offset_mv[Cell.v_reset], log=False),
    Mechanism("v_threshold_fixed_mv", lambda m: m.voltage_offset_mv[Cell.v_threshold], log=False),
    Mechanism("v_other_fixed_mv", lambda m: m.voltage_offset_mv[3:], log=False),
    Mechanism("voltage_gain_fixed", lambda m: m.voltage_gain, log=True),
    Mechanism("leak_conductance_fixed", lambda m: m.leak_conductance, log=True),
    Mechanism("capacitance_fixed_pf", lambda m: m.capacitance_pf, log=False),
    Mechanism("tau_syn_fixed", lambda m: m.tau_syn, log=True),
    Mechanism("synaptic_input_fixed", lambda m: m.synaptic_input, log=True),
    Mechanism("synaptic_reference_fixed_mv", lambda m: m.synaptic_reference_mv, log=False),
    Mechanism("synapse_dac_fixed", lambda m: m.synapse_dac, log=True),
    Mechanism("driver_fixed", lambda m: m.driver, log=True),
    Mechanism("synapse_fixed", lambda m: m.synapse(*CORNER), log=True),
    Mechanism("weight_dac_fixed", bits, log=False),
    Mechanism("adaptation_fixed", lambda m: m.adaptation, log=True),
    Mechanism("exponential_fixed", lambda m: m.exponential, log=True),
    Mechanism("coba_fixed", lambda m: m.coba, log=True),
    Mechanism("cadc_gain_fixed", lambda m: m.cadc_gain, log=True),
    Mechanism("cadc_offset_fixed_lsb", lambda m: m.cadc_offset_lsb, log=False),
    Mechanism("madc_gain_fixed", lambda m: m.madc_gain, log=True),
    Mechanism("madc_offset_fixed_lsb", lambda m: m.madc_offset_lsb, log=False),
    Mechanism("correlation_amplitude_fixed", lambda m: m.correlation_amplitude(*CORNER), log=True),
    Mechanism("correlation_tau_fixed", lambda m: m.correlation_tau(*CORNER), log=True),
]
KNOBS = [m.knob for m in MECHANISMS]
ELSEWHERE = {  # with tests of their own
    "dead_fixed",
    "dead_row_fixed",
    "correlated_fixed",
    "event_wait_fixed",
    "crosstalk_neighbour_fixed",
    "crosstalk_crowding_fixed_codes",
    *Temperature.strengths,
    "driver_depletion_fixed",
    "driver_depletion_spread_fixed",
    "input_compression_fixed",
    "input_headroom_fixed",
    "input_compression_spread_fixed",
}
EACH = pytest.mark.parametrize("mechanism", MECHANISMS, ids=KNOBS)


@pytest.fixture(scope="module")
def population():
    return [Mismatch(HICANN_X, ALIVE, serial) for serial in SERIALS]


@pytest.fixture(scope="module")
def draws(population):
    return {m.knob: np.array([m.draws(c, getattr(ALIVE, m.knob)) for c in population]) for m in MECHANISMS}


def test_every_fixed_knob_is_a_mechanism_here():
    assert {name for name in type(TYPICAL).model_fields if "_fixed" in name} == {*KNOBS, *ELSEWHERE} - {
        "temperature_trial_k"
    }


@EACH
def test_mean_spread_and_shape_over_serials(draws, mechanism):
    deviation = draws[mechanism.knob]
    n = deviation.size
    assert getattr(TYPICAL, mechanism.knob) > 0
    assert abs(deviation.mean()) < 4.5 / np.sqrt(n)
    assert abs(deviation.std() - 1) < 4.5 / np.sqrt(2 * n)
    # normal: no skewness and a kurtosis of 3 (standard errors sqrt(6 / n) and sqrt(24 / n))
    assert abs(np.mean(deviation**3)) < 4.5 * np.sqrt(15 / n)
    assert abs(np.mean(deviation**4) - 3) < 4.5 * np.sqrt(96 / n)


@EACH
def test_chips_and_neighbours_share_nothing(draws, mechanism):
    deviation = draws[mechanism.knob]
    if deviation.shape[1] >= 100:
        between = np.corrcoef(deviation)[np.triu_indices(len(deviation), 1)]
        assert np.abs(between).max() < 5.5 / np.sqrt(deviation.shape[1])
        lag = np.mean(deviation[:, 1:] * deviation[:, :-1])
        assert abs(lag) < 4.5 / np.sqrt(deviation[:, 1:].size)
    else:
        assert len(np.unique(deviation)) == deviation.size


def test_mechanisms_do_not_follow_one_another(draws):
    for a, b in combinations(KNOBS, 2):
        n = min(draws[a].shape[1], draws[b].shape[1])
        product = (draws[a][:, :n] * draws[b][:, :n]).ravel()
        assert abs(product.mean()) < 5.0 / np.sqrt(product.size), (a, b)


def test_dead_circuits_are_as_many_as_said(population):
    dead = np.array([chip.dead for chip in population])
    assert abs(dead.mean() - 0.01) < 4.5 * np.sqrt(0.01 / dead.size)
    assert not Mismatch(HICANN_X, TYPICAL, 1).dead.any()


@pytest.mark.parametrize("serial", HASHES)
def test_same_serial_same_chip_on_every_machine(serial):
    assert Mismatch(HICANN_X, TYPICAL, serial).digest() == HASHES[serial]


def test_another_serial_is_another_chip(population):
    assert len({chip.digest() for chip in population}) == len(population)


@EACH
def test_changing_one_mechanism_leaves_the_others(mechanism):
    strength = 0.5 * getattr(ALIVE, mechanism.knob)
    before, after = (Mismatch(HICANN_X, s, 3) for s in (ALIVE, ALIVE.model_copy(update={mechanism.knob: strength})))
    for other in MECHANISMS:
        factor = 0.5 if other is mechanism else 1.0
        np.testing.assert_allclose(other.draws(after, 1.0), factor * other.draws(before, 1.0), rtol=1e-9, atol=1e-12)


@EACH
def test_strength_0_is_no_mismatch(mechanism):
    chip = Mismatch(HICANN_X, ALIVE.model_copy(update={mechanism.knob: 0.0}), 3)
    assert (mechanism.draws(chip, 1.0) == 0).all()


def test_weight_dacs_may_be_not_monotonic():
    code = np.arange(64)
    bit = (code[:, None] >> np.arange(N_BITS)) & 1
    for spread, some in ((0.03, False), (0.5, True)):
        chip = Mismatch(HICANN_X, TYPICAL.model_copy(update={"weight_dac_fixed": spread}), 2)
        step = np.diff(chip.weight_bits(*CORNER) @ bit.T, axis=1)
        assert (step < 0).any() == some


def test_rough_and_uncalibrated_are_the_same_silicon():
    typical, rough, raw = (
        Mismatch(CHIPS[n].spec, CHIPS[n].imperfections, 5) for n in ("typical", "rough", "uncalibrated")
    )
    np.testing.assert_allclose(rough.voltage_offset_mv, 2 * typical.voltage_offset_mv)
    np.testing.assert_allclose(rough.driver, typical.driver**2)
    shares = ("correlated_fixed", "cadc_slope_residual", "event_wait_fixed")
    for name, value in CHIPS["rough"].imperfections.model_dump().items():
        assert value == getattr(TYPICAL, name) * (1.0 if name in shares else 2.0)
    assert raw.digest() == typical.digest()


def test_ideal_has_none():
    assert not any(CHIPS["ideal"].imperfections.model_dump().values())


def test_chips_with_other_strengths():
    changed = named_chip("typical[jitter_trial_us=0, tau_syn_residual=0.2]").imperfections
    assert changed == TYPICAL.model_copy(update={"jitter_trial_us": 0.0, "tau_syn_residual": 0.2})
    alone = named_chip("uncalibrated[all=0,membrane_trial_mv=2]").imperfections.model_dump()
    assert {k: v for k, v in alone.items() if v} == {"membrane_trial_mv": 2.0}
    assert EmulatedChip("typical[synapse_fixed=0]", 3).identity.chip == "typical[synapse_fixed=0]"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tipical", "did you mean 'typical'"),
        ("typical[jiter_trial_us=0]", "did you mean 'jitter_trial_us'"),
        ("typical[jitter_trial_us=x]", "'x' is not a number"),
        ("typical[jitter_trial_us=-1]", r"must be 0\.\.100, got -1"),
        ("typical[dead_fixed=2]", r"must be 0\.\.1, got 2"),
        ("typical[drift_trial_mv=nan]", r"must be 0\.\.1000, got"),
        ("typical[drift_trial_mv=inf]", r"must be 0\.\.1000, got"),
        ("typical[drift_trial_mv=1e999]", r"must be 0\.\.1000, got"),
        ("typical[drift_trial_mv=-inf]", r"must be 0\.\.1000, got"),
        ("typical[all=nan]", r"must be 0\.\.1000, got"),
        ("typical[", "no chip is called"),
        ("ideal[weight_dac_fixed=0.1]", "no such imperfection"),
    ],
)
def test_refused_names(name, words):
    with pytest.raises(InvalidInputError, match=words.replace("[", r"\[")) as caught:
        EmulatedChip(name, 1)
    assert caught.value.field.startswith("chip")
    if "=" in name and "did you mean" not in words:
        named = "v_leak_fixed_mv" if "all" in name else name.partition("[")[2].partition("=")[0]
        assert caught.value.field == f"chip[{named}]"
