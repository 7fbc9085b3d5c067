from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_tokenizer import write_tokenizer
from torch.nn.functional import normalize

from ovsr_ros.errors import ModelFormatError, ModelNotFoundError, TokenizerNotFoundError
from ovsr_ros.models.byte_pairs import vocab_size, write_merges
from ovsr_ros.models.calibrated import write_calibrated
from ovsr_ros.models.clip import ClipModel
from ovsr_ros.models.open_clip_network import create_clip

Writer = Callable[[Path], Path]
VISION = {"layers": 2, "width": 96, "head_width": 32, "patch_size": 16}
TEXTS = ["a photo of a mug.", "a striped red mug", "Something Else", "x" * 500, ""]


@pytest.fixture
def folder(tmp_path: Path, write_clip: Writer) -> Path:
    return write_clip(tmp_path / "clip")


def test_embeddings_are_those_of_open_clip_itself(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    reference, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    reference.eval()
    with caplog.at_level(logging.WARNING):
        model = ClipModel(str(folder), precision="fp32")
    assert not caplog.records
    with torch.inference_mode():
        expected_images = normalize(reference.encode_image(images), dim=-1)
        expected_texts = normalize(reference.encode_text(tokenize(TEXTS)), dim=-1)
    torch.testing.assert_close(model.encode_images(images), expected_images)
    torch.testing.assert_close(model.encode_texts(TEXTS), expected_texts)
    assert model.logit_scale == pytest.approx(reference.logit_scale.exp().item())


def test_its_numbers_are_those_of_the_json(folder: Path, weight_bytes) -> None:
    model = ClipModel(str(folder), precision="fp32")
    assert (model.image_size, model.embedding_dim) == (64, 64)
    assert model.mean.tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert model.std.tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert model.model_id.startswith(f"{folder}#")
    num_weights = sum(value.numel() for value in load_file(folder / "open_clip_model.safetensors").values())
    assert weight_bytes(model) >= 4 * num_weights  # float16 in the file, float32 here


def test_embeddings_do_not_depend_on_what_else_is_encoded(folder: Path) -> None:
    model = ClipModel(str(folder))
    names = [f"thing number {n}" for n in range(300)]
    together = model.encode_texts(names)
    assert together.shape == (300, 64)
    torch.testing.assert_close(model.encode_texts(names[270:271]), together[270:271], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(300))


def test_nothing_to_encode_gives_length_0(folder: Path) -> None:
    model = ClipModel(str(folder))
    assert model.encode_texts([]).shape == (0, 64)
    assert model.encode_images(torch.zeros(0, 3, 64, 64)).shape == (0, 64)


def test_bf16_stays_close_to_fp32_and_texts_are_the_same(folder: Path, weight_bytes) -> None:
    exact, rough = ClipModel(str(folder), precision="fp32"), ClipModel(str(folder), precision="bf16")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    a, b = exact.encode_images(images), rough.encode_images(images)
    assert b.dtype == torch.float32
    assert ((a * b).sum(-1) > 0.99).all()
    assert not torch.equal(a, b)
    # On a CPU: embeddings of texts are kept on disk, whatever the precision.
    assert torch.equal(exact.encode_texts(TEXTS), rough.encode_texts(TEXTS))
    assert weight_bytes(rough) < weight_bytes(exact)


def test_a_text_tower_of_its_own_class_is_loaded_from_either_layout(folder: Path) -> None:
    plain = ClipModel(str(folder)).encode_texts(TEXTS)
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["model_cfg"]["custom_text"] = True
    path.write_text(json.dumps(config), encoding="utf-8")
    torch.testing.assert_close(ClipModel(str(folder)).encode_texts(TEXTS), plain)


def test_a_siglip_is_loaded_with_the_tokenizer_beside_its_weights(tmp_path: Path, write_siglip: Writer) -> None:
    folder = write_siglip(tmp_path)
    write_tokenizer(folder, ["a", "red", "mug"], pad_token="</s>")
    model = ClipModel(str(folder), precision="fp32")
    reference = create_clip(json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8")), "m").eval()
    reference.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    tokens = torch.tensor([[3, 4, 5] + 13 * [1]])
    images = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(
            model.encode_texts(["A red, mug!"]), normalize(reference.encode_text(tokens), dim=-1)
        )
        torch.testing.assert_close(model.encode_images(images), normalize(reference.encode_image(images), dim=-1))
    assert model.logit_scale == pytest.approx(117.0, rel=1e-4)
    assert model.mean.tolist() == [0.5, 0.5, 0.5]


def test_a_file_of_a_siglips_weights_takes_the_tokenizer_beside_it(tmp_path: Path, write_siglip: Writer) -> None:
    folder = write_siglip(tmp_path)
    file = folder / "open_clip_model.safetensors"
    with pytest.raises(
        TokenizerNotFoundError, match=r"its tokenizer is not on this machine .*get it: ovsr models down"
    ):
        ClipModel(str(file))
    write_tokenizer(folder, ["a", "red", "mug"])
    assert ClipModel(str(file)).encode_texts(["a mug"]).shape == (1, 64)


def test_another_tokenizer_makes_another_model(tmp_path: Path, write_siglip: Writer) -> None:
    """What is kept of a model, its texts' embeddings above all, is kept under its id."""
    folder = write_siglip(tmp_path)
    ids = set()
    for words in (["a", "red", "mug"], ["mug", "red", "a"]):
        write_tokenizer(folder, words)
        ids.add(ClipModel(str(folder)).model_id)
    assert len(ids) == 2


def test_a_model_with_byte_pairs_of_its_own_reads_them(tmp_path: Path) -> None:
    """A CustomTextCLIP as open_clip itself builds it; other merges make another model."""
    text = {"context_length": 12, "vocab_size": vocab_size(1500), "width": 64, "heads": 2, "layers": 2}
    text["tokenizer_kwargs"] = {"bpe_path": "merges.txt.gz"}
    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
    config = {
        "model_cfg": {"embed_dim": 64, "custom_text": True, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
    }
    network = create_clip(config, "m").eval()
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), tmp_path / "open_clip_model.safetensors")
    merges = tmp_path / "merges.txt.gz"
    write_merges(merges, 1500)
    model = ClipModel(str(tmp_path), precision="fp32")
    tokens = open_clip.SimpleTokenizer(bpe_path=str(merges), context_length=12)(TEXTS)
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_texts(TEXTS), normalize(network.encode_text(tokens), dim=-1))

    lines = gzip.decompress(merges.read_bytes()).decode().split("\n")
    merges.write_bytes(gzip.compress("\n".join([lines[0], lines[2], lines[1], *lines[3:]]).encode()))
    other = ClipModel(str(tmp_path), precision="fp32")
    assert other.model_id != model.model_id
    assert other.model_id.partition("-")[0] == model.model_id.partition("-")[0]
    merges.unlink()
    with pytest.raises(ModelNotFoundError, match=r"no .*merges\.txt\.gz, the merges that its config names"):
        ClipModel(str(tmp_path))


