"""Trident's speed and memory beside the plain transcription of the method, on the same networks.

    PYTHONPATH=. python bench/trident.py --out bench/results/trident_cpu.json

Each side is measured in a process of its own, so that peak memory is its own; both load the same weights, which are
drawn from a seed unless models are named: time and memory do not depend on what they hold, results do not matter here.
Written for GPUs too (--device cuda), where it has not been run yet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ovsr_ros.backends.trident.backend import TridentBackend, TridentOptions, load
from ovsr_ros.benchmark.record import origin
from ovsr_ros.models.device import resolve_device
from ovsr_ros.models.memory import MEBIBYTE, resident_bytes
from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.models.untrained import new_registered_clip, new_registered_sam, new_registered_vit
from ovsr_ros.options import replace_flat
from ovsr_ros.vocabulary.text_embeddings import TextClassifier

PACKAGES = ("numpy", "torch", "timm", "open-clip-torch", "segment-anything")
SIDES = ("transcription", "trident")
NUM_WORDS = 21
CLIP, PROXY, SAM = "ViT-B-16/openai", "vit_base_patch16_224.dino", "sam_vit_b"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--method", choices=("none", "sam"), default="sam", help="trident.masks.method")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="of PyTorch (default: its own choice)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--models", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        print(json.dumps(measure(arguments)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder))
        figures = {side: run_side(side, folder) for side in SIDES}
    ours, plain = figures["trident"], figures["transcription"]
    report = {
        **origin(" ".join(["python", *sys.argv]), arguments.device, PACKAGES),
        "weights": "drawn from seed 0",
        "models": {"clip": CLIP, "proxy": PROXY, "sam": SAM},
        "image_wh": list(arguments.size),
        "words": NUM_WORDS,
        "method": arguments.method,
        "figures": figures,
        "speedup": plain["seconds"]["median"] / ours["seconds"]["median"],
        "speedup_of_processor_time": plain["processor_seconds"]["median"] / ours["processor_seconds"]["median"],
        "peak_memory_ratio": ours["peak_mb"] / plain["peak_mb"],
        "working_memory_ratio": ours["working_mb"] / plain["working_mb"],
    }
    print(json.dumps(report, indent=2))
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def run_side(side: str, models: str) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--models", models]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))


def write_models(folder: Path) -> None:
    """The three networks at their real sizes, as local files."""
    torch.manual_seed(0)
    save_tensors(new_registered_clip(CLIP).state_dict(), folder / "clip.safetensors")
    save_tensors(new_registered_vit(PROXY).state_dict(), folder / "proxy.safetensors")
    save_tensors(new_registered_sam(SAM).state_dict(), folder / "sam.safetensors")


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds an image, and peak memory, of one side."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    changes: dict[str, object] = {
        "clip.model": f"{CLIP}@{arguments.models / 'clip.safetensors'}",
        "proxy.model": f"{PROXY}@{arguments.models / 'proxy.safetensors'}",
        "sam.model": str(arguments.models / "sam.safetensors"),
        "masks.method": arguments.method,
        # With weights that know nothing: regions enough to prompt SAM with.
        "masks.coarse_threshold": 0.0,
        "masks.iou_threshold": 0.0,
    }
    # The transcription runs the networks as their libraries have them.
    packed = arguments.side == "trident"
    backend = load(replace_flat(TridentOptions(), changes), device, "fp32", False, packed)
    width, height = arguments.size
    image = picture(height, width)
    loaded_mb = resident_mb(device)
    step = steps(arguments.side, backend, image)
    seconds, processor = [], []
    with Peak(device) as peak:
        for number in range(arguments.repeats + 1):
            start, start_processor = time.perf_counter(), time.process_time()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if number:  # the first warms up
                seconds.append(time.perf_counter() - start)
                processor.append(time.process_time() - start_processor)
    return {
        "seconds": spread(seconds),
        "processor_seconds": spread(processor),
        "peak_mb": peak.mb,
        "loaded_mb": loaded_mb,
        "working_mb": peak.mb - loaded_mb,
        "threads": torch.get_num_threads(),
    }


def steps(side: str, backend: TridentBackend, image: NDArray[np.uint8]) -> Callable[[], object]:
    """What is timed: one image, labelled."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(NUM_WORDS, backend.clip.embedding_dim, generator=generator), dim=1)
    class_ids = torch.tensor([255, *range(NUM_WORDS - 1)], dtype=torch.uint8)
    classifier = TextClassifier(rows, class_ids, tuple(map(str, range(NUM_WORDS))), 1).to(backend.device)
    if side == "trident":
        return lambda: backend.label(backend.embed(image), classifier, 0.0, 3)
    import trident_reference

    def transcription() -> object:
        logits, seen = trident_reference.cosines(backend, image, classifier.embeddings)
        return trident_reference.labels(backend, logits, seen, num_background=1, threshold=0.0)

    return transcription


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Large blocks of colour with noise."""
    rng = np.random.default_rng(0)
    blocks = np.repeat(np.repeat(rng.integers(0, 200, (4, 5, 3)), -(-height // 4), 0), -(-width // 5), 1)
    return (blocks[:height, :width] + rng.integers(0, 40, (height, width, 3))).astype(np.uint8)


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def resident_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    return resident_bytes() / MEBIBYTE


class Peak:
    """The most memory in use meanwhile: of the process on a CPU, sampled every 10 ms; of the tensors on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.mb = 0.0
        self._device = device
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Peak:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._device.type == "cuda":
            self.mb = torch.cuda.max_memory_allocated(self._device) / 2**20
        else:
            self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.01):
            self.mb = max(self.mb, resident_mb(self._device))


if __name__ == "__main__":
    sys.exit(main())
