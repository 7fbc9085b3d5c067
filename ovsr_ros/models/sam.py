"""Segment Anything: an image's embedding, what its last attention sees, and masks from prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ovsr_ros.models.checkpoint import load_weights, read_state_dict
from ovsr_ros.models.device import inference, resolve_precision
from ovsr_ros.models.packed import pack_products
from ovsr_ros.models.sam_encoder import Observer, encode
from ovsr_ros.models.sam_weights import authors_names, build
from ovsr_ros.models.weights import resolve


@dataclass(frozen=True)
class SamFrame:
    """An image as SAM's encoder takes it.

    pixels: (1, 3, S, S) float32, normalised, on the device, zeros at right and bottom.
    image_hw: the image's size in pixels. input_hw: its size within the S x S pixels.
    valid_hw: whole patches of the input, at least one each way.
    """

    pixels: Tensor
    image_hw: tuple[int, int]
    input_hw: tuple[int, int]
    valid_hw: tuple[int, int]


class SamModel:
    """A pretrained Segment Anything model of any size.

    name: sam_vit_b, sam_vit_l, sam_vit_h, or a local file or folder with such weights. device: where it runs.
    precision: of the encoder: auto, fp32, bf16, fp16; prompts and masks are always fp32. allow_download: fetch weights
    that are not here.

    image_size: S, side of the encoder's input in pixels. grid_size: patches along it. patch_size: their side.
    model_id: the name and the weights' checksum.

    Raises ModelError when the model cannot be had, is damaged, or the package segment-anything is not installed.
    """

    def __init__(
        self, name: str, device: torch.device | None = None, precision: str = "auto", allow_download: bool = False
    ) -> None:
        self._device = device or torch.device("cpu")
        self._dtype = resolve_precision(precision, self._device)
        resolved = resolve(name, "sam", allow_download)
        state = authors_names(read_state_dict(resolved.weights))
        network = build(state, resolved.description)
        load_weights(network, state, resolved.description)
        network.eval().requires_grad_(False)
        self._network = network.to(self._device)
        self.image_size = int(network.image_encoder.img_size)
        self.patch_size = int(network.image_encoder.patch_embed.proj.kernel_size[0])
        self.grid_size = self.image_size // self.patch_size
        self.model_id = resolved.model_id

    def pack(self) -> None:
        """Make the encoder faster where the device allows, by `pack_products`; not to be undone."""
        pack_products(self._network.image_encoder, self._device, self._dtype)

    def prepare(self, image_rgb: NDArray[np.uint8]) -> SamFrame:
        """Resize (H, W, 3) uint8 RGB to a long side of S as SAM's own predictor does, by Pillow, and pad it."""
        image_hw = (image_rgb.shape[0], image_rgb.shape[1])
        height, width = self.scaled_size_hw(image_hw)
        resized = Image.fromarray(image_rgb).resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(resized)).to(self._device).permute(2, 0, 1).float()  # (3, h, w)
        network = self._network
        pixels = (pixels - network.pixel_mean) / network.pixel_std
        padding = (0, self.image_size - width, 0, self.image_size - height)
        valid_hw = (max(1, height // self.patch_size), max(1, width // self.patch_size))
        return SamFrame(functional.pad(pixels, padding)[None], image_hw, (height, width), valid_hw)

    def scaled_size_hw(self, size_hw: tuple[int, int], long_side: int | None = None) -> tuple[int, int]:
        """A size scaled to a long side, S unless given, rounded as SAM does; no side is 0."""
        scale = (long_side or self.image_size) / max(size_hw)
        return max(1, int(size_hw[0] * scale + 0.5)), max(1, int(size_hw[1] * scale + 0.5))

    def encode(
        self, frame: SamFrame, observe: Callable[[Tensor], Observer] | None = None, wants_embedding: bool = True
    ) -> Tensor | None:
        """The image's embedding (1, C, grid, grid) float32; None where it is not wanted.

        observe: given the last block's values within the image, (heads, N, d) with N = valid rows * columns, returns
        what takes that block's probabilities among these N: the head, the first query's number, and (n, N).
        """
        crop = None if observe is None else _Crop(observe, frame.valid_hw, self.grid_size)
        with inference(self._device, self._dtype):
            embedding = encode(self._network.image_encoder, frame.pixels, crop, wants_embedding, frame.valid_hw[0])
        return None if embedding is None else embedding.float()

    def predict(
        self, embedding: Tensor, points_xy: Tensor, boxes_xyxy: Tensor, mask_input: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One mask for each of B prompts: a point (B, 2) and a box (B, 4), float32, pixels of the S x S input.

        mask_input: (1, 4 * grid, 4 * grid) float32, shared by the prompts. Without a batch dimension, as Trident's code
        passes it: the layer norms between SAM's mask convolutions then run along the image's rows instead of along the
        channels. Its thresholds were chosen so.

        Returns mask logits (B, 4 * grid, 4 * grid) and predicted IoUs (B,), float32.
        """
        network = self._network
        with torch.inference_mode():
            labels = torch.ones(len(points_xy), 1, device=self._device)
            sparse, dense = network.prompt_encoder(
                points=(points_xy[:, None], labels), boxes=boxes_xyxy, masks=mask_input
            )
            masks, scores = network.mask_decoder(
                image_embeddings=embedding,
                image_pe=network.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
        return masks[:, 0], scores[:, 0]

    def upscale_masks(self, masks: Tensor, frame: SamFrame, size_hw: tuple[int, int]) -> Tensor:
        """Mask logits (B, h, w) as `predict` gives them at the image's pixels, then at size_hw: (B, H, W)."""
        side = (self.image_size, self.image_size)
        whole = functional.interpolate(masks[:, None], side, mode="bilinear", align_corners=False)
        cut = whole[..., : frame.input_hw[0], : frame.input_hw[1]]
        masks = functional.interpolate(cut, frame.image_hw, mode="bilinear", align_corners=False)
        if frame.image_hw != size_hw:
            masks = functional.interpolate(masks, size_hw, mode="bilinear", align_corners=False)
        return masks[:, 0]


class _Crop:
    """Passes on what an observer is to see: the part of the grid that the image covers."""

    def __init__(self, observe: Callable[[Tensor], Observer], valid_hw: tuple[int, int], grid_size: int) -> None:
        self._observe, self._valid_hw, self._grid_size = observe, valid_hw, grid_size

    def __call__(self, values: Tensor) -> Observer:
        rows, columns = self._valid_hw
        size = self._grid_size
        inside = values.reshape(len(values), size, size, -1)[:, :rows, :columns].flatten(1, 2)  # (heads, N, d)
        see = self._observe(inside)

        def observer(head: int, first: int, probabilities: Tensor) -> None:
            row = first // size
            visible = probabilities.view(-1, size, size, size)[: max(rows - row, 0), :columns, :rows, :columns]
            if len(visible):
                see(head, row * columns, visible.reshape(-1, rows * columns))

        return observer
