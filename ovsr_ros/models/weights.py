"""From a model's name to the files that hold it: hub names, local files and folders, embedded ones; checksummed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from ovsr_ros.errors import ModelFormatError, ModelNotFoundError, TokenizerNotFoundError
from ovsr_ros.models.checkpoint import WEIGHT_SUFFIXES, checksum
from ovsr_ros.models.embedded import EMBEDDED, check_shipped, embedded_folder
from ovsr_ros.models.hub import (
    CONFIG_NAMES,
    WEIGHT_NAMES,
    HubEntry,
    Kind,
    download,
    download_tokenizer,
    find_tokenizer,
    hub_entry,
    is_architecture,
    model_directory,
    nearest,
    registry_config,
)
from ovsr_ros.models.known_words import KnownWords
from ovsr_ros.models.tokenizer import TOKENIZER, find_merges, tokenizer_repo
from ovsr_ros.models.weight_packages import without_hub

SAM_ARCHITECTURE = "a Segment Anything model"
"""Its sizes are those of its weights."""

_HINT = "; or take the small models in the package: --config pocket, of a launch config:=pocket"
_EMBEDDED_HINT: dict[Kind, str] = {"timm": _HINT, "open_clip": _HINT}


@dataclass(frozen=True)
class ResolvedModel:
    """A model that is on this machine.

    name: as given. architecture: what timm or open_clip builds, with the pretrained tag where the library's registry
        describes the input. weights: the weight file. checksum: its SHA-256.
    folder: holds the JSON config that describes the model; None: the library's registry does.
    source: where it was found: demo, pocket, local, model directory, or hub cache.
    tokenizer: the tokenizer.json, or the merges, of a CLIP that has its own; None: the library's own does.
    known_words: towards which a CLIP draws other words; None: it embeds all as they are.
    """

    name: str
    kind: Kind
    architecture: str
    weights: Path
    checksum: str
    folder: Path | None
    source: str
    tokenizer: Path | None = None
    known_words: KnownWords | None = None

    @property
    def model_id(self) -> str:
        """The name and the checksum's first 12 digits, its tokenizer's and its known words': other ones, another id."""
        parts = [self.checksum[:12]]
        if self.tokenizer is not None:
            parts.append(checksum(self.tokenizer)[:12])
        if self.known_words is not None:
            parts.append(self.known_words.digest)
        return f"{self.name}#{'-'.join(parts)}"

    @property
    def description(self) -> str:
        """What is loaded into what, for messages."""
        return f"{self.name} ({self.weights.name} for {self.architecture})"


def resolve(name: str, kind: Kind, allow_download: bool = False) -> ResolvedModel:
    """Find a model by hub name, local folder, local file, ARCHITECTURE@FILE, `demo` or `pocket`.

    allow_download: fetch a hub model, or a tokenizer, that is not on this machine; otherwise the network is never used.

    Raises ModelNotFoundError naming the command that gets it, of which TokenizerNotFoundError when all else is here;
    ModelFormatError when what was found is not a model.
    """
    found = _find(name, kind, allow_download)
    return found if kind != "open_clip" else _with_texts(found, allow_download)


def described_config(resolved: ResolvedModel) -> dict[str, Any]:
    """The open_clip_config.json of a CLIP, its folder's or the registry's. Raises ModelFormatError as `read_config`."""
    if resolved.folder is not None:
        return read_config(resolved.folder, "open_clip")
    return registry_config(resolved.architecture)


def _find(name: str, kind: Kind, allow_download: bool) -> ResolvedModel:
    if name in EMBEDDED:
        return _embedded(name, kind)
    path = Path(name).expanduser()
    if path.is_dir():
        return _folder(name, kind, path, "local")
    if path.is_file():
        return _file(name, kind, path)
    architecture, at, file = name.partition("@")
    if at:
        return _file_of(name, kind, architecture, Path(file).expanduser())
    if path.is_absolute() or name.startswith(("./", "../", "~")) or path.suffix in WEIGHT_SUFFIXES:
        raise ModelNotFoundError(f"{name}: no such file or folder; expected weights, or a folder with {_layout(kind)}")
    entry = hub_entry(name, kind)
    found = find_copy(entry, name)
    if found is None and allow_download:
        found = _folder(name, kind, download(entry), "model directory")
    if found is None:
        raise ModelNotFoundError(
            f"{name}: its weights are not on this machine (neither in {entry.folder} nor in the Hugging Face cache); "
            f"get them: ovsr models download {name}{without_hub(kind, name)}{_EMBEDDED_HINT.get(kind, '')}"
        )
    return found


