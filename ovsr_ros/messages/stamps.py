"""The stamps of serialized messages."""

from __future__ import annotations

import struct


def read_stamp_ns(serialized: bytes) -> int:
    """The stamp of a serialized message that begins with a std_msgs/Header: all of its content stays unread.

    serialized: CDR, of which the second byte tells the byte order, and whose first field begins at the fifth.

    Raises struct.error or IndexError for less than a header's bytes.
    """
    seconds, nanoseconds = struct.unpack_from("<iI" if serialized[1] & 1 else ">iI", serialized, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
