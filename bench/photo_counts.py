"""How the number of clusters follows the number of classes in view, on the sets of a sweep file.

    PYTHONPATH=. python bench/photo_counts.py bench/sweeps/photos_report.yaml --root ../shared/photos

Prints, for each set and for all images together, Pearson's correlation of the preset's number of clusters with the
number of classes in the truth, and both means.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ovsr_ros.evaluation.baselines.region_finders import adaptive_count
from ovsr_ros.evaluation.sample import IGNORED
from ovsr_ros.evaluation.sweep.file import read_sweep
from ovsr_ros.pipeline import load_segmenter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="the sweep file whose base and data sets are looked at")
    parser.add_argument("--root", type=Path, required=True, help="what its data sets' roots are relative to")
    arguments = parser.parse_args()
    sweep = read_sweep(arguments.sweep)
    segmenter = load_segmenter(sweep.base.options)
    every: list[tuple[int, int]] = []
    for images in sweep.sets:
        dataset = images.open(arguments.root)
        pairs = []
        for index in images.indices(len(dataset)):
            sample = dataset.load(index)
            classes = np.unique(sample.truth[sample.truth != IGNORED])
            pairs.append((adaptive_count(sample.image, segmenter), len(classes)))
        every += pairs
        print(describe(images.name, pairs), flush=True)
    print(describe("all", every))


def describe(name: str, pairs: list[tuple[int, int]]) -> str:
    clusters, classes = np.array(pairs, float).T
    varies = clusters.std() > 0 and classes.std() > 0
    correlation = f"{np.corrcoef(clusters, classes)[0, 1]:.2f}" if varies else "-"
    return f"{name}: correlation {correlation}, {clusters.mean():.1f} clusters, {classes.mean():.1f} classes an image"


if __name__ == "__main__":
    sys.exit(main())
