from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from huggingface_hub import close_session

from ovsr_ros.cli import main
from ovsr_ros.config import find_presets
from ovsr_ros.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
REAL_MODELS = ("efficientnet_b0.ra_in1k", "ViT-B-32/laion2b_s34b_b79k")


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVSR_MODEL_DIR", str(tmp_path / "model_directory"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def config(tmp_path: Path, seeded_models: Any) -> str:
    path = tmp_path / "seeded.yaml"
    path.write_text(
        f"device: cpu\nscore_threshold: 0.0\nfeatures: {{model: {seeded_models.features}, input_short_side: 64, "
        f"grid_rows: 16}}\nclip: {{model: {seeded_models.clip}}}\ntext: {{something_else: []}}\n",
        encoding="utf-8",
    )
    return str(path)


def write_image(path: Path, size_wh: tuple[int, int] = (96, 64), seed: int = 0) -> Path:
    width, height = size_wh
    image = np.full((height, width, 3), 60, np.uint8)
    image[:, width // 2 :] = 200
    image += np.random.default_rng(seed).integers(0, 20, image.shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


# --- The command itself ---


@pytest.mark.parametrize("arguments", [[], ["segmnt"], ["segment"], ["models"], ["segment", "a.png", "--no-such"]])
def test_a_wrong_call_shows_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: ovsr" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["segment", "evaluate", "bench", "models", "pocket", "demo"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: ovsr {command}" in capsys.readouterr().out


def test_help_needs_no_torch() -> None:
    script = (
        "import sys; from ovsr_ros.cli import main\ntry: main(['--help'])\nfinally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "evaluate" in done.stdout


# --- segment ---


def test_an_image_becomes_label_map_overlay_and_json(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_image(tmp_path / "in" / "scene.png")
    out = tmp_path / "out"
    categories = ["--categories", "mug; cup", "--categories", "ball"]
    assert main(["segment", str(image), *categories, "--config", config, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["scene.json", "scene_label_map.png", "scene_overlay.png"]

    label_map = cv2.imread(str(out / "scene_label_map.png"), cv2.IMREAD_UNCHANGED)
    overlay = cv2.imread(str(out / "scene_overlay.png"), cv2.IMREAD_UNCHANGED)
    assert label_map is not None
    assert overlay is not None
    assert label_map.dtype == np.uint8
    assert (label_map.shape, overlay.shape) == ((64, 96), (64, 96, 3))
    described = json.loads((out / "scene.json").read_text(encoding="utf-8"))
    assert (described["image"], described["height"], described["width"]) == (str(image), 64, 96)
    assert [(c["id"], c["name"], c["synonyms"]) for c in described["categories"]] == [
        (0, "mug", ["cup"]),
        (1, "ball", []),
    ]
    assert described["segments"]
    for segment in described["segments"]:
        assert segment["label"] == ["mug", "ball"][segment["class_id"]]
        assert 0 <= segment["score"] <= 1
        x_min, y_min, x_max, y_max = segment["box_xyxy"]
        assert segment["area_px"] <= (x_max - x_min) * (y_max - y_min)
    by_class = {c: sum(s["area_px"] for s in described["segments"] if s["class_id"] == c) for c in (0, 1)}
    assert by_class == {c: int((label_map == c).sum()) for c in (0, 1)}
    assert f"{image} -> {out / 'scene'}_overlay.png  {len(described['segments'])} segments: " in capsys.readouterr().out


def test_ids_of_a_label_space_are_those_of_the_label_map(tmp_path: Path, config: str) -> None:
    image, out = write_image(tmp_path / "scene.png"), tmp_path / "out"
    categories = ["--categories", "mug=12; cup", "--categories", "ball=200"]
    assert main(["segment", str(image), *categories, "--config", config, "--out", str(out)]) == 0
    label_map = cv2.imread(str(out / "scene_label_map.png"), cv2.IMREAD_UNCHANGED)
    assert label_map is not None
    assert set(np.unique(label_map)) <= {12, 200}
    described = json.loads((out / "scene.json").read_text(encoding="utf-8"))
    assert [(c["id"], c["name"]) for c in described["categories"]] == [(12, "mug"), (200, "ball")]


@pytest.fixture
def no_clip(config: str) -> list[str]:
    return ["--config", config, "--set", "clip.model=/no/such/clip", "--segments-only"]


def test_segments_alone_need_no_word_and_no_clip(
    tmp_path: Path, config: str, no_clip: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    image, out = write_image(tmp_path / "in" / "scene.png"), tmp_path / "out"
    assert main(["segment", str(image), *no_clip, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["scene.json", "scene_overlay.png", "scene_segment_map.png"]

    segment_map = cv2.imread(str(out / "scene_segment_map.png"), cv2.IMREAD_UNCHANGED)
    overlay = cv2.imread(str(out / "scene_overlay.png"), cv2.IMREAD_UNCHANGED)
    assert segment_map is not None
    assert overlay is not None
    assert segment_map.dtype == np.uint16
    assert (segment_map.shape, overlay.shape) == ((64, 96), (64, 96, 3))
    described = json.loads((out / "scene.json").read_text(encoding="utf-8"))
    assert set(described) == {"image", "height", "width", "segments"}
    assert (described["image"], described["height"], described["width"]) == (str(image), 64, 96)
    assert len(described["segments"]) > 1
    for segment in described["segments"]:
        assert set(segment) == {"id", "cluster_id", "box_xyxy", "area_px", "centroid_xy"}
        y, x = np.nonzero(segment_map == segment["id"])
        assert segment["area_px"] == len(x)
        assert segment["box_xyxy"] == [x.min(), y.min(), x.max() + 1, y.max() + 1]
        assert segment["centroid_xy"] == pytest.approx([x.mean(), y.mean()], abs=0.01)
    clusters = len({segment["cluster_id"] for segment in described["segments"]})
    said = f"{image} -> {out / 'scene'}_overlay.png  {len(described['segments'])} segments of {clusters} clusters  "
    assert said in capsys.readouterr().out

    labelled = ["--config", config, "--categories", "mug", "--out", str(tmp_path / "words")]
    assert main(["segment", str(image), *labelled]) == 0
    with_words = json.loads((tmp_path / "words" / "scene.json").read_text(encoding="utf-8"))
    keys = ("id", "box_xyxy", "area_px", "centroid_xy")
    assert [[s[key] for key in keys] for s in with_words["segments"]] == [
        [s[key] for key in keys] for s in described["segments"]
    ]


def test_segments_alone_of_folders_with_images_that_cannot_be_used(
    tmp_path: Path, no_clip: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "a" / "x.png")
    for end in ("label_map", "overlay", "segment_map"):
        write_image(tmp_path / "a" / f"x_{end}.png")  # of an earlier run
    tiny = write_image(tmp_path / "a" / "y.png", (8, 8))
    other = write_image(tmp_path / "b" / "x.jpg")
    out = tmp_path / "out"
    assert main(["segment", str(tmp_path / "a"), str(other), *no_clip, "--out", str(out)]) == 1
    assert sorted(path.name for path in out.glob("*.json")) == ["x.json", "x_2.json"]
    assert capsys.readouterr().err.startswith(f"ovsr: {tiny}: image: expected both sides to be at least 16 pixels")


def test_segments_alone_take_no_heed_of_the_words_of_the_configuration(tmp_path: Path, no_clip: list[str]) -> None:
    image, out = write_image(tmp_path / "x.png"), tmp_path / "out"
    assert main(["segment", str(image), *no_clip, "--set", "categories=[mug]", "--out", str(out)]) == 0
    assert "label" not in (out / "x.json").read_text(encoding="utf-8")


def test_folders_patterns_and_equal_names_are_all_done(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "a" / "x.png")
    write_image(tmp_path / "a" / "x_overlay.png")  # of an earlier run
    (tmp_path / "a" / "notes.txt").write_text("not an image", encoding="utf-8")
    write_image(tmp_path / "b" / "x.jpg")
    write_image(tmp_path / "b" / "y.png")
    out = tmp_path / "out"
    inputs = [str(tmp_path / "a"), str(tmp_path / "b" / "*")]
    assert main(["segment", *inputs, "--categories", "mug", "--config", config, "--out", str(out)]) == 0
    assert sorted(path.name for path in out.glob("*.json")) == ["x.json", "x_2.json", "y.json"]
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_unreadable_images_are_named_and_the_others_go_on(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_image(tmp_path / "good.png")
    cut = write_image(tmp_path / "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:20])
    damaged = tmp_path / "damaged.jpg"
    content = write_image(damaged).read_bytes()
    damaged.write_bytes(content[: len(content) // 2] + content[len(content) * 3 // 4 :])
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    tiny = write_image(tmp_path / "tiny.png", (8, 8))
    missing, unmatched = tmp_path / "missing.png", tmp_path / "none" / "*.png"
    inputs = [str(path) for path in (cut, damaged, empty, tiny, missing, unmatched, good)]
    out = tmp_path / "out"
    assert main(["segment", *inputs, "--categories", "mug", "--config", config, "--out", str(out)]) == 1
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    for path in (cut, damaged, empty, tiny, missing, unmatched):
        assert any(line.startswith(f"ovsr: {path}: ") for line in lines), path
    assert (out / "good.json").exists()
    assert len(printed.out.splitlines()) == 1


def test_categories_can_come_from_the_configuration(tmp_path: Path, config: str) -> None:
    image, out = write_image(tmp_path / "x.png"), tmp_path / "out"
    given = ["--config", config, "--set", "categories=[mug, ball]", "--set", "num_runners_up=1"]
    assert main(["segment", str(image), *given, "--out", str(out)]) == 0
    described = json.loads((out / "x.json").read_text(encoding="utf-8"))
    assert [category["name"] for category in described["categories"]] == ["mug", "ball"]
    assert all(len(segment["runners_up"]) <= 1 for segment in described["segments"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "demo", "--set", "categories=[]"], "no categories to look for"),
        (["--segments-only", "--categories", "a"], "--segments-only: no word is looked for; expected no --categories"),
        (["--segments-only", "--config", "trident"], "without words needs one of ovsr, got 'trident'"),
        (["--segments-only", "--config", "ovsr"], "ovsr models download efficientnet_b0.ra_in1k"),
        (["--categories", ""], "category 1: is empty"),
        (["--categories", "m\ufffdg"], "category 1: 'm\ufffdg' was decoded wrongly: U+FFFD at character 2"),
        (["--categories", "mug; \udcff"], "synonym 1: ' \\udcff' is not UTF-8: byte 0xFF at character 2"),
        (["--categories", "mug", "--categories", "\ufeffMug"], "category 2: 'Mug' is a duplicate"),
        (["--categories", "something\u200b else"], "built in"),
        (["--categories", "#00ff00"], "category 1: '#00ff00' is read as a colour, which needs a name before it"),
        (["--categories", "a", "--set", "text.background_names=[sky, \u3164]"], "background_names: name 2: is empty"),
        (["--categories", "a", "--config", "no_such"], "no such config file, nor a preset of that name; presets: "),
        (["--categories", "a", "--set", "score_treshold=1"], "nearest known key is 'score_threshold'"),
        (["--categories", "a", "--set", "score_threshold=2"], "score_threshold: expected 0 to 1, got 2"),
        (["--categories", "a", "--set", "score_threshold"], "expected KEY=VALUE"),
        (["--categories", "a", "--device", "gpu"], "device: expected auto, cpu"),
        (["--categories", "a", "--config", "ovsr"], "ovsr models download efficientnet_b0.ra_in1k"),
        (
            ["--categories", "a", "--config", "ovsr"],
            "or take the small models in the package: --config pocket",
        ),
        (["--categories", "a", "--set", "features.model=/no/such"], "/no/such: no such file or folder"),
    ],
)
def test_what_cannot_be_done_ends_in_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_image(tmp_path / "x.png")
    assert main(["segment", str(image), "--out", str(tmp_path / "out"), *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("ovsr: ")
    assert message in lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--categories", b"caf\xe9"], "category 1: 'caf\\udce9' is not UTF-8: byte 0xE9 at character 4"),
        (["--set", b"categories=[mug\xff]"], "--set categories=[mug\\udcff] is not UTF-8: byte 0xFF at character 16"),
    ],
)
def test_a_name_that_is_not_utf_8_is_refused(
    tmp_path: Path, config: str, arguments: list[str | bytes], message: str
) -> None:
    image = write_image(tmp_path / "x.png")
    command = [sys.executable, "-m", "ovsr_ros.cli", "segment", str(image), "--config", config, "--out", str(tmp_path)]
    done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 2
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("ovsr: ")
    assert message in lines[0]


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_image(tmp_path / "x.png")
    given = [str(image), "--categories", "a", "--config", config]
    assert main(["segment", *given, "--out", str(image / "out")]) == 2
    assert f"--out {image / 'out'}: cannot be made" in capsys.readouterr().err
    (tmp_path / "out" / "x.json").mkdir(parents=True)
    assert main(["segment", *given, "--out", str(tmp_path / "out")]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("preset", sorted(find_presets()))
def test_every_preset_is_a_valid_configuration(preset: str) -> None:
    settings = load_settings(preset)
    models = (settings.pipeline.features.model, settings.pipeline.clip.model)
    assert models == {"demo": ("demo", "demo"), "pocket": ("clip", "pocket")}.get(preset, REAL_MODELS)


# --- models ---


def test_models_list_says_what_is_here_and_what_gets_the_rest(
    tmp_path: Path, seeded_models: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "list", "--config", "ovsr"]) == 0
    printed = capsys.readouterr().out
    assert f"model directory: {tmp_path / 'model_directory'}" in printed
    assert "missing  get it: ovsr models download ViT-B-32/laion2b_s34b_b79k" in printed
    assert main(["models", "list", seeded_models.features, seeded_models.clip]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [(line.split()[0], line.split()[2]) for line in lines] == [("timm", "here"), ("open_clip", "here")]
    assert main(["models", "list"]) == 0
    assert "efficientnet_b0.ra_in1k" in capsys.readouterr().out


def test_models_verify_loads_the_whole_model(
    tmp_path: Path, seeded_models: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "verify", seeded_models.features, seeded_models.clip]) == 0
    printed = capsys.readouterr().out
    for weights in (
        Path(seeded_models.features, "model.safetensors"),
        Path(seeded_models.clip, "open_clip_model.safetensors"),
    ):
        assert hashlib.sha256(weights.read_bytes()).hexdigest() in printed
    for source in Path(seeded_models.clip).iterdir():
        content = source.read_bytes()
        (tmp_path / source.name).write_bytes(content[:-50] if source.suffix == ".safetensors" else content)
    assert main(["models", "verify", str(tmp_path), seeded_models.features]) == 1
    printed_twice = capsys.readouterr()
    assert "cut short" in printed_twice.err
    assert "good" in printed_twice.out


def test_models_wants_a_name_or_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "download"]) == 2
    assert "name a model, or a configuration" in capsys.readouterr().err


class _Hub(BaseHTTPRequestHandler):
    """The part of the Hugging Face hub's protocol that a download of one file needs."""

    files: dict[str, bytes]
    paths: list[str]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        repo, _, file = self.path.partition("/resolve/main/")
        self.paths.append(self.path)
        content = self.files.get(f"{repo.lstrip('/')}/{file}")
        self.send_response(404 if content is None else 200)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        else:
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if with_body and content is not None:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[tuple[str, type[_Hub]]]:
    handler = type("Hub", (_Hub,), {"files": {}, "paths": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def download_afresh(endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as it is typed."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "ovsr_ros.cli", "models", "download", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def download(
    hub: tuple[str, type[_Hub]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process, online, with this hub: exit code, and what it printed to stdout and stderr.

    The hub's client reads its address when it is imported, which takes seconds in a process of its own.
    """
    constants = "huggingface_hub.constants"
    files = hub[0] + "/{repo_id}/resolve/{revision}/{filename}"

    def download(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with monkeypatch.context() as online:
            online.setattr(f"{constants}.ENDPOINT", hub[0])
            online.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", files)
            online.setattr(f"{constants}.HF_HUB_OFFLINE", False)
            online.setenv("NO_PROXY", "127.0.0.1")
            close_session()  # a client of before would go by the proxy
            code = main(["models", "download", *arguments])
            close_session()
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return download


def test_a_download_lies_in_the_model_directory_and_is_found_there(
    tmp_path: Path, seeded_models: Any, hub: tuple[str, type[_Hub]], capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint, handler = hub
    features, clip = Path(seeded_models.features), Path(seeded_models.clip)
    handler.files = {
        "timm/efficientnet_b0.ra_in1k/config.json": (features / "config.json").read_bytes(),
        "timm/efficientnet_b0.ra_in1k/model.safetensors": (features / "model.safetensors").read_bytes(),
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K/open_clip_model.safetensors": (
            clip / "open_clip_model.safetensors"
        ).read_bytes(),
    }
    done = download_afresh(endpoint, "--config", "ovsr")
    assert done.returncode == 0, done.stderr
    models = tmp_path / "model_directory"
    names = ["timm/efficientnet_b0.ra_in1k/config.json", "timm/efficientnet_b0.ra_in1k/model.safetensors"]
    for name in names:
        assert (models / name).read_bytes() == handler.files[name]
    tag = models / "open_clip" / "ViT-B-32" / "laion2b_s34b_b79k"
    assert json.loads((tag / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]["embed_dim"] == 512
    assert not list(models.rglob("*.part"))
    assert not list(models.rglob(".cache"))

    assert main(["models", "list", "--config", "ovsr"]) == 0
    assert capsys.readouterr().out.count("here  model directory") == 2
    assert main(["models", "download", "efficientnet_b0"]) == 0
    assert "is here already" in capsys.readouterr().out


def test_a_download_that_fails_leaves_no_model_behind(
    tmp_path: Path, hub: tuple[str, type[_Hub]], download: Callable[..., tuple[int, str, str]]
) -> None:
    _, handler = hub
    name = "efficientnet_b0.ra_in1k"
    code, _, errors = download(name)
    assert (code, len(errors.splitlines())) == (2, 1), errors
    assert "cannot be downloaded from timm/efficientnet_b0.ra_in1k: it has none of model.safetensors" in errors
    handler.files = {f"timm/{name}/model.safetensors": b"x" * 100, f"timm/{name}/config.json": b"{}"}
    code, _, errors = download(name)
    assert code == 2
    assert "cut short, damaged, or not a weight file (100 bytes)" in errors
    assert not (tmp_path / "model_directory" / "timm" / name).exists()


SIGLIP = "ViT-B-16-SigLIP-256/webli"  # a tokenizer from another repository than its weights
SIGLIP_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@pytest.mark.parametrize("repo", ["timm/ViT-B-16-SigLIP", "timm/ViT-B-16-SigLIP-256"])
def test_a_tokenizer_is_fetched_with_the_weights(
    tmp_path: Path,
    hub: tuple[str, type[_Hub]],
    download: Callable[..., tuple[int, str, str]],
    capsys: pytest.CaptureFixture[str],
    seeded_models: Any,
    repo: str,
) -> None:
    _, handler = hub
    weights = Path(seeded_models.clip, "open_clip_model.safetensors").read_bytes()
    handler.files = {f"{repo}/{file}": b"{}" for file in SIGLIP_FILES}
    handler.files["timm/ViT-B-16-SigLIP-256/open_clip_model.safetensors"] = weights
    code, _, errors = download(SIGLIP)
    assert code == 0, errors
    folder = tmp_path / "model_directory" / "open_clip" / SIGLIP
    names = {path.name for path in folder.iterdir()}
    assert names == {*SIGLIP_FILES, "open_clip_config.json", "open_clip_model.safetensors"}
    assert main(["models", "list", SIGLIP]) == 0
    assert "here  model directory" in capsys.readouterr().out


def test_a_model_that_lacks_its_tokenizer_alone_gets_it_alone(
    tmp_path: Path,
    hub: tuple[str, type[_Hub]],
    download: Callable[..., tuple[int, str, str]],
    capsys: pytest.CaptureFixture[str],
    seeded_models: Any,
) -> None:
    """As what was fetched without one, and a folder that somebody copied."""
    _, handler = hub
    clip = Path(seeded_models.clip)
    config = json.loads((clip / "open_clip_config.json").read_text(encoding="utf-8"))
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "timm/ViT-B-16-SigLIP"
    local = tmp_path / "siglip"
    for folder in (tmp_path / "model_directory" / "open_clip" / SIGLIP, local):
        folder.mkdir(parents=True)
        shutil.copy(clip / "open_clip_model.safetensors", folder)
        (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    assert main(["models", "list", SIGLIP, str(local)]) == 0
    printed = capsys.readouterr().out
    assert f"missing  its tokenizer; get it: ovsr models download {SIGLIP}" in printed
    assert f"missing  its tokenizer; get it: ovsr models download {local}" in printed

    code, _, errors = download(SIGLIP)
    assert (code, len(errors.splitlines())) == (2, 1), errors
    assert "its tokenizer cannot be downloaded from timm/ViT-B-16-SigLIP: " in errors
    assert "there is no tokenizer.json in timm/ViT-B-16-SigLIP" in errors
    handler.files = {"timm/ViT-B-16-SigLIP/tokenizer.json": b"{}"}
    code, printed, errors = download(SIGLIP, str(local))
    assert code == 0, errors
    assert printed.count("fetching its tokenizer") == 2
    assert not [path for path in handler.paths if "model.safetensors" in path]
    assert (local / "tokenizer.json").read_bytes() == b"{}"
    assert not (local / ".cache").exists()
    assert main(["models", "download", SIGLIP, str(local)]) == 0
    assert capsys.readouterr().out.count("is here already") == 2


# --- bench ---


def test_bench_measures_and_writes_what_it_found(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_image(tmp_path / "room.png")
    words = ["bench", "--config", config, "--image", str(image), "--repeats", "2", "--json", str(tmp_path / "b.json")]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "whole frame" in out
    assert "frames per second" in out
    report = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert {"command", "commit", "machine", "versions", "weights", "options", "stages_ms", "memory_mib"} <= set(report)
    assert (report["image_wh"], report["images"], report["repeats"]) == ([96, 64], "room.png", 2)


def test_bench_prints_json_alone(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--config", config, "--size", "96x64", "--repeats", "1", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == "4 rendered rooms"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--size", "96"], "expected WIDTHxHEIGHT"),
        (["--size", "96x64", "--image", "a.png"], "has its own"),
        (["--image", "none.png"], "none.png: cannot be read"),
        (["--config", "ovsr", "--size", "96x64", "--repeats", "1"], "ovsr models download"),
        (["--set", "clip.model=roberta-ViT-B-32", "--random-weights"], "transformers library are not supported"),
    ],
)
def test_bench_refuses_what_it_cannot_use(
    config: str, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--config", config, *words]) == 2
    assert expected in capsys.readouterr().err
