from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_tokenizer import write_tokenizer

from ovsr_ros.errors import ModelFormatError, ModelNotFoundError, TokenizerNotFoundError
from ovsr_ros.models.checkpoint import checksum
from ovsr_ros.models.embedded import EMBEDDED
from ovsr_ros.models.hub import Kind, hub_entry, kind_of, model_directory, registry_config
from ovsr_ros.models.weights import resolve

Writer = Callable[[Path], Path]
TIMM, CLIP = "efficientnet_b0.ra_in1k", "ViT-B-32/laion2b_s34b_b79k"


# --- Local files and folders ---


def test_a_folder_is_described_by_its_json(tmp_path: Path, write_efficientnet: Writer, write_clip: Writer) -> None:
    folder = write_efficientnet(tmp_path / "features")
    found = resolve(str(folder), "timm")
    assert (found.architecture, found.weights, found.folder) == (
        "efficientnet_b0",
        folder / "model.safetensors",
        folder,
    )
    assert found.checksum == checksum(folder / "model.safetensors")
    assert found.model_id == f"{folder}#{found.checksum[:12]}"
    assert resolve(str(write_clip(tmp_path / "clip")), "open_clip").weights.name == "open_clip_model.safetensors"


def test_a_file_needs_the_json_beside_it_or_its_architecture_in_front(
    tmp_path: Path, write_efficientnet: Writer
) -> None:
    file = write_efficientnet(tmp_path) / "model.safetensors"
    assert resolve(str(file), "timm").folder == tmp_path
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelFormatError, match=rf"put config\.json beside it, or name it ARCHITECTURE@{file}"):
        resolve(str(file), "timm")
    found = resolve(f"{TIMM}@{file}", "timm")
    assert (found.architecture, found.weights, found.folder) == (TIMM, file, None)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("/no/such/folder", "timm", r"no such file or folder; expected weights, or a folder with config\.json"),
        ("./model.safetensors", "open_clip", r"no such file or folder.*open_clip_config\.json"),
        ("model.pt", "timm", "no such file or folder"),
        ("efficientnet_b0@/no/such.pt", "timm", r"no such weight file: /no/such\.pt"),
        (
            "efficientnet_bo",
            "timm",
            "neither a file or folder here nor a model of timm's .*mean efficientnet_b",
        ),
        ("efficientnet_b0.imaginary", "timm", r"no such pretrained weights; known: .*efficientnet_b0\.ra_in1k"),
        ("ViT-B-33/openai", "open_clip", "nor a model of open_clip's .*did you mean ViT-B-32"),
        ("ViT-B-32/imaginary", "open_clip", "known: ViT-B-32/openai, .*ViT-B-32/laion2b_s34b_b79k"),
        (TIMM, "timm", "not on this machine .*get them: ovsr models download efficientnet_b0.ra_in1k"),
        (CLIP, "open_clip", "not on this machine .*get them: ovsr models download ViT-B-32/laion2b_s34b_b79k"),
    ],
)
def test_what_is_not_here_is_an_error_that_says_what_to_do(name: str, kind: Kind, message: str) -> None:
    with pytest.raises(ModelNotFoundError, match=message):
        resolve(name, kind)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, r"no config\.json; expected config\.json and model\.safetensors"),
        ("{", r"config\.json: not JSON"),
        ("[]", "not a timm config: no 'architecture'"),
        ('{"architecture": 3}', "not a timm config: no 'architecture'"),
        ('{"architecture": "efficientnet_bo"}', "unknown architecture 'efficientnet_bo'; did you mean efficientnet_b"),
    ],
)
def test_a_folder_with_an_unusable_json_is_refused(tmp_path: Path, config: str | None, message: str) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ModelFormatError, match=message):
        resolve(str(tmp_path), "timm")


