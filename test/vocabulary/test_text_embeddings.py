from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ovsr_ros.vocabulary.category import CategoryRequest, Operation, Vocabulary
from ovsr_ros.vocabulary.prompts import TEMPLATES, fill
from ovsr_ros.vocabulary.registry import VocabularyRegistry
from ovsr_ros.vocabulary.text_embeddings import TextClassifier, TextEmbeddingCache, TextOptions, cache_directory


class BagOfWords:
    """A text encoder that needs no weights: each word has a direction of its own, a sentence is their sum."""

    embedding_dim = 32

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_texts(self, texts: list[str], /) -> Tensor:
        self.encoded += texts
        return normalize(torch.stack([sum((self._word(w) for w in t.split()), torch.zeros(32)) for t in texts]), dim=-1)

    def _word(self, word: str) -> Tensor:
        seed = int.from_bytes(word.strip(".").encode()[:7].ljust(7), "big")
        return torch.randn(32, generator=torch.Generator().manual_seed(seed))


def vocabulary(*names: str) -> Vocabulary:
    return VocabularyRegistry().propose(Operation.REPLACE, [CategoryRequest(name) for name in names])


# --- Templates ---


def test_the_template_sets_have_their_sizes_and_one_place_for_the_name_each() -> None:
    assert {name: len(set(templates)) for name, templates in TEMPLATES.items()} == {
        "plain": 1,
        "single": 1,
        "simple7": 7,
        "imagenet80": 80,
    }
    assert all(template.count("{}") == 1 for templates in TEMPLATES.values() for template in templates)
    assert set(TEMPLATES["simple7"]) < set(TEMPLATES["imagenet80"])


def test_a_name_with_braces_is_put_in_as_it_is() -> None:
    assert fill("single", "{} {0}") == ["a photo of a {} {0}."]


# --- Cache ---


def test_an_embedding_is_the_normalised_mean_of_its_sentences() -> None:
    encoder = BagOfWords()
    embeddings = TextEmbeddingCache(encoder, "bag", "simple7", None).embed(["red mug", "ball"])
    for row, name in zip(embeddings, ["red mug", "ball"], strict=True):
        expected = normalize(encoder.encode_texts(fill("simple7", name)).mean(dim=0), dim=0)
        torch.testing.assert_close(row, expected)


def test_each_name_is_encoded_once_in_memory_and_on_disk(tmp_path: Path) -> None:
    first, second = BagOfWords(), BagOfWords()
    cache = TextEmbeddingCache(first, "bag", "single", tmp_path)
    embeddings = cache.embed(["mug", "ball", "mug"])
    torch.testing.assert_close(embeddings[0], embeddings[2])
    torch.testing.assert_close(cache.embed(["ball"])[0], embeddings[1])
    assert first.encoded == ["a photo of a mug.", "a photo of a ball."]
    again = TextEmbeddingCache(second, "bag", "single", tmp_path).embed(["mug", "ball", "cup"])
    assert second.encoded == ["a photo of a cup."]
    assert torch.equal(again[:2], embeddings[:2])


def test_another_model_or_template_set_has_embeddings_of_its_own(tmp_path: Path) -> None:
    TextEmbeddingCache(BagOfWords(), "bag#1", "single", tmp_path).embed(["mug"])
    for model_id, templates in (("bag#2", "single"), ("bag#1", "plain")):
        encoder = BagOfWords()
        TextEmbeddingCache(encoder, model_id, templates, tmp_path).embed(["mug"])
        assert len(encoder.encoded) == 1


def test_no_names_give_no_rows() -> None:
    assert TextEmbeddingCache(BagOfWords(), "bag", "single", None).embed([]).shape == (0, 32)


def test_an_unknown_template_set_is_refused() -> None:
    with pytest.raises(KeyError):
        TextEmbeddingCache(BagOfWords(), "bag", "simple8", None)


