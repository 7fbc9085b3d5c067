"""A BERT in the files in which all-MiniLM-L6-v2 comes, of a few numbers and words, its weights drawn."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from small_tokenizer import tokenizer_json

from ovsr_ros.pocket.teacher import Bert

CONFIG = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 60,
}
WORDS = (
    *("a", "of", "the", "red", "blue", "small", "photo", "mug", "cup", "table", "lamp", "chair", "door", "sofa"),
    *("couch", "dog", "cat", "box", "car", "wall"),
)


def write_teacher(folder: Path) -> Path:
    """The folder with config.json, model.safetensors and tokenizer.json; words beyond WORDS are one and the same."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    network = Bert(CONFIG)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    save_file(network.state_dict() | {"pooler.dense.weight": torch.zeros(16, 16)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(WORDS, ("[PAD]", "[SEP]", "[UNK]"))))
    return folder