def test_a_folder_may_hold_one_weight_file_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architecture": "efficientnet_b0"}', encoding="utf-8")
    with pytest.raises(ModelNotFoundError, match="0 weight files"):
        resolve(str(tmp_path), "timm")
    torch.save({}, tmp_path / "best.pt")
    assert resolve(str(tmp_path), "timm").weights == tmp_path / "best.pt"
    torch.save({}, tmp_path / "last.pt")
    with pytest.raises(ModelNotFoundError, match="2 weight files"):
        resolve(str(tmp_path), "timm")


def test_an_unknown_architecture_before_a_file_is_refused(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "a.pt")
    with pytest.raises(ModelFormatError, match="unknown architecture 'ViT-B-33'; did you mean"):
        resolve(f"ViT-B-33@{tmp_path / 'a.pt'}", "open_clip")


# --- Hub names ---


def test_hub_names_are_found_in_the_model_directory(write_efficientnet: Writer, write_clip: Writer) -> None:
    folder = write_efficientnet(model_directory() / "timm" / TIMM)
    found = resolve(TIMM, "timm")
    assert (found.name, found.source, found.weights.parent) == (TIMM, "model directory", folder)
    assert resolve("efficientnet_b0", "timm").weights.parent == folder  # the default tag
    folder = write_clip(model_directory() / "open_clip" / "ViT-B-32" / "laion2b_s34b_b79k")
    assert resolve(CLIP, "open_clip").folder == folder


def test_hub_names_are_found_in_the_hubs_cache_offline(tmp_path: Path, write_efficientnet: Writer) -> None:
    import huggingface_hub.constants

    repo = Path(huggingface_hub.constants.HF_HUB_CACHE) / "models--timm--efficientnet_b0.ra_in1k"
    write_efficientnet(repo / "snapshots" / "abc")
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("abc", encoding="utf-8")
    found = resolve(TIMM, "timm")
    assert (found.source, found.folder, found.architecture) == ("hub cache", None, TIMM)


def test_a_name_says_which_library_lists_it() -> None:
    assert (kind_of(TIMM), kind_of(CLIP)) == ("timm", "open_clip")
    assert hub_entry("efficientnet_b0", "timm").name == TIMM
    entry = hub_entry(CLIP, "open_clip")
    assert (entry.repo, entry.files[0]) == ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "open_clip_model.safetensors")


def test_the_registry_gives_each_tag_its_activation_and_normalisation() -> None:
    assert registry_config("ViT-B-32/openai")["model_cfg"]["quick_gelu"] is True
    assert "quick_gelu" not in registry_config(CLIP)["model_cfg"]
    assert registry_config("ViT-B-16-SigLIP/webli")["preprocess_cfg"]["mean"] == (0.5, 0.5, 0.5)


def test_a_download_that_cannot_be_had_says_how_to_go_on() -> None:
    with pytest.raises(ModelNotFoundError, match=r"cannot be downloaded from timm/.*with a network, run `ovsr models"):
        resolve(TIMM, "timm", allow_download=True)


# --- Tokenizers that the hub has ---

SIGLIP = "ViT-B-16-SigLIP/webli"


