"""Can the embedded CLIP carry Trident? Its patches, averaged by the scenes' own instances in the place of all models.

    PYTHONPATH=. python bench/trident_oracle.py --count 20

No proxy and no SAM can average better than the truth does. So what these patches reach here bounds what Trident can
reach with this CLIP, whatever proxy were trained. Four readings of each place, all with the truth for attention:

- windows: each patch is the mean over the patches of its instance within its window (a perfect proxy), windows spliced;
- joined: besides, each place is the mean over its instance in the whole image (a perfect SAM aggregation);
- outlined: besides, each instance gets its most likely word exactly (perfect masks);
- with feed-forward: outlined, the mean passes the last block's feed-forward layer, which Trident leaves out.

For comparison, each instance by itself in a window, centred and its surroundings blurred, as CLIP was trained: read by
its patches' mean, and by the class token, which is no dense reading.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ovsr_ros.backends.trident.splice import splice
from ovsr_ros.backends.trident.windows import WindowOptions, cut_windows
from ovsr_ros.benchmark.record import origin
from ovsr_ros.evaluation.datasets.scenes import ScenesDataset
from ovsr_ros.evaluation.metrics import count_labels
from ovsr_ros.evaluation.sample import Sample
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.clip_dense import project_values
from ovsr_ros.ops.image import normalize, to_tensor
from ovsr_ros.ops.tiling import cut

CPU = torch.device("cpu")
SETTINGS = ((64, 32, 64), (64, 32, 160), (64, 32, 320), (64, 16, 480), (96, 48, 240), (128, 64, 480))
"""Window, stride, short side, px."""
READINGS = ("windows", "joined", "outlined", "with feed-forward")
ALONE = ("alone, patches", "alone, with feed-forward", "alone, class token")


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="val")
    parser.add_argument("--count", type=int, default=20, help="scenes")
    parser.add_argument("--settings", type=int, default=len(SETTINGS), help="the first so many of the settings")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    arguments = parser.parse_args(words)
    clip, dataset = ClipModel("demo", CPU, "fp32"), ScenesDataset(arguments.split, arguments.count)
    samples = [dataset.load(index) for index in range(len(dataset))]
    settings = SETTINGS[: arguments.settings]
    report = {
        **origin(
            f"python bench/trident_oracle.py --split {arguments.split} --count {arguments.count}",
            "cpu",
            ("numpy", "torch", "open-clip-torch"),
        ),
        "split": arguments.split,
        "scenes": arguments.count,
        "miou_by_window_stride_short_side": {
            " ".join(map(str, setting)): miou(clip, samples, setting, READINGS) for setting in settings
        },
        "miou_of_instances_alone": miou(clip, samples, None, ALONE),
    }
    print(json.dumps(report, indent=2))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def miou(
    clip: ClipModel, samples: list[Sample], setting: tuple[int, int, int] | None, readings: tuple[str, ...]
) -> dict[str, float]:
    """mIoU over the scenes' classes, by reading. setting: window, stride, short side; None: instances alone."""
    num_classes = len(ScenesDataset.classes)
    counts: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in readings}
    for sample in samples:
        texts = clip.encode_texts([f"a photo of a {word}." for word in sample.words])
        found = alone(clip, sample) if setting is None else dense(clip, sample, setting)
        classes = np.array(sample.word_classes, np.uint8)
        for name in readings:
            cosines = torch.einsum("td,dhw->thw", texts, found[name])
            hw = sample.image.shape[:2]
            if tuple(cosines.shape[1:]) != hw and cosines.shape[1] > 1:
                cosines = functional.interpolate(cosines[None], hw, mode="bilinear", align_corners=False)[0]
            best = classes[cosines.argmax(0).numpy()]  # (H, W), or (1, instances)
            counts[name].append(best if best.shape == hw else best[0][instances_of(sample)])
    return {
        name: round(
            sum(
                (count_labels(label, sample.truth, num_classes) for label, sample in zip(labels, samples, strict=True)),
                start=count_labels(samples[0].truth[:0], samples[0].truth[:0], num_classes),
            ).summary()["miou"],
            3,
        )
        for name, labels in counts.items()
    }


def instances_of(sample: Sample) -> NDArray[np.int64]:
    """(H, W): each pixel's instance, from 0 without gaps."""
    assert sample.instance_map is not None
    return np.unique(sample.instance_map, return_inverse=True)[1].reshape(sample.instance_map.shape)


