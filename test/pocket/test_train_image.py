"""Training of the image tower in small: it learns, resumes as if nothing had been, and becomes a CLIP that segments."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from torch.nn.functional import normalize

from ovsr_ros import demo
from ovsr_ros.cli import EXIT_ERROR, main
from ovsr_ros.models.byte_pairs import write_merges
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.untrained import new_text_tower
from ovsr_ros.pocket.naming import WordBook
from ovsr_ros.pocket.photos import PhotoFolder, load_photos
from ovsr_ros.pocket.text_model import MERGES_FILE, make_config, to_half, write_text_tower
from ovsr_ros.pocket.train_image import ImageOptions, keeping_loss, set_shares, train

DIM = 24


def write_photos(root: Path, names: str, num_images: int) -> Path:
    """A floor and a thing on it, in colours of their own."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    (root / "classes.txt").write_text(names, encoding="utf-8")
    for number in range(num_images):
        rng = np.random.default_rng(number)
        mask = np.zeros((200, 260), np.uint8)
        cv2.circle(mask, (int(rng.integers(80, 180)), 100), 60, 1 + number % 2, -1)
        image = np.array([(150, 150, 150), (30, 30, 200), (200, 60, 30)], np.uint8)[mask]
        assert cv2.imwrite(str(root / "images" / f"{number}.png"), image + rng.integers(0, 30, image.shape, np.uint8))
        assert cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
    return root


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "homes", "floor\nball\nbox\n", 4)


@pytest.fixture(scope="module")
def trunk() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=9).state_dict()


def encode(texts: Sequence[str]) -> torch.Tensor:
    """A direction for each text, drawn from the text itself: (N, DIM), L2-normalised."""
    drawn = [torch.randn(DIM, generator=torch.Generator().manual_seed(zlib.crc32(text.encode()))) for text in texts]
    return normalize(torch.stack(drawn), dim=1)


class InterruptedBook(WordBook):
    """Is asked so many times, and then somebody presses Ctrl-C."""

    def __init__(self, times: int) -> None:
        super().__init__(encode)
        self._left = times

    def __call__(self, words: Sequence[str]) -> torch.Tensor:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return super().__call__(words)


def train_small(
    homes: Path, trunk: dict[str, torch.Tensor], checkpoint: Path, steps: int, book: WordBook | None = None
) -> tuple[dict[str, torch.Tensor], float]:
    sets = [load_photos(PhotoFolder(homes), 448)]
    words = encode([f"word {number}" for number in range(109)])
    options = ImageOptions(steps=steps, batch=2, seed=3)
    book = book or WordBook(encode)
    return train(sets, trunk, book, words[:9], words[9:], checkpoint, options, torch.device("cpu"), save_every=1)