def _with_texts(found: ResolvedModel, allow_download: bool) -> ResolvedModel:
    """With its tokenizer and its known words."""
    config = described_config(found)
    found = replace(found, known_words=KnownWords.read(config, found.name))
    model_cfg = config["model_cfg"]
    repo = tokenizer_repo(model_cfg, found.name)
    if repo is None:
        return replace(found, tokenizer=find_merges(model_cfg, found.folder, found.name))
    copies = [] if found.folder is not None else _copies(found.architecture)
    tokenizer = find_tokenizer(found.weights, repo, copies)
    if tokenizer is None and allow_download:
        download_tokenizer(found.name, repo, None if found.source == "hub cache" else found.weights.parent)
        tokenizer = find_tokenizer(found.weights, repo)
    if tokenizer is None:
        beside = found.weights.with_name(TOKENIZER)
        raise TokenizerNotFoundError(
            f"{found.name}: its tokenizer is not on this machine (neither {beside} nor that of {repo} in the Hugging "
            f"Face cache); get it: ovsr models download {found.name}"
        )
    return replace(found, tokenizer=tokenizer)


def _copies(architecture: str) -> list[Path]:
    """The folders in which the model directory has copies of an architecture of open_clip's, whatever their tags."""
    return sorted((model_directory() / "open_clip" / architecture.partition("/")[0]).glob("*"))


def find_copy(entry: HubEntry, name: str) -> ResolvedModel | None:
    """A listed model's copy in the model directory or the hub's cache; None when there is none."""
    if entry.folder.is_dir():
        return _folder(name, entry.kind, entry.folder, "model directory")
    for file in entry.files:
        cached = try_to_load_from_cache(entry.repo, file)
        if isinstance(cached, str):
            weights = Path(cached)
            return ResolvedModel(name, entry.kind, entry.name, weights, checksum(weights), None, "hub cache")
    return None


def _embedded(name: str, kind: Kind) -> ResolvedModel:
    found = _folder(name, kind, embedded_folder(name, kind), name)
    config = found.weights.parent / CONFIG_NAMES[kind]
    check_shipped(name, {found.weights: found.checksum, config: checksum(config)})
    return found


def _folder(name: str, kind: Kind, folder: Path, source: str) -> ResolvedModel:
    described = SAM_ARCHITECTURE if kind == "sam" else _described(read_config(folder, kind), kind)
    weights = next((folder / file for file in WEIGHT_NAMES[kind] if (folder / file).is_file()), None)
    if weights is None:
        others = [path for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES]
        if len(others) != 1:
            raise ModelNotFoundError(f"{folder}: {len(others)} weight files; expected {_layout(kind)}")
        weights = others[0]
    return ResolvedModel(name, kind, described, weights, checksum(weights), folder, source)


def _file(name: str, kind: Kind, weights: Path) -> ResolvedModel:
    if kind == "sam":
        return ResolvedModel(name, kind, SAM_ARCHITECTURE, weights, checksum(weights), None, "local")
    folder = weights.parent
    if not (folder / CONFIG_NAMES[kind]).is_file():
        raise ModelFormatError(
            f"{name}: a weight file does not say its architecture; put {CONFIG_NAMES[kind]} beside it, or name it "
            f"ARCHITECTURE@{name}"
        )
    config = read_config(folder, kind)
    return ResolvedModel(name, kind, _described(config, kind), weights, checksum(weights), folder, "local")


def _file_of(name: str, kind: Kind, architecture: str, weights: Path) -> ResolvedModel:
    if not is_architecture(architecture, kind):
        raise ModelFormatError(f"{name}: unknown architecture '{architecture}'{nearest(architecture, kind)}")
    if not weights.is_file():
        raise ModelNotFoundError(f"{name}: no such weight file: {weights}")
    return ResolvedModel(name, kind, architecture, weights, checksum(weights), None, "local")


def read_config(folder: Path, kind: Kind) -> dict[str, Any]:
    """A model folder's JSON. Raises ModelFormatError when it is missing or does not describe a model of that kind."""
    path = folder / CONFIG_NAMES[kind]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelFormatError(f"{folder}: no {path.name}; expected {_layout(kind)}") from None
    except (OSError, ValueError) as error:
        raise ModelFormatError(f"{path}: not JSON: {error}") from error
    key, value_type = ("architecture", str) if kind == "timm" else ("model_cfg", dict)
    if not isinstance(content, dict) or not isinstance(content.get(key), value_type):
        raise ModelFormatError(f"{path}: not a {kind} config: no '{key}'")
    if kind == "timm" and not is_architecture(content[key], kind):
        raise ModelFormatError(f"{path}: unknown architecture '{content[key]}'{nearest(content[key], kind)}")
    return content


def _described(config: dict[str, Any], kind: Kind) -> str:
    return str(config["architecture"]) if kind == "timm" else CONFIG_NAMES[kind]


def _layout(kind: Kind) -> str:
    if kind == "sam":
        return WEIGHT_NAMES[kind][0]
    return f"{CONFIG_NAMES[kind]} and {WEIGHT_NAMES[kind][0]}"
