"""What the paper's "localised" may mean: boxes of whole clusters beside boxes of their connected parts, on photographs.

    PYTHONPATH=. python bench/photo_boxes.py --root ../shared/photos

Every eighth image of NYUv2's and CamVid's validation parts, the preset `faithful` with EfficientNet-Lite0. Prints, for
each reading, how many segments an image has, the medians of the box's share of the image and of the segment's share of
its box, and each set's Hungarian mIoU with the segments in the place of the clusters.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ovsr_ros.evaluation.assignment import match_clusters
from ovsr_ros.evaluation.datasets import open_dataset
from ovsr_ros.evaluation.metrics import ClassCounts, count_labels
from ovsr_ros.pipeline import load_segmenter
from ovsr_ros.settings import load_settings

SETS = ("nyuv2-val", "camvid-val")
EVERY = 8
READINGS = {"clusters": False, "connected parts": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder that holds the sets")
    root = parser.parse_args().root
    for name, split in READINGS.items():
        changes = {"features.model": "tf_efficientnet_lite0.in1k", "regions.split_components": split}
        segmenter = load_segmenter(load_settings("faithful", changes).pipeline)
        numbers, box_shares, fills, mious = [], [], [], []
        for data in SETS:
            dataset = open_dataset("folder", root / data)
            counts = ClassCounts.zeros(len(dataset.classes))
            for index in range(0, len(dataset), EVERY):
                sample = dataset.load(index)
                regions = segmenter.segment(sample.image)
                x_min, y_min, x_max, y_max = regions.boxes_xyxy.T.astype(float)
                boxes_px = (x_max - x_min) * (y_max - y_min)
                numbers.append(len(regions))
                box_shares += list(boxes_px / sample.truth.size)
                fills += list(regions.areas_px / boxes_px)
                matched = match_clusters(regions.segment_map.cpu().numpy(), sample.truth, len(dataset.classes))
                counts += count_labels(matched, sample.truth, len(dataset.classes))
            mious.append(counts.summary()["miou"])
        print(
            f"{name}: {np.mean(numbers):.1f} segments an image; box {100 * np.median(box_shares):.1f} % of the image, "
            f"{100 * np.median(fills):.0f} % of it the segment's own; Hungarian mIoU of segments, "
            + ", ".join(f"{data} {miou:.3f}" for data, miou in zip(SETS, mious, strict=True)),
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
