"""Training of the text tower in small: it begins with meaning, learns, resumes, and what it writes is a tower."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_teacher import WORDS, write_teacher
from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros.models.byte_pairs import token_texts, write_merges
from ovsr_ros.models.causal_texts import encode_causal
from ovsr_ros.models.checkpoint import read_state_dict
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.open_clip_network import create_clip
from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.models.tokenizer import load_tokenizer
from ovsr_ros.models.untrained import new_text_tower
from ovsr_ros.pocket.phrases import Corpus, held_out_forms
from ovsr_ros.pocket.teacher import Teacher
from ovsr_ros.pocket.text_model import CONFIG_FILE, MERGES_FILE, WEIGHTS_FILE, TextTower, make_config, to_half
from ovsr_ros.pocket.text_report import report
from ovsr_ros.pocket.text_run import make_text_tower
from ovsr_ros.pocket.train_text import Lessons, TextOptions, begin_with_meanings, distance, token_meanings, train
from ovsr_ros.pocket.word_lists import SYNONYMS

OPTIONS = TextOptions(steps=6, batch=16, merges=3000, width=32, heads=2, layers=2, seed=5)
KINDS = ("mug", "cup", "table", "lamp", "chair", "door", "sofa", "dog", "cat", "box", "wall")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher(write_teacher(tmp_path_factory.mktemp("teacher")))


@pytest.fixture
def corpus() -> Corpus:
    names = tuple(f"{color} {kind}" for kind in KINDS for color in ("red", "blue", "small"))
    phrases = tuple(f"a photo of the {name}" for name in names)
    return Corpus(names, phrases, ("car", "couch"), KINDS)


def encode_by_chance(texts: Sequence[str]) -> Tensor:
    """A meaning for each text, drawn from the text itself: (N, 24), L2-normalised, a part common to all."""
    drawn = [torch.randn(24, generator=torch.Generator().manual_seed(zlib.crc32(text.encode()))) for text in texts]
    return normalize(torch.stack(drawn) + 0.5, dim=1)


def test_a_tower_begins_with_the_meanings_of_its_words(tmp_path: Path) -> None:
    """Before any training it gives a word's meaning; of a held-out word it knows nothing."""
    write_merges(tmp_path / MERGES_FILE, OPTIONS.merges)
    meanings = token_meanings(token_texts(tmp_path / MERGES_FILE), held_out_forms(["car"]), encode_by_chance, 32)
    model_cfg = make_config(24, OPTIONS.merges, 32, 2, 2)
    torch.manual_seed(1)
    tower = new_text_tower(24, model_cfg["text_cfg"]).eval()
    begin_with_meanings(tower, meanings)
    tokenize = load_tokenizer(model_cfg["text_cfg"], tmp_path / MERGES_FILE, "m")
    texts = ["door", "house", "water", "street", "car", "cars"]
    with torch.no_grad():
        cosine = (normalize(tower(tokenize(texts)), dim=1) * encode_by_chance(texts)).sum(1)
    assert cosine[:4].min() > 0.8
    assert cosine[4:].max() < 0.6


def test_short_texts_cost_less_and_give_the_same() -> None:
    model_cfg = make_config(16, 100, 32, 2, 2)
    torch.manual_seed(0)
    tower = new_text_tower(16, model_cfg["text_cfg"]).eval()
    tokens = torch.zeros(3, 24, dtype=torch.int64)
    tokens[:, :4] = torch.tensor([[612, 5, 70, 613], [612, 9, 613, 0], [612, 613, 0, 0]])
    with torch.no_grad():
        torch.testing.assert_close(encode_causal(tower, tokens[:, :4]), tower(tokens))


def test_the_distance_is_none_for_the_same_up_to_length() -> None:
    targets = normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    cosine, relations = distance(3 * targets, targets)
    assert float(cosine) == pytest.approx(1, abs=1e-6)
    assert float(relations) == pytest.approx(0, abs=1e-10)
    turned = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1))).Q
    cosine, relations = distance(targets @ turned, targets)
    assert float(cosine) < 0.9
    assert float(relations) == pytest.approx(0, abs=1e-10), "what is turned as a whole keeps its relations"


