"""CLIP's text tower, run on no more tokens than the texts have: most of its 77 places are empty, and cost as much.

A causal tower's token sees none behind it, so that what follows a text's last token changes nothing.
"""

from __future__ import annotations

from typing import Any

import open_clip
import torch
from open_clip.transformer import TextTransformer
from torch import Tensor, nn


def encode_tokens(network: Any, tokens: Tensor) -> Tensor:
    """What `network.encode_text` gives, (N, D), of tokens (N, whole context), for less work where its tower is causal.

    network: of open_clip's, of any class.
    """
    tower = _causal_tower(network)
    if tower is None:
        whole: Tensor = network.encode_text(tokens)
        return whole
    return encode_causal(tower, tokens[:, : int(_ends(tower, tokens).max()) + 1])


def encode_causal(tower: nn.Module, tokens: Tensor) -> Tensor:
    """Embeddings (N, D) of a causal text tower, of tokens (N, L) that are cut behind the last one that says anything.

    tower: an open_clip TextTransformer, or a CLIP that has its text tower's parts itself.
    """
    text: Any = tower
    length = tokens.shape[1]
    dtype = text.transformer.get_cast_dtype()
    states = text.token_embedding(tokens).to(dtype) + text.positional_embedding[:length].to(dtype)
    states = text.transformer(states, attn_mask=text.attn_mask[:length, :length])
    pooled: Tensor = text.ln_final(states[torch.arange(len(tokens), device=tokens.device), _ends(text, tokens)])
    if isinstance(text.text_projection, nn.Linear):
        return text.text_projection(pooled)  # type: ignore[no-any-return]
    return pooled if text.text_projection is None else pooled @ text.text_projection


def _causal_tower(network: Any) -> Any:
    """The part that encodes texts, where `encode_causal` can stand in for it; else None."""
    if type(network) is open_clip.CLIP:
        tower = network
    elif type(network) is open_clip.CustomTextCLIP and type(network.text) is TextTransformer:
        tower = network.text
        if tower.cls_emb is not None or tower.output_tokens:
            return None
    else:
        return None
    return tower if tower.attn_mask is not None and _pool_of(tower) in ("argmax", "eos") else None


def _pool_of(tower: Any) -> str:
    """At which token a text is read off, by open_clip's name."""
    return str(tower.pool_type if isinstance(tower, TextTransformer) else tower.text_pool_type)


def _ends(tower: Any, tokens: Tensor) -> Tensor:
    """(N,): where each text is read off: at the highest token, or the first that is the end's."""
    if _pool_of(tower) == "argmax":
        return tokens.argmax(1)
    end: int = tower.eos_id if isinstance(tower, TextTransformer) else tower.text_eos_id
    return torch.eq(tokens, end).int().argmax(1)
