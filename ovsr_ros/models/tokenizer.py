"""From texts to the numbers that a CLIP's text tower reads: byte pairs, or a tokenizer.json.

Byte pairs are open_clip's own, or a model's: a file of merges beside its weights, in the format of open_clip's, which
its open_clip_config.json names: `"tokenizer_kwargs": {"bpe_path": "merges.txt.gz"}` in `text_cfg`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, get_clean_fn
from torch import Tensor

from ovsr_ros.errors import ModelError, ModelFormatError, ModelNotFoundError

Tokenize = Callable[[list[str]], Tensor]
"""N texts -> (N, context length) int64."""

TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json")
"""What the hub has of a tokenizer: the first is needed, and one of the others where it names the special tokens."""
STAND_IN = "any_tokens.json"
"""Beside random weights in place of a tokenizer: they know no words, so that any numbers do."""
MERGES = "bpe_path"
"""The option of open_clip's SimpleTokenizer that names a file of merges."""
INSTALL = "pip install tokenizers"

# Of BERT's tokenizers, whose files name none. SigLIP's pads with its end of text: nothing is to be guessed there.
_PAD_TOKEN, _SEPARATOR = "[PAD]", "[SEP]"


def tokenizer_repo(model_cfg: Mapping[str, Any], name: str) -> str | None:
    """The hub's repository of the tokenizer that an open_clip config names; None: open_clip has it in its package.

    name: the model, for messages. Raises ModelFormatError for a text tower that open_clip takes from elsewhere.
    """
    text_cfg = model_cfg.get("text_cfg")
    if not isinstance(text_cfg, Mapping):
        return None
    if text_cfg.get("hf_model_name"):  # open_clip would ask the hub for its description
        raise ModelFormatError(
            f"{name}: text towers of the transformers library are not supported (it has {text_cfg['hf_model_name']}); "
            "take a model with a text tower of open_clip's, such as ViT-B-16-SigLIP/webli or ViT-B-32/laion2b_s34b_b79k"
        )
    return str(text_cfg["hf_tokenizer_name"]) if text_cfg.get("hf_tokenizer_name") else None


def find_merges(model_cfg: Mapping[str, Any], folder: Path | None, name: str) -> Path | None:
    """The file of merges that an open_clip config names; None: it names none.

    folder: the model's, which holds it. name: the model, for messages.

    Raises ModelFormatError where it names anything but a file in that folder, ModelNotFoundError where there is no
    such file.
    """
    text_cfg = model_cfg.get("text_cfg")
    options = text_cfg.get("tokenizer_kwargs") if isinstance(text_cfg, Mapping) else None
    named = options.get(MERGES) if isinstance(options, Mapping) else None
    if named is None:
        return None
    if folder is None or not isinstance(named, str) or named in ("", ".", "..") or Path(named).name != named:
        raise ModelFormatError(
            f"{name}: {MERGES} in its config: expected the name of a file beside the config, got {named!r}; put the "
            "merges there and write that name"
        )
    path = folder / named
    if not path.is_file():
        raise ModelNotFoundError(f"{name}: no {path}, the merges that its config names; copy the whole folder")
    return path


def load_tokenizer(text_cfg: Mapping[str, Any], file: Path | None, name: str) -> Tokenize:
    """The tokenizer of a text tower. Longer texts are cut at the context length, shorter ones padded.

    text_cfg: of an open_clip config. file: its tokenizer.json or merges, or the stand-in; None: open_clip's own byte
    pairs. name: the model, for messages.

    Raises ModelFormatError when the file cannot be used, ModelError when the package that reads it is not installed.
    """
    length = int(text_cfg.get("context_length", DEFAULT_CONTEXT_LENGTH))
    options = dict(text_cfg.get("tokenizer_kwargs") or {})
    if file is None:
        simple: Any = open_clip.SimpleTokenizer(context_length=length, **options)
        return lambda texts: torch.as_tensor(simple(texts))
    if MERGES in options and not text_cfg.get("hf_tokenizer_name"):
        own = _read_merges({**options, MERGES: str(file)}, length, int(text_cfg.get("vocab_size", 0)), name)
        return lambda texts: torch.as_tensor(own(texts))
    if file.name == STAND_IN:
        return lambda texts: torch.stack([_any_tokens(text, length, int(text_cfg["vocab_size"])) for text in texts])
    return _JsonTokenizer(text_cfg, length, options, file, name)