def test_an_interrupted_training_ends_as_an_undisturbed_one(
    homes: Path, trunk: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    whole, scale = train_small(homes, trunk, tmp_path / "whole.pt", 4)
    checkpoint = tmp_path / "parts.pt"
    with pytest.raises(KeyboardInterrupt):  # in the third step: each of two crops a step asks twice
        train_small(homes, trunk, checkpoint, 4, InterruptedBook(9))
    assert torch.load(checkpoint, weights_only=True)["step"] == 2
    parts, other_scale = train_small(homes, trunk, checkpoint, 4)
    assert scale == pytest.approx(other_scale)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        torch.testing.assert_close(value, parts[name], atol=1e-6, rtol=1e-4)


def test_what_photographs_have_in_common_stays_and_the_rest_learns(
    homes: Path, trunk: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    weights, _ = train_small(homes, trunk, tmp_path / "few.pt", 3)
    still = [name for name, value in trunk.items() if torch.equal(value, weights[f"trunk.{name}"])]
    assert {name for name in still if name.startswith(("conv_stem", "blocks.0", "blocks.1"))} >= {
        name for name in trunk if name.startswith(("conv_stem", "blocks.0", "blocks.1"))
    }
    assert all(name in still for name in trunk if "running_" in name)
    assert "blocks.5.0.conv_pw.weight" not in still
    assert "classifier.weight" not in still
    assert weights["anchors"].shape == (9, DIM)


def test_nothing_is_to_be_kept_where_the_same_is_said() -> None:
    anchors = torch.eye(4)
    cells = normalize(torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    scale = torch.tensor(10.0)
    pooled = normalize(torch.nn.functional.adaptive_avg_pool2d(cells, (2, 2)), dim=1)
    same = scale * pooled
    everywhere = torch.ones(1, 64, 64)
    assert float(keeping_loss(cells, same, everywhere, anchors, scale)) == pytest.approx(0, abs=1e-5)
    assert float(keeping_loss(cells, -same, everywhere, anchors, scale)) > 0.5
    left = everywhere.clone()
    left[..., 32:] = 0
    half = torch.cat((same[..., :1], -same[..., 1:]), dim=-1)
    assert float(keeping_loss(cells, half, left, anchors, scale)) == pytest.approx(0, abs=1e-5)
    assert float(keeping_loss(cells, -same, 0 * left, anchors, scale)) == 0, "all is named"


def test_sets_are_drawn_by_the_root_of_their_images(homes: Path) -> None:
    few = load_photos(PhotoFolder(homes, 0, 1), 448)
    many = load_photos(PhotoFolder(homes), 448)
    shares = set_shares([few, many])
    assert shares.sum() == pytest.approx(1)
    assert shares[1] / shares[0] == pytest.approx(2)


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text tower that knows nothing, as `train-text` writes one."""
    folder = tmp_path_factory.mktemp("text")
    write_merges(folder / MERGES_FILE, 500)
    config = make_config(DIM, 500, 32, 2, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = to_half(new_text_tower(DIM, config["text_cfg"]).state_dict())
    write_text_tower(folder, weights, config, {}, {})
    return folder


def test_the_command_writes_a_clip_that_segments_by_one_look(
    homes: Path, text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pair"
    street = write_photos(tmp_path / "street", "road\ncar; automobile\nsky\n", 3)
    words = [
        str(homes),
        f"{street}[::2]",
        "--text",
        str(text_folder),
        "--out",
        str(out),
        "--steps",
        "2",
        "--batch",
        "2",
    ]
    assert main(["pocket", "train", *words, "--work", str(tmp_path / "work"), "--leave-out", "box"]) == 0
    said = capsys.readouterr().out
    assert "homes: 4 photographs, 2 classes" in said
    assert "street: 2 photographs, 3 classes" in said
    record = json.loads((out / "image_training.json").read_text(encoding="utf-8"))
    assert record["left_out"] == ["box"]
    assert record["data"] == {"homes": 4, "street": 2}
    assert str(tmp_path) not in json.dumps(record)
    model = ClipModel(str(out), precision="fp32")
    assert model.embedding_dim == DIM
    assert model.patch_size == 8
    assert model.encode_texts(["ball", "car"]).shape == (2, DIM)
    config = json.loads((out / "open_clip_config.json").read_text(encoding="utf-8"))
    assert config["known_words"]["words"] == ["floor", "ball", "road", "car", "sky", "something else"]
    again = [*words[:2], "--start", str(out), "--out", str(tmp_path / "further"), "--steps", "1", "--batch", "2"]
    assert main(["pocket", "train", *again, "--work", str(tmp_path / "work")]) == 0
    further = json.loads((tmp_path / "further" / "image_training.json").read_text(encoding="utf-8"))
    assert {name: value for name, value in further["start"].items() if name != "sha256"} == record
    assert further["text_sha256"] == record["text_sha256"]
    both = ClipModel(str(tmp_path / "further"), precision="fp32")
    torch.testing.assert_close(both.encode_texts(["ball"]), model.encode_texts(["ball"]))
    image = tmp_path / "homes" / "images" / "0.png"
    assert (
        main(
            [
                *("segment", str(image), "--categories", "ball", "--out", str(tmp_path / "drawn"), "--device", "cpu"),
                *("--set", "features.model=clip", f"--set=clip.model={out}", "--set=text.cache_directory=none"),
            ]
        )
        == 0
    )
    assert len(list((tmp_path / "drawn").glob("*.png"))) >= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--steps", "0"], "steps: expected 1 or more, got 0"),
        (["--batch", "-1"], "batch: expected 1 or more, got -1"),
        (["--text", "nowhere"], "nowhere: no open_clip_config.json"),
        (["--leave-out", "bal"], "leave-out: expected classes of the data, got bal"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    change: list[str], message: str, homes: Path, text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pocket", "train", str(homes), "--text", str(text_folder), "--out", str(tmp_path / "out")]
    assert main([*words, *change, "--work", str(tmp_path / "work")]) == EXIT_ERROR
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_another_clip_is_no_start(homes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pocket", "train", str(homes), "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    assert main([*words, "--start", str(homes)]) == EXIT_ERROR
    assert "homes: no open_clip_config.json" in capsys.readouterr().err
    assert main([*words, "--start", str(Path(demo.__file__).parent / "weights" / "clip")]) == EXIT_ERROR
    assert "start: expected a pair that ovsr pocket train wrote, got " in capsys.readouterr().err


def test_a_folder_without_photographs_is_named(
    text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pocket", "train", str(tmp_path / "none"), "--text", str(text_folder), "--out", str(tmp_path / "out")]
    assert main(words) == EXIT_ERROR
    assert "none" in capsys.readouterr().err