@torch.inference_mode()
def dense(clip: ClipModel, sample: Sample, setting: tuple[int, int, int]) -> dict[str, Tensor]:
    """By reading: embeddings (D, rows, columns) of places, or (D, 1, instances)."""
    size, stride, short_side = setting
    patch = clip.patch_size
    windowed = cut_windows(sample.image, patch, CPU, WindowOptions(short_side=short_side, size=size, stride=stride))
    values = torch.cat(
        [
            clip.encode_patches(
                normalize(cut(windowed.image, windowed.windows[first : first + 64]), clip.mean, clip.std)
            )
            for first in range(0, len(windowed.windows), 64)
        ]
    )  # (B, h, w, width)
    rows, columns = windowed.grid_hw
    instances = instances_of(sample)
    shares = functional.adaptive_avg_pool2d(one_hot(instances)[None], (rows, columns))[0]  # (I, rows, columns)
    owner = shares.argmax(0)
    averaged = []
    for window, own in zip(windowed.windows, values, strict=True):
        place = window.scaled(1, patch)
        there = owner[place.top : place.bottom, place.left : place.right].flatten()
        weights = (there[:, None] == there).float()
        averaged.append((weights / weights.sum(1, keepdim=True)) @ own.flatten(0, 1))
    maps = torch.stack(averaged).transpose(1, 2).reshape(len(values), -1, *values.shape[1:3])
    spliced = splice(maps, windowed.windows, windowed.grid_hw, patch)  # (width, rows, columns)
    shares = shares / shares.flatten(1).sum(1)[:, None, None].clamp_min(1e-9)
    means = torch.einsum("irc,wrc->iw", shares, spliced)  # (I, width)
    return {
        "windows": project(clip, spliced.flatten(1).T).view(-1, rows, columns),
        "joined": project(clip, means)[:, owner],
        "outlined": project(clip, means)[:, None],
        "with feed-forward": project_all(clip, means)[:, None],
    }


@torch.inference_mode()
def alone(clip: ClipModel, sample: Sample) -> dict[str, Tensor]:
    """By reading: embeddings (D, 1, instances), each seen by itself."""
    instances, side = instances_of(sample), clip.image_size
    crops, masks = [], []
    blurred = cv2.GaussianBlur(sample.image, (0, 0), 20)
    for mask in one_hot(instances).numpy():
        y, x = mask.nonzero()
        half = int(max(np.ptp(y), np.ptp(x)) * 0.55) + 4
        middle = (int(y.min() + y.max()) // 2 + half, int(x.min() + x.max()) // 2 + half)
        picture = np.where(mask[..., None] > 0, sample.image, blurred)
        whole = cv2.copyMakeBorder(picture, half, half, half, half, cv2.BORDER_REPLICATE)
        part = (slice(middle[0] - half, middle[0] + half), slice(middle[1] - half, middle[1] + half))
        crops.append(cv2.resize(whole[part], (side, side), interpolation=cv2.INTER_AREA))
        wide = cv2.copyMakeBorder(mask, half, half, half, half, cv2.BORDER_CONSTANT, value=0)
        masks.append(cv2.resize(wide[part], (side // clip.patch_size,) * 2, interpolation=cv2.INTER_AREA))
    images = torch.cat([to_tensor(np.asarray(crop, np.uint8), CPU).float() for crop in crops])
    images = normalize(images, clip.mean, clip.std)
    shares = torch.from_numpy(np.stack(masks)) + 1e-6
    values = clip.encode_patches(images)  # (I, h, w, width)
    means = torch.einsum("ihw,ihwc->ic", shares, values) / shares.flatten(1).sum(1, keepdim=True)
    return {
        "alone, patches": project(clip, means)[:, None],
        "alone, with feed-forward": project_all(clip, means)[:, None],
        "alone, class token": clip.encode_images(images).T[:, None],
    }


def one_hot(instances: NDArray[np.int64]) -> Tensor:
    """(I, H, W) float32."""
    return functional.one_hot(torch.from_numpy(instances)).permute(2, 0, 1).float()


def project(clip: ClipModel, values: Tensor) -> Tensor:
    """Averaged values (N, width) as Trident projects them: (D, N)."""
    return clip.project_mixed(clip.mix_values(values)).T


def project_all(clip: ClipModel, values: Tensor) -> Tensor:
    """Averaged values (N, width) through the rest of the last block: (D, N)."""
    return functional.normalize(project_values(clip._network.visual, values), dim=-1).T


if __name__ == "__main__":
    sys.exit(main())
