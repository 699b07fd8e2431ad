"""Network files: what is read, what is refused and how, what is written, and how it is put on a chip."""

from dataclasses import replace

import numpy as np
import pytest
from support.chips.run_counters import counts

from hxloop.chip import ChipIdentity
from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import (
    ArrayError,
    DoesNotFitError,
    InvalidInputError,
    MissingFileError,
    OutOfRangeError,
    RecordError,
    UnknownKeyError,
    UnreadableFileError,
)
from hxloop.result import Observations, RunResult
from hxloop.spec import HICANN_X, TEXTBOOK
from hxloop.spikes import SpikeBatch
from hxloop_host.placing.network_file import LayerSpikes, read_network_file, write_spike_file
from hxloop_host.placing.network_run import map_network, run_network_file
from hxloop_host.placing.probes import Probes

SCALE = 0.003


def arrays(**changes):
    rng = np.random.default_rng(1)
    made = {
        "name": "tiny",
        "n_samples": 3,
        "duration_us": 30.0,
        "tau_mem_us": 6.0,
        "tau_syn_us": 5.0,
        "t_ref_us": 1.0,
        "weights_1": rng.integers(-63, 64, (4, 5)) * SCALE,
        "weight_scale_1": SCALE,
        "weights_2": rng.integers(-20, 21, (5, 2)) * SCALE * 2,
        "weight_scale_2": 2 * SCALE,
        "input_sample": np.array([0, 0, 2], np.int32),
        "input_neuron": np.array([3, 1, 0], np.int32),
        "input_time_us": np.array([0.008, 16.0, 0.0]),
    }
    made |= changes
    return {name: value for name, value in made.items() if value is not None}


def read(tmp_path, **changes):
    np.savez(tmp_path / "net.npz", **arrays(**changes))
    return read_network_file(tmp_path / "net.npz")


def test_reads_what_was_written(tmp_path):
    network, made = read(tmp_path), arrays()
    assert (network.name, network.n_samples, network.duration_us, network.t_ref_us) == ("tiny", 3, 30.0, 1.0)
    np.testing.assert_array_equal(network.weights[1], made["weights_2"])
    assert network.weight_scales == (SCALE, 2 * SCALE)
    np.testing.assert_array_equal(network.input_time_us, made["input_time_us"])
    assert read(tmp_path, name=None).name == "net"
    assert read(tmp_path, weight_scale_1=None, weight_scale_2=np.nan).weight_scales == (None, None)


