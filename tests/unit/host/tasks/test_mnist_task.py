"""The task mnist16: its settings, what is said about settings that do not fit, and silent pixels on a chip."""

import numpy as np
import pytest
from support.chips.grid_chip import GridChip
from support.training_parts import make_trainer

from hxloop.codes.operating_point import nominal_boot
from hxloop.errors import DataError, InvalidInputError
from hxloop.progress import silent
from hxloop.spec import HICANN_X
from hxloop.task import Dataset
from hxloop_host.network.building import build_network
from hxloop_host.placing.mapping import place
from hxloop_host.settings.experiment_settings import PRESETS, load_settings
from hxloop_host.tasks.catalog import TASKS, find_task
from hxloop_host.tasks.mnist import mnist16
from hxloop_host.tasks.published_files import DATA_DIR
from hxloop_host.training.experiment import train


def test_every_preset_belongs_to_one_task():
    assert sorted(name for task in TASKS.values() for name in task.presets) == sorted(PRESETS)
    for task in TASKS.values():
        for name in task.presets:
            task.check(load_settings(name))


def test_the_published_network_fills_the_chip():
    settings = load_settings("mnist16")
    assert (settings.network.sizes, settings.network.copies) == ([246, 10], [1, 1])
    assert settings.network.bias_copies == [0, 0]
    placed = place(build_network(settings, 256), HICANN_X, nominal_boot(HICANN_X))
    circuits = [placed.allocations[name].circuits for name in ("hidden", "output")]
    assert [c.shape for c in circuits] == [(246, 2), (10, 2)]
    assert np.unique(np.concatenate(circuits)).size == HICANN_X.n_circuits == 512


def test_a_neuron_spikes_at_most_once_per_image():
    settings = load_settings("mnist16")
    assert settings.neuron.t_refractory_us >= settings.coding.duration * settings.neuron.tau_syn_us


@pytest.mark.parametrize(
    ("task", "preset", "message"),
    [
        ("mnist16", "paper", r"network\.sizes: the last layer has 3 neurons, but mnist16 has 10 classes .*mnist16"),
        ("yin-yang", "mnist16", "the last layer has 10 neurons, but yin-yang has 3 classes .*quick, paper, small"),
    ],
)
def test_a_preset_of_another_task_is_refused_before_anything_else(task, preset, message, tmp_path):
    with pytest.raises(InvalidInputError, match=message):
        train(task, preset=preset, chip=GridChip(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_near_names_are_suggested():
    with pytest.raises(InvalidInputError, match=r"no task is called 'mist16'.*did you mean 'mnist16'"):
        find_task("mist16")


def test_a_missing_data_set_is_said(tmp_path, monkeypatch):
    """A damaged file stands for all reasons: nothing is asked from the network."""
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"")
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    mnist16.cache_clear()
    with pytest.raises(DataError, match="is damaged or another version"):
        train("mnist16", chip=GridChip(), out=tmp_path / "run", report=silent)


class Listening(GridChip):
    """Keeps what it was sent."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def run(self, inputs, **options):
        self.heard.append(inputs)
        return super().run(inputs, **options)


def test_noise_moves_the_times_of_training_and_wakes_no_silent_pixel():
    settings = load_settings("small")
    settings = settings.model_copy(
        update={
            "coding": settings.coding.model_copy(update={"jitter": 0.3}),
            "training": settings.training.model_copy(update={"batch_size": 400, "evaluate_every": 1}),
        }
    )
    n_samples, chip = 400, Listening()
    features = np.tile([0.0, 0.4, 1.0, np.nan], (n_samples, 1))
    data = Dataset(features, np.zeros(n_samples, np.int64), ("a", "b", "c"))
    trainer = make_trainer(settings, chip, data, data, seed=1)
    trainer.epoch(lambda _: None)
    training, validation = chip.heard
    for inputs in (training, validation):
        assert np.bincount(inputs.source, minlength=4).tolist() == [n_samples] * 3 + [0]
    in_tau = 0.008 / 6.0
    expected = np.array([0.15, 0.15 + 0.4 * 1.85, 2.0])
    for source, time in enumerate(expected):
        still = validation.tick[validation.source == source] * in_tau
        np.testing.assert_allclose(still, time, atol=in_tau / 2)
        moved = training.tick[training.source == source] * in_tau
        # Reflected at 0: |t + n|, whose second moment about 0 is that of t + n.
        assert np.mean(moved**2) == pytest.approx(time**2 + 0.3**2, rel=0.12)
        assert moved.min() >= 0
        if source:
            assert moved.mean() == pytest.approx(time, abs=5 * 0.3 / np.sqrt(n_samples))
            assert moved.std() == pytest.approx(0.3, rel=0.2)
    first = training.tick[training.source == 0] * in_tau
    folded = 0.3 * np.sqrt(2 / np.pi) * np.exp(-0.125) + 0.15 * (1 - 2 * 0.30854)
    assert first.mean() == pytest.approx(folded, abs=5 * 0.2 / np.sqrt(n_samples))
