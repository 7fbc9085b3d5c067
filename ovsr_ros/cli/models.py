"""`ovsr models`: which models a configuration needs, which are here, and how to get the others."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ovsr_ros.cli.config_arguments import add_config_arguments, load_chosen_settings
from ovsr_ros.config import find_presets
from ovsr_ros.errors import ConfigError, ModelError, ModelNotFoundError, TokenizerNotFoundError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from ovsr_ros.models.hub import Kind


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `models` and its own sub-commands."""
    models = subparsers.add_parser("models", help="list, fetch and check models")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, run, help_text in (
        ("list", run_list, "which models are on this machine; without arguments, those of every preset"),
        ("download", run_download, "fetch models into the model directory (OVSR_MODEL_DIR)"),
        ("verify", run_verify, "load models whole and show their checksums"),
    ):
        action = actions.add_parser(name, help=help_text, description=help_text)
        action.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help="hub name (efficientnet_b0.ra_in1k, ViT-B-32/laion2b_s34b_b79k, sam_vit_b), local file or folder",
        )
        add_config_arguments(action, None)
        action.set_defaults(run=run)


def run_list(arguments: argparse.Namespace) -> int:
    """Print one line per model: kind, name, and where it is or what gets it."""
    from ovsr_ros.models.hub import model_directory
    from ovsr_ros.models.weights import resolve

    print(f"model directory: {model_directory()}")
    for kind, name in _chosen(arguments, or_presets=True):
        try:
            found = resolve(name, kind)
            state = f"here  {found.source}  {_megabytes(found.weights.stat().st_size)}  {found.weights}"
        except TokenizerNotFoundError:
            state = f"missing  its tokenizer; get it: ovsr models download {name}"
        except ModelNotFoundError as error:
            state = f"missing  {error}" if _is_local(name) else f"missing  get it: ovsr models download {name}"
        except ModelError as error:
            state = f"unusable  {error}"
        print(f"{kind:10} {name:32} {state}")
    return 0


def run_download(arguments: argparse.Namespace) -> int:
    """Fetch what is missing."""
    from ovsr_ros.models.hub import hub_entry
    from ovsr_ros.models.weights import resolve

    for kind, name in _chosen(arguments):
        try:
            found = resolve(name, kind)
            print(f"{name}: is here already ({found.source}): {found.weights}")
            continue
        except TokenizerNotFoundError:
            print(f"{name}: fetching its tokenizer")
        except ModelNotFoundError:
            if _is_local(name):
                raise
            print(f"{name}: fetching {hub_entry(name, kind).repo}")
        found = resolve(name, kind, allow_download=True)
        print(f"{name}: {_megabytes(found.weights.stat().st_size)} in {found.weights.parent}")
    return 0


def run_verify(arguments: argparse.Namespace) -> int:
    """Load each model; 1 when one of several cannot be used."""
    from ovsr_ros.models.clip import ClipModel
    from ovsr_ros.models.proxy_vit import ProxyViT
    from ovsr_ros.models.sam import SamModel
    from ovsr_ros.models.timm_features import FeatureExtractor
    from ovsr_ros.models.weights import resolve

    status = 0
    for kind, name in _chosen(arguments):
        try:
            found = resolve(name, kind)
            if kind == "timm" and found.architecture.startswith("vit_"):
                proxy = ProxyViT(name)
                facts = f"patches of {proxy.patch_size} px"
            elif kind == "timm":
                features = FeatureExtractor(name)
                facts = f"levels 1, 2, 3 of {features.channels} channels at strides {features.strides}"
            elif kind == "sam":
                sam = SamModel(name)
                facts = f"{sam.image_size} px, {sam.grid_size} x {sam.grid_size} patches"
            else:
                clip = ClipModel(name)
                facts = f"{clip.image_size} px, {clip.embedding_dim} dimensions, logit scale {clip.logit_scale:.1f}"
            print(f"{name}: good  {found.architecture}, {facts}  {found.source}  sha256 {found.checksum}")
        except ModelError as error:
            print(f"ovsr: {error}", file=sys.stderr)
            status = 1
    return status


def _chosen(arguments: argparse.Namespace, or_presets: bool = False) -> list[tuple[Kind, str]]:
    from ovsr_ros.models.hub import kind_of
    from ovsr_ros.models.weights import DEMO

    chosen: list[tuple[Kind, str]] = []
    for name in arguments.names:
        if name == DEMO:
            chosen += [("timm", DEMO), ("open_clip", DEMO)]
        else:
            chosen += _kinds_of_path(name) or [(kind_of(name), name)]
    if arguments.config is not None or arguments.set:
        chosen += _models_of(arguments)
    if not chosen and or_presets:
        for preset in find_presets():
            chosen += _models_of(argparse.Namespace(config=preset, set=[]))
    if not chosen:
        raise ConfigError("name a model, or a configuration: --config PRESET|FILE")
    return list(dict.fromkeys(chosen))


def _is_local(name: str) -> bool:
    """Whether a name is of something that the hub does not have."""
    from ovsr_ros.models.weights import DEMO

    return name == DEMO or "@" in name or Path(name).expanduser().exists()


def _kinds_of_path(name: str) -> list[tuple[Kind, str]]:
    """A local folder or file says by the JSON in its folder which library's it is."""
    from ovsr_ros.models.hub import CONFIG_NAMES

    path = Path(name).expanduser()
    if not path.exists():
        return []
    folder = path if path.is_dir() else path.parent
    return [(kind, name) for kind, config in CONFIG_NAMES.items() if (folder / config).is_file()]


def _models_of(arguments: argparse.Namespace) -> list[tuple[Kind, str]]:
    from ovsr_ros.settings import models_of

    return list(models_of(load_chosen_settings(arguments).pipeline).values())


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.1f} MiB"
