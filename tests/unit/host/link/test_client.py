"""The client against a service in memory that loses, repeats and forgets."""

import numpy as np
import pytest
from support.daemons.fake_service import ADDRESS, FakeService, expected_observations, expected_spikes, small_config

from hxloop.chip import Chip, ChipIdentity
from hxloop.errors import (
    ArrayError,
    ChipMismatchError,
    InvalidInputError,
    LimitExceededError,
    ServiceError,
    SessionError,
    UnreachableError,
)
from hxloop.protocol.messages import Limits
from hxloop.result import Readout
from hxloop.spec import HICANN_X
from hxloop.spikes import SpikeBatch
from hxloop_host.link.client import RemoteChip
from hxloop_host.link.patience import Patience
from hxloop_host.link.splitting import split
from hxloop_host.link.transport import Address

QUICK = Patience(poll_s=0.002, control_s=0.002, tries=4, connect_tries=2, stall_s=0.2, resend_s=0.01)


def batch(n_samples: int = 6) -> SpikeBatch:
    rng = np.random.default_rng(5)
    sample = np.sort(rng.integers(0, n_samples, 40))
    return SpikeBatch.from_arrays(sample, rng.integers(0, 900, 40), rng.integers(0, 9, 40), n_samples)


def connect(service: FakeService, **options) -> RemoteChip:
    return RemoteChip(ADDRESS, open_transport=service.open, patience=QUICK, **options)


def assert_same(got: SpikeBatch, want: SpikeBatch) -> None:
    for name in ("offsets", "tick", "source"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))


def run_and_check(chip: RemoteChip, trial_seed: int = 3) -> None:
    inputs, config = batch(), small_config()
    chip.configure(config)
    result = chip.run(inputs, duration_ticks=1000, trial_seed=trial_seed, first_sample=4)
    assert_same(result.spikes, expected_spikes(config.sha256(), inputs, trial_seed, 4))


def test_is_a_chip():
    service = FakeService()
    chip = connect(service)
    assert isinstance(chip, Chip)
    assert chip.identity == service.identity
    assert chip.spec.n_columns == 256
    run_and_check(chip)
    assert (service.executed_runs, service.uploads, service.hellos) == (1, 1, 1)


def test_configuration_is_sent_only_when_it_changed():
    service = FakeService()
    chip = connect(service)
    for code in (7, 7, 8, 7, 8):
        assert chip.configure(small_config(code)) == small_config(code).sha256()
        run_and_result = chip.run(batch(), duration_ticks=1000)
        assert_same(run_and_result.spikes, expected_spikes(small_config(code).sha256(), batch(), 0, 0))
    assert service.uploads == 2


def test_run_without_configuration_is_refused():
    with pytest.raises(SessionError, match="configure"):
        connect(FakeService()).run(batch(), duration_ticks=1000)


@pytest.mark.parametrize("fault", ["drop_replies", "drop_requests"])
def test_lost_messages_are_sent_again_and_executed_once(fault):
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())
    setattr(service, fault, 2)
    run_and_check(chip)
    assert service.executed_runs == 1
    assert service.hellos == 1


def test_late_and_duplicate_replies_are_ignored():
    service = FakeService(duplicate_replies=True, late_replies=True)
    chip = connect(service)
    for trial in range(5):
        run_and_check(chip, trial_seed=trial)
    assert service.executed_runs == 5


def test_busy_daemon_is_not_mistaken_for_a_dead_one():
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())
    service.busy_polls = 5 * QUICK.tries
    run_and_check(chip)
    assert service.executed_runs == 1
    assert service.status_requests >= 5 * QUICK.tries


def test_the_daemon_says_where_its_control_socket_is():
    chip = RemoteChip(Address(ADDRESS.data), open_transport=FakeService().open, patience=QUICK)
    assert chip.address == ADDRESS
    assert chip.status().sessions == 1


def test_control_is_not_needed_when_there_is_only_the_data_endpoint():
    service = FakeService(control_endpoint="")
    chip = RemoteChip(Address(ADDRESS.data), open_transport=service.open, patience=QUICK)
    chip.configure(small_config())
    service.drop_replies = 1
    run_and_check(chip)
    assert service.executed_runs == 1
    with pytest.raises(ServiceError, match="connection file"):
        chip.status()


def test_restarted_daemon_gets_the_configuration_again():
    service = FakeService()
    chip = connect(service)
    run_and_check(chip)
    service.restart()
    run_and_check(chip)
    assert (service.hellos, service.uploads, service.executed_runs) == (2, 2, 2)


def test_restarts_in_the_middle_of_requests():
    service = FakeService(restart_before_run=3)
    run_and_check(connect(service))
    assert service.boots == 4
    assert service.executed_runs == 1


