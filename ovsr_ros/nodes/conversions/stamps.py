"""Image stamps: which are the same image's, and how old an image is by the node's clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builtin_interfaces.msg import Time as Stamp
    from rclpy.time import Time

OLDEST_S, NEWEST_S = 60.0, -1.0
"""An age outside these is not one: the stamp is by another clock, a bag's or a simulation's."""


def to_ns(stamp: Stamp) -> int:
    """A builtin_interfaces/Time in nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def stamp_key(stamp: Stamp) -> tuple[int, int] | None:
    """What two messages of one image have in common; None for a stamp of 0, which a driver may leave on every image."""
    return (stamp.sec, stamp.nanosec) if stamp.sec or stamp.nanosec else None


def image_age_s(stamp: Stamp, now: Time) -> float:
    """Seconds from the stamp to now; NaN for a stamp of 0, and for one of another clock than `now`.

    Clocks of two machines that differ by less than a second give a negative age.
    """
    if stamp_key(stamp) is None:
        return math.nan
    age_s = (now.nanoseconds - to_ns(stamp)) / 1e9
    return age_s if NEWEST_S <= age_s <= OLDEST_S else math.nan
