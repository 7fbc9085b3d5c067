import os
import sys
import threading

import pytest

from ovsr_ros.low_priority import run_at_low_priority


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