def test_restart_while_waiting_is_noticed_by_its_boot_id():
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())
    service.drop_requests = 1
    answer = service._control

    def restart_when_asked(frames):
        service._control = answer
        service.restart()
        return answer(frames)

    service._control = restart_when_asked
    run_and_check(chip)
    assert (service.hellos, service.uploads, service.executed_runs) == (2, 2, 1)


def test_forgotten_configuration_is_sent_again():
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())
    service.forget_configurations = 2
    run_and_check(chip)
    assert service.uploads == 3
    assert service.hellos == 1


def test_another_chip_under_the_same_address_is_refused():
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())
    service.restart()
    service.identity = ChipIdentity(chip="fake", serial=2, spec="X", model="1")
    with pytest.raises(ChipMismatchError, match=r"fake/2.*instead of fake/1"):
        chip.run(batch(), duration_ticks=1000)
    with pytest.raises(ChipMismatchError):
        connect(service, expected=ChipIdentity(chip="fake", serial=1, spec="X", model="1"))


def test_gives_up_with_the_command_to_type():
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())
    service.dead = True
    with pytest.raises(UnreachableError, match=r"ipc:///fake/data.sock.*4 tries.*hxloop serve --chip fake --serial 1"):
        chip.run(batch(), duration_ticks=1000)
    with pytest.raises(UnreachableError, match=r"hxloop serve --endpoint ipc:///fake/data\.sock"):
        connect(service)


class Nurse:
    """Owner that brings a dead service back."""

    def __init__(self, service: FakeService):
        self.service, self.revived, self.forced, self.closed = service, 0, 0, 0

    def revive(self, *, force):
        self.forced += force
        if not self.service.dead:
            return None
        self.service.restart()
        self.service.dead = False
        self.revived += 1
        return ADDRESS

    def close(self):
        self.closed += 1


def test_owner_starts_a_dead_daemon_again():
    service = FakeService()
    nurse = Nurse(service)
    with connect(service, owner=nurse) as chip:
        for trial in range(3):
            run_and_check(chip, trial_seed=trial)
            service.dead = True
        run_and_check(chip)
        assert nurse.revived == 3
    assert nurse.closed == 1
    with pytest.raises(ServiceError, match="closed"):
        chip.run(batch(), duration_ticks=1000)


def test_daemon_that_never_comes_back_is_restarted_by_force():
    service = FakeService()
    nurse = Nurse(service)
    nurse.revive = lambda *, force: setattr(nurse, "forced", nurse.forced + force)
    chip = connect(service, owner=nurse)
    chip.configure(small_config())
    service.dead = True
    with pytest.raises(UnreachableError):
        chip.run(batch(), duration_ticks=1000)
    assert nurse.forced >= 1


@pytest.mark.parametrize("limits", [{"max_samples": 2}, {"max_input_events": 11}, {"max_run_ticks": 3000}])
def test_large_runs_are_split_without_a_trace(limits):
    service = FakeService(limits=Limits(**limits))
    chip = connect(service)
    run_and_check(chip)
    assert service.executed_runs >= 2


def test_parts_that_are_still_too_large_are_halved():
    service = FakeService(max_output_events=15)
    run_and_check(connect(service))
    assert service.executed_runs >= 3
    one_big_sample = SpikeBatch.from_arrays([0] * 20, range(20), [0] * 20, 1)
    chip = connect(service)
    chip.configure(small_config())
    with pytest.raises(LimitExceededError):
        chip.run(one_big_sample, duration_ticks=1000)


def test_sums_of_split_runs():
    chip = connect(FakeService(limits=Limits(max_samples=2)))
    chip.configure(small_config())
    result = chip.run(batch(), duration_ticks=1000)
    assert (result.events_in, result.lost_in, result.lost_out, result.lost_late) == (40, 3, 6, 9)
    assert result.events_lost == 18
    assert result.chip_time_us == pytest.approx(6 * 8.0)


@pytest.mark.parametrize("limits", [{}, {"max_samples": 2}])
def test_dense_first_spikes_come_back_whole(limits):
    chip = connect(FakeService(limits=Limits(**limits)))
    chip.configure(small_config())
    dense = chip.run(batch(), duration_ticks=1000, record="first_ticks", neurons=(1, 0))
    sparse = chip.run(batch(), duration_ticks=1000).spikes
    np.testing.assert_array_equal(dense.first_ticks, sparse.first_ticks(np.array([1, 0])))
    assert (dense.spikes.n_samples, dense.spikes.n_spikes) == (6, 0)


READOUT = Readout(cadc_circuits=(3, 1), cadc_period_ticks=300, madc_circuit=0, counters=True)


