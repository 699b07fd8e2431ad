"""Same seed, same weights, bit by bit: whatever the threads, the transport, the split, and who is killed when.

Every daemon, and the hosts that are interrupted or killed, are real processes.
"""

import signal
import threading

import numpy as np
import pytest
from support.daemons.processes import (
    descendants,
    run_hxloop,
    send,
    start_hxloop,
    wait_for,
    wait_until_gone,
    write_settings,
)

from hxloop.errors import InvalidInputError, RecordError
from hxloop.progress import Advanced, EpochDone, silent
from hxloop_host.link.launch import connect, launch
from hxloop_host.link.patience import Patience
from hxloop_host.training import experiment

pytestmark = pytest.mark.processes

EPOCHS = 4
BATCHES = 20


def final_state(path) -> dict[str, np.ndarray]:
    """Weights, optimiser and bumper at the end of a run."""
    run = experiment.load_run(path)
    assert run.finished
    assert len(run.metrics) == EPOCHS
    names = [name for name in run.record.quantities if name.startswith(("weights/", "state/", "test/"))]
    assert len(names) >= 10
    return {name: run.record.quantities[name].values for name in names}


def assert_identical(path, reference) -> None:
    state = final_state(path)
    assert state.keys() == reference.keys()
    for name, values in reference.items():
        np.testing.assert_array_equal(state[name], values, err_msg=name)


def train_on(chip, path, settings, report=None) -> None:
    experiment.train("yin-yang", preset=settings, chip=chip, seed=11, out=path, report=report or silent)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return write_settings(tmp_path_factory.mktemp("settings") / "short.toml", epochs=EPOCHS, train=40 * BATCHES)


@pytest.fixture(scope="module")
def chip():
    """One thread, ipc."""
    with launch("typical", 1, threads=1) as launched:
        yield launched


@pytest.fixture(scope="module")
def reference(chip, settings, tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "run"
    train_on(chip, path, settings)
    state = final_state(path)
    assert any(np.unique(values).size > 10 for name, values in state.items() if name.endswith("/code"))
    return state


def test_another_seed_gives_other_weights(chip, settings, reference, tmp_path):
    experiment.train(preset=settings, chip=chip, seed=12, out=tmp_path / "run", report=silent)
    other = final_state(tmp_path / "run")
    assert not np.array_equal(other["weights/0/model"], reference["weights/0/model"])


def test_any_split_of_a_batch(chip, reference, tmp_path):
    split = write_settings(tmp_path / "split.toml", epochs=EPOCHS, batch_split=7, train=40 * BATCHES)
    train_on(chip, tmp_path / "run", split)
    assert_identical(tmp_path / "run", reference)


def test_two_threads_and_tcp(settings, reference, tmp_path):
    with launch("typical", 1, threads=2, endpoint="tcp://127.0.0.1:0") as launched:
        assert launched.address.data.startswith("tcp://127.0.0.1:")
        train_on(launched, tmp_path / "launched", settings)
        with connect(launched.address.data) as connected:  # the bare data endpoint, as a user types it
            train_on(connected, tmp_path / "connected", settings)
    assert_identical(tmp_path / "launched", reference)
    assert_identical(tmp_path / "connected", reference)


class Killer:
    """Kills the daemon a moment after some batches began, so that requests are under way."""

    def __init__(self, chip, batches):
        self.chip, self.batches, self.killed = chip, list(batches), []

    def __call__(self, event):
        if isinstance(event, Advanced) and self.batches and event.done * BATCHES + event.part >= self.batches[0]:
            self.batches.pop(0)
            threading.Timer(0.002 * len(self.batches), self._kill).start()

    def _kill(self):
        pid = self.chip._owner.pid
        self.killed.append(pid)
        send(pid, signal.SIGKILL)


def test_daemon_killed_three_times(settings, reference, tmp_path):
    with launch("typical", 1, threads=1, patience=Patience(poll_s=0.1)) as launched:
        killer = Killer(launched, [7, 31, 64])
        workers = descendants(launched._owner.pid)
        train_on(launched, tmp_path / "run", settings, killer)
        last = launched._owner.pid
    assert len(set(killer.killed)) == 3
    assert last not in killer.killed
    assert_identical(tmp_path / "run", reference)
    wait_until_gone({*killer.killed, last, *workers})


def start_training(settings, path, *more):
    return start_hxloop("train", "yin-yang", "--no-plots", "--preset", settings, "--seed", 11, "--out", path, *more)


def journal_lines(path) -> int:
    journal = path / "journal.jsonl"
    return len(journal.read_text().splitlines()) if journal.exists() else 0


def resume(settings, path) -> None:
    done = run_hxloop(
        "train", "yin-yang", "--no-plots", "--preset", settings, "--seed", 11, "--out", path, "--resume", "--json"
    )
    assert done.returncode == 0, done.stderr


def test_interrupted_and_resumed(settings, reference, tmp_path):
    path = tmp_path / "run"
    host = start_training(settings, path)
    wait_for(lambda: journal_lines(path) >= 1 or host.poll() is not None, what="the first epoch")
    children = descendants(host.pid)
    assert len(children) >= 2  # daemon and worker
    host.send_signal(signal.SIGINT)
    _, err = host.communicate(timeout=30)
    assert host.returncode == 130, err
    assert "Traceback" not in err
    assert "--resume" in err
    wait_until_gone(children)
    assert 1 <= len(experiment.load_run(path).metrics) < EPOCHS
    resume(settings, path)
    assert_identical(path, reference)


def test_host_killed_and_resumed(settings, reference, tmp_path):
    path = tmp_path / "run"
    host = start_training(settings, path)
    wait_for(lambda: journal_lines(path) >= 2 or host.poll() is not None, what="the second epoch")
    children = descendants(host.pid)
    assert children
    host.kill()
    host.communicate(timeout=30)
    wait_until_gone(children)  # nobody asked them to: they watch their parent
    assert len(experiment.load_run(path).metrics) < EPOCHS
    resume(settings, path)
    assert_identical(path, reference)


def test_resume_refuses_other_settings_and_a_second_host(chip, settings, tmp_path):
    path = tmp_path / "run"

    class SecondHost:
        refused = None

        def __call__(self, event):
            if not isinstance(event, EpochDone):
                return
            try:
                experiment.train(preset=settings, chip=chip, seed=11, out=path, resume=True, report=silent)
            except RecordError as error:
                self.refused = error

    report = SecondHost()
    train_on(chip, path, settings, report)
    assert report.refused is not None
    other = write_settings(tmp_path / "other.toml", epochs=EPOCHS, train=400)
    with pytest.raises(InvalidInputError):
        experiment.train(preset=other, chip=chip, seed=11, out=path, resume=True, report=silent)
