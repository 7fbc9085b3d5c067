"""open_clip's networks of every class, built from a description, without their weights."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import open_clip

from ovsr_ros.errors import ModelError, ModelFormatError
from ovsr_ros.models import pocket_network  # noqa: F401  # timm knows it by name from then on
from ovsr_ros.models.hub import CONFIG_NAMES


def create_clip(config: Mapping[str, Any], what: str) -> Any:
    """The network that an open_clip_config.json describes: with towers of open_clip's or of timm's, CLIP or CoCa.

    config: its content. what: the model, for messages. Raises ModelFormatError where open_clip cannot build it,
    ModelError where a package for it is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, CONFIG_NAMES["open_clip"]).write_text(json.dumps(config), encoding="utf-8")
        try:
            with _without_random_weights_warning():
                return open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
        except ImportError as error:
            raise ModelError(f"{what}: needs a package that cannot be imported: {error}") from error
        except Exception as error:  # a config file can make any constructor fail in any way
            raise ModelFormatError(f"{what}: open_clip cannot build what its config describes: {error}") from error


@contextlib.contextmanager
def _without_random_weights_warning() -> Iterator[None]:
    # open_clip warns that a model was built without weights. They are loaded right after, by checkpoint.py.
    root = logging.getLogger()

    def is_other(record: logging.LogRecord) -> bool:
        return "weights" not in record.getMessage()

    root.addFilter(is_other)
    try:
        yield
    finally:
        root.removeFilter(is_other)
