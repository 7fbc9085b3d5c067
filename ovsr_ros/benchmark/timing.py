"""Times that can be compared: warmed up, in turns, ended when the device is done, told as median and quartiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Spread:
    """The middle of some values: their median, and the quartiles below and above it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The values' spread; each `nan` where there are none."""
        found = np.fromiter(values, np.float64)
        if not len(found):
            return cls(float("nan"), float("nan"), float("nan"))
        low, median, high = np.percentile(found, (25, 50, 75))
        return cls(float(median), float(low), float(high))

    def to_dict(self, digits: int = 3) -> dict[str, float]:
        """Plain values, rounded."""
        return {name: round(getattr(self, name), digits) for name in ("median", "low", "high")}


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_once(way: Callable[[int], object], turn: int, device: torch.device) -> float:
    """Seconds that one call takes until the device is done."""
    synchronize(device)
    begin = time.perf_counter()
    way(turn)
    synchronize(device)
    return time.perf_counter() - begin


def interleave(
    ways: Mapping[str, Callable[[int], object]], rounds: int, device: torch.device, warm_up: int = 1
) -> dict[str, NDArray[np.float64]]:
    """Seconds of each way, (rounds,) each: A B A B, so that what else the machine does falls on all of them.

    ways: called with the number of the round, from 0. warm_up: rounds that are not counted, before the others.

    Raises ValueError for less than one round.
    """
    if rounds < 1:
        raise ValueError(f"rounds: expected at least 1, got {rounds}")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-warm_up, rounds):
        for name, way in ways.items():
            taken = time_once(way, max(turn, 0), device)
            if turn >= 0:
                seconds[name].append(taken)
    return {name: np.array(values) for name, values in seconds.items()}
