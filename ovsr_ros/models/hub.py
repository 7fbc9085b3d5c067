"""The models that timm and open_clip list, and SAM's, and their files on the Hugging Face hub."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import open_clip
import timm
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

from ovsr_ros.errors import ModelNotFoundError
from ovsr_ros.models.checkpoint import read_state_dict
from ovsr_ros.models.tokenizer import STAND_IN, TOKENIZER, TOKENIZER_FILES, tokenizer_repo

Kind = Literal["timm", "open_clip", "sam"]

# A SAM's weights tell its architecture; the hub's JSON is not read.
CONFIG_NAMES: dict[Kind, str] = {"timm": "config.json", "open_clip": "open_clip_config.json"}
WEIGHT_NAMES: dict[Kind, tuple[str, ...]] = {
    "timm": ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth"),
    "open_clip": (
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.safetensors",
        "open_clip_pytorch_model.bin",
        "model.safetensors",
        "pytorch_model.bin",
    ),
    "sam": ("model.safetensors", "pytorch_model.bin"),
}
SAM_REPOS = {
    "sam_vit_b": "facebook/sam-vit-base",
    "sam_vit_l": "facebook/sam-vit-large",
    "sam_vit_h": "facebook/sam-vit-huge",
}
_HUB_WEIGHTS: dict[Kind, tuple[str, ...]] = {
    "timm": ("model.safetensors", "pytorch_model.bin"),
    "open_clip": ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
    "sam": ("model.safetensors", "pytorch_model.bin"),
}


@dataclass(frozen=True)
class HubEntry:
    """A listed model: its canonical name, and the hub's weight files for it, the preferred first."""

    kind: Kind
    name: str
    architecture: str
    repo: str
    files: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where its local copy lies: <model directory>/KIND/NAME, where open_clip's are ARCHITECTURE/TAG."""
        return model_directory() / self.kind / self.name


def model_directory() -> Path:
    """The folder of local copies: OVSR_MODEL_DIR, else ~/.cache/ovsr_ros/models."""
    chosen = os.environ.get("OVSR_MODEL_DIR")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ovsr_ros" / "models"


def kind_of(name: str) -> Kind:
    """Which library lists a hub name: open_clip's have the form ARCHITECTURE/TAG, SAM's begin with sam_vit_."""
    if name.startswith("sam_vit_"):
        return "sam"
    return "open_clip" if "/" in name else "timm"


def is_architecture(name: str, kind: Kind) -> bool:
    """Whether the library has an architecture of that name, a tag behind it not counted."""
    if kind == "sam":
        return name in SAM_REPOS
    if kind == "timm":
        return bool(timm.is_model(name.partition(".")[0]))
    return open_clip.get_model_config(name.partition("/")[0]) is not None


def nearest(name: str, kind: Kind) -> str:
    """The library's architectures nearest to a name, as the end of a message; may be empty."""
    if kind == "sam":
        return f"; SAM's are {', '.join(SAM_REPOS)}"
    known = timm.list_models() if kind == "timm" else open_clip.list_models()
    near = difflib.get_close_matches(name.partition("/")[0], known, n=3, cutoff=0.5)
    return f"; did you mean {', '.join(near)}?" if near else ""


def hub_entry(name: str, kind: Kind) -> HubEntry:
    """What the library knows of a hub name.

    Raises ModelNotFoundError, with the nearest names, when it knows none, ModelFormatError for a text tower that cannot
    be used.
    """
    if not is_architecture(name, kind):
        form = {"timm": "ARCHITECTURE.TAG", "open_clip": "ARCHITECTURE/TAG", "sam": "sam_vit_SIZE"}[kind]
        raise ModelNotFoundError(
            f"{name}: neither a file or folder here nor a model of {kind}'s (form: {form}){nearest(name, kind)}"
        )
    if kind == "sam":
        return HubEntry("sam", name, name, SAM_REPOS[name], _HUB_WEIGHTS["sam"])
    return _timm_entry(name) if kind == "timm" else _open_clip_entry(name)


def _timm_entry(name: str) -> HubEntry:
    architecture = name.partition(".")[0]
    known: Sequence[str] = timm.list_pretrained(f"{architecture}.*")
    try:
        cfg = timm.get_pretrained_cfg(name)
    except RuntimeError:  # no such tag
        cfg = None
    if cfg is None or not cfg.has_weights:
        hint = f"known: {', '.join(known)}" if known else f"name a file: {architecture}@FILE"
        raise ModelNotFoundError(f"{name}: timm has no such pretrained weights; {hint}")
    if not cfg.hf_hub_id:
        raise ModelNotFoundError(f"{name}: not on the hub; get {cfg.url} and name it {architecture}@FILE")
    return HubEntry("timm", f"{architecture}.{cfg.tag}", architecture, cfg.hf_hub_id, _HUB_WEIGHTS["timm"])


def _open_clip_entry(name: str) -> HubEntry:
    architecture, _, tag = name.partition("/")
    cfg = open_clip.get_pretrained_cfg(architecture, tag)
    if not cfg:
        known = ", ".join(f"{architecture}/{known}" for known in open_clip.list_pretrained_tags_by_model(architecture))
        raise ModelNotFoundError(f"{name}: open_clip has no such pretrained weights; known: {known or 'none'}")
    repo, _, file = cfg.get("hf_hub", "").rpartition("/")
    if not repo:
        raise ModelNotFoundError(f"{name}: not on the hub; get {cfg.get('url')} and name it {name}@FILE")
    tokenizer_repo(registry_config(name)["model_cfg"], name)  # told before gigabytes are fetched in vain
    files = (str(Path(file).with_suffix(".safetensors")), file) if file else _HUB_WEIGHTS["open_clip"]
    return HubEntry("open_clip", f"{architecture}/{tag}", architecture, repo, tuple(dict.fromkeys(files)))