def test_training_writes_a_tower_that_open_clip_loads_with_an_image_tower(
    tmp_path: Path, teacher: Teacher, corpus: Corpus
) -> None:
    out = tmp_path / "out"
    write_merges(out / MERGES_FILE, OPTIONS.merges)
    figures = make_text_tower(corpus, teacher, OPTIONS, tmp_path / "work", out, torch.device("cpu"))
    assert figures == json.loads((out / "text_report.json").read_text())
    assert figures["held_out"] == 2
    record = json.loads((out / "text_training.json").read_text())
    assert (record["seed"], record["steps"], record["names"], record["phrases"]) == (5, 6, 33, 33)
    assert len(record["corpus_sha256"]) == len(record["teacher_sha256"]) == 64

    text = read_state_dict(out / WEIGHTS_FILE)
    assert all(name.startswith("text.") and value.dtype == torch.float16 for name, value in text.items())
    config = json.loads((out / CONFIG_FILE).read_text())
    config["model_cfg"]["vision_cfg"] = {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    config["preprocess_cfg"] = {"mean": [0.5] * 3, "std": [0.5] * 3}
    add_image_tower(out, config, text)
    clip = ClipModel(str(out), torch.device("cpu"), "fp32")
    tokenize = load_tokenizer(config["model_cfg"]["text_cfg"], out / MERGES_FILE, "m")
    texts = ["a red mug", "Sofa", "something that was never heard of"]
    torch.testing.assert_close(clip.encode_texts(texts), TextTower(config["model_cfg"], text, tokenize).encode(texts))
    assert clip.embedding_dim == 16


def add_image_tower(folder: Path, config: dict[str, Any], text: dict[str, Tensor]) -> None:
    """Make a whole CLIP of a text tower's folder, with an image tower of drawn weights."""
    state = create_clip(config, "m").state_dict()
    assert {name for name in state if name.startswith("text.")} == set(text)
    save_tensors({**state, **text}, folder / "open_clip_model.safetensors")
    (folder / CONFIG_FILE).write_text(json.dumps(config))
    (folder / WEIGHTS_FILE).unlink()


def test_training_brings_the_tower_nearer_to_the_teacher_and_resumes(
    tmp_path: Path, teacher: Teacher, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted and gone on with, it ends with the very weights of an uninterrupted run."""
    write_merges(tmp_path / MERGES_FILE, OPTIONS.merges)
    model_cfg = make_config(16, OPTIONS.merges, 32, 2, 2)
    tokenize = load_tokenizer(model_cfg["text_cfg"], tmp_path / MERGES_FILE, "m")
    targets = teacher.encode(corpus.texts)
    lessons = Lessons(tokenize(list(corpus.texts)), targets.numpy().astype(np.float16), len(corpus.names))
    meanings = token_meanings(token_texts(tmp_path / MERGES_FILE), (), teacher.encode, 32)
    options = replace(OPTIONS, steps=60, batch=32)

    def run(name: str) -> dict[str, Tensor]:
        return train(lessons, model_cfg, meanings, tmp_path / name, options, torch.device("cpu"), save_every=25)

    whole = run("whole.pt")
    steps = iter(range(40))

    def distance_or_end(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return distance(outputs, targets)

    with monkeypatch.context() as interrupted:
        interrupted.setattr("ovsr_ros.pocket.train_text.distance", distance_or_end)
        with pytest.raises(KeyboardInterrupt):
            run("parts.pt")
    parts = run("parts.pt")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    tower = TextTower(model_cfg, to_half(whole), tokenize)
    assert float((tower.encode(corpus.texts) * targets).sum(1).mean()) > 0.9


def test_figures_of_the_teacher_itself_are_perfect(teacher: Teacher) -> None:
    figures = report(teacher.encode, teacher.encode, ["red lamp", "blue table"], WORDS)
    assert figures["cosine"] == {"count": 2, "mean": 1, "median": 1, "lowest_tenth": 1}
    assert figures["cosine_one_word"] == {"count": 0}
    assert figures["top1"] == figures["top5"] == figures["known_names_cosine"] == 1
    assert figures["synonyms_first"]["student"] == figures["synonyms_first"]["teacher"]
    assert len(figures["synonyms"]) == len(SYNONYMS)


def test_figures_tell_a_tower_that_knows_nothing(teacher: Teacher) -> None:
    generator = torch.Generator().manual_seed(0)

    def guess(texts: Sequence[str]) -> Tensor:
        return normalize(torch.randn(len(texts), 16, generator=generator), dim=1)

    figures = report(guess, teacher.encode, [f"{color} {kind}" for kind in KINDS for color in ("red", "blue")], WORDS)
    assert abs(figures["cosine"]["mean"]) < 0.3
    assert figures["top1"] < 0.4