NAN_WEIGHT = np.full((4, 5), 0.1)
NAN_WEIGHT[2, 1] = np.nan


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"weights_1": None, "weights_2": None}, ArrayError, "weights_1"),
        ({"weights_1": None}, ArrayError, "weights_1"),
        ({"weights_4": np.ones((2, 2))}, ArrayError, "weights_3"),
        ({"weight_scale_3": 1.0}, ArrayError, "weights_3"),
        ({"weights_01": np.ones((4, 5))}, UnknownKeyError, "weights_01"),
        ({"name": np.array(["a", "b"])}, ArrayError, "name"),
        ({"name": np.frombuffer(b"\xff" * 4, "<U1").reshape(())}, UnreadableFileError, "network file"),
        ({"name": np.frombuffer(b"\0\xd8\0\0", "<U1").reshape(())}, UnreadableFileError, "network file"),
        ({"name": np.bytes_(b"\xff")}, ArrayError, "name"),
        ({"name": "x" * 300}, ArrayError, "name"),
        ({"n_samples": 10**12}, OutOfRangeError, "n_samples"),
        ({"n_samples": np.uint64(2**64 - 1)}, OutOfRangeError, "n_samples"),
        ({"duration_us": np.longdouble("1e400")}, OutOfRangeError, "duration_us"),
        ({"weights_2": np.full((5, 2), np.longdouble("1e400"))}, OutOfRangeError, "weights_2[0,0]"),
        ({"input_sample": np.array([0, 0, 2**63], np.uint64)}, OutOfRangeError, "input_sample[2]"),
        ({"weights_1": np.ones(4)}, ArrayError, "weights_1"),
        ({"weights_1": np.ones((4, 5), complex)}, ArrayError, "weights_1"),
        ({"weights_1": np.ones((4, 6))}, ArrayError, "weights_2"),
        ({"weights_1": np.ones((0, 5))}, ArrayError, "weights_1"),
        ({"weights_1": NAN_WEIGHT}, OutOfRangeError, "weights_1[2,1]"),
        ({"weight_scale_1": 0.0}, OutOfRangeError, "weight_scale_1"),
        ({"tau_mem_us": None}, ArrayError, "tau_mem_us"),
        ({"tau_syn_us": np.nan}, OutOfRangeError, "tau_syn_us"),
        ({"tau_mem_us": "6"}, ArrayError, "tau_mem_us"),
        ({"t_ref_us": -1.0}, OutOfRangeError, "t_ref_us"),
        ({"duration_us": 0.0}, OutOfRangeError, "duration_us"),
        ({"n_samples": 0}, OutOfRangeError, "n_samples"),
        ({"n_samples": 3.0}, ArrayError, "n_samples"),
        ({"n_samples": 2}, OutOfRangeError, "input_sample[2]"),
        ({"input_neuron": np.array([3, 4, 0])}, OutOfRangeError, "input_neuron[1]"),
        ({"input_neuron": np.array([3.0, 1.5, 0.0])}, ArrayError, "input_neuron[1]"),
        ({"input_sample": np.array([0.0, np.nan, 2.0])}, ArrayError, "input_sample[1]"),
        ({"input_sample": np.array([0, 1, 2**64 - 1], np.uint64)}, OutOfRangeError, "input_sample[2]"),
        ({"input_neuron": np.array([3, 1])}, ArrayError, "input_neuron"),
        ({"input_time_us": np.array([0.0, np.nan, 1.0])}, OutOfRangeError, "input_time_us[1]"),
        ({"input_time_us": np.array([-0.1, 1.0, 1.0])}, OutOfRangeError, "input_time_us[0]"),
        ({"input_time_us": np.array([0.0, 30.1, 1.0])}, OutOfRangeError, "input_time_us[1]"),
        ({"input_time_us": np.array([2.0, 1.0, 1.0])}, ArrayError, "input_time_us[1]"),
        ({"input_sample": np.array([0, 2, 0])}, ArrayError, "input_time_us[2]"),
        ({"input_sample": np.array([0, 2, 0], np.uint8)}, ArrayError, "input_time_us[2]"),
        ({"input_sample": np.array([0, 2, 0], np.uint64)}, ArrayError, "input_time_us[2]"),
    ],
)
def test_refuses_by_name(tmp_path, change, error, field):
    with pytest.raises(error) as caught:
        read(tmp_path, **change)
    assert caught.value.field == field
    assert caught.value.exit_code == 2


def test_floats_that_are_whole_are_the_same_spikes(tmp_path):
    given = arrays()
    found = read(tmp_path, **{name: given[name].astype(float) for name in ("input_sample", "input_neuron")})
    for name in ("input_sample", "input_neuron"):
        assert getattr(found, name).dtype == np.int32
        np.testing.assert_array_equal(getattr(found, name), given[name])


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("recurrent_weights_1", "'weights_1'"),
        ("weight_1", "'weights_1'"),
        ("weights_2_", "'weights_2'"),
        ("input_times_us", "'input_time_us'"),
        ("tau_mem", "'tau_mem_us'"),
        ("bias", "leave it out"),
    ],
)
def test_unknown_arrays_are_refused_with_the_nearest_name(tmp_path, name, nearest):
    """Nothing that somebody stored is left out in silence: a recurrent network is not run as a feed-forward one."""
    with pytest.raises(UnknownKeyError, match=rf"net\.npz has the array '{name}'") as caught:
        read(tmp_path, **{name: np.ones((5, 5))})
    assert nearest in caught.value.hint and caught.value.field == name and caught.value.exit_code == 2


