from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from small_tokenizer import tokenizer_json, write_tokenizer

from ovsr_ros.errors import ModelFormatError, ModelNotFoundError
from ovsr_ros.models.byte_pairs import vocab_size, write_merges
from ovsr_ros.models.hub import registry_config
from ovsr_ros.models.tokenizer import STAND_IN, find_merges, load_tokenizer, tokenizer_repo

WORDS = ("a", "red", "mug", "Red", "[MARK]")  # 3 to 7; 0 pads, 1 ends, 2 is unknown
TEXT: dict[str, Any] = {"context_length": 6, "vocab_size": 8, "hf_tokenizer_name": "some/tokenizer"}


@pytest.mark.parametrize(
    ("text", "change", "config", "expected"),
    [
        ("a red mug", {}, {}, [3, 4, 5, 1, 0, 0]),
        ("", {}, {}, [1, 0, 0, 0, 0, 0]),
        ("a  Red\tcup", {}, {}, [3, 6, 2, 1, 0, 0]),
        ("a a a a a a a a", {}, {}, [3, 3, 3, 3, 3, 1]),
        ("A Red, mug!", {"tokenizer_kwargs": {"clean": "canonicalize"}}, {}, [3, 4, 5, 1, 0, 0]),
        ("a mug", {}, {"pad_token": "</s>"}, [3, 5, 1, 1, 1, 1]),
        ("a mug", {}, {"pad_token": {"content": "</s>", "lstrip": False}}, [3, 5, 1, 1, 1, 1]),
        ("a mug", {}, {"padding_side": "left"}, [0, 0, 0, 3, 5, 1]),
        ("a [MARK] mug", {"tokenizer_kwargs": {"strip_sep_token": True}}, {"sep_token": "[MARK]"}, [3, 0, 5, 1, 0, 0]),
        ("a mug", {"tokenizer_kwargs": {"strip_sep_token": True}}, {"sep_token": "</s>"}, [3, 5, 0, 0, 0, 0]),
    ],
)
def test_texts_are_cleaned_cut_and_padded_as_the_files_say(
    tmp_path: Path, text: str, change: dict[str, object], config: dict[str, object], expected: list[int]
) -> None:
    tokenize = load_tokenizer({**TEXT, **change}, write_tokenizer(tmp_path, WORDS, **config), "m")
    tokens = tokenize([text, "a"])
    assert tokens.dtype == torch.int64
    assert tokens[0].tolist() == expected
    assert tokens[1, tokens[1] == 3].numel() == 1


def test_special_tokens_may_be_in_a_file_of_their_own(tmp_path: Path) -> None:
    file = write_tokenizer(tmp_path, WORDS)
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": {"content": "</s>"}}', encoding="utf-8")
    assert load_tokenizer(TEXT, file, "m")(["a"]).tolist() == [[3, 1, 1, 1, 1, 1]]


@pytest.mark.parametrize("options", [{}, {"clean": "lower"}])
def test_without_a_file_it_is_open_clips_own(options: dict[str, str]) -> None:
    texts = ["a photo of a mug.", "Something Else", "x" * 500, ""]
    tokens = load_tokenizer({"context_length": 24, "tokenizer_kwargs": options}, None, "m")(texts)
    assert torch.equal(tokens, open_clip.SimpleTokenizer(context_length=24, **options)(texts))
    assert load_tokenizer({}, None, "m")(texts).shape == (4, 77)


def test_random_weights_need_no_words(tmp_path: Path) -> None:
    tokenize = load_tokenizer({**TEXT, "vocab_size": 100}, tmp_path / STAND_IN, "m")
    tokens = tokenize(["a mug", "a ball", "a mug"])
    assert tokens.shape == (3, 6)
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < 100
    assert torch.equal(tokens[0], tokens[2])
    assert not torch.equal(tokens[0], tokens[1])


def test_a_tokenizer_of_berts_kind_names_its_tokens_by_itself(tmp_path: Path) -> None:
    content = tokenizer_json(WORDS, ("[PAD]", "[SEP]", "[UNK]"))
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    options = {"tokenizer_kwargs": {"strip_sep_token": True}}
    assert load_tokenizer({**TEXT, **options}, tmp_path / "tokenizer.json", "m")(["a mug"]).tolist() == [
        [3, 5] + 4 * [0]
    ]


