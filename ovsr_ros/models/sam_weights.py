"""Segment Anything's weights: names as its authors' files have them, and the architecture that they tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from ovsr_ros.errors import ModelError, ModelFormatError

INSTALL = 'pip install "ovsr_ros[trident]"'

# From the names that the transformers library gives the same weights to their authors' names, first to last.
_RENAMED = (
    (r"^shared_image_embedding\.positional_embedding$", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"^vision_encoder\.", "image_encoder."),
    (r"^image_encoder\.layers\.", "image_encoder.blocks."),
    (r"^(image_encoder\.blocks\.\d+)\.layer_norm(\d)\.", r"\1.norm\2."),
    (r"^image_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"\.neck\.conv1\.", ".neck.0."),
    (r"\.neck\.layer_norm1\.", ".neck.1."),
    (r"\.neck\.conv2\.", ".neck.2."),
    (r"\.neck\.layer_norm2\.", ".neck.3."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"^(mask_decoder\.transformer\.layers\.\d+)\.layer_norm(\d)\.", r"\1.norm\2."),
    (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.layers\.0\.", r"\1.layers.1."),
    (r"(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.proj_in\.", r"\1.layers.0."),
    (r"(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.proj_out\.", r"\1.layers.2."),
)
_REPEATED = "prompt_encoder.shared_embedding.positional_embedding"


def authors_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of segment-anything's, whether they come in those or in the transformers library's."""
    if not any(name.startswith("vision_encoder.") for name in state):
        return dict(state)
    renamed = {}
    for name, value in state.items():
        if name == _REPEATED:  # the same matrix a second time
            continue
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def build(state: Mapping[str, Tensor], what: str) -> Any:
    """A `Sam` of segment-anything's of the sizes that the weights have, its own weights not yet loaded.

    what: the model, for messages.

    Raises ModelError without the package, ModelFormatError where the weights are not a SAM's.
    """
    try:
        from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
    except ImportError as error:
        raise ModelError(
            f"{what}: SAM needs the package segment-anything, which is not installed ({error}); run: {INSTALL}"
        ) from error
    try:
        side = state["image_encoder.pos_embed"].shape[1]
        width = state["image_encoder.pos_embed"].shape[-1]
        patch = state["image_encoder.patch_embed.proj.weight"].shape[-1]
        depth = _count(state, r"image_encoder\.blocks\.(\d+)\.")
        reach = [state[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape[0] for i in range(depth)]
        head_dim = state["image_encoder.blocks.0.attn.rel_pos_h"].shape[1]
        channels = state["image_encoder.neck.0.weight"].shape[0]
        windowed = [length for length in reach if length != 2 * side - 1]
        encoder = ImageEncoderViT(
            img_size=side * patch,
            patch_size=patch,
            embed_dim=width,
            depth=depth,
            num_heads=width // head_dim,
            mlp_ratio=state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0] / width,
            out_chans=channels,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=(windowed[0] + 1) // 2 if windowed else 0,
            global_attn_indexes=tuple(i for i, length in enumerate(reach) if length == 2 * side - 1),
        )
        prompts = PromptEncoder(
            embed_dim=channels,
            image_embedding_size=(side, side),
            input_image_size=(side * patch, side * patch),
            mask_in_chans=state["prompt_encoder.mask_downscaling.3.weight"].shape[0],
        )
        transformer = TwoWayTransformer(
            depth=_count(state, r"mask_decoder\.transformer\.layers\.(\d+)\."),
            embedding_dim=channels,
            mlp_dim=state["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0],
            num_heads=8,
        )
        decoder = MaskDecoder(
            num_multimask_outputs=state["mask_decoder.mask_tokens.weight"].shape[0] - 1,
            transformer=transformer,
            transformer_dim=channels,
            iou_head_depth=_count(state, r"mask_decoder\.iou_prediction_head\.layers\.(\d+)\."),
            iou_head_hidden_dim=state["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0],
        )
    except (KeyError, IndexError, AssertionError) as error:
        raise ModelFormatError(f"{what}: not the weights of a Segment Anything model: {error} is missing") from error
    if depth - 1 not in [i for i, length in enumerate(reach) if length == 2 * side - 1]:
        raise ModelFormatError(f"{what}: expected a SAM whose last block attends globally, as ViT-B, L and H do")
    return Sam(image_encoder=encoder, prompt_encoder=prompts, mask_decoder=decoder)


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    found = [int(match[1]) for match in (re.match(pattern, name) for name in state) if match]
    return max(found) + 1 if found else 0