@pytest.mark.parametrize("damage", ["empty", "short", "garbage", "wrong size", "not finite", "pickled"])
def test_a_damaged_file_is_ignored_with_a_warning_and_mended(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = TextEmbeddingCache(BagOfWords(), "bag", "single", tmp_path).embed(["mug"])
    (path,) = tmp_path.rglob("*.npy")
    content = path.read_bytes()
    if damage in ("empty", "short", "garbage"):
        path.write_bytes({"empty": b"", "short": content[:-9], "garbage": b"x" * 300}[damage])
    else:
        unlike = {
            "wrong size": np.ones(5, np.float32),
            "not finite": np.full(32, np.nan, np.float32),
            "pickled": np.array([{}], object),
        }
        np.save(path, unlike[damage], allow_pickle=True)
    with caplog.at_level(logging.WARNING):
        mended = TextEmbeddingCache(BagOfWords(), "bag", "single", tmp_path).embed(["mug"])
    assert torch.equal(mended, expected)
    assert path.name in caplog.text
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_said_once_and_does_not_matter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        embeddings = TextEmbeddingCache(BagOfWords(), "bag", "single", tmp_path / "file").embed(["mug", "ball"])
    assert embeddings.shape == (2, 32)
    assert caplog.text.count("not stored on disk") == 1


def test_threads_that_ask_at_once_get_the_same_and_encode_once(tmp_path: Path) -> None:
    encoder = BagOfWords()
    cache = TextEmbeddingCache(encoder, "bag", "single", tmp_path)
    results: list[Tensor] = []
    threads = [threading.Thread(target=lambda: results.append(cache.embed(["mug", "ball"]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(result, results[0]) for result in results)
    assert len(encoder.encoded) == 2


def test_the_cache_folder_follows_the_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory(TextOptions()) == tmp_path / "ovsr_ros" / "text_embeddings"
    assert cache_directory(TextOptions(cache_directory="/somewhere")) == Path("/somewhere")
    assert cache_directory(TextOptions(cache_directory="none")) is None


# --- Classifier ---


def test_a_category_is_one_row_with_its_synonyms_averaged() -> None:
    cache = TextEmbeddingCache(BagOfWords(), "bag", "single", None)
    classifier = TextClassifier.build(vocabulary("mug; cup", "ball"), cache)
    assert classifier.names == ("mug", "ball", "something else")
    assert classifier.class_ids.tolist() == [0, 1, 255]
    assert classifier.class_ids.dtype == torch.uint8
    assert classifier.vocabulary_version == 1
    mug, cup, ball, other = cache.embed(["mug", "cup", "ball", "something else"])
    expected = torch.stack([normalize((mug + cup) / 2, dim=0), ball, other])
    torch.testing.assert_close(classifier.embeddings, expected)


def test_a_name_is_encoded_without_what_is_invisible_in_it() -> None:
    encoder = BagOfWords()
    cache = TextEmbeddingCache(encoder, "bag", "plain", None)
    options = TextOptions(something_else=("rest\u200b",), background_names=("\ufeffsky", "wa\u00adll"))
    words = vocabulary("\ufeffmug\u200b; c\u00adup", "\u2764\ufe0f\u200d\U0001f525", "Wall")
    classifier = TextClassifier.build(words, cache, options.unlabeled_names)
    assert encoder.encoded == ["mug", "cup", "\u2764\ufe0f\u200d\U0001f525", "Wall", "rest", "sky"]
    assert classifier.names == ("mug", "\u2764\ufe0f\u200d\U0001f525", "Wall", "rest", "sky")


def test_background_names_that_the_operator_uses_are_left_out() -> None:
    cache = TextEmbeddingCache(BagOfWords(), "bag", "single", None)
    classifier = TextClassifier.build(vocabulary("mug", "Wall; floor"), cache, ("wall", "floor", "sky"))
    assert (classifier.names, classifier.class_ids.tolist()) == (("mug", "Wall", "sky"), [0, 1, 255])


def test_an_empty_vocabulary_leaves_the_background_or_nothing() -> None:
    cache = TextEmbeddingCache(BagOfWords(), "bag", "single", None)
    assert TextClassifier.build(Vocabulary(), cache).class_ids.tolist() == [255]
    nothing = TextClassifier.build(Vocabulary(), cache, ())
    assert nothing.embeddings.shape == (0, 32)
    assert nothing.class_ids.shape == (0,)
    assert nothing.to(torch.device("cpu")).names == ()


def test_background_names_stand_beside_something_else_each_once() -> None:
    options = TextOptions(something_else=("something else", "Sky"), background_names=("wall", "sky", "wall"))
    assert options.unlabeled_names == ("something else", "Sky", "wall")
    cache = TextEmbeddingCache(BagOfWords(), "bag", "single", None)
    classifier = TextClassifier.build(vocabulary("mug", "wall"), cache, options.unlabeled_names)
    assert classifier.names == ("mug", "wall", "something else", "Sky")
    assert classifier.class_ids.tolist() == [0, 1, 255, 255]