def _any_tokens(text: str, length: int, vocab_size: int) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
    return torch.randint(vocab_size, (length,), generator=generator)


def _read_merges(options: dict[str, Any], length: int, vocab_size: int, name: str) -> Any:
    file = options[MERGES]
    try:
        tokenizer: Any = open_clip.SimpleTokenizer(context_length=length, **options)
    except Exception as error:  # what is no gzip, no UTF-8, an option that it has not
        raise ModelFormatError(f"{name}: {file}: not merges that open_clip reads: {error}; get it again") from error
    if tokenizer.vocab_size != vocab_size:  # the end of a text, which has the last number, would not be found
        raise ModelFormatError(
            f"{name}: {file} is another model's: its merges make {tokenizer.vocab_size} tokens, the text tower knows "
            f"{vocab_size}"
        )
    return tokenizer


class _JsonTokenizer:
    """Does what open_clip's HFTokenizer does through transformers, with the reader that transformers has it from.

    transformers brings a dozen packages, and open_clip would import it whenever it is installed, which takes seconds.
    """

    def __init__(
        self, text_cfg: Mapping[str, Any], length: int, options: dict[str, Any], file: Path, name: str
    ) -> None:
        self._name, self._file = name, file
        self._vocab_size = int(text_cfg.get("vocab_size", 0))
        strips = bool(options.pop("strip_sep_token", False))
        self._clean = get_clean_fn(options.pop("clean", "whitespace"))
        unknown = [*options, *(["tokenizer_mode"] if text_cfg.get("tokenizer_mode") else [])]
        if unknown:
            raise ModelFormatError(f"{name}: tokenizers with the options {', '.join(unknown)} are not supported")
        described = {**_read_json(file.with_name(TOKENIZER_FILES[2])), **_read_json(file.with_name(TOKENIZER_FILES[1]))}
        self._tokenizer = _read_tokenizer(file, name)
        pad = self._special(described.get("pad_token") or (self._tokenizer.padding or {}).get("pad_token"), _PAD_TOKEN)
        if pad is None:
            raise ModelFormatError(
                f"{name}: nothing in {file.parent} names a token that {TOKENIZER} has to pad with; get "
                f"{' or '.join(TOKENIZER_FILES[1:])}, too"
            )
        side = str(described.get("padding_side", "right"))
        self._tokenizer.enable_truncation(length, direction=str(described.get("truncation_side", "right")))
        self._tokenizer.enable_padding(
            length=length, direction=side, pad_id=self._tokenizer.token_to_id(pad), pad_token=pad
        )
        separator = self._special(described.get("sep_token"), _SEPARATOR) if strips else None
        self._stripped = None if separator is None else self._tokenizer.token_to_id(separator)

    def __call__(self, texts: list[str]) -> Tensor:
        # One by one: a batch would be spread over all cores, which frames need, too.
        rows = [self._tokenizer.encode(self._clean(text)).ids for text in texts]
        tokens = torch.tensor(rows, dtype=torch.int64)
        if self._vocab_size and int(tokens.max()) >= self._vocab_size:
            raise ModelFormatError(
                f"{self._name}: {self._file} is another model's: it has a token {int(tokens.max())}, the text tower "
                f"knows {self._vocab_size}"
            )
        return tokens if self._stripped is None else tokens.masked_fill(tokens == self._stripped, 0)

    def _special(self, described: object, usual: str) -> str | None:
        """A special token that the tokenizer has: the one described, else the usual one."""
        content = described.get("content") if isinstance(described, Mapping) else described
        token = usual if content is None else str(content)
        return None if self._tokenizer.token_to_id(token) is None else token


def _read_tokenizer(file: Path, name: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ModelError(
            f"{name}: its tokenizer needs the package tokenizers, which is not installed ({error}); run: {INSTALL}"
        ) from error
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the reader raises bare Exceptions
        raise ModelFormatError(f"{name}: {file}: not a tokenizer: {error}; get it again") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelFormatError(f"{path}: not JSON: {error}; get it again") from error
    if not isinstance(content, dict):
        raise ModelFormatError(f"{path}: expected an object, got {type(content).__name__}; get it again")
    return content
