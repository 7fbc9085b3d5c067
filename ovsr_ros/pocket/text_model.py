"""The text tower as files: a part of an open_clip_config.json, merges, and weights as a CustomTextCLIP has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros.models.byte_pairs import vocab_size
from ovsr_ros.models.hub import CONFIG_NAMES
from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.models.tokenizer import MERGES, Tokenize
from ovsr_ros.models.untrained import new_text_tower

MERGES_FILE = "merges.txt.gz"
WEIGHTS_FILE = "text.safetensors"
CONFIG_FILE = CONFIG_NAMES["open_clip"]
RECORD_FILE, REPORT_FILE = "text_training.json", "text_report.json"
_PREFIX = "text."
_CONTEXT_LENGTH = 24
_BATCH = 256


def make_config(embed_dim: int, num_merges: int, width: int, heads: int, layers: int) -> dict[str, Any]:
    """The text tower's part of `model_cfg` in an open_clip_config.json; `vision_cfg` is the image tower's."""
    text_cfg = {
        "context_length": _CONTEXT_LENGTH,
        "vocab_size": vocab_size(num_merges),
        "width": width,
        "heads": heads,
        "layers": layers,
        "tokenizer_kwargs": {MERGES: MERGES_FILE},
    }
    return {"embed_dim": embed_dim, "custom_text": True, "text_cfg": text_cfg}


def to_half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they are shipped: float16, names in front of which a CustomTextCLIP puts "text."."""
    return {_PREFIX + name: value.half().contiguous() for name, value in weights.items()}


def write_text_tower(
    folder: Path,
    weights: Mapping[str, Tensor],
    model_cfg: Mapping[str, Any],
    record: Mapping[str, object],
    report: Mapping[str, object],
) -> None:
    """Write the tower's files beside its merges, which are there already.

    weights: as `to_half` gives them. record: what made them. report: their figures.
    """
    save_tensors(weights, folder / WEIGHTS_FILE)
    for name, content in ((CONFIG_FILE, {"model_cfg": model_cfg}), (RECORD_FILE, record), (REPORT_FILE, report)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


class TextTower:
    """A text tower with the weights that are shipped, on the CPU. weights: as `to_half` gives them."""

    def __init__(self, model_cfg: Mapping[str, Any], weights: Mapping[str, Tensor], tokenize: Tokenize) -> None:
        self._tower = new_text_tower(model_cfg["embed_dim"], model_cfg["text_cfg"])
        self._tower.load_state_dict({name.removeprefix(_PREFIX): value.float() for name, value in weights.items()})
        self._tower.eval()
        self._tokenize = tokenize

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """N texts -> (N, D) float32, L2-normalised; N at least 1."""
        batches = (list(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH))
        return torch.cat([normalize(self._tower(self._tokenize(batch)), dim=1) for batch in batches])