def test_unknown_arrays_are_not_even_unpacked(tmp_path):
    with pytest.raises(UnknownKeyError, match="'config'"):
        read(tmp_path, config=np.array([print], object))


def test_spikes_to_compare_with_may_be_in_the_file(tmp_path):
    assert read(tmp_path, exact_1_time_us=np.ones(3), exact_2_sample=np.ones(3, int)).n_samples == 3


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"weights_1": np.ones((5, 4)), "weights_2": np.ones((2, 5))}, "weights_1 .. weights_2 look transposed"),
        ({"weights_2": np.ones((2, 5))}, "weights_2 looks transposed"),
        ({"weights_1": np.ones((5, 4))}, "weights_1 looks transposed"),
        ({"weights_1": np.ones((3, 4)), "weights_2": None, "weight_scale_2": None}, "weights_1 looks transposed"),
    ],
)
def test_transposed_weights_are_called_so(tmp_path, change, hint):
    with pytest.raises(InvalidInputError, match="transposed") as caught:
        read(tmp_path, **change)
    assert caught.value.hint.startswith(hint)


def test_shapes_that_fit_neither_way_are_not_called_transposed(tmp_path):
    with pytest.raises(ArrayError) as caught:
        read(tmp_path, weights_2=np.ones((7, 9)))
    assert caught.value.hint is None


@pytest.mark.parametrize("nothing", [[], np.array([], np.float32), np.array([], np.uint8)])
def test_no_spikes_are_a_silent_run(tmp_path, nothing):
    network = read(tmp_path, input_sample=nothing, input_neuron=nothing, input_time_us=nothing)
    assert (network.n_samples, len(network.input_sample), network.input_neuron.dtype) == (3, 0, np.int32)


def test_refuses_what_is_no_npz_file(tmp_path):
    with pytest.raises(MissingFileError):
        read_network_file(tmp_path / "none.npz")
    for name, content in {"text": b"hello", "empty": b"", "zip": b"PK\x03\x04broken"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidInputError, match="npz"):
            read_network_file(tmp_path / name)
    np.save(tmp_path / "single.npy", np.ones(3))
    with pytest.raises(InvalidInputError, match="single array"):
        read_network_file(tmp_path / "single.npy")
    with pytest.raises(InvalidInputError):
        read_network_file(tmp_path)


def test_objects_are_never_unpickled(tmp_path):
    with pytest.raises(InvalidInputError, match="npz"):
        read(tmp_path, name=np.array([print], object))


def test_ideal_takes_physical_values_as_they_are(tmp_path):
    network = read(tmp_path, tau_mem_us=0.1, t_ref_us=0.0)
    placement, codes, changed = map_network(network, TEXTBOOK, nominal_boot(TEXTBOOK))
    assert changed == []
    for k, population in enumerate(placement.network.populations):
        slope_mv_per_us = codes[k] * population.synapse_gain_mv_per_us
        np.testing.assert_allclose(slope_mv_per_us, network.weights[k] * 315.0, rtol=1e-12)
        assert population.v_threshold_mv - population.v_leak_mv == 315.0
        assert (population.v_reset_mv, population.tau_mem_us, population.t_refractory_us) == (420.0, 0.1, 0.0)
        np.testing.assert_array_equal(codes[k], np.rint(codes[k]))


@pytest.mark.parametrize("scale", [None, 0.001])
def test_weights_off_the_grid(tmp_path, scale):
    matrix = np.random.default_rng(2).normal(0, 0.1, (4, 5))
    network = read(tmp_path, weights_1=matrix, weight_scale_1=scale, t_ref_us=1.0)
    placement, codes, changed = map_network(network, TEXTBOOK, nominal_boot(TEXTBOOK))
    gain = placement.network.populations[0].synapse_gain_mv_per_us
    np.testing.assert_allclose(codes[0] * gain, matrix * 315.0, rtol=1e-12)
    assert changed == []
    placement, codes, changed = map_network(network, HICANN_X, nominal_boot(HICANN_X))
    gain = placement.network.populations[0].synapse_gain_mv_per_us
    np.testing.assert_array_equal(codes[0], np.rint(codes[0]))
    assert np.abs(codes[0]).max() == 63
    assert np.abs(codes[0] * gain - matrix * 315.0).max() <= gain / 2 * (1 + 1e-9)
    assert any("weights_1" in text for text in changed)