@pytest.mark.parametrize(
    ("files", "change", "message"),
    [
        ({"tokenizer.json": "{"}, {}, r"m: .*tokenizer\.json: not a tokenizer: .*get it again"),
        ({"tokenizer.json": "[]"}, {}, "not a tokenizer"),
        ({"tokenizer_config.json": "{}"}, {}, "names a token .* to pad with; get tokenizer_config.json or special_t"),
        ({"tokenizer_config.json": "{"}, {}, r"tokenizer_config\.json: not JSON"),
        ({"special_tokens_map.json": "[]"}, {}, r"special_tokens_map\.json: expected an object, got list"),
        ({"tokenizer_config.json": '{"pad_token": "[nothing]"}'}, {}, "names a token .* to pad with"),
        ({}, {"vocab_size": 5}, r"is another model's: it has a token 5, the text tower knows 5"),
        ({}, {"tokenizer_mode": "clips"}, "tokenizers with the options tokenizer_mode are not supported"),
        ({}, {"tokenizer_kwargs": {"language": "de"}}, "tokenizers with the options language are not supported"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    tmp_path: Path, files: dict[str, str], change: dict[str, object], message: str
) -> None:
    file = write_tokenizer(tmp_path, WORDS)
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelFormatError, match=message):
        load_tokenizer({**TEXT, **change}, file, "m")(["a red mug"])


def test_without_the_package_that_reads_it_the_error_names_the_package(tmp_path: Path) -> None:
    """In a process of its own, in which the package cannot be found."""
    script = (
        "import sys; from pathlib import Path; sys.modules['tokenizers'] = None\n"
        "from ovsr_ros.models.tokenizer import load_tokenizer\n"
        "load_tokenizer({}, Path(sys.argv[1]), 'm')"
    )
    file = write_tokenizer(tmp_path, WORDS)
    command = [sys.executable, "-c", script, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ModelError: m: its tokenizer needs the package tokenizers, which is not installed" in done.stderr
    assert "pip install tokenizers" in done.stderr


# --- byte pairs of a model's own ---


@pytest.fixture
def own_pairs(tmp_path: Path) -> dict[str, Any]:
    """The `model_cfg` of a model in tmp_path with merges of its own."""
    write_merges(tmp_path / "merges.txt.gz", 2000)
    text = {"context_length": 8, "vocab_size": vocab_size(2000), "tokenizer_kwargs": {"bpe_path": "merges.txt.gz"}}
    return {"text_cfg": text}


def test_own_byte_pairs_are_read_from_the_models_folder(tmp_path: Path, own_pairs: dict[str, Any]) -> None:
    file = find_merges(own_pairs, tmp_path, "m")
    assert file == tmp_path / "merges.txt.gz"
    tokens = load_tokenizer(own_pairs["text_cfg"], file, "m")(["The door", "a chandelier behind a long table", ""])
    reference = open_clip.SimpleTokenizer(bpe_path=str(file), context_length=8)
    assert torch.equal(tokens, reference(["The door", "a chandelier behind a long table", ""]))
    assert tokens.argmax(1).tolist() == [3, 7, 1]
    assert tokens.max() == vocab_size(2000) - 1


def test_a_config_without_byte_pairs_of_its_own_names_no_file(tmp_path: Path) -> None:
    for text in ({}, {"tokenizer_kwargs": {"clean": "lower"}}, {"tokenizer_kwargs": None}):
        assert find_merges({"text_cfg": text}, tmp_path, "m") is None
    assert find_merges({}, None, "m") is None


@pytest.mark.parametrize("named", ["", ".", "..", "/etc/merges.gz", "../merges.txt.gz", "a/b.gz", 3, ["merges"]])
def test_byte_pairs_from_outside_the_models_folder_are_refused(tmp_path: Path, named: object) -> None:
    config = {"text_cfg": {"tokenizer_kwargs": {"bpe_path": named}}}
    with pytest.raises(ModelFormatError, match=r"^m: bpe_path in its config: expected the name of a file beside the"):
        find_merges(config, tmp_path, "m")


def test_byte_pairs_that_are_not_there_are_named(tmp_path: Path, own_pairs: dict[str, Any]) -> None:
    (tmp_path / "merges.txt.gz").unlink()
    with pytest.raises(ModelNotFoundError, match=r"^m: no .*merges\.txt\.gz, the merges that its config names; copy"):
        find_merges(own_pairs, tmp_path, "m")


def test_another_models_or_damaged_byte_pairs_are_refused(tmp_path: Path, own_pairs: dict[str, Any]) -> None:
    file = tmp_path / "merges.txt.gz"
    with pytest.raises(ModelFormatError, match="is another model's: its merges make 2514 tokens, the text tower knows"):
        load_tokenizer({**own_pairs["text_cfg"], "vocab_size": 3000}, file, "m")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ModelFormatError, match=r"^m: .*: not merges that open_clip reads: .*get it again"):
        load_tokenizer(own_pairs["text_cfg"], file, "m")


# --- open_clip's own architectures ---


@pytest.mark.parametrize("name", open_clip.list_models())
def test_every_architecture_has_words_for_its_tokenizer(name: str) -> None:
    """None: in open_clip's package; else a repository on the hub; or its text tower is told to be unusable."""
    config = registry_config(name)["model_cfg"]
    if "hf_model_name" in config["text_cfg"]:
        with pytest.raises(ModelFormatError, match=f"^{name}: text towers of the transformers library are not"):
            tokenizer_repo(config, name)
        return
    repo = tokenizer_repo(config, name)
    assert repo == config["text_cfg"].get("hf_tokenizer_name")
    if "SigLIP" in name:
        assert repo is not None
        assert repo.startswith("timm/ViT-")
