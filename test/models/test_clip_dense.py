"""Dense CLIP embeddings against a slow, literal version, and on the real architectures' shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from ovsr_ros.errors import ConfigError
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.clip_dense import check_patches, patch_values, project_values

Writer = Callable[[Path], Path]


@pytest.fixture
def model(tmp_path: Path, write_clip: Writer) -> ClipModel:
    return ClipModel(str(write_clip(tmp_path / "clip")))


def images_of(height: int, width: int, count: int = 1) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def literal(visual: Any, image: Tensor, attention: str) -> Tensor:
    """The embedding of each patch of one image (3, H, W): (h, w, D), patch by patch and head by head."""
    side = visual.patch_size[0]
    rows, columns = image.shape[1] // side, image.shape[2] // side
    table = visual.positional_embedding[1:].view(*visual.grid_size, -1).permute(2, 0, 1)
    table = interpolate(table[None], (rows, columns), mode="bicubic")[0]
    tokens = [visual.class_embedding + visual.positional_embedding[0]]
    for row in range(rows):
        for column in range(columns):
            patch = image[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
            tokens.append((visual.conv1.weight * patch).sum((1, 2, 3)) + table[:, row, column])
    stream = visual.ln_pre(torch.stack(tokens))[None]
    for block in list(visual.transformer.resblocks)[:-1]:
        stream = block(stream)
    last = visual.transformer.resblocks[-1]
    width, heads = stream.shape[2], last.attn.num_heads
    patches = last.ln_1(stream[0, 1:])
    weight, bias = last.attn.in_proj_weight, last.attn.in_proj_bias
    q, k, v = (patches @ weight[i * width : (i + 1) * width].T + bias[i * width : (i + 1) * width] for i in range(3))
    if attention == "correlative":
        mixed = torch.zeros_like(v)
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            scale = (width / heads) ** -0.5
            for keys in (q[:, part], k[:, part]):
                mixed[:, part] += 0.5 * (keys @ keys.T * scale).softmax(1) @ v[:, part]
        v = mixed
    attended = last.attn.out_proj(v)
    attended = attended + last.mlp(last.ln_2(attended))
    return normalize(visual.ln_post(attended) @ visual.proj, dim=-1).view(rows, columns, -1)


@pytest.mark.parametrize("attention", ["value", "correlative"])
@pytest.mark.parametrize("size_hw", [(64, 64), (48, 80), (16, 112)])
def test_patches_are_those_of_the_literal_version(
    model: ClipModel, clip_network: torch.nn.Module, size_hw: tuple[int, int], attention: str
) -> None:
    images = images_of(*size_hw, count=2)
    dense = model.encode_dense(images, attention)
    assert dense.shape == (2, 64, size_hw[0] // 16, size_hw[1] // 16)
    assert dense.dtype == torch.float32
    with torch.inference_mode():
        for found, image in zip(dense, images, strict=True):
            expected = literal(clip_network.visual, image, attention).permute(2, 0, 1)
            assert ((found * expected).sum(0) > 0.9999).all()  # the file holds the weights in half precision


def test_a_region_of_one_patch_is_that_patch(model: ClipModel) -> None:
    image = images_of(48, 80)
    dense = model.encode_dense(image)[0]  # (D, 3, 5)
    weights = torch.eye(15).view(15, 3, 5) * torch.arange(1, 16).view(-1, 1, 1)  # how much does not matter
    torch.testing.assert_close(model.encode_regions(image, weights), dense.flatten(1).T, atol=1e-5, rtol=1e-4)


def test_a_region_is_its_patches_values_averaged(model: ClipModel, clip_network: torch.nn.Module) -> None:
    image = images_of(48, 80)
    weights = torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        values = patch_values(clip_network.visual, image, "value")[0]  # (3, 5, width)
        expected = []
        for region in weights:
            mean = sum(region[y, x] * values[y, x] for y in range(3) for x in range(5)) / region.sum()
            expected.append(normalize(project_values(clip_network.visual, mean), dim=-1))
    found = model.encode_regions(image, weights)
    assert ((found * torch.stack(expected)).sum(1) > 0.9999).all()


def test_what_lies_elsewhere_reaches_a_region_less_than_its_own(model: ClipModel) -> None:
    image = images_of(64, 64)
    elsewhere, own = image.clone(), image.clone()
    elsewhere[:, :, 48:, 48:] += 3
    own[:, :, :16, :16] += 3
    corner = torch.zeros(1, 4, 4)
    corner[0, 0, 0] = 1
    before, outside, inside = (model.encode_regions(some, corner) for some in (image, elsewhere, own))
    assert (before * outside).sum() > (before * inside).sum()


def test_bf16_stays_close_to_fp32(tmp_path: Path, write_clip: Writer) -> None:
    folder = str(write_clip(tmp_path / "clip"))
    images = images_of(48, 80)
    weights = torch.rand(3, 3, 5, generator=torch.Generator().manual_seed(2))
    exact, rough = ClipModel(folder, precision="fp32"), ClipModel(folder, precision="bf16")
    assert ((exact.encode_dense(images) * rough.encode_dense(images)).sum(1) > 0.99).all()
    assert ((exact.encode_regions(images, weights) * rough.encode_regions(images, weights)).sum(1) > 0.99).all()
    assert rough.encode_regions(images, weights).dtype == torch.float32


@pytest.mark.parametrize("size_hw", [(40, 64), (64, 70), (0, 64)])
def test_sizes_that_are_no_multiple_of_the_patch_are_refused(model: ClipModel, size_hw: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"multiples of 16, got \(1, 3"):
        model.encode_dense(torch.zeros(1, 3, *size_hw))


def test_an_unknown_attention_is_refused(model: ClipModel) -> None:
    with pytest.raises(ValueError, match="expected one of value, correlative, got 'full'"):
        model.encode_dense(images_of(64, 64), "full")


@pytest.mark.parametrize(("architecture", "patch"), [("ViT-B-32", 32), ("ViT-B-16", 16)])
@pytest.mark.parametrize("patches_hw", [(7, 9), (3, 1)])
def test_the_real_towers_take_odd_sizes(architecture: str, patch: int, patches_hw: tuple[int, int]) -> None:
    config = dict(open_clip.get_model_config(architecture))
    config["vision_cfg"] = {**config["vision_cfg"], "layers": 2}  # the shapes are the layers', their number is not
    config["text_cfg"] = {**config["text_cfg"], "layers": 1}
    torch.manual_seed(0)
    visual = open_clip.CLIP(**config).eval().visual
    check_patches(visual, architecture)
    image = images_of(patches_hw[0] * patch, patches_hw[1] * patch)
    with torch.inference_mode():
        found = project_values(visual, patch_values(visual, image, "correlative"))[0]
        expected = literal(visual, image[0], "correlative")
    assert found.shape == (*patches_hw, 512)
    torch.testing.assert_close(normalize(found, dim=-1), expected, atol=1e-4, rtol=1e-3)


def small(**vision: Any) -> torch.nn.Module:
    text = {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1}
    network: Any = open_clip.CLIP(embed_dim=32, vision_cfg={"image_size": 32, **vision}, text_cfg=text)
    visual: torch.nn.Module = network.visual
    return visual


VIT = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}


@pytest.mark.parametrize(
    ("vision", "kind"),
    [
        ({"layers": (1, 1, 1, 1), "width": 16}, "ModifiedResNet"),
        ({"timm_model_name": "vit_tiny_patch16_224", "timm_pool": ""}, "TimmModel"),
        ({**VIT, "attentional_pool": True}, "pools by attention"),
        ({**VIT, "pool_type": "avg"}, "pools by avg"),
        ({**VIT, "qk_norm": True}, "CustomResidualAttentionBlock"),
    ],
)
def test_other_towers_are_refused_with_the_alternative(vision: dict[str, Any], kind: str) -> None:
    with pytest.raises(ConfigError, match=f"some-model has .*{kind}.*; set it to crops"):
        check_patches(small(**vision), "some-model")
    check_patches(small(**VIT), "some-model")
