"""Texts cut behind their last token are embedded as open_clip embeds them whole, where that holds."""

from __future__ import annotations

from typing import Any

import open_clip
import pytest
import torch

from ovsr_ros.models.causal_texts import encode_tokens
from ovsr_ros.models.open_clip_network import create_clip

CONTEXT, END = 20, 99
VISION = {"image_size": 16, "layers": 1, "width": 16, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": CONTEXT, "vocab_size": 100, "width": 32, "heads": 2, "layers": 2}
TOKENS = torch.zeros(4, CONTEXT, dtype=torch.int64)
TOKENS[0, :3] = torch.tensor([98, 5, END])
TOKENS[1, :6] = torch.tensor([98, 7, 8, 9, 5, END])
TOKENS[2, :2] = torch.tensor([98, END])
TOKENS[3, :5] = torch.tensor([98, 44, 43, 42, END])


def make(custom: bool, **text: Any) -> Any:
    config = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": {**TEXT, **text}, "custom_text": custom}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_clip({"model_cfg": config, "preprocess_cfg": {}}, "small").eval()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0, 0.2)
    return network


def lengths_seen(network: Any) -> list[int]:
    """How many tokens the transformer is given, call by call."""
    seen: list[int] = []
    transformer = network.transformer if isinstance(network, open_clip.CLIP) else network.text.transformer
    transformer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[1]))
    return seen


@pytest.mark.parametrize("custom", [False, True])
@pytest.mark.parametrize("text", [{}, {"pool_type": "eos", "eos_id": END}, {"proj_bias": True}, {"proj_type": "none"}])
@torch.inference_mode()
def test_a_causal_tower_sees_no_more_tokens_than_the_longest_text_has(custom: bool, text: dict[str, Any]) -> None:
    network = make(custom, **text, **({"width": 24} if "proj_type" in text else {}))
    expected = network.encode_text(TOKENS)
    seen = lengths_seen(network)
    torch.testing.assert_close(encode_tokens(network, TOKENS), expected)
    torch.testing.assert_close(encode_tokens(network, TOKENS[2:3]), expected[2:3])
    full = TOKENS.clone()
    full[1, 1:-1] = torch.arange(1, CONTEXT - 1)
    full[1, -1] = END
    torch.testing.assert_close(encode_tokens(network, full)[[0, 2, 3]], expected[[0, 2, 3]])
    assert seen == [6, 2, CONTEXT]


@pytest.mark.parametrize("text", [{"no_causal_mask": True}, {"pool_type": "last"}, {"embed_cls": True}])
@torch.inference_mode()
def test_a_tower_that_reads_the_empty_places_is_given_them(text: dict[str, Any]) -> None:
    network = make(True, **text)
    seen = lengths_seen(network)
    assert torch.equal(encode_tokens(network, TOKENS), network.encode_text(TOKENS))
    assert seen == 2 * [CONTEXT + ("embed_cls" in text)]
