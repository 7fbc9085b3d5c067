"""The authors' settings for each data set: what differs from the options' defaults, by the data set's name."""

from __future__ import annotations

from collections.abc import Mapping

from ovsr_ros.options import Scalar

Preset = Mapping[str, Scalar | tuple[Scalar, ...]]


def _preset(
    short_side: int, threshold: float, coarse: float, cos_factor: float = 1.2, refine_negative: bool = True
) -> dict[str, Scalar | tuple[Scalar, ...]]:
    return {
        "trident.windows.short_side": short_side,
        "score_threshold": threshold,
        "trident.masks.coarse_threshold": coarse,
        "trident.sam.cos_factor": cos_factor,
        "trident.sam.refine_negative_cos": refine_negative,
        "text.templates": "imagenet80",
        # The background is what the data set's own names say, where it has any, or nothing.
        "text.something_else": (),
    }


PRESETS: dict[str, Preset] = {
    "voc21": _preset(448, 0.2, 0.2),
    "voc20": {**_preset(336, 0.0, 0.2, cos_factor=0.0), "trident.windows.stride": 112},
    "context60": _preset(576, 0.15, 0.15),
    "context59": _preset(576, 0.0, 0.15),
    "coco-object": _preset(448, 0.25, 0.25),
    "coco-obj-80": _preset(448, 0.0, 0.25),  # not the authors': COCO-Object's, where no pixel is background
    "coco-stuff": _preset(448, 0.0, 0.05),
    "ade20k": _preset(576, 0.0, 0.05, refine_negative=False),
    "cityscapes": {
        **_preset(688, 0.0, 0.1, cos_factor=3.0, refine_negative=False),
        "trident.sam.halves": True,
    },
}
