"""What the text of `source` names, and what goes with it: the node's configuration and words. Opens nothing."""

from __future__ import annotations

import stat
from enum import Enum
from pathlib import Path

from ovsr_ros.demo.sources.photographs import WORDS
from ovsr_ros.errors import SourceError

ROOMS, PHOTOS = "rooms", "photos"
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
EXPECTED = "rooms, photos, an image, a folder of images, a video or a camera such as /dev/video0"

_ROOMS_CONFIG, _PHOTOGRAPHS_CONFIG = "demo", "pocket"


class Kind(Enum):
    """Kinds of source. FILE: an image or a video, which only its content tells."""

    ROOMS = "rooms"
    PHOTOS = "photos"
    FILE = "file"
    FOLDER = "folder"
    DEVICE = "device"


def find_kind(source: str) -> Kind:
    """The kind of source that a text names: the words come first, ./photos is a folder of that name.

    Raises SourceError where there is no such file, folder or device.
    """
    if source in (ROOMS, PHOTOS):
        return Kind(source)
    if not source:
        raise SourceError(f"source: expected {EXPECTED}, got nothing")
    path = Path(source).expanduser()
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # a null character
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SourceError(f"{source}: expected {EXPECTED}, got: {reason}; {_remedy(source)}") from error
    if stat.S_ISCHR(mode):
        return Kind.DEVICE
    if stat.S_ISDIR(mode):
        return Kind.FOLDER
    if stat.S_ISREG(mode):
        return Kind.FILE
    raise SourceError(f"{source}: expected {EXPECTED}, got neither a file nor a folder nor a camera")


def default_config(source: str) -> str:
    """The node's preset for a source: the models of the rooms know nothing else, and no others know the rooms."""
    return _ROOMS_CONFIG if source == ROOMS else _PHOTOGRAPHS_CONFIG


def default_words(source: str) -> tuple[str, ...]:
    """The words that fit a source; none where those of the configuration have to do."""
    return WORDS if source == PHOTOS else ()


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder, by name. Raises SourceError where it has none, or cannot be listed."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    except OSError as error:
        raise SourceError(f"{folder}: cannot be listed: {error.strerror or error}") from error
    if not files:
        raise SourceError(
            f"{folder}: expected a folder with images ({', '.join(IMAGE_SUFFIXES)}), got one without; "
            "folders in it are not looked into"
        )
    return files


def _remedy(source: str) -> str:
    if source.isdigit():
        return f"a camera is named by its device: /dev/video{source}"
    if source.startswith("/dev/"):
        cameras = ", ".join(sorted(str(path) for path in Path("/dev").glob("video*")))
        return f"cameras here: {cameras}" if cameras else "this machine has no /dev/video*: plug a camera in"
    return "look at the path"
