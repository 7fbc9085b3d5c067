"""Photographs in scikit-image's wheel that are free of rights, and the words for what they show."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ovsr_ros.errors import SourceError

# By scikit-image's account: NASA's and SpaceX's are in the public domain, the others CC0 by their photographers. The
# motorcycle is not among them: its terms, Middlebury's, are others.
PHOTOGRAPHS: dict[str, tuple[str, ...]] = {
    "astronaut.png": ("person; astronaut", "helmet", "flag", "space shuttle"),
    "camera.png": ("person; astronaut", "tripod; camera", "grass; lawn", "sky"),
    "chelsea.png": ("cat",),
    "coffee.png": ("cup; mug", "saucer; plate", "spoon", "table"),
    "rocket.jpg": ("rocket", "tower", "sky"),
}
"""By the file's name, what it shows."""

WORDS: tuple[str, ...] = tuple(dict.fromkeys(word for words in PHOTOGRAPHS.values() for word in words))


def find_photographs() -> list[Path]:
    """The files, none of which is ever downloaded.

    Raises SourceError where scikit-image is not installed, or lacks one of them.
    """
    found = importlib.util.find_spec("skimage")  # imports nothing
    if found is None or found.origin is None:
        raise SourceError(
            "photos: expected scikit-image, whose photographs these are, and this Python has none; "
            "install it: pip install scikit-image"
        )
    folder = Path(found.origin).parent / "data"
    files = [folder / name for name in PHOTOGRAPHS]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise SourceError(
            f"photos: expected {', '.join(missing)} in {folder}, got a scikit-image without; "
            "install it anew: pip install --force-reinstall --no-deps scikit-image"
        )
    return files
