"""Room for a frame's outputs in the middleware."""

from __future__ import annotations

import os
from pathlib import Path

PROFILES = Path(__file__).with_name("fastdds.xml")
_BEFORE_FAST_DDS_3 = ("foxy", "galactic", "humble", "iron", "jazzy")
_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


def make_room_for_images() -> None:
    """Let Fast DDS send a frame's outputs at once; to be called before rclpy.init.

    Processes on one machine share memory, of which Fast DDS gives a participant about half a megabyte. Of several
    images sent in a row, the last one pushes those before it out: at 640x480, 40 to 70 % of the label maps were lost,
    reliable or not, because it asks what is missing every three seconds only. Settings of the user's own stay as they
    are; other middlewares do not look at these.
    """
    if any(os.environ.get(name) for name in _VARIABLES):
        return
    is_old = os.environ.get("ROS_DISTRO") in _BEFORE_FAST_DDS_3
    os.environ[_VARIABLES[1 if is_old else 0]] = str(PROFILES)
