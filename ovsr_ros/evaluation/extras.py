"""Libraries that only the studies need: imported when asked for, and missed with the command that installs them."""

from __future__ import annotations

import importlib
from typing import Any

from ovsr_ros.errors import OvsrError

INSTALL = 'pip install "ovsr_ros[evaluation]"'

_PACKAGES = {"skimage": "scikit-image", "sklearn": "scikit-learn", "matplotlib": "matplotlib"}


def import_extra(module: str) -> Any:
    """Import a module of scikit-image, scikit-learn or matplotlib. Raises OvsrError where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = _PACKAGES[module.partition(".")[0]]
        raise OvsrError(
            f"{package} is needed here and is not installed ({error}); install it with: {INSTALL}"
        ) from error