def test_a_coca_gives_the_embeddings_of_open_clip_itself(tmp_path: Path) -> None:
    """Its text tower has a mask for each text and head."""
    tower = {"width": 64, "heads": 2, "layers": 2}
    text = {"context_length": 15, "vocab_size": 49408, **tower, "embed_cls": True, "output_tokens": True}
    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
    config = {
        "model_cfg": {
            "embed_dim": 64,
            "vision_cfg": {**vision, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
            "text_cfg": text,
            "custom_text": True,
            "multimodal_cfg": {"context_length": 16, "vocab_size": 49408, **tower},
        }
    }
    torch.manual_seed(0)
    reference = create_clip(config, "coca").eval()
    # open_clip leaves this one as the memory was, which may hold what is no number.
    torch.nn.init.normal_(reference.text_decoder.text_projection, std=0.1)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(reference.state_dict(), tmp_path / "open_clip_model.safetensors")
    model = ClipModel(str(tmp_path), precision="fp32")
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path}")(TEXTS)
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_images(images), normalize(reference.encode_image(images), dim=-1))
        torch.testing.assert_close(model.encode_texts(TEXTS), normalize(reference.encode_text(tokens), dim=-1))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileCLIP2-S0", "ViT-B-16-SigLIP/webli"])
def test_architectures_of_every_class_are_loaded_with_random_weights(tmp_path: Path, name: str) -> None:
    model = ClipModel(write_calibrated(name, "open_clip", torch.zeros(1, 3, 8, 8, dtype=torch.uint8), tmp_path))
    texts = model.encode_texts(["a mug", "a ball"])
    images = model.encode_images(torch.randn(1, 3, model.image_size, model.image_size))
    assert texts.isfinite().all()
    assert images.isfinite().all()
    assert not torch.equal(texts[0], texts[1])
    for file in tmp_path.iterdir():
        file.unlink()  # hundreds of megabytes


def test_random_weights_of_a_text_tower_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="roberta-ViT-B-32: text towers of the transformers library"):
        write_calibrated("roberta-ViT-B-32", "open_clip", torch.zeros(1, 3, 8, 8, dtype=torch.uint8), tmp_path)


@pytest.mark.slow
def test_a_real_vit_b_32_is_loaded_from_a_file_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = open_clip.create_model("ViT-B-32", pretrained_text=False).eval()
    file = tmp_path / "weights.pt"
    torch.save({"state_dict": {f"module.{n}": v.half() for n, v in network.state_dict().items()}}, file)
    model = ClipModel(f"ViT-B-32/laion2b_s34b_b79k@{file}")
    assert (model.image_size, model.embedding_dim) == (224, 512)
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        expected = normalize(network.encode_image(images), dim=-1)
    assert (model.encode_images(images) * expected).sum() > 0.999


def test_weights_of_another_architecture_are_refused_with_what_differs(folder: Path) -> None:
    path = folder / "open_clip_model.safetensors"
    weights = load_file(path)
    save_file({name: value for name, value in weights.items() if "resblocks.1" not in name}, path)
    with pytest.raises(ModelFormatError, match=r"24 missing: visual\.transformer\.resblocks\.1"):
        ClipModel(str(folder))
    save_file({**weights, "visual.proj": torch.zeros(96, 32)}, path)
    with pytest.raises(ModelFormatError, match=r"visual\.proj \(expected \(96, 64\), file \(96, 32\)\)"):
        ClipModel(str(folder))


def test_a_file_cut_short_is_refused(folder: Path) -> None:
    path = folder / "open_clip_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelFormatError, match=r"open_clip_model\.safetensors: cut short"):
        ClipModel(str(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embed_dim": "wide"}, "open_clip cannot build"),
        ({"vision_cfg": {**VISION, "image_size": [32, 128]}}, r"square input, got \[32, 128\]"),
        ({"text_cfg": {"hf_model_name": "some/tower"}}, "transformers library are not supported"),
    ],
)
def test_an_unusable_description_is_refused(folder: Path, change: dict[str, object], message: str) -> None:
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["model_cfg"] |= change
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelFormatError, match=message):
        ClipModel(str(folder))
