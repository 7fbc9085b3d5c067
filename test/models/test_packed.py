"""Packed products: the libraries' layers give the same, whatever activation and attention they have."""

import open_clip.transformer
import pytest
import torch
from timm.models.vision_transformer import Block
from torch import nn

from ovsr_ros.models import packed
from ovsr_ros.models.packed import PackedAttention, PackedLinear, can_pack, pack_products

CPU = torch.device("cpu")

needs_packing = pytest.mark.skipif(not can_pack(), reason="this PyTorch has no packed products")


def clip_block(act_layer=nn.GELU):
    return open_clip.transformer.ResidualAttentionBlock(48, 4, act_layer=act_layer)


def outputs(block, tokens):
    with torch.inference_mode():
        return block(tokens)


@needs_packing
@pytest.mark.parametrize(
    "new_block",
    [clip_block, lambda: clip_block(open_clip.transformer.QuickGELU), lambda: Block(48, 4, qkv_bias=True)],
    ids=["open_clip", "open_clip with QuickGELU", "timm"],
)
def test_a_packed_block_is_the_block(new_block):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = new_block().eval()
        tokens = torch.randn(2, 11, 48)
    expected = outputs(block, tokens)
    pack_products(block, CPU, torch.float32)
    assert not any(isinstance(module, (nn.Linear, nn.GELU)) for module in block.modules())
    torch.testing.assert_close(outputs(block, tokens), expected, atol=1e-5, rtol=1e-4)
    for batch in (1, 5):
        assert outputs(block, torch.zeros(batch, 3, 48)).shape == (batch, 3, 48)


@needs_packing
def test_no_bias_is_no_bias():
    layer = nn.Linear(16, 24, bias=False)
    inputs = torch.randn(7, 16, generator=torch.Generator().manual_seed(0))
    found = outputs(PackedLinear(layer.weight, None), inputs)
    torch.testing.assert_close(found, outputs(layer, inputs), atol=1e-5, rtol=1e-4)


def test_other_devices_formats_and_versions_keep_their_layers(monkeypatch):
    block = clip_block()
    pack_products(block, CPU, torch.bfloat16)
    pack_products(block, torch.device("cuda"), torch.float32)
    monkeypatch.setattr(packed, "can_pack", lambda: False)
    pack_products(block, CPU, torch.float32)
    assert isinstance(block.attn, nn.MultiheadAttention)
    assert isinstance(block.mlp.c_fc, nn.Linear)


@needs_packing
def test_only_self_attention_is_packed():
    attention = PackedAttention(nn.MultiheadAttention(16, 2, batch_first=True))
    tokens = torch.zeros(1, 3, 16)
    with pytest.raises(ValueError, match="one tensor as query, key and value"):
        attention(tokens, tokens.clone(), tokens)