@pytest.mark.parametrize("limits", [{}, {"max_samples": 2}, {"max_readings": 80}])
def test_observations_come_back_whole(limits):
    service = FakeService(limits=Limits(**limits))
    chip, config = connect(service), small_config()
    chip.configure(config)
    inputs = batch()
    found = chip.run(inputs, duration_ticks=1000, readout=READOUT).observations
    expected = expected_observations(READOUT, expected_spikes(config.sha256(), inputs, 0, 0), 1000)
    assert expected.cadc.shape == (6, 4, 2)
    for name in ("cadc", "madc", "spike_count", "spike_overflow", "correlation"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    assert (service.executed_runs > 1) == bool(limits)


def test_correlation_is_not_added_up_over_requests():
    service = FakeService(limits=Limits(max_samples=2))
    chip = connect(service)
    chip.configure(small_config())
    readout = Readout(correlation=True)
    assert chip.run(batch(2), duration_ticks=1000, readout=readout).observations.correlation.tolist() == [[40], [40]]
    with pytest.raises(LimitExceededError, match=r"readout\.correlation.*6 samples need 3 requests"):
        chip.run(batch(6), duration_ticks=1000, readout=readout)
    service.max_output_events = 15
    with pytest.raises(LimitExceededError, match="too much"):
        chip.run(batch(2), duration_ticks=1000, readout=readout)
    assert service.executed_runs == 1


def test_boot_codes_are_asked_for_once():
    service = FakeService()
    chip = connect(service)
    assert service.describes == 0
    first = chip.boot
    assert first.target == service.boot.target
    np.testing.assert_array_equal(first.neurons.capmem_code, service.boot.neurons.capmem_code)
    np.testing.assert_array_equal(first.shared.quadrant_code, service.boot.shared.quadrant_code)
    service.restart()
    assert chip.boot is first
    assert service.describes == 1


def test_boot_codes_survive_lost_messages_but_not_another_chip():
    service = FakeService(drop_requests=0)
    chip = connect(service)
    service.drop_requests = 2
    assert chip.boot.target == service.boot.target
    other = connect(service)
    service.identity = ChipIdentity(chip="fake", serial=2, spec="X", model="1")
    with pytest.raises(ChipMismatchError):
        _ = other.boot
    service.dead = True
    with pytest.raises(UnreachableError, match="4 tries"):
        _ = other.boot


def test_split_respects_every_limit():
    inputs = batch(50)
    limits = Limits(max_samples=7, max_input_events=6, max_run_ticks=5000, max_message_bytes=4096 + 100)
    parts = split(inputs, 1000, limits)
    assert [first for first, _ in parts] == [0, *(last for _, last in parts[:-1])]
    assert parts[-1][1] == 50
    for first, last in parts:
        part = inputs.part(first, last)
        if last - first > 1:
            assert last - first <= 5
            assert part.n_spikes <= 6
            assert 8 * part.n_samples + 12 * part.n_spikes <= 100
    assert split(SpikeBatch.empty(0), 1000, limits) == [(0, 0)]


def test_split_counts_readings():
    per_sample = READOUT.readings_per_sample(1000, HICANN_X)
    assert per_sample == 2 * 4 + 236  # CADC at ticks 0, 300, 600, 900; MADC every 34 ns of 8 us
    limits = Limits(max_readings=3 * per_sample)
    assert split(batch(8), 1000, limits, per_sample) == [(0, 3), (3, 6), (6, 8)]
    assert len(split(batch(8), 1000, Limits(max_readings=1), per_sample)) == 8
    assert split(batch(8), 1000, limits, Readout().readings_per_sample(1000, HICANN_X)) == [(0, 8)]


def test_bad_arguments_are_refused_before_anything_runs():
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())
    with pytest.raises(InvalidInputError, match="duration_ticks"):
        chip.run(SpikeBatch.empty(1), duration_ticks=0)
    with pytest.raises(InvalidInputError, match="trial_seed"):
        chip.run(batch(), duration_ticks=1000, trial_seed=-1)
    with pytest.raises(ArrayError, match="sorted"):
        chip.run(SpikeBatch(np.array([0, 2]), np.array([5, 3]), np.zeros(2, np.int32)), duration_ticks=1000)
    run_and_check(chip)


def test_interrupt_tells_the_daemon_and_leaves_the_chip_usable():
    service = FakeService()
    chip = connect(service)
    chip.configure(small_config())

    def interrupt(*_):
        raise KeyboardInterrupt

    poll, chip._session._lanes.data.poll = chip._session._lanes.data.poll, interrupt
    with pytest.raises(KeyboardInterrupt):
        chip.run(batch(), duration_ticks=1000)
    assert service.cancelled == [2]
    chip._session._lanes.data.poll = poll
    run_and_check(chip)


def test_status():
    assert connect(FakeService()).status().worker_pid == 1