def registry_config(name: str) -> dict[str, Any]:
    """The open_clip_config.json of an architecture of open_clip's, named ARCHITECTURE or ARCHITECTURE/TAG."""
    architecture, _, tag = name.partition("/")
    pretrained: dict[str, Any] = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    model_cfg = open_clip.get_model_config(architecture)
    if "quick_gelu" in pretrained:  # the activation is the weights' property, whatever the architecture's name says
        model_cfg["quick_gelu"] = pretrained["quick_gelu"]
    keys = ("mean", "std", "interpolation", "resize_mode")
    return {"model_cfg": model_cfg, "preprocess_cfg": {key: pretrained[key] for key in keys if key in pretrained}}


def download(entry: HubEntry) -> Path:
    """Fetch a listed model, with a progress bar, and return its folder; what was fetched before is continued.

    The folder appears when all of it is there and its weights can be read.

    Raises ModelNotFoundError when the hub cannot be reached or lacks it, ModelFormatError when the file is damaged.
    """
    part = entry.folder.with_name(f"{entry.folder.name}.part")
    try:
        part.mkdir(parents=True, exist_ok=True)
        weights = _fetch_first(entry, part)
        if entry.kind == "timm":
            hf_hub_download(entry.repo, CONFIG_NAMES["timm"], local_dir=part)
        elif entry.kind == "open_clip":
            # Not every repository has one, and the registry knows which activation the weights want.
            config = part / CONFIG_NAMES["open_clip"]
            described = registry_config(entry.name)
            config.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
            tokenizer = tokenizer_repo(described["model_cfg"], entry.name)
            if tokenizer is not None:
                _fetch_tokenizer((tokenizer, entry.repo), part)
    except Exception as error:  # network, hub, disk: each with exceptions of its own
        raise ModelNotFoundError(
            f"{entry.name}: cannot be downloaded from {entry.repo}: {_reason(error)}; on a machine with a network, run "
            f"`ovsr models download {entry.name}`, and copy its folder to {entry.folder}"
        ) from error
    read_state_dict(weights)
    shutil.rmtree(part / ".cache", ignore_errors=True)
    shutil.rmtree(entry.folder, ignore_errors=True)
    part.rename(entry.folder)
    return entry.folder


def find_tokenizer(weights: Path, repo: str, folders: Sequence[Path] = ()) -> Path | None:
    """The tokenizer.json beside a weight file, in one of the other folders, or of a repository in the hub's cache."""
    for path in (weights.with_name(TOKENIZER), weights.with_name(STAND_IN), *(each / TOKENIZER for each in folders)):
        if path.is_file():
            return path
    cached = try_to_load_from_cache(repo, TOKENIZER)
    return Path(cached) if isinstance(cached, str) else None


def download_tokenizer(name: str, repo: str, folder: Path | None) -> None:
    """Fetch a tokenizer whose model is here already, into the model's folder; None: into the hub's cache.

    Raises ModelNotFoundError when the hub cannot be reached or lacks it.
    """
    try:
        _fetch_tokenizer((repo,), folder)
    except Exception as error:  # network, hub, disk: each with exceptions of its own
        raise ModelNotFoundError(
            f"{name}: its tokenizer cannot be downloaded from {repo}: {_reason(error)}; on a machine with a network, "
            f"run `hf download {repo} {' '.join(TOKENIZER_FILES)}`, and copy them beside the weights"
        ) from error
    if folder is not None:
        shutil.rmtree(folder / ".cache" / "huggingface", ignore_errors=True)
        with contextlib.suppress(OSError):  # something else's, or there is none
            (folder / ".cache").rmdir()


def _fetch_tokenizer(repos: Sequence[str], folder: Path | None) -> None:
    """A tokenizer's files of the first repository that has it."""
    missing: Exception | None = None
    for repo in dict.fromkeys(repos):
        try:
            hf_hub_download(repo, TOKENIZER, local_dir=folder)
        except LocalEntryNotFoundError:  # no network; a kind of EntryNotFoundError
            raise
        except (EntryNotFoundError, RepositoryNotFoundError) as error:
            missing = error
            continue
        for file in TOKENIZER_FILES[1:]:
            try:
                hf_hub_download(repo, file, local_dir=folder)
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                pass  # not every tokenizer has both
        return
    raise FileNotFoundError(f"there is no {TOKENIZER} in {' or '.join(dict.fromkeys(repos))}") from missing


def _fetch_first(entry: HubEntry, folder: Path) -> Path:
    missing: Exception | None = None
    for file in entry.files:
        try:
            return Path(hf_hub_download(entry.repo, file, local_dir=folder))
        except LocalEntryNotFoundError:  # no network; a kind of EntryNotFoundError
            raise
        except EntryNotFoundError as error:
            missing = error
    raise FileNotFoundError(f"it has none of {', '.join(entry.files)}") from missing


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
