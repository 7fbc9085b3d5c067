"""Words that an image tower was taught, in a CLIP's config: other words are drawn towards them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from ovsr_ros.errors import ModelFormatError
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.known_words import KnownWords
from ovsr_ros.models.weights import resolve

Writer = Callable[..., Path]
WRITTEN: dict[str, Any] = {"words": ["road", "sky"], "share": 0.5, "scale": 40.0}


def test_a_text_goes_half_the_way_to_the_word_that_it_is_near_to_and_a_known_word_stays() -> None:
    known = torch.eye(3)[:2]
    near, far = normalize(torch.tensor([[0.8, 0.1, 0.5], [0.0, 0.0, 1.0]]), dim=1)
    drawn = KnownWords(("road", "sky"), 0.5, 60.0).draw(torch.stack([known[0], near, far]), known)
    torch.testing.assert_close(drawn[0], known[0])
    torch.testing.assert_close(drawn[1], normalize(0.5 * near + 0.5 * known[0], dim=0), atol=1e-3, rtol=0)
    # Of two that are equally far none is preferred.
    torch.testing.assert_close(drawn[2, 0], drawn[2, 1])
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(3))


def test_no_share_changes_nothing() -> None:
    texts = normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    torch.testing.assert_close(KnownWords(("a", "b"), 0.0, 40.0).draw(texts, texts[:2]), texts)


def test_what_is_written_is_read_and_none_is_none() -> None:
    known = KnownWords.read({"model_cfg": {}, "known_words": WRITTEN}, "m")
    assert known is not None
    assert known.write() == WRITTEN
    assert KnownWords.read({"model_cfg": {}}, "m") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": 1.0}, r"^m: known_words: expected a share in \[0, 1\) and a scale above 0, got 1.0 and 40.0$"),
        ({"scale": 0.0}, "a scale above 0, got 0.5 and 0.0"),
        ({"scale": float("nan")}, "a scale above 0, got 0.5 and nan"),
        ({"words": []}, "words: expected one word or more"),
        ({"words": ["road", " "]}, "words: expected one word or more"),
        ({"words": 3}, "expected words, share and scale"),
        ({"share": "half"}, "expected words, share and scale"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        KnownWords.read({"known_words": WRITTEN | change}, "m")


@pytest.mark.parametrize("content", [[], "road", {"words": ["road"], "share": 0.5}])
def test_another_form_is_refused(content: Any) -> None:
    with pytest.raises(ModelFormatError, match="known_words: expected words, share and scale"):
        KnownWords.read({"known_words": content}, "m")


def test_a_clip_with_known_words_draws_others_to_them_and_has_an_id_of_its_own(
    tmp_path: Path, write_clip: Writer
) -> None:
    write_clip(tmp_path)
    plain = ClipModel(str(tmp_path), precision="fp32")
    path = tmp_path / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"known_words": WRITTEN}), encoding="utf-8")
    drawing = ClipModel(str(tmp_path), precision="fp32")
    words = ["road", "street", "a cloudy sky", *(f"word {number}" for number in range(40))]
    texts, known = plain.encode_texts(words), plain.encode_texts(WRITTEN["words"])
    expected = KnownWords(("road", "sky"), 0.5, 40.0).draw(texts, known)
    torch.testing.assert_close(drawing.encode_texts(words), expected, atol=1e-5, rtol=1e-4)
    assert drawing.encode_texts([]).shape == (0, 64)
    assert drawing.model_id == f"{plain.model_id}-{resolve(str(tmp_path), 'open_clip').known_words.digest}"


def test_a_config_whose_known_words_cannot_be_is_told_before_the_weights_are_read(
    tmp_path: Path, write_clip: Writer
) -> None:
    write_clip(tmp_path)
    path = tmp_path / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"known_words": WRITTEN | {"share": 2}}), encoding="utf-8")
    with pytest.raises(ModelFormatError, match=r"known_words: expected a share in \[0, 1\)"):
        ClipModel(str(tmp_path))
