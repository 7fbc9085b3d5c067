"""Room for images in the middleware, the camera's and the node's own: what Fast DDS is given, if nothing else is."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

PROFILES = Path(__file__).with_name("fastdds.xml")
"""16 MB of shared memory, to send and to receive by: the node's where no other file is better, and a camera's."""
RECEIVE_UDP = Path(__file__).with_name("fastdds_receive_udp.xml")
"""Sends by shared memory, receives by UDP."""
UDP = Path(__file__).with_name("fastdds_udp.xml")
"""No shared memory at all."""
RECEIVE_BUFFER_BYTES = 1 << 24
"""What the last two ask the kernel for."""
ENOUGH_BYTES = 1 << 22
"""A receive buffer that holds a whole image of 1920x1080 pixels: the kernel allows twice what it is asked for."""

_BEFORE_IRON = ("foxy", "galactic", "humble")
_BEFORE_FAST_DDS_3 = (*_BEFORE_IRON, "iron", "jazzy")
_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"


def make_room_for_images() -> None:
    """Let Fast DDS send a frame's outputs at once and receive a camera's images whole; to be called before rclpy.init.

    Processes on one machine share memory, of which Fast DDS gives a participant about half a megabyte: the sender's.
    Of several images sent in a row, the last one pushes those before it out: at 640x480, 40 to 70 % of the label maps
    were lost, reliable or not, because it asks what is missing every three seconds only. Hence a larger segment for
    what the node sends.

    What the camera sends lies in the camera's segment, which the node cannot enlarge. A best-effort image that does not
    fit arrives if the node is quicker than the camera: at 640x480, 0.1 to 7 of 10 did. By UDP the room is the
    receiver's, and all of them arrive, if the kernel grants it; and so does the image of a camera in a container or of
    another user, whose shared memory is another one, or not to be written to.

    Settings of the user's own stay as they are; other middlewares do not look at these.
    """
    profiles = choose_profiles(os.environ, receive_buffer_bytes())
    if profiles is not None:
        os.environ[profiles_variable()] = str(profiles)


def choose_profiles(environ: Mapping[str, str], buffer_bytes: int) -> Path | None:
    """The file for Fast DDS to read; None where the user chose something that it must not change.

    buffer_bytes: the largest receive buffer that the kernel grants.
    """
    if any(environ.get(name) for name in (*_VARIABLES, "ROS2_EASY_MODE")):
        return None
    transports = _builtin_transports(environ)
    if transports:
        return UDP if transports == "UDPv4" else None
    # Humble keeps its own UDP transport, but not another one, to this machine. Data of a discovery by TCP comes by TCP.
    is_confined = environ.get("ROS_DISTRO") in _BEFORE_IRON and environ.get("ROS_LOCALHOST_ONLY") == "1"
    by_udp = buffer_bytes >= ENOUGH_BYTES and not is_confined and "TCP" not in environ.get("ROS_DISCOVERY_SERVER", "")
    return RECEIVE_UDP if by_udp else PROFILES


def _builtin_transports(environ: Mapping[str, str]) -> str:
    """The transports that the user chose, or empty. Fast DDS looks into its file of variables first."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(Path(environ["FASTDDS_ENVIRONMENT_FILE"]).read_text(encoding="utf-8"))[_TRANSPORTS])
    return environ.get(_TRANSPORTS, "")


def profiles_variable() -> str:
    """The environment variable by which this release of Fast DDS is told of a profiles file."""
    return _VARIABLES[1 if os.environ.get("ROS_DISTRO") in _BEFORE_FAST_DDS_3 else 0]


def receive_buffer_bytes() -> int:
    """The receive buffer that the kernel grants a socket that asks for `RECEIVE_BUFFER_BYTES`; 0 without sockets."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        return probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux doubles it, for its own use
    return 0


def chosen_profiles() -> Path | None:
    """The one of this package's files that Fast DDS was told to read; None if it was another one, or none."""
    chosen = os.environ.get(profiles_variable())
    return next((path for path in (PROFILES, RECEIVE_UDP, UDP) if chosen == str(path)), None)