def test_nearest_setting_is_named(tmp_path):
    network = read(tmp_path, tau_mem_us=100.0, t_ref_us=0.0, weights_1=np.ones((4, 5)) * 63, weight_scale_1=1.0)
    placement, _, changed = map_network(network, HICANN_X, nominal_boot(HICANN_X))
    population = placement.network.populations[0]
    assert (population.tau_mem_us, population.t_refractory_us, population.synapse_gain_mv_per_us) == (60.0, 0.04, 4.7)
    assert [text.split(" is ")[0] for text in changed] == ["tau_mem_us", "t_ref_us", "synaptic gain of weights_1"]


def test_too_large_for_the_chip(tmp_path):
    network = read(tmp_path, weights_1=np.ones((4, 600)), weights_2=None, weight_scale_2=None)
    with pytest.raises(DoesNotFitError):
        map_network(network, HICANN_X, nominal_boot(HICANN_X))


class Recorder:
    """A chip that notes what it is asked and spikes as it is told."""

    spec = TEXTBOOK
    boot = nominal_boot(TEXTBOOK)
    identity = ChipIdentity(chip="fake", serial=1, spec="textbook", model="1")

    def __init__(self, network):
        placement, _, _ = map_network(network, self.spec, self.boot)
        self.heads = [placement.circuits(p.name)[0] for p in placement.network.populations]

    def configure(self, config):
        return config.sha256()

    def run(self, inputs, *, duration_ticks, trial_seed=0, first_sample=0, record="spikes", readout=None):
        self.readout = readout
        self.inputs, self.duration_ticks, self.trial_seed = inputs, duration_ticks, trial_seed
        ticks = np.array([100, 3750, 3751, 228, 3878, 3879])
        spikes = SpikeBatch.from_arrays([1] * 6, ticks, np.repeat(self.heads, 3), 3)
        n_cadc = len(readout.cadc_circuits)
        cadc = np.arange(3 * 2 * n_cadc, dtype=np.uint8).reshape(3, 2, n_cadc)
        observed = replace(Observations.none(), cadc=cadc, madc=np.arange(12, dtype=np.int16).reshape(3, 4))
        return RunResult(spikes, observed, **counts(3, 6))


def test_times_contain_the_routing_delay_and_end_with_the_sample(tmp_path):
    network = read(tmp_path)
    chip = Recorder(network)
    done = run_network_file(network, chip, trial_seed=9)
    assert chip.trial_seed == 9
    assert chip.duration_ticks == 3751 + 128
    np.testing.assert_array_equal(chip.inputs.tick, [1, 2000, 0])
    np.testing.assert_array_equal(chip.inputs.offsets, [0, 2, 2, 3])
    write_spike_file(tmp_path / "spikes", done.layers)
    with np.load(tmp_path / "spikes") as file:
        np.testing.assert_allclose(file["layer_delay_us"], [0.0, 1.024])
        for k, ticks in ((1, [100, 3750]), (2, [228, 3878])):
            np.testing.assert_allclose(file[f"spikes_{k}_time_us"], np.array(ticks) * 0.008, rtol=1e-12)
            np.testing.assert_array_equal(file[f"spikes_{k}_sample"], [1, 1])
            np.testing.assert_array_equal(file[f"spikes_{k}_neuron"], [0, 0])
            assert (file[f"spikes_{k}_time_us"] - file["layer_delay_us"][k - 1]).max() <= network.duration_us


