"""One chip in many hands: threads, signal handlers, forks, copies, and close or cancel while somebody waits."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.daemons.fake_service import ADDRESS, FakeService, expected_spikes, small_config
from support.places import ALONE_PYTHONPATH, ROOT

from hxloop.errors import InvalidInputError, RunCancelledError, ServiceError, SessionError
from hxloop.protocol.messages import Limits
from hxloop.spikes import SpikeBatch
from hxloop_host.link.client import RemoteChip
from hxloop_host.link.patience import Patience
from hxloop_host.link.transport import InMemoryTransport

QUICK = Patience(poll_s=0.002, control_s=0.002, tries=4, connect_tries=2, stall_s=5.0, resend_s=0.01)
INPUTS = SpikeBatch.from_arrays([0, 1, 2, 3], [1, 2, 3, 4], [0, 0, 0, 0], 4)


class Jealous(InMemoryTransport):
    """Notes when a second thread comes while the first one has not left."""

    def __init__(self, answer, offences):
        super().__init__(answer)
        self._inside, self._offences = threading.Lock(), offences

    def _alone(self, do):
        if not self._inside.acquire(blocking=False):
            self._offences.append(threading.current_thread().name)
            return do()
        try:
            time.sleep(0.001)
            return do()
        finally:
            self._inside.release()

    def send(self, frames):
        self._alone(lambda: InMemoryTransport.send(self, frames))

    def poll(self, timeout_s):
        return self._alone(lambda: InMemoryTransport.poll(self, timeout_s))


def connect(service, offences=None, **options):
    def open_transport(endpoint):
        answer = service._data if endpoint == ADDRESS.data else service._control
        return Jealous(answer, [] if offences is None else offences)

    return RemoteChip(ADDRESS, open_transport=open_transport, patience=QUICK, **options)


def run(chip, code=7, seed=0):
    return chip.run(INPUTS, duration_ticks=1000, trial_seed=seed, config=small_config(code)).spikes.tick.tolist()


def expected(code, seed):
    return expected_spikes(small_config(code).sha256(), INPUTS, seed, 0).tick.tolist()


def waiting(chip, service):
    """A thread that waits for a run that never ends, and what it raised."""
    chip.configure(small_config())
    service.busy_polls = 10**6
    raised = []

    def wait():
        try:
            chip.run(INPUTS, duration_ticks=1000)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    return thread, raised


def test_threads_take_turns():
    offences = []
    chip = connect(FakeService(), offences)
    jobs = [(code, seed) for seed in range(6) for code in (3, 4, 5)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda job: run(chip, *job), jobs))
    assert found == [expected(*job) for job in jobs]
    assert offences == []


ABORT = """
import threading, zmq
from support.daemons.fake_service import FakeService, ADDRESS, small_config
from hxloop_host.link.client import RemoteChip
from hxloop_host.link.transport import Address
from hxloop.spikes import SpikeBatch
service, context = FakeService(control_endpoint=""), zmq.Context()
router = context.socket(zmq.ROUTER)
port = router.bind_to_random_port("tcp://127.0.0.1")
def serve():
    while True:
        name, *frames = router.recv_multipart()
        for reply in service._data(frames):
            router.send_multipart([name, *reply])
threading.Thread(target=serve, daemon=True).start()
chip = RemoteChip(Address(f"tcp://127.0.0.1:{port}"))
inputs = SpikeBatch.from_arrays([0], [1], [0], 1)
def work(code):
    for seed in range(150):
        chip.run(inputs, duration_ticks=1000, trial_seed=seed, config=small_config(code))
