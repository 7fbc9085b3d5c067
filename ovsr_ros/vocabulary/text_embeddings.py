"""From a vocabulary to the text embeddings that label segments, each name encoded once and cached."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros.atomic_file import write_atomically
from ovsr_ros.errors import ConfigError
from ovsr_ros.low_priority import run_at_low_priority, wait_for_a_gap
from ovsr_ros.names import clean_name, name_key, name_problem
from ovsr_ros.options import option
from ovsr_ros.results import UNLABELED_ID
from ovsr_ros.vocabulary.category import SOMETHING_ELSE, Vocabulary
from ovsr_ros.vocabulary.example_rows import ExampleRows
from ovsr_ros.vocabulary.prompts import TEMPLATES, fill

_logger = logging.getLogger(__name__)

NO_DIRECTORY = "none"

_PIECE_S = 0.05
"""Processor time, roughly, of sentences that are encoded at once."""
_FIRST_PIECE, _MAX_PIECE = 4, 32


@dataclass(frozen=True)
class TextOptions:
    """How categories become text embeddings.

    Raises ConfigError for a name that no category could have; "something else" itself may stand among these.
    """

    templates: str = option(
        "single", help="prompt template set in which a name is put before it is encoded", choices=tuple(TEMPLATES)
    )
    something_else: tuple[str, ...] = option(
        (SOMETHING_ELSE,),
        help="names of whatever is no category; a segment that fits one of them best is unlabeled",
    )
    background_names: tuple[str, ...] = option(
        (),
        help="names of what is around but no category, such as sky or wall, beside something_else: what fits one of "
        "them best is unlabeled, too",
    )
    cache_directory: str = option(
        "",
        help="folder for text embeddings; empty: ~/.cache/ovsr_ros/text_embeddings, none: keep them in memory only",
        read_only=True,
    )

    def __post_init__(self) -> None:
        for option_name in ("something_else", "background_names"):
            for number, text in enumerate(getattr(self, option_name), start=1):
                problem = name_problem(text)
                if problem:
                    raise ConfigError(f"{option_name}: name {number}: {problem}")

    @property
    def unlabeled_names(self) -> tuple[str, ...]:
        """The names that label nothing, each once."""
        texts = (*self.something_else, *self.background_names)
        names = {name_key(text): clean_name(text) for text in reversed(texts)}
        return tuple(reversed(names.values()))


class TextEncoder(Protocol):
    """What encodes sentences: (N, D) float32, L2-normalised."""

    @property
    def embedding_dim(self) -> int: ...

    def encode_texts(self, texts: list[str], /) -> Tensor: ...


def cache_directory(options: TextOptions) -> Path | None:
    """The folder that the options name; None: memory only."""
    if options.cache_directory == NO_DIRECTORY:
        return None
    if options.cache_directory:
        return Path(options.cache_directory).expanduser()
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "ovsr_ros" / "text_embeddings"


class TextEmbeddingCache:
    """Text embeddings by (model, template set, name), in memory and on disk. Thread-safe.

    encoder: encodes what neither holds.
    model_id: names the model and its weights' checksum: other weights, other embeddings.
    templates: a name in `prompts.TEMPLATES`.
    directory: one small file per name; None: memory only. A damaged file is ignored, with a warning, and rewritten.

    Raises KeyError for an unknown template set.
    """

    def __init__(self, encoder: TextEncoder, model_id: str, templates: str, directory: Path | None) -> None:
        self._encoder = encoder
        self._templates = templates
        sentences = "\n".join(TEMPLATES[templates])  # in the key by content: a set whose wording changes is another set
        key = hashlib.sha256(f"{model_id}\n{sentences}".encode()).hexdigest()[:32]
        self._directory = None if directory is None else directory / key
        self._memory: dict[str, Tensor] = {}
        self._lock = threading.Lock()

    def embed(self, names: Sequence[str]) -> Tensor:
        """(N, D) float32 on the CPU, L2-normalised: per name, the mean over its sentences' normalised embeddings."""
        with self._lock:
            for name in names:
                if name not in self._memory:
                    stored = self._read(name)
                    if stored is not None:
                        self._memory[name] = stored
            missing = list(dict.fromkeys(name for name in names if name not in self._memory))
            if missing:
                for name, embedding in zip(missing, self._encode(missing), strict=True):
                    self._memory[name] = embedding
                    self._write(name, embedding)
            if not names:
                return torch.zeros(0, self._encoder.embedding_dim)
            return torch.stack([self._memory[name] for name in names])

    def encode(self, names: Sequence[str]) -> Tensor:
        """As `embed`, of at least one name, but nothing new is kept, and nobody waits who embeds meanwhile."""
        with self._lock:
            known = {name: self._memory[name] for name in names if name in self._memory}
        missing = list(dict.fromkeys(name for name in names if name not in known))
        if missing:
            known.update(zip(missing, self._encode(missing), strict=True))
        return torch.stack([known[name] for name in names])

    def _encode(self, names: list[str]) -> Tensor:
        sentences = [sentence for name in names for sentence in fill(self._templates, name)]
        # Frames go first: many new words take longer than any frame may.
        embeddings = run_at_low_priority(lambda: self._encode_piecewise(sentences))
        per_name = normalize(embeddings, dim=-1).view(len(names), -1, embeddings.shape[-1])  # (N, sentences, D)
        return normalize(per_name.mean(dim=1), dim=-1)

    def _encode_piecewise(self, sentences: list[str]) -> Tensor:
        """(N, D) float32 on the CPU: in pieces so short that each delays a frame by little, and each in a gap."""
        parts, size, start = [], _FIRST_PIECE, 0
        while start < len(sentences):
            if start:  # few words delay no frame by much, and who asked waits for them
                wait_for_a_gap()
            begin = time.thread_time()  # not the wall's: a busy machine is no reason for smaller pieces
            parts.append(self._encoder.encode_texts(sentences[start : start + size]).detach().float().cpu())
            seconds = time.thread_time() - begin
            start += size
            if seconds < _PIECE_S / 2:
                size = min(_MAX_PIECE, 2 * size)
            elif seconds > _PIECE_S:
                size = max(1, size // 2)
        return torch.cat(parts)

    def _path(self, name: str) -> Path | None:
        if self._directory is None:
            return None
        return self._directory / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.npy"

    def _read(self, name: str) -> Tensor | None:
        path = self._path(name)
        if path is None:
            return None
        try:
            array = np.load(path, allow_pickle=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._give_up(path.parent, error)
            return None
        except (ValueError, EOFError) as error:
            _logger.warning("%s: not a text embedding, encoded anew: %s", path, error)
            return None
        expected = (self._encoder.embedding_dim,)
        if array.shape != expected or array.dtype != np.float32 or not abs(float(np.linalg.norm(array)) - 1.0) < 1e-3:
            _logger.warning("%s: not a text embedding of %d float32 values, length 1: encoded anew", path, *expected)
            return None
        return torch.from_numpy(array)

    def _write(self, name: str, embedding: Tensor) -> None:
        path = self._path(name)
        if path is None:
            return
        try:
            with write_atomically(path, is_shared=True) as file:
                np.save(file, embedding.numpy(), allow_pickle=False)
        except OSError as error:
            self._give_up(path.parent, error)

    def _give_up(self, folder: Path, error: OSError) -> None:
        """Keep embeddings in memory only from now on."""
        _logger.warning(
            "%s: text embeddings are not stored on disk from now on, so each start encodes the words anew: %s; make "
            "room, make the folder readable and writable, or set text.cache_directory",
            folder,
            error,
        )
        self._directory = None


@dataclass(frozen=True)
class TextClassifier:
    """One vocabulary as the rows that a segment's embedding is compared with.

    embeddings: (T, D) float32, L2-normalised, one row per category (its name and synonyms averaged), then one per
        "something else" name.
    class_ids: (T,) uint8, the row's class id, 255 for "something else".
    names: of the T rows.
    vocabulary_version: of the vocabulary it was built from.
    examples: further rows, of what the categories were taught by; None: there are none.
    """

    embeddings: Tensor
    class_ids: Tensor
    names: tuple[str, ...]
    vocabulary_version: int
    examples: ExampleRows | None = None

    @classmethod
    def build(
        cls,
        vocabulary: Vocabulary,
        cache: TextEmbeddingCache,
        something_else: Iterable[str] = (SOMETHING_ELSE,),
        examples_of: str = "",
    ) -> TextClassifier:
        """Encode a vocabulary (slow for names that are not cached). A "something else" name that is also a category's
        is left out: the operator's word counts.

        examples_of: the id of the model whose examples count; empty: of none.
        """
        groups = [(category.name, *category.synonyms) for category in vocabulary.categories]
        taken = {name_key(name) for group in groups for name in group}
        others = [name for name in something_else if name_key(name) not in taken]
        rows = cache.embed([name for group in groups for name in group] + others)
        sizes = [len(group) for group in groups] + [1] * len(others)
        means = [part.mean(dim=0) for part in torch.split(rows, sizes)]
        return cls(
            embeddings=normalize(torch.stack(means), dim=-1) if means else rows,
            class_ids=torch.tensor(
                [category.id for category in vocabulary.categories] + [UNLABELED_ID] * len(others), dtype=torch.uint8
            ),
            names=(*vocabulary.names, *others),
            vocabulary_version=vocabulary.version,
            examples=ExampleRows.gather(vocabulary, examples_of),
        )

    def to(self, device: torch.device) -> TextClassifier:
        """The same rows on another device."""
        return TextClassifier(
            self.embeddings.to(device),
            self.class_ids.to(device),
            self.names,
            self.vocabulary_version,
            None if self.examples is None else self.examples.to(device),
        )