def test_membranes_are_recorded_by_layer(tmp_path):
    network = read(tmp_path)
    chip = Recorder(network)
    probes = Probes(cadc=(2, 1), madc=(1, 4))
    done = run_network_file(network, chip, probes=probes)
    placement, _, _ = map_network(network, TEXTBOOK, nominal_boot(TEXTBOOK))
    first, second = placement.circuits("layer1").tolist(), placement.circuits("layer2").tolist()
    assert chip.readout.cadc_circuits == (*second, *first)
    assert chip.readout.madc_circuit == first[4]
    write_spike_file(tmp_path / "spikes.npz", done.layers, done.recordings)
    with np.load(tmp_path / "spikes.npz") as file:
        everything = np.arange(42).reshape(3, 2, 7)
        np.testing.assert_array_equal(file["cadc_2_lsb"], everything[:, :, :2])
        np.testing.assert_array_equal(file["cadc_1_lsb"], everything[:, :, 2:])
        np.testing.assert_allclose(file["cadc_time_us"], [0.0, chip.readout.cadc_period_ticks * 0.008])
        np.testing.assert_array_equal(file["madc_lsb"], np.arange(12).reshape(3, 4))
        np.testing.assert_allclose(file["madc_time_us"], np.arange(4) * TEXTBOOK.madc_period_us)


def test_nothing_is_recorded_unless_asked_for(tmp_path):
    network = read(tmp_path)
    chip = Recorder(network)
    assert run_network_file(network, chip).recordings == {}
    assert (chip.readout.cadc_circuits, chip.readout.madc_circuit) == ((), None)


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        (Probes(cadc=(3,)), r"cadc: the layers are 1\.\.2, not 3"),
        (Probes(madc=(0, 0)), r"madc: the layers are 1\.\.2, not 0"),
        (Probes(madc=(2, 2)), r"madc: layer 2 has neurons 0\.\.1, not 2"),
    ],
)
def test_membranes_that_are_not_there(tmp_path, probes, message):
    network = read(tmp_path)
    with pytest.raises(InvalidInputError, match=message):
        run_network_file(network, Recorder(network), probes=probes)


def test_more_membranes_than_a_run_may_sample(tmp_path):
    network = read(tmp_path, weights_1=np.ones((4, 600)), weights_2=None, weight_scale_2=None)
    with pytest.raises(InvalidInputError, match="600 neurons"):
        run_network_file(network, Recorder(network), probes=Probes(cadc=(1,)))


def test_wide_networks_get_the_circuits_that_the_crossbar_needs(tmp_path):
    """250 + 60 x 2: the hidden layer lies in both hemispheres, its neurons' gain follows the circuits merged."""
    network = read(
        tmp_path, weights_1=np.ones((4, 250)) * 0.01, weight_scale_1=None, weights_2=np.ones((250, 60)) * 0.2,
        weight_scale_2=None,
    )  # fmt: skip
    placement, _, changed = map_network(network, HICANN_X, nominal_boot(HICANN_X))
    merged = placement.allocations["layer2"].circuits.shape[1]
    assert placement.network.populations[1].circuits_per_neuron == merged
    gain = placement.network.populations[1].synapse_gain_mv_per_us
    assert gain == pytest.approx(min(0.2 * 315.0 / 63, 4.7 / merged))
    assert changed == []


def test_input_times_off_the_clock_are_named(tmp_path):
    network = read(tmp_path, input_time_us=np.array([0.011, 16.0, 0.0]))
    done = run_network_file(network, Recorder(network))
    assert done.changed == ["input times are rounded to the 8 ns clock"]


@pytest.mark.parametrize("duration_us", [1e9, 1e308])
def test_sample_longer_than_any_run(tmp_path, duration_us):
    network = read(tmp_path, duration_us=duration_us)
    with pytest.raises(OutOfRangeError, match="longer"):
        run_network_file(network, Recorder(network))


def test_unwritable_file(tmp_path):
    spikes = LayerSpikes(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0), 0.0)
    with pytest.raises(RecordError, match="cannot write"):
        write_spike_file(tmp_path / "no" / "folder.npz", [spikes])