threads = [threading.Thread(target=work, args=(code,)) for code in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
chip.close()
zmq.Context.instance().term()  # of no concern to the chip
print("runs", service.executed_runs, flush=True)
import os; os._exit(0)
"""


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_threads_do_not_make_zeromq_abort():
    ended = python(ABORT, PYTHONPATH=ALONE_PYTHONPATH)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "runs 600\n"


def test_somebody_elses_context_may_end():
    code = (
        "import zmq; from hxloop_host.link.transport import ZmqTransport\n"
        "transport = ZmqTransport('tcp://127.0.0.1:9'); zmq.Context.instance().term(); print('ended')"
    )
    ended = python(code)
    assert ended.stdout == "ended\n", ended.stderr


def test_a_signal_handler_is_refused_and_may_close():
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())
    service.busy_polls = 10**6
    said = []

    def handler(*_):
        for use in (lambda: run(chip), lambda: chip.configure(small_config(9)), lambda: chip.boot):
            with pytest.raises(SessionError, match="very thread"):
                use()
        said.append(chip.status().worker_pid)
        chip.close()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(ServiceError, match="closed"):
            run(chip)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert said == [1]


def test_a_signal_handler_may_cancel():
    service = FakeService()
    chip = connect(service)
    service.busy_polls = 10**6
    before = signal.signal(signal.SIGUSR1, lambda *_: chip.cancel())
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(RunCancelledError):
            run(chip)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(service.cancelled) == 1


def test_what_a_signal_handler_raises_tells_the_daemon_and_leaves_the_chip_usable():
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())

    def handler(*_):
        raise TimeoutError("too long")

    service.busy_polls = 10**6
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(TimeoutError):
            run(chip)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert service.cancelled == [2]
    service.busy_polls = 0
    assert run(chip, seed=4) == expected(7, 4)


def test_a_forked_process_is_refused_and_its_parent_goes_on():
    chip = connect(FakeService())
    chip.configure(small_config())
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "nothing"
        try:
            run(chip)
        except SessionError as error:
            said = str(error)
        chip.close()
        os.write(theirs, said.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    said = os.read(ours, 1000).decode()
    assert f"process {os.getpid()}" in said and "fork" in said and "\n" not in said
    assert run(chip, seed=3) == expected(7, 3)


@pytest.mark.parametrize("send", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_chip_cannot_be_sent_or_copied(send):
    with pytest.raises(InvalidInputError, match=r"RemoteChip.*hxloop\.connect"):
        send(connect(FakeService()))


def test_close_ends_the_wait_of_another_thread():
    service = FakeService()
    chip = connect(service)
    thread, raised = waiting(chip, service)
    begun = time.monotonic()
    chip.close()
    thread.join(5)
    assert time.monotonic() - begun < 1.0
    assert isinstance(raised[0], ServiceError) and "closed" in str(raised[0])
    with pytest.raises(ServiceError, match="closed"):
        run(chip)


def test_cancel_ends_the_wait_of_another_thread_and_nothing_else():
    service = FakeService()
    chip = connect(service)
    assert chip.cancel() == "finished"
    thread, raised = waiting(chip, service)
    begun = time.monotonic()
    assert chip.cancel() == "cancelled"
    thread.join(5)
    assert time.monotonic() - begun < 0.25
    assert service.cancelled == [2]
    assert isinstance(raised[0], RunCancelledError)
    assert chip.cancel() == "finished"
    service.busy_polls = 0
    assert run(chip, seed=1) == expected(7, 1)


@pytest.mark.parametrize("after", [0, 1, 3, 4])
def test_a_cancel_between_the_parts_of_a_run_stops_the_next_one(after):
    service = FakeService(limits=Limits(max_samples=1))  # four samples, four parts
    chip = connect(service)
    chip.configure(small_config())
    handle = service._handle

    def and_cancel(request, arrays):
        if service.executed_runs == after:
            assert chip.cancel() == "cancelled"
        reply = handle(request, arrays)
        if after == 4 and service.executed_runs == after:
            assert chip.cancel() == "cancelled"  # too late to stop anything, and yet what it says is true
        return reply

    service._handle = and_cancel
    with pytest.raises(RunCancelledError):
        run(chip)
    assert service.executed_runs <= after + 1
    service._handle = handle
    assert run(chip, seed=2) == expected(7, 2)
