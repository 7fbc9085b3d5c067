"""The pair that is shipped: its files are those that its card and checksums name, and small enough."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ovsr_ros.errors import ModelFormatError, ModelNotFoundError
from ovsr_ros.models.checkpoint import checksum
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.embedded import CHECKSUMS, EMBEDDED
from ovsr_ros.models.weights import resolve

ROOT = Path(__file__).resolve().parents[2]
FOLDER = EMBEDDED["pocket"].root
CARD = (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
MEBIBYTE = 2**20


def test_the_checksums_are_of_every_file_and_right() -> None:
    lines = (FOLDER / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    assert listed == {
        path.name: checksum(path) for path in FOLDER.iterdir() if path.name not in (CHECKSUMS, "MODEL_CARD.md")
    }


def test_the_card_names_the_weights_their_training_and_their_figures() -> None:
    weights = FOLDER / "open_clip_model.safetensors"
    assert checksum(weights) in CARD
    report = json.loads((FOLDER / "text_report.json").read_text(encoding="utf-8"))
    for figure in (report["cosine"]["mean"], report["cosine"]["median"], report["cosine_one_word"]["mean"]):
        assert f"{figure:.3f}".removeprefix("0") in CARD
    image = json.loads((FOLDER / "image_training.json").read_text(encoding="utf-8"))
    text = json.loads((FOLDER / "text_training.json").read_text(encoding="utf-8"))
    assert f"--steps {image['steps']} --batch {image['batch']} --seed {image['seed']}" in CARD
    assert f"--steps {text['steps']} --kin {text['kin']} --merges {text['merges']} --seed {text['seed']}" in CARD
    assert image["left_out"] == []
    for name, count in image["data"].items():
        assert re.search(rf"`{name}`.*\b{count}\b", CARD), name


def test_the_pair_and_all_weights_together_are_small_enough() -> None:
    pair = sum(path.stat().st_size for path in FOLDER.iterdir())
    assert pair <= 24 * MEBIBYTE
    everything = [path for path in (ROOT / "ovsr_ros").rglob("*.safetensors") if path.is_file()]
    assert sum(path.stat().st_size for path in everything) <= 64 * MEBIBYTE
    tensors = load_file(FOLDER / "open_clip_model.safetensors")
    assert {value.dtype for value in tensors.values() if value.is_floating_point()} == {torch.float16}
    assert all(bool(value.isfinite().all()) for value in tensors.values() if value.is_floating_point())


def test_pocket_is_a_clip_and_nothing_else() -> None:
    model = ClipModel("pocket")
    assert model.embedding_dim == 384
    assert model.model_id.startswith(f"pocket#{checksum(FOLDER / 'open_clip_model.safetensors')[:12]}-")
    with pytest.raises(ModelNotFoundError, match=r"^pocket: its image tower gives the features, too; set features"):
        resolve("pocket", "timm")
    with pytest.raises(ModelNotFoundError, match=r"^pocket: there is no embedded SAM"):
        resolve("pocket", "sam")


def test_words_of_one_thing_are_near_each_other() -> None:
    words = ["sofa", "couch", "refrigerator", "fridge", "road", "sky"]
    texts = ClipModel("pocket", precision="fp32").encode_texts(words)
    cosines = texts @ texts.T - 2 * torch.eye(len(words))
    assert [words[int(place)] for place in cosines[:4].argmax(1)] == ["couch", "sofa", "fridge", "refrigerator"]


def test_words_are_drawn_towards_those_that_photographs_taught_and_these_stay(tmp_path: Path) -> None:
    as_it_is = tmp_path / "as it is"
    shutil.copytree(FOLDER, as_it_is)
    config = json.loads((as_it_is / "open_clip_config.json").read_text(encoding="utf-8"))
    known = config.pop("known_words")
    assert known["words"][-1] == "something else"
    assert {"wall", "building", "pedestrian", "rough trail", "cup"} < set(known["words"])
    (as_it_is / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    drawn, plain = (ClipModel(name, precision="fp32") for name in ("pocket", str(as_it_is)))
    assert drawn.model_id.removeprefix("pocket") != plain.model_id.removeprefix(str(as_it_is))

    words = known["words"]
    moved = (drawn.encode_texts(words) * plain.encode_texts(words)).sum(1)
    assert float(moved.min()) > 0.999
    for other, name in (("house", "building"), ("railing", "fence"), ("couch", "sofa")):
        before, after = (
            float(model.encode_texts([other])[0] @ model.encode_texts([name])[0]) for model in (plain, drawn)
        )
        assert after > before + 0.05, other


def test_a_file_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FOLDER, tmp_path / "weights")
    monkeypatch.setitem(EMBEDDED, "pocket", replace(EMBEDDED["pocket"], root=tmp_path / "weights"))
    config = tmp_path / "weights" / "open_clip_config.json"
    config.write_text(config.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(ModelFormatError, match=r"open_clip_config\.json: not the file that was shipped"):
        resolve("pocket", "open_clip")
    shutil.rmtree(tmp_path / "weights")
    with pytest.raises(ModelNotFoundError, match=r"pocket: the embedded models are not in .*docs/pocket\.md"):
        resolve("pocket", "open_clip")
