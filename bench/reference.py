"""OVSR (Dai and Chen, arXiv 2510.19333) as a reader of the paper would first write it: the measure for our speed.

Every step is the library call that its name suggests: timm's features, NumPy's SVD of the whole feature matrix, SciPy's
linkage, a PIL crop of each segment, open_clip's own preprocessing, one call of CLIP per crop, in float32. Nothing of
`ovsr_ros` computes here; it is asked only where the weights lie. What the paper leaves open is as in the preset
`faithful`, so that both find the same segments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import open_clip
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.cluster.hierarchy import fcluster, linkage
from torch.nn import functional as F

from ovsr_ros.models.weights import resolve

SHORT_SIDE, STRIDE, GRID_ROWS = 256, 32, 64
LEVELS = (1, 2, 3)
LATENT_ENERGY = 0.95
COUNT_FRACTION, K_MIN, K_MAX = 0.3, 2, 24
CROP_MARGIN = 0.1
JOINT_ENERGY = 0.99
SOMETHING_ELSE = "something else"
UNLABELED = 255


@dataclass(frozen=True)
class Result:
    """label_map: (H, W) uint8, index into the categories or 255. segment_map: (H, W), 1 to num_segments."""

    label_map: np.ndarray
    segment_map: np.ndarray
    num_segments: int


class Reference:
    """features, clip: as the pipeline's options name them; float32 on the device."""

    def __init__(self, features: str, clip: str, categories: list[str], device: torch.device) -> None:
        self.device = device
        self.network = load_feature_network(features).eval().to(device)
        config = timm.data.resolve_model_data_config(self.network)
        self.mean, self.std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
        self.clip, self.preprocess, tokenizer = load_clip(clip)
        self.clip = self.clip.eval().to(device)
        sentences = [f"a photo of a {name}." for name in (*categories, SOMETHING_ELSE)]
        with torch.no_grad():
            texts = F.normalize(self.clip.encode_text(tokenizer(sentences).to(device)), dim=-1)
            self.logit_scale = float(self.clip.logit_scale.exp())
        self.texts = texts.cpu().numpy()

    @torch.no_grad()
    def segment(self, image_rgb: np.ndarray) -> Result:
        """An image (H, W, 3) uint8 to labels, all steps of the paper."""
        picture = Image.fromarray(image_rgb)
        features, grid_hw = self.describe(picture)
        clusters = self.cluster(features).reshape(grid_hw)
        segment_map = enlarge(clusters, image_rgb.shape[:2])
        num_segments = int(segment_map.max())
        embeddings = np.stack([self.encode(picture, segment_map == number + 1) for number in range(num_segments)])
        best = self.classify(embeddings).argmax(1)  # (N,)
        labels = np.where(best == len(self.texts) - 1, UNLABELED, best).astype(np.uint8)
        return Result(labels[segment_map - 1], segment_map, num_segments)

    def describe(self, picture: Image.Image) -> tuple[np.ndarray, tuple[int, int]]:
        """The feature matrix (rows * columns, C) and the grid's size."""
        width, height = picture.size
        scale = SHORT_SIDE / min(width, height)
        size_hw = [max(round(side * scale / STRIDE), 1) * STRIDE for side in (height, width)]
        # Not by PIL: it rounds one in a hundred values otherwise, which is enough to lead Ward elsewhere.
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]  # (1, 3, H, W)
        small = F.interpolate(pixels, size_hw, mode="bilinear", antialias=True).float() / 255.0
        maps = self.network(((small - self.mean) / self.std).to(self.device))
        rows, columns = (-(-side * GRID_ROWS // min(width, height)) for side in (height, width))  # rounded up
        levels = []
        for one in maps:
            on_grid = F.interpolate(one, (rows, columns), mode="bilinear", align_corners=False)
            matrix = on_grid[0].flatten(1).T.cpu().numpy()  # (rows * columns, C_l)
            levels.append((matrix - matrix.mean(0)) / (matrix.std(0) + 1e-12) / np.sqrt(matrix.shape[1]))
        return np.concatenate(levels, 1), (rows, columns)

    def cluster(self, features: np.ndarray) -> np.ndarray:
        """Clusters of the rows, numbered from 1."""
        u, s, _ = np.linalg.svd(features, full_matrices=False)
        count = min(max(int((s > COUNT_FRACTION * s[0]).sum()), K_MIN), K_MAX)
        held = np.cumsum(s**2) / np.sum(s**2)
        rank = int((held < LATENT_ENERGY).sum()) + 1
        return fcluster(linkage(u[:, :rank] * s[:rank], "ward"), count, "maxclust")

    def encode(self, picture: Image.Image, mask: np.ndarray) -> np.ndarray:
        """CLIP's embedding of a square crop around a segment, (D,), of length 1."""
        ys, xs = np.nonzero(mask)
        crop = picture.crop(square_around(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, picture.size))
        embedding = self.clip.encode_image(self.preprocess(crop)[None].to(self.device))
        return F.normalize(embedding, dim=-1)[0].cpu().numpy()

    def classify(self, embeddings: np.ndarray) -> np.ndarray:
        """Probabilities (N, T), in the joint latent space of images and texts."""
        joint = np.concatenate((embeddings, self.texts))
        _, s, vt = np.linalg.svd(joint, full_matrices=False)
        rank = int((np.cumsum(s**2) < JOINT_ENERGY * np.sum(s**2)).sum()) + 1
        projected = joint @ vt[:rank].T
        projected /= np.linalg.norm(projected, axis=1, keepdims=True)
        logits = self.logit_scale * projected[: len(embeddings)] @ projected[len(embeddings) :].T
        exponentials = np.exp(logits - logits.max(1, keepdims=True))
        return exponentials / exponentials.sum(1, keepdims=True)


def square_around(left: int, top: int, right: int, bottom: int, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square box with a margin, moved into the image as far as it fits."""
    side = round(max(right - left, bottom - top) * (1 + 2 * CROP_MARGIN))
    corner = []
    for begin, end, length in ((left, right, size_wh[0]), (top, bottom, size_wh[1])):
        start = round((begin + end - side) / 2)
        corner.append(min(max(start, 0), length - side) if side <= length else (length - side) // 2)
    return corner[0], corner[1], corner[0] + side, corner[1] + side


def enlarge(clusters: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Cluster numbers (rows, columns) at the image's resolution, nearest."""
    rows = (np.arange(size_hw[0]) + 0.5) * clusters.shape[0] // size_hw[0]
    columns = (np.arange(size_hw[1]) + 0.5) * clusters.shape[1] // size_hw[1]
    return clusters[rows.astype(int)[:, None], columns.astype(int)]


def load_feature_network(name: str) -> torch.nn.Module:
    """timm's network that gives the levels' maps, with the weights that the option names."""
    found = resolve(name, "timm")
    architecture = found.architecture if found.folder is None else f"local-dir:{found.folder}"
    network = timm.create_model(architecture, pretrained=False, features_only=True, out_indices=LEVELS)
    missing, _ = network.load_state_dict(load_file(found.weights), strict=False)
    if missing:
        raise ValueError(f"{name}: {len(missing)} weights are missing, the first {missing[0]}")
    return network


def load_clip(name: str):
    """open_clip's model, its preprocessing, and its tokenizer, with the weights that the option names."""
    found = resolve(name, "open_clip")
    if found.folder is not None:
        architecture = f"local-dir:{found.folder}"
        model, _, preprocess = open_clip.create_model_and_transforms(architecture)
    else:
        architecture = found.architecture.partition("/")[0]
        model, _, preprocess = open_clip.create_model_and_transforms(architecture, pretrained=str(found.weights))
    return model, preprocess, open_clip.get_tokenizer(architecture)
