"""The image network of the embedded models `pocket`: EfficientNet-Lite0 with a pyramid that embeds places.

A convolutional network of timm's registry, so that timm and open_clip build it by name (`ovsr_pocket_lite0_fine`): it
gives feature maps of its levels, and a last map whose cells lie in the space of sentences. Its mean over an image, or
over a segment, is that image's or segment's embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.models import register_model
from torch import Tensor, nn
from torch.nn import functional

TRUNK = "tf_efficientnet_lite0"
_FIRST_LEVEL = 2
"""The pyramid is built of the trunk's levels from this one on, at strides 8, 16 and 32."""
_CHANNELS = (40, 112, 320)
_DETAIL_CHANNELS = 24
"""Of the level before, at stride 4: it sees what is too thin for a cell."""
_HEAD_CHANNELS = 1280
_KERNEL = 5

__all__ = ["PocketNetwork"]


class Block(nn.Module):
    """A depthwise convolution, normalised, then two pointwise ones around a ReLU, added to what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, _KERNEL, padding=_KERNEL // 2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        changed: Tensor = self.project(functional.relu(self.expand(self.norm(self.depthwise(maps)))))
        return maps + changed


class PocketNetwork(nn.Module):
    """EfficientNet-Lite0's trunk, a pyramid of its maps at stride 8, and anchors: ImageNet's classes in the last space.

    num_classes: D, of the last map and the embedding, which timm counts as classes. width: channels of the pyramid.
    blocks: at strides 32, 16 and 8. detail: whether the pyramid sees stride 4. num_anchors: K, the trunk's classes.
    feature_info: the trunk's five levels, then the pyramid.

    The last map (B, D, h, w) has cells of length 1. Each is a mean of two directions: what the pyramid says, and what
    the trunk's classifier says, the mean of the classes' sentence embeddings by their probabilities (ConSE: Norouzi et
    al., arXiv 1312.5650). How much of each, the pyramid decides cell by cell.
    """

    def __init__(
        self,
        num_classes: int = 384,
        global_pool: str = "avg",
        width: int = 160,
        blocks: Sequence[int] = (2, 2, 2),
        detail: bool = True,
        num_anchors: int = 1000,
        in_chans: int = 3,
        pretrained_cfg: Any = None,
        **_: Any,
    ) -> None:
        super().__init__()
        if num_classes < 1 or global_pool != "avg" or in_chans != 3:
            raise ValueError("expected an embedding of 1 dimension or more, the mean as pool, three channels")
        self.num_features = self.num_classes = num_classes
        self.pretrained_cfg = self.default_cfg = pretrained_cfg
        self.trunk: Any = timm.create_model(TRUNK, pretrained=False, num_classes=num_anchors)
        classifier: Any = self.trunk.classifier
        classifier.is_float32 = True  # `classify` computes in it, whatever the others' precision is
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in (*_CHANNELS, _HEAD_CHANNELS))
        self.detail = None
        if detail:
            self.detail = nn.Conv2d(_DETAIL_CHANNELS, width, 3, stride=2, padding=1, bias=False)
            nn.init.zeros_(self.detail.weight)
        self.context = nn.Linear(_HEAD_CHANNELS, width)
        self.blocks = nn.ModuleList(nn.Sequential(*(Block(width) for _ in range(count))) for count in blocks)
        self.embed = nn.Conv2d(width, num_classes, 1)
        self.gate = nn.Conv2d(width, 1, 1)
        self.anchors: Tensor
        self.register_buffer("anchors", torch.zeros(num_anchors, num_classes))
        self.anchor_scale = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)  # type: ignore[arg-type]
        trunk_levels: Any = self.trunk.feature_info
        self.feature_info = [
            *(dict(info) for info in trunk_levels),
            {"num_chs": width, "reduction": 8, "module": "blocks.2"},
        ]

    def get_classifier(self) -> nn.Module:
        """timm's way to a classifier; there is none."""
        return nn.Identity()

    def forward_features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> the last map (B, D, h, w), h and w an eighth of H and W, rounded up."""
        return self.forward_intermediates(images, indices=[])[0]

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        """The mean (B, D) of a map (B, D, h, w)."""
        return maps.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), normalised -> (B, D), of any length."""
        return self.forward_head(self.forward_features(images))

    def forward_intermediates(self, images: Tensor, indices: Sequence[int], **_: Any) -> tuple[Tensor, list[Tensor]]:
        """The last map, and those of the levels `indices`, as timm's networks give them."""
        final, levels = self.trunk.forward_intermediates(images, indices=list(range(len(self.trunk.feature_info))))
        pyramid = self.fuse(levels[_FIRST_LEVEL - 1 :], final)
        return self.embed_cells(pyramid, final), [[*levels, pyramid][index] for index in sorted(indices)]

    def say(self, images: Tensor) -> Tensor:
        """The trunk's classifier at each place: (B, 3, H, W), normalised -> logits (B, K, h, w), at stride 32."""
        return self.classify(self.trunk.forward_features(images))

    def fuse(self, taps: Sequence[Tensor], final: Tensor) -> Tensor:
        """The pyramid (B, width, h, w) at stride 8, of the trunk's maps at strides 4 to 32 and its final one."""
        around = self.context(final.mean((2, 3)))[:, :, None, None]  # what the whole image shows
        maps = self.blocks[0](self.lateral[3](final) + self.lateral[2](taps[3]) + around)
        maps = self.blocks[1](_enlarge(maps, taps[2]) + self.lateral[1](taps[2]))
        maps = _enlarge(maps, taps[1]) + self.lateral[0](taps[1])
        fused: Tensor = self.blocks[2](maps if self.detail is None else maps + self.detail(taps[0]))
        return fused

    def embed_cells(self, pyramid: Tensor, final: Tensor) -> Tensor:
        """The last map (B, D, h, w) from the pyramid (B, width, h, w) and the trunk's final map."""
        own = self.embed(pyramid).float()
        probabilities = (self.classify(final) * self.anchor_scale.float().exp()).softmax(1)
        # Channels last, as the maps are: layouts that differ cost more than what is computed.
        kin = (probabilities.permute(0, 2, 3, 1) @ self.anchors.float()).permute(0, 3, 1, 2)  # (B, D, h', w')
        kin = _enlarge(functional.normalize(kin, dim=1), own)
        share = torch.sigmoid(self.gate(pyramid).float())
        own_share = (1 - share) / own.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return functional.normalize(torch.addcmul(share * kin, own_share, own), dim=1)

    def classify(self, final: Tensor) -> Tensor:
        """The trunk's classifier at each cell of its final map: logits (B, K, h, w) float32."""
        classifier: Any = self.trunk.classifier
        return functional.conv2d(final.float(), classifier.weight.float()[:, :, None, None], classifier.bias.float())


def _enlarge(maps: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(maps, (like.shape[2], like.shape[3]), mode="bilinear", align_corners=False)


@register_model
def ovsr_pocket_lite0_fine(pretrained: bool = False, **arguments: Any) -> PocketNetwork:
    """`PocketNetwork` by timm's name. There are no weights for timm to load."""
    arguments.pop("pretrained_cfg_overlay", None)
    return PocketNetwork(**arguments)


@register_model
def ovsr_pocket_lite0(pretrained: bool = False, **arguments: Any) -> PocketNetwork:
    """The network as pairs have it that were trained before: one block at stride 8, no detail."""
    arguments.pop("pretrained_cfg_overlay", None)
    return PocketNetwork(**{"blocks": (2, 2, 1), "detail": False, **arguments})
