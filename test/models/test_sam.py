"""SAM's wrapper against the library's own code: encoder, what the last attention sees, names and sizes of weights."""

import re
import sys

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor

from ovsr_ros.errors import ModelError, ModelFormatError, ModelNotFoundError
from ovsr_ros.models.sam import SamModel
from ovsr_ros.models.sam_weights import authors_names, build

IMAGES_HW = {"square": (90, 90), "landscape": (60, 81), "portrait": (128, 47), "thin": (16, 900)}


@pytest.fixture(scope="module")
def sam(trident_models):
    return SamModel(trident_models.sam, precision="fp32")


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size_hw", IMAGES_HW.values(), ids=IMAGES_HW.keys())
def test_the_embedding_is_the_librarys(sam, size_hw):
    image = picture(*size_hw)
    predictor = SamPredictor(sam._network)
    predictor.set_image(image)
    frame = sam.prepare(image)
    assert frame.input_hw == predictor.input_size
    torch.testing.assert_close(sam.encode(frame), predictor.features, atol=1e-5, rtol=1e-4)


def test_the_last_attention_is_seen_as_its_formula_has_it(sam):
    frame = sam.prepare(picture(60, 81))
    assert frame.valid_hw == (5, 8)
    seen, shown = {}, torch.zeros(4, 40, 40)

    def observe(values):
        seen["values"] = values

        def see(head, first, probabilities):
            shown[head, first : first + len(probabilities)] = probabilities

        return see

    assert sam.encode(frame, observe, wants_embedding=False) is None
    block = sam._network.image_encoder.blocks[-1]
    captured = {}
    with torch.inference_mode(), block.attn.register_forward_pre_hook(lambda _, x: captured.update(tokens=x[0])):
        sam._network.image_encoder(frame.pixels)
        qkv = block.attn.qkv(captured["tokens"])[0].reshape(64, 3, 4, 8)
    places = [(row, column) for row in range(8) for column in range(8)]
    inside = [index for index, (row, _) in enumerate(places) if row < 5]
    for head in range(4):
        queries, keys, values = qkv[:, :, head].unbind(1)
        torch.testing.assert_close(seen["values"][head], values[inside], atol=1e-5, rtol=1e-4)
        for number, query in enumerate(inside):
            row, column = places[query]
            scores = torch.stack(
                [
                    queries[query] @ keys[key] * 8**-0.5
                    + queries[query] @ block.attn.rel_pos_h[row - key_row + 7]
                    + queries[query] @ block.attn.rel_pos_w[column - key_column + 7]
                    for key, (key_row, key_column) in enumerate(places)
                ]
            )
            torch.testing.assert_close(shown[head, number], scores.softmax(0)[inside], atol=1e-5, rtol=1e-4)


def test_masks_are_the_librarys(sam):
    image = picture(60, 81)
    predictor = SamPredictor(sam._network)
    predictor.set_image(image)
    points, boxes = torch.tensor([[30.0, 20.0], [80.0, 60.0]]), torch.tensor([[5.0, 5, 60, 40], [50, 30, 120, 90]])
    prompt = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    masks, scores, low = predictor.predict_torch(
        points[:, None], torch.ones(2, 1), boxes, prompt, multimask_output=False, return_logits=True
    )
    frame = sam.prepare(image)
    found, overlaps = sam.predict(sam.encode(frame), points, boxes, prompt)
    torch.testing.assert_close(found, low[:, 0], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(overlaps, scores[:, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(sam.upscale_masks(low[:, 0], frame, (60, 81)), masks[:, 0], atol=1e-5, rtol=1e-4)
    assert sam.upscale_masks(found, frame, (31, 44)).shape == (2, 31, 44)


def test_the_sizes_of_a_sam_are_those_of_its_weights(sam):
    assert (sam.image_size, sam.grid_size, sam.patch_size) == (128, 8, 16)
    encoder = sam._network.image_encoder
    assert [block.window_size for block in encoder.blocks] == [3, 0, 3, 0]
    assert {block.attn.num_heads for block in encoder.blocks} == {4}


def renamed_as_transformers(state):
    """The names that the transformers library gives SAM's weights."""
    pairs = (
        (
            r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix",
            "shared_image_embedding.positional_embedding",
        ),
        (r"^image_encoder\.neck\.0", "vision_encoder.neck.conv1"),
        (r"^image_encoder\.neck\.1", "vision_encoder.neck.layer_norm1"),
        (r"^image_encoder\.neck\.2", "vision_encoder.neck.conv2"),
        (r"^image_encoder\.neck\.3", "vision_encoder.neck.layer_norm2"),
        (r"^image_encoder\.blocks", "vision_encoder.layers"),
        (r"^image_encoder\.patch_embed\.proj", "vision_encoder.patch_embed.projection"),
        (r"^image_encoder", "vision_encoder"),
        (r"mask_downscaling\.0", "mask_embed.conv1"),
        (r"mask_downscaling\.1", "mask_embed.layer_norm1"),
        (r"mask_downscaling\.3", "mask_embed.conv2"),
        (r"mask_downscaling\.4", "mask_embed.layer_norm2"),
        (r"mask_downscaling\.6", "mask_embed.conv3"),
        (r"point_embeddings", "point_embed"),
        (r"\.norm(\d)\.", r".layer_norm\1."),
        (r"norm_final_attn", "layer_norm_final_attn"),
        (r"output_upscaling\.0", "upscale_conv1"),
        (r"output_upscaling\.1", "upscale_layer_norm"),
        (r"output_upscaling\.3", "upscale_conv2"),
        (r"(mlps\.\d|prediction_head)\.layers\.0", r"\1.proj_in"),
        (r"(mlps\.\d|prediction_head)\.layers\.1", r"\1.layers.0"),
        (r"(mlps\.\d|prediction_head)\.layers\.2", r"\1.proj_out"),
    )
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in pairs:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    first = renamed["shared_image_embedding.positional_embedding"]
    return {**renamed, "prompt_encoder.shared_embedding.positional_embedding": first}


def test_weights_under_the_transformers_librarys_names_are_the_same_model(sam):
    state = sam._network.state_dict()
    back = authors_names(renamed_as_transformers(state))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_other_weights_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(ModelFormatError, match="not the weights of a Segment Anything model"):
        SamModel(str(tmp_path / "a.pth"))


def test_a_sam_that_is_not_here_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("OVSR_MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotFoundError, match="ovsr models download sam_vit_b"):
        SamModel("sam_vit_b")
    with pytest.raises(ModelNotFoundError, match="sam_vit_l"):
        SamModel("sam_vit_x")
    with pytest.raises(ModelNotFoundError, match="no embedded SAM"):
        SamModel("demo")


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    monkeypatch.setitem(sys.modules, "segment_anything.modeling", None)
    with pytest.raises(ModelError, match=re.escape('run: pip install "ovsr_ros[trident]"')):
        build({}, "sam_vit_b")
