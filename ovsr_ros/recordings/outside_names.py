"""Names of files that come from outside, of a store's keys say, before they are paths of this machine."""

from __future__ import annotations

import os
from pathlib import Path

from ovsr_ros.errors import RecordingError


def is_plain(name: str) -> bool:
    """Whether a name is that of a file or folder, and of nothing elsewhere: no separator, not "..", no NUL."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}


def is_below(name: str) -> bool:
    """Whether each part of a name such as "a/b.mcap" is plain."""
    return all(is_plain(part) for part in name.split("/"))


def path_below(folder: Path, name: str, key: str) -> Path:
    """The path in a folder that a name such as "a/b.mcap" stands for. key: what is told of where it is from.

    Raises RecordingError for a name that could lead elsewhere.
    """
    if not is_below(name):
        raise RecordingError(
            f"{key!r}: expected a key without '..', an empty part, a backslash or a NUL, as it would be written "
            "outside of the scratch folder; rename it: nothing of it is fetched"
        )
    return folder.joinpath(*name.split("/"))
