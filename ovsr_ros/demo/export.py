"""Finished training to shipped files: fp16 safetensors in the layout of a local timm or open_clip folder, checksums."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ovsr_ros.demo import train_clip, train_features
from ovsr_ros.demo.scenes import CATEGORIES
from ovsr_ros.models.checkpoint import checksum
from ovsr_ros.models.embedded import CHECKSUMS
from ovsr_ros.models.tensors import save_tensors

FOLDERS = {"features": "efficientnet_b0", "clip": "clip"}
FILES = {"features": "model.safetensors", "clip": "open_clip_model.safetensors"}


def write(name: str, weights: Mapping[str, Tensor], directory: Path, training: Mapping[str, object]) -> Path:
    """Write one model's folder under `directory` and renew the checksums of all that is there; returns the folder.

    name: "features" or "clip". training: the options that made the weights, kept beside them.
    """
    folder = directory / FOLDERS[name]
    folder.mkdir(parents=True, exist_ok=True)
    half = {key: value.half() if value.dtype == torch.float32 else value for key, value in weights.items()}
    save_tensors({key: value.contiguous() for key, value in half.items()}, folder / FILES[name])
    if name == "clip":
        (folder / "open_clip_config.json").write_text(train_clip.config_json(), encoding="utf-8")
    else:
        (folder / "config.json").write_text(_timm_config(), encoding="utf-8")
    record = {
        key: str(training[key])
        for key in ("scenes", f"{name.removesuffix('s')}_steps", "seed", "device")
        if key in training
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    shipped = [path for path in directory.glob("*/*") if path.suffix in (".safetensors", ".json")]
    write_checksums(directory, shipped)
    return folder


def _timm_config() -> str:
    height, width = train_features.PHASES[-1].crop_hw
    config = {
        "architecture": train_features.ARCHITECTURE,
        "num_classes": len(CATEGORIES),
        "num_features": 1280,
        "label_names": list(CATEGORIES),
        "pretrained_cfg": {
            "num_classes": len(CATEGORIES),
            "input_size": [3, height, width],
            "mean": list(train_features.MEAN),
            "std": list(train_features.STD),
            "interpolation": "bilinear",
            "fixed_input_size": False,
            "first_conv": "conv_stem",
            "classifier": "classifier",
        },
    }
    return json.dumps(config, indent=2) + "\n"


def write_checksums(directory: Path, files: Iterable[Path]) -> None:
    """Write SHA256SUMS of files below `directory`."""
    lines = [f"{checksum(path)}  {path.relative_to(directory).as_posix()}" for path in sorted(files)]
    (directory / CHECKSUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")
