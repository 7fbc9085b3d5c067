"""Libraries that only some data sets and studies need: imported when asked for, missed with what installs them."""

from __future__ import annotations

import importlib
from typing import Any

from ovsr_ros.errors import OvsrError

_PACKAGES = {
    "skimage": ("scikit-image", "evaluation"),
    "sklearn": ("scikit-learn", "evaluation"),
    "matplotlib": ("matplotlib", "evaluation"),
    "h5py": ("h5py", "photos"),
}
"""What a module's package is called, and the extra of this package that brings it."""


def import_extra(module: str) -> Any:
    """Import a module of scikit-image, scikit-learn, matplotlib or h5py. Raises OvsrError where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package, extra = _PACKAGES[module.partition(".")[0]]
        raise OvsrError(
            f'{package} is needed here and is not installed ({error}); install it with: pip install "ovsr_ros[{extra}]"'
        ) from error
