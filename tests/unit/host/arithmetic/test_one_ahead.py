"""A thread that is one step ahead of, or behind, the loop: nothing is lost, repeated, or made too early."""

import threading

import pytest

from hxloop_host.arithmetic.one_ahead import made_ahead, worked_behind


def test_the_next_is_made_while_one_is_in_use_and_no_more():
    made, second = [], threading.Event()

    def make(item):
        made.append((item, threading.current_thread() is threading.main_thread()))
        if item == 1:
            second.set()
        return 10 * item

    found = []
    for one in made_ahead(make, iter(range(5))):
        if one == 0:
            assert second.wait(10)  # comes although nobody has asked for it yet
        assert len(made) <= len(found) + 2
        found.append(one)
    assert found == [0, 10, 20, 30, 40]
    assert made == [(item, False) for item in range(5)]
    assert list(made_ahead(make, [])) == []


def test_a_loop_that_is_left_takes_its_thread_along():
    before = threading.active_count()
    ahead = made_ahead(str, range(1000))
    assert next(ahead) == "0"
    assert threading.active_count() == before + 1
    ahead.close()
    assert threading.active_count() == before


def test_errors_come_with_the_item_they_belong_to():
    def make(item):
        if item == 2:
            raise ValueError("two")
        return item

    found = []
    with pytest.raises(ValueError, match="two"):
        found.extend(made_ahead(make, range(4)))
    assert found == [0, 1]
    with pytest.raises(ValueError, match="two"):
        worked_behind(make, range(4))


def test_work_behind_keeps_the_order_and_waits_for_no_one():
    worked = threading.Event()

    def items():
        yield 1
        assert worked.wait(10)  # the first is worked on while the second is made, here in the main thread
        assert threading.current_thread() is threading.main_thread()
        yield 2

    def work(item):
        worked.set()
        return -item

    assert worked_behind(work, items()) == [-1, -2]
