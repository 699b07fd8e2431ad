"""The commands together with real daemons: serve, run, train, eval, runs, chip."""

import json
import signal
import threading
import time

import numpy as np
import pytest
from scipy.optimize import brentq
from support.daemons.fake_service import small_config
from support.daemons.processes import (
    descendants,
    is_running,
    run_hxloop,
    send,
    start_hxloop,
    wait_for,
    wait_until_gone,
    write_settings,
)

from hxloop.errors import (
    ChipMismatchError,
    InvalidInputError,
    MissingFileError,
    RunCancelledError,
    UnreachableError,
)
from hxloop.network import INPUT, Network, Population, Projection
from hxloop.spikes import SpikeBatch
from hxloop_host.link.launch import connect, launch
from hxloop_host.link.patience import Patience
from hxloop_host.placing.mapping import place

pytestmark = pytest.mark.processes

TAU_US = 6.0
TICK_US = 0.008


@pytest.fixture
def runtime(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rt", numbered=True)
    monkeypatch.setenv("HXLOOP_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def served(runtime):
    """`hxloop serve` for ideal/1, on its default place."""
    process = start_hxloop("serve", "--chip", "ideal", "--threads", 1)
    file = runtime / "ideal-1.json"
    wait_for(lambda: file.exists() or process.poll() is not None, what="the connection file")
    assert process.poll() is None, process.communicate()[1]
    yield process
    if process.poll() is None:
        process.terminate()
    process.communicate(timeout=20)


def crossing_us(weight, input_us):
    """First time at which V(t) = weight (t - input) exp(-(t - input) / tau) reaches 1 (tau_mem = tau_syn)."""
    return input_us + brentq(lambda t: weight * t * np.exp(-t / TAU_US) - 1.0, 0.0, TAU_US, xtol=1e-13)


def write_chain(path, weights=(0.9, 1.3), input_us=2.0):
    """One input, one neuron, one neuron."""
    np.savez(
        path, name="chain", n_samples=2, duration_us=30.0, tau_mem_us=TAU_US, tau_syn_us=TAU_US, t_ref_us=30.0,
        weights_1=np.array([[weights[0]]]), weights_2=np.array([[weights[1]]]),
        input_sample=np.array([1]), input_neuron=np.array([0]), input_time_us=np.array([input_us]),
    )  # fmt: skip


def test_run_gives_the_closed_form_spike_times(tmp_path):
    write_chain(tmp_path / "chain.npz")
    done = run_hxloop("run", tmp_path / "chain.npz", "--out", tmp_path / "spikes.npz", "--threads", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) | {"chip": "ideal/1", "spikes": [1, 1], "changed": []} == json.loads(done.stdout)
    first_us = np.ceil(crossing_us(0.9, 2.0) / TICK_US) * TICK_US
    second_us = np.ceil(crossing_us(1.3, first_us) / TICK_US) * TICK_US
    with np.load(tmp_path / "spikes.npz") as file:
        delay_us = file["layer_delay_us"]
        assert file["spikes_1_sample"].tolist() == file["spikes_2_sample"].tolist() == [1]
        assert file["spikes_1_time_us"][0] - delay_us[0] == pytest.approx(first_us, abs=1e-9)
        assert file["spikes_2_time_us"][0] - delay_us[1] == pytest.approx(second_us, abs=1e-9)


def test_serve_is_found_and_refuses_a_second_one(served, runtime, tmp_path):
    write_chain(tmp_path / "chain.npz")
    endpoint = json.loads((runtime / "ideal-1.json").read_text())["endpoint"]
    for target in ("ideal/1", runtime / "ideal-1.json", endpoint):
        options = ("--out", tmp_path / "s.npz", "--force", "--endpoint", target, "--json")
        done = run_hxloop("run", tmp_path / "chain.npz", *options)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["chip"] == "ideal/1"
    other = run_hxloop(
        "run", tmp_path / "chain.npz", "--out", tmp_path / "t.npz", "--endpoint", endpoint, "--serial", 2
    )
    assert other.returncode == ChipMismatchError.exit_code
    second = run_hxloop("serve", "--chip", "ideal")
    assert second.returncode == 2
    assert "error: " in second.stderr
    assert "Traceback" not in second.stderr
    assert served.poll() is None
    served.send_signal(signal.SIGTERM)
    served.communicate(timeout=20)
    assert served.returncode == 0
    assert not (runtime / "ideal-1.json").exists()


def test_chip_behind_the_connection_file_must_be_the_promised_one(served, runtime):
    file = runtime / "ideal-1.json"
    content = json.loads(file.read_text())
    content["identity"]["serial"] = 9
    (runtime / "forged.json").write_text(json.dumps(content))
    with pytest.raises(ChipMismatchError, match=r"ideal/1.*instead of ideal/9"):
        connect(runtime / "forged.json")


def long_run(chip):
    # Far more chip time than the emulator does in a second; an event at the very end keeps each sample going.
    n, duration = 2000, 1_000_000
    inputs = SpikeBatch.from_arrays(np.arange(n), np.full(n, duration - 1), np.zeros(n), n)
    return chip.run(inputs, duration_ticks=duration, trial_seed=0)


def test_status_and_cancel_answer_while_a_run_goes_on():
    with launch("typical", 1, threads=1) as chip:
        chip.configure(_valid_config(chip))
        outcome = []

        def run():
            try:
                outcome.append(long_run(chip))
            except RunCancelledError as error:
                outcome.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        wait_for(lambda: chip.status().running_sequence is not None or outcome, what="the run")
        assert not outcome
        begin = time.monotonic()
        assert chip.cancel() == "cancelled"
        thread.join(10)
        assert time.monotonic() - begin < 2.0
        assert isinstance(outcome[0], RunCancelledError)
        assert chip.run(SpikeBatch.empty(1), duration_ticks=100).events_out == 0


def _valid_config(chip):
    population = Population("layer", 300, 6.0, 6.0, 1.0, 360.0, 360.0, 675.0, 1.0)
    network = Network(4, (population,), (Projection(INPUT, "layer"),))
    return place(network, chip.spec, chip.boot).configure([np.full((4, 300), 60.0)])


def test_chip_that_refuses_keeps_its_configuration():
    with launch("ideal", 1, threads=1) as chip:
        first = chip.configure(_valid_config(chip))
        with pytest.raises(InvalidInputError):
            chip.configure(small_config(weight_code=7))
        inputs = SpikeBatch.from_arrays([0], [10], [0], 1)
        assert chip.run(inputs, duration_ticks=5000).events_in == 1
        assert chip.configure(_valid_config(chip)) == first


def kill_all(process):
    pids = {process.pid, *descendants(process.pid)}
    for pid in pids:
        send(pid, signal.SIGKILL)
    process.communicate(timeout=20)


def test_served_chip_that_is_restarted_by_somebody_else(served, runtime):
    endpoint = json.loads((runtime / "ideal-1.json").read_text())["endpoint"]
    inputs = SpikeBatch.from_arrays(np.repeat(np.arange(50), 4), np.tile([10, 40, 300, 900], 50), [0, 1, 2, 3] * 50, 50)
    with connect(endpoint) as chip:
        chip.configure(_valid_config(chip))
        before = chip.run(inputs, duration_ticks=5000)
        assert before.events_out > 0
        kill_all(served)
        again = start_hxloop("serve", "--chip", "ideal", "--threads", 1)
        try:
            after = chip.run(inputs, duration_ticks=5000)
            for name in ("offsets", "tick", "source"):
                np.testing.assert_array_equal(getattr(after.spikes, name), getattr(before.spikes, name))
            kill_all(again)
            again = start_hxloop("serve", "--chip", "ideal", "--serial", 2, "--threads", 1, "--endpoint", endpoint)
            with pytest.raises(ChipMismatchError, match=r"ideal/2.*instead of ideal/1"):
                chip.run(inputs, duration_ticks=5000)
        finally:
            again.terminate()
            again.communicate(timeout=20)


def test_shutdown_of_a_served_chip(served):
    with connect("ideal/1") as chip:
        pids = descendants(served.pid)
        chip.shutdown()
    served.communicate(timeout=20)
    wait_until_gone(pids)
    with pytest.raises(MissingFileError, match="no connection file"):
        connect("ideal/1")


def test_stopped_daemon_is_replaced_by_its_owner(monkeypatch):
    monkeypatch.setattr("hxloop_host.link.own_daemon._GRACE_S", 0.5)
    with launch("ideal", 1, threads=1, patience=Patience(poll_s=0.1, control_s=0.3)) as chip:
        chip.configure(_valid_config(chip))
        stopped = chip._owner.pid
        workers = descendants(stopped)
        assert workers
        send(stopped, signal.SIGSTOP)
        chip.run(SpikeBatch.empty(1), duration_ticks=100)
        assert chip._owner.pid == stopped  # runs go straight to the worker, which works
        for pid in workers:
            send(pid, signal.SIGSTOP)
        chip.run(SpikeBatch.empty(1), duration_ticks=100)
        assert chip._owner.pid != stopped
        assert not any(map(is_running, {stopped, *workers}))


def test_train_eval_and_runs(tmp_path):
    settings, path = write_settings(tmp_path / "s.toml", epochs=2, train=400), tmp_path / "all" / "run"
    done = run_hxloop("train", "yin-yang", "--preset", settings, "--chip", "ideal", "--out", path, "--json")
    assert done.returncode == 0, done.stderr
    trained = json.loads(done.stdout)
    keys = {
        "test_accuracy", "val_accuracy", "epochs", "chip_time_s", "wall_s", "speedup_over_biology", "bump_fraction",
        "silent_fraction", "events_in", "events_out", "events_lost", "energy_j_estimate", "run_path", "chip",
    }  # fmt: skip
    assert keys <= trained.keys()
    assert sum("epoch " in line and " x biology" in line for line in done.stderr.splitlines()) == 2
    again = json.loads(run_hxloop("eval", path, "--json").stdout)
    for summary in (trained, again):
        biology_s = summary["speedup_over_biology"] * summary["wall_s"]
        assert biology_s == pytest.approx(1000 * summary["chip_time_s"])
    assert again["test_accuracy"] == trained["test_accuracy"]
    other = json.loads(run_hxloop("eval", path, "--chip", "typical", "--serial", 2, "--json").stdout)
    assert (other["chip"], other["trained_on"]) == ("typical/2", "ideal/1")
    (tmp_path / "all" / "no run").mkdir()
    listed = json.loads(run_hxloop("runs", "list", tmp_path / "all", "--json").stdout)["runs"]
    assert [entry["run"] for entry in listed] == [str(path)]
    shown = json.loads(run_hxloop("runs", "show", path, "--plot", "--json").stdout)
    assert {**trained, "finished": True}.items() <= shown.items()
    assert shown["pictures"]
    assert "test_accuracy" in run_hxloop("runs", "show", path).stdout
    refused = run_hxloop("train", "yin-yang", "--preset", settings, "--chip", "ideal", "--out", path)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr


def test_chip_reveal_and_report_reach_the_emulator(tmp_path):
    out = tmp_path / "truth.h5"
    done = run_hxloop("chip", "reveal", "--chip", "typical[all=0]", "--serial", 2, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["serial"] == 2
    assert out.stat().st_size > 10_000
    assert run_hxloop("chip", "reveal", "--out", out).returncode == 2
    refused = run_hxloop("chip", "report", "--serials", "3..1", "--out", tmp_path / "r.html", "--force")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: serials: ")


def test_chip_describe():
    described = json.loads(run_hxloop("chip", "describe", "--chip", "rough", "--sources", "--json").stdout)
    assert described["datasheet"]["n_rows"]["value"] == 256
    assert all(entry["source"] for entry in described["imperfections"].values())
    unknown = run_hxloop("chip", "describe", "--chip", "ruff")
    assert unknown.returncode == 2
    assert "rough" in unknown.stderr


def test_unreachable_after_the_daemon_went_away(served):
    chip = connect("ideal/1", patience=Patience(poll_s=0.05, control_s=0.1, tries=3))
    chip.configure(_valid_config(chip))
    pids = {served.pid, *descendants(served.pid)}
    for pid in pids:
        send(pid, signal.SIGKILL)
    with pytest.raises(UnreachableError, match=r"3 tries.*hxloop serve --chip ideal --serial 1"):
        chip.run(SpikeBatch.empty(1), duration_ticks=100)
    chip.close()
