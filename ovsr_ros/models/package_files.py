"""Files of installed Python packages, found without running any of their code."""

from __future__ import annotations

import importlib.metadata
from fnmatch import fnmatchcase
from pathlib import Path

from ovsr_ros.errors import ModelFormatError


def find_package(name: str) -> importlib.metadata.Distribution | None:
    """The installed package of that name; None where there is none."""
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def only_file(package: importlib.metadata.Distribution, name: str, pattern: str) -> Path:
    """The one file of a package whose name has a pattern, `*.pth` for one.

    name: the package's, for messages. Raises ModelFormatError where there is none, or several.
    """
    found = [file for file in package.files or () if fnmatchcase(file.name, pattern)]
    if len(found) != 1:
        raise ModelFormatError(
            f"{name}: expected one file {pattern} in the package, got {len(found)}; {how_to_reinstall(name)}"
        )
    return Path(str(package.locate_file(found[0])))


def how_to_reinstall(name: str) -> str:
    """What mends a damaged package, as it is typed."""
    return f"install the package anew: pip install --force-reinstall --no-deps {name}"
