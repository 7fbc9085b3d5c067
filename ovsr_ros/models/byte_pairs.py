"""Byte-pair vocabularies for small text towers: the beginning of open_clip's own, which lists frequent words first."""

from __future__ import annotations

import gzip
from pathlib import Path

import open_clip
from open_clip.tokenizer import default_bpe

from ovsr_ros.atomic_file import write_atomically

WORD_END = "</w>"
_NUM_BYTES = 256
_NUM_SPECIAL = 2  # start and end of a text
MAX_MERGES = 49152 - _NUM_BYTES - _NUM_SPECIAL
"""More are not read (open_clip.SimpleTokenizer)."""


def vocab_size(num_merges: int) -> int:
    """Tokens of a vocabulary: each byte within a word and at its end, each merge, start and end of a text."""
    return 2 * _NUM_BYTES + num_merges + _NUM_SPECIAL


def write_merges(path: Path, num_merges: int) -> None:
    """Write the first merges of open_clip's vocabulary in its own format; the same bytes each time.

    Raises ValueError unless 1 <= num_merges <= MAX_MERGES.
    """
    if not 1 <= num_merges <= MAX_MERGES:
        raise ValueError(f"num_merges: expected 1 to {MAX_MERGES}, got {num_merges}")
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as whole:
        lines = [line for _, line in zip(range(num_merges + 1), whole, strict=False)]  # the first one is a heading
    content = "".join(lines).rstrip("\n").encode()
    with write_atomically(path) as file:
        file.write(gzip.compress(content, mtime=0))


def token_texts(merges: Path | None = None) -> list[str]:
    """The tokens in the order of their ids; WORD_END is behind those that end a word.

    merges: a file as `write_merges` makes it; None: open_clip's own.
    """
    tokenizer = open_clip.SimpleTokenizer() if merges is None else open_clip.SimpleTokenizer(bpe_path=str(merges))
    return list(tokenizer.encoder)


def words(tokens: list[str], min_length: int = 3) -> list[str]:
    """Of tokens those that are words of a to z, at least `min_length` letters long, in their order."""
    found = (token.removesuffix(WORD_END) for token in tokens if token.endswith(WORD_END))
    return [word for word in found if word.isascii() and word.isalpha() and len(word) >= min_length]