def in_the_hubs_cache(repo: str, write: Writer) -> Path:
    import huggingface_hub.constants

    folder = Path(huggingface_hub.constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text("abc", encoding="utf-8")
    return write(folder / "snapshots" / "abc")


def some_tokenizer(folder: Path) -> Path:
    return write_tokenizer(folder, ["a", "mug"])


def test_a_model_without_its_tokenizer_is_told_from_one_without_weights(tmp_path: Path, write_siglip: Writer) -> None:
    with pytest.raises(ModelNotFoundError, match="its weights are not on this machine") as caught:
        resolve(SIGLIP, "open_clip")
    assert not isinstance(caught.value, TokenizerNotFoundError)
    folder = write_siglip(model_directory() / "open_clip" / SIGLIP)
    local = write_siglip(tmp_path / "siglip")
    for name in (SIGLIP, str(local), str(local / "open_clip_model.safetensors"), f"{SIGLIP}@{tmp_path / 'a.pt'}"):
        torch.save({}, tmp_path / "a.pt")
        if "@" in name:
            folder.rename(tmp_path / "elsewhere")
        with pytest.raises(TokenizerNotFoundError) as caught:
            resolve(name, "open_clip")
        message = str(caught.value)
        assert message.startswith(f"{name}: its tokenizer is not on this machine (neither ")
        assert message.endswith(
            f"that of timm/ViT-B-16-SigLIP in the Hugging Face cache); get it: ovsr models download {name}"
        )
        assert "architecture" not in message


def test_a_tokenizer_is_found_beside_the_weights_before_any_other(write_siglip: Writer) -> None:
    folder = write_siglip(model_directory() / "open_clip" / SIGLIP)
    cached = in_the_hubs_cache("timm/ViT-B-16-SigLIP", some_tokenizer)
    assert resolve(SIGLIP, "open_clip").tokenizer == cached
    beside = some_tokenizer(folder)
    assert resolve(SIGLIP, "open_clip").tokenizer == beside


def test_weights_of_ones_own_take_the_tokenizer_of_the_architectures_copy(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "a.pt")
    tokenizer = some_tokenizer(model_directory() / "open_clip" / SIGLIP)
    assert resolve(f"ViT-B-16-SigLIP@{tmp_path / 'a.pt'}", "open_clip").tokenizer == tokenizer


def test_weights_and_tokenizer_in_the_hubs_cache_are_found_offline(write_siglip: Writer) -> None:
    weights = in_the_hubs_cache("timm/ViT-B-16-SigLIP", write_siglip) / "open_clip_model.safetensors"
    with pytest.raises(TokenizerNotFoundError):
        resolve(SIGLIP, "open_clip")
    tokenizer = some_tokenizer(weights.parent)
    found = resolve(SIGLIP, "open_clip")
    assert (found.source, found.weights, found.tokenizer) == ("hub cache", weights, tokenizer)


def test_most_models_bring_no_tokenizer_and_keep_their_id(tmp_path: Path, write_clip: Writer) -> None:
    found = resolve(str(write_clip(tmp_path)), "open_clip")
    assert found.tokenizer is None
    assert found.model_id == f"{tmp_path}#{found.checksum[:12]}"


@pytest.mark.parametrize("name", ["roberta-ViT-B-32/laion2b_s12b_b32k", "nllb-clip-base-siglip/v1"])
def test_a_text_tower_that_cannot_be_used_is_told_before_anything_is_fetched(name: str) -> None:
    for allow_download in (False, True):
        with pytest.raises(ModelFormatError, match=f"{name}: text towers of the transformers library"):
            resolve(name, "open_clip", allow_download)


def test_a_tokenizer_that_cannot_be_had_says_how_to_go_on(tmp_path: Path, write_siglip: Writer) -> None:
    folder = write_siglip(tmp_path)
    with pytest.raises(
        ModelNotFoundError, match=r"tokenizer cannot be downloaded from timm/.*run `hf download timm/ViT-B"
    ):
        resolve(str(folder), "open_clip", allow_download=True)


# --- Embedded models ---


def test_embedded_models_are_checked_against_their_checksums(
    tmp_path: Path, write_efficientnet: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = replace(EMBEDDED["demo"], root=tmp_path)
    monkeypatch.setitem(EMBEDDED, "demo", moved)
    with pytest.raises(ModelNotFoundError, match=r"embedded models are not in .*ovsr demo train"):
        resolve("demo", "timm")
    folder = write_efficientnet(tmp_path / "efficientnet_b0")
    sums = [f"{checksum(path)}  {path.relative_to(tmp_path)}" for path in sorted(folder.iterdir())]
    (tmp_path / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")
    found = resolve("demo", "timm")
    assert (found.name, found.source, found.architecture) == ("demo", "demo", "efficientnet_b0")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    with pytest.raises(ModelFormatError, match=r"config\.json: not the file that was shipped"):
        resolve("demo", "timm")
    shutil.rmtree(folder)
    with pytest.raises(ModelNotFoundError, match="embedded models"):
        resolve("demo", "timm")
