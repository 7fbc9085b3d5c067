"""How bags are packed, by the packages that their reader brings."""

from __future__ import annotations

import bz2
import sys
from collections.abc import Callable
from typing import cast

from lz4.frame import LZ4FrameDecompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def zstd_decompress(data: bytes) -> bytes:
    """All of it, or as much as there is of what is cut short. Raises ValueError for what is no zstd."""
    try:
        return cast(bytes, zstd.ZstdDecompressor().decompress(data))
    except zstd.ZstdError as error:
        raise ValueError(f"expected what zstd has packed: {error}") from error


def zstd_compress(data: bytes) -> bytes:
    """As small as is quick."""
    return zstd.compress(data, 1)


def _lz4_decompress(data: bytes) -> bytes:
    return cast(bytes, LZ4FrameDecompressor().decompress(data))


def _bz2_decompress(data: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(data)


UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "lz4": _lz4_decompress,
    "zstd": zstd_decompress,
    "bz2": _bz2_decompress,
}
"""By the name that a chunk gives. Of what is cut short they return as much as there is; they raise ValueError, OSError
or RuntimeError for what was packed otherwise."""
