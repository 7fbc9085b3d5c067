"""A tokenizer in the files in which the hub has SigLIP's, of a few words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SPECIAL = ("<pad>", "</s>", "<unk>")


def tokenizer_json(words: Sequence[str], special: Sequence[str] = SPECIAL) -> dict[str, Any]:
    """Words to numbers, the special tokens first; every text ends with the second of them."""
    vocabulary = {word: number for number, word in enumerate((*special, *words))}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    end = special[1]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocabulary[token], "content": token, **flags, "special": True} for token in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": end, "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {end: {"id": end, "ids": [vocabulary[end]], "tokens": [end]}},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": special[2]},
    }


def write_tokenizer(folder: Path, words: Sequence[str], **config: object) -> Path:
    """Its tokenizer.json; config: what tokenizer_config.json says besides its padding."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(words)), encoding="utf-8")
    described = {"pad_token": SPECIAL[0], **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder / "tokenizer.json"
