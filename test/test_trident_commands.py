"""Trident by the commands: segment, evaluate with its data sets' settings, models."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from ovsr_ros.backends import BACKENDS
from ovsr_ros.cli import main
from ovsr_ros.errors import ConfigError, ModelNotFoundError
from ovsr_ros.evaluation.arguments import add_arguments, chosen_settings
from ovsr_ros.evaluation.provenance import weights_of
from ovsr_ros.models.hub import hub_entry, kind_of, registry_config
from ovsr_ros.options import to_flat_dict
from ovsr_ros.pipeline import Pipeline
from ovsr_ros.settings import load_settings, models_of, options_in_use, values_in_use


@pytest.fixture
def config(tmp_path: Path, trident_models: Any) -> str:
    path = tmp_path / "trident.yaml"
    content = {"backend": "trident", "device": "cpu", "score_threshold": 0.0, "text": {"cache_directory": "none"}}
    dotted = {f"trident.{name}": value for name, value in trident_models.options().items()}
    path.write_text(yaml.safe_dump({**content, **dotted}), encoding="utf-8")
    return str(path)


def write_image(path: Path) -> Path:
    image = np.full((60, 90, 3), 60, np.uint8)
    image[:, 45:] = 200
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def arguments_of(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_an_image_is_segmented(tmp_path: Path, config: str) -> None:
    image = write_image(tmp_path / "a.png")
    out = tmp_path / "out"
    assert (
        main(
            [
                "segment",
                str(image),
                "--config",
                config,
                "--categories",
                "mug",
                "--categories",
                "ball",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    (described,) = [json.loads(path.read_text()) for path in out.rglob("*.json")]
    assert described["segments"]
    (labels,) = out.rglob("*label*.png")
    assert cv2.imread(str(labels), cv2.IMREAD_UNCHANGED).shape == (60, 90)


def test_a_data_set_is_evaluated(tmp_path: Path, config: str) -> None:
    root = tmp_path / "data"
    write_image(root / "images" / "0.png")
    (root / "masks").mkdir()
    assert cv2.imwrite(str(root / "masks" / "0.png"), np.repeat([[0, 1]], 60, 0).repeat(45, 1).astype(np.uint8))
    (root / "classes.txt").write_text("dark\nlight\n", encoding="utf-8")
    target = tmp_path / "report.json"
    words = ["--dataset", "folder", "--root", str(root), "--config", config, "--backend", "trident"]
    assert main(["evaluate", *words, "--json", str(target)]) == 0
    report = json.loads(target.read_text())
    assert report["images"] == 1
    assert set(report["protocols"]) if "protocols" in report else report["miou"] >= 0
    text = target.read_text()
    assert "trident.sam.cos_factor" in text
    assert "clusters.linkage" not in text


def test_the_data_sets_settings_come_between_preset_and_set() -> None:
    plain = chosen_settings(arguments_of("--backend", "trident", "--dataset", "voc20")).pipeline
    assert plain.backend == "trident"
    assert (plain.trident.windows.short_side, plain.trident.sam.cos_factor, plain.score_threshold) == (336, 0.0, 0.0)
    changed = arguments_of("--backend", "trident", "--dataset", "voc20", "--set", "trident.windows.short_side=448")
    assert chosen_settings(changed).pipeline.trident.windows.short_side == 448
    by_config = chosen_settings(arguments_of("--config", "trident", "--dataset", "voc20")).pipeline
    assert by_config.trident.windows.short_side == 448, "without --backend a configuration is as it is written"
    assert chosen_settings(arguments_of("--dataset", "voc20")).pipeline.backend == "ovsr"


def test_the_commands_choices_are_the_backends(capsys: pytest.CaptureFixture[str]) -> None:
    assert [arguments_of("--backend", name).backend for name in BACKENDS] == ["ovsr", "trident"]
    with pytest.raises(SystemExit):
        arguments_of("--backend", "sam")
    assert "invalid choice: 'sam'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("preset", "clip"), [("trident", "ViT-B-16/openai"), ("trident_metaclip", "ViT-B-16-quickgelu/metaclip_fullcc")]
)
def test_models_of_the_presets_are_listed_with_what_gets_them(
    preset: str, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OVSR_MODEL_DIR", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert main(["models", "list", "--config", preset]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert [tuple(line.split()[:2]) for line in lines] == [
        ("open_clip", clip),
        ("timm", "vit_base_patch16_224.dino"),
        ("sam", "sam_vit_b"),
    ]
    assert all("missing  get it: ovsr models download" in line for line in lines)


def test_with_metaclip_only_the_clip_is_another() -> None:
    plain, other = (to_flat_dict(load_settings(name).pipeline) for name in ("trident", "trident_metaclip"))
    name = "ViT-B-16-quickgelu/metaclip_fullcc"
    assert {key for key in plain if plain[key] != other[key]} == {"trident.clip.model"}
    assert other["trident.clip.model"] == name
    entry = hub_entry(name, "open_clip")
    assert entry.repo == "timm/vit_base_patch16_clip_224.metaclip_2pt5b"
    described, of_openai = (registry_config(model)["model_cfg"] for model in (name, "ViT-B-16/openai"))
    assert described == of_openai, "the same network, its activation included"


def test_models_verify_loads_each(trident_models: Any, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify", "--config", config]) == 0
    assert capsys.readouterr().out.count("good") == 3


@pytest.mark.parametrize(("size", "repo"), [("b", "base"), ("l", "large"), ("h", "huge")])
def test_a_sam_is_fetched_from_its_authors_repository(size: str, repo: str) -> None:
    assert kind_of(f"sam_vit_{size}") == "sam"
    assert hub_entry(f"sam_vit_{size}", "sam").repo == f"facebook/sam-vit-{repo}"


def test_the_names_that_the_method_uses_are_known() -> None:
    for kind, name in models_of(load_settings("trident").pipeline).values():
        assert hub_entry(name, kind).name
    assert hub_entry("ViT-H-14/laion2b_s32b_b79k", "open_clip").architecture == "ViT-H-14"
    with pytest.raises(ModelNotFoundError, match="SAM's are sam_vit_b"):
        hub_entry("sam_vit_x", "sam")


def test_a_configuration_carries_only_its_own_backends_options(config: str) -> None:
    trident = {info.name.partition(".")[0] for info in options_in_use("trident")}
    ovsr = {info.name.partition(".")[0] for info in options_in_use("ovsr")}
    assert "trident" in trident - ovsr
    assert {"features", "clusters", "clip"} <= ovsr - trident
    assert {"backend", "text", "score_threshold"} <= ovsr & trident
    options = load_settings(config).pipeline
    assert set(values_in_use(options)) == {info.name for info in options_in_use("trident")}
    assert set(weights_of(options)) == {"trident.clip", "trident.proxy", "trident.sam"}


def test_words_change_between_two_labellings_of_one_frame(config: str) -> None:
    pipeline = Pipeline(load_settings(config).pipeline)
    frame = pipeline.embed(np.full((60, 90, 3), 90, np.uint8))
    assert (pipeline.label(frame).label_map == 255).all()
    prepared = pipeline.state_for([])
    assert pipeline.label(frame, prepared).vocabulary_version == 0
    pipeline.update_options({"trident.masks.method": "none", "score_threshold": 1.0})
    assert (pipeline.label(frame).label_map == 255).all()
    with pytest.raises(ConfigError, match="leaves gaps"):
        pipeline.update_options({"trident.windows.stride": 96})
    with pytest.raises(ConfigError, match="cannot change while running"):
        pipeline.update_options({"trident.sam.model": "none"})
    pipeline.close()
