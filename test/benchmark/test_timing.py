"""Times in turns, and their spread."""

from __future__ import annotations

import math
import mmap
import time
from contextlib import closing

import numpy as np
import pytest
import torch

from ovsr_ros.benchmark.timing import Spread, interleave
from ovsr_ros.models.memory import MEBIBYTE, PeakMemory, resident_bytes

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0], (3.0, 3.0, 3.0)), ([1, 2, 3, 4, 5], (3.0, 2.0, 4.0)), ([5, 1, 3, 2, 4], (3.0, 2.0, 4.0))],
)
def test_a_spread_is_the_median_and_the_quartiles(values, expected):
    spread = Spread.of(values)
    assert (spread.median, spread.low, spread.high) == expected
    assert spread.to_dict() == dict(zip(("median", "low", "high"), expected, strict=True))


def test_the_spread_of_nothing_is_no_number():
    assert math.isnan(Spread.of([]).median)


def test_ways_take_turns_and_the_warm_up_does_not_count():
    calls = []
    ways = {"a": lambda turn: calls.append(("a", turn)), "b": lambda turn: calls.append(("b", turn))}
    seconds = interleave(ways, 3, CPU, warm_up=2)
    assert calls == [(way, turn) for turn in (0, 0, 0, 1, 2) for way in "ab"]
    assert {name: values.shape for name, values in seconds.items()} == {"a": (3,), "b": (3,)}


def test_a_slower_way_takes_longer():
    seconds = interleave({"slow": lambda turn: time.sleep(0.02), "fast": lambda turn: None}, 3, CPU)
    assert (seconds["slow"] >= 0.02).all()
    assert np.median(seconds["fast"]) < np.median(seconds["slow"])


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        interleave({}, 0, CPU)


def test_the_peak_is_what_was_held_meanwhile():
    before_mib = resident_bytes() / MEBIBYTE
    with PeakMemory(CPU) as peak, closing(mmap.mmap(-1, 64 * 2**20)) as held:  # never from what the process keeps
        for start in range(0, len(held), mmap.PAGESIZE):
            held[start] = 1
    assert peak.process_mib >= before_mib + 50
    assert peak.device_mib == 0
