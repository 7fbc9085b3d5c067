import os
import sys
import threading

import pytest

from ovsr_ros.low_priority import run_at_low_priority, urgent_work, wait_for_a_gap


def test_results_and_exceptions_come_back():
    assert run_at_low_priority(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        run_at_low_priority(lambda: 1 // 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of single threads")
def test_the_function_and_the_threads_that_it_starts_give_way_and_the_caller_does_not():
    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    found = []

    def work():
        child = threading.Thread(target=lambda: found.append(niceness()))
        child.start()
        child.join()
        return niceness()

    before = niceness()
    assert run_at_low_priority(work) == min(19, before + 10)
    assert found == [min(19, before + 10)]
    assert niceness() == before


def test_a_gap_is_there_where_nothing_is_urgent_or_between_two_pieces_of_it():
    wait_for_a_gap(timeout_s=60.0)
    waiting, gaps = threading.Event(), []

    def wait():
        waiting.set()
        wait_for_a_gap(timeout_s=60.0)
        gaps.append(len(gaps))

    with urgent_work():  # a second camera's, which goes on
        thread = threading.Thread(target=wait)
        with urgent_work():
            thread.start()
            assert waiting.wait(10.0)
            thread.join(0.1)
            assert gaps == []
        thread.join(10.0)
        assert gaps == [0]


def test_urgent_work_that_does_not_end_or_fails_holds_nobody_for_ever():
    with urgent_work():
        wait_for_a_gap(timeout_s=0.01)
    with pytest.raises(ZeroDivisionError), urgent_work():
        raise ZeroDivisionError
    wait_for_a_gap(timeout_s=60.0)
