from __future__ import annotations

import threading

import pytest
import torch

from ovsr_ros.ops.threads import one_thread


@pytest.fixture(params=[1, 2])
def num_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_work_within_has_one_thread_and_then_as_many_as_before(num_threads):
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == num_threads


def test_an_error_within_leaves_the_number_as_it_was(num_threads):
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert torch.get_num_threads() == num_threads


def test_a_thread_that_runs_keeps_its_number(num_threads):
    seen = []
    ready, entered = threading.Event(), threading.Event()

    def look():
        seen.append(torch.get_num_threads())
        ready.set()
        assert entered.wait(10)
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=look)
    thread.start()
    assert ready.wait(10)
    with one_thread():
        entered.set()
        thread.join(10)
    assert seen == [num_threads, num_threads]
