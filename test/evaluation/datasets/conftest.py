"""Image and mask files for small data sets that the tests write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PALETTE = [channel for index in range(256) for channel in (index * 7 % 256, index * 13 % 256, index * 29 % 256)]


class Files:
    """Writes files under a folder; paths are relative to it. Masks are given as rows of values."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self, name: str, content: str) -> Path:
        path = self.path(name)
        path.write_text(content, encoding="utf-8")
        return path

    def image(self, name: str, size_wh: tuple[int, int], color: tuple[int, int, int] = (200, 40, 90)) -> Path:
        path = self.path(name)
        Image.new("RGB", size_wh, color).save(path)
        return path

    def noise(self, name: str, size_wh: tuple[int, int]) -> Path:
        """An image that does not compress to nothing, so that cutting it short loses pixels."""
        path = self.path(name)
        width, height = size_wh
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    def cut(self, name: str, share: float = 0.5) -> Path:
        path = self.root / name
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    def grey(self, name: str, rows) -> Path:
        path = self.path(name)
        Image.fromarray(np.array(rows, np.uint8)).save(path)
        return path

    def grey16(self, name: str, rows) -> Path:
        path = self.path(name)
        Image.fromarray(np.array(rows, np.uint16)).save(path)
        return path

    def paletted(self, name: str, rows) -> Path:
        path = self.path(name)
        values = np.array(rows, np.uint8)
        image = Image.frombytes("P", (values.shape[1], values.shape[0]), values.tobytes())
        image.putpalette(PALETTE)
        image.save(path)
        return path

    def grey_bits(self, name: str, rows, bits: int) -> Path:
        """A grey PNG of 1, 2 or 4 bits a pixel, which Pillow itself does not write."""
        path = self.path(name)
        values = np.array(rows, np.uint8)
        height, width = values.shape
        raw = b""
        for row in values:
            padded = np.zeros(-(-width * bits // 8) * 8 // bits, np.uint8)
            padded[:width] = row
            flat = (padded[:, None] >> np.arange(bits - 1, -1, -1)) & 1
            raw += b"\0" + np.packbits(flat.ravel()).tobytes()
        header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
        chunks = (b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))
        return path


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A writer of files in a folder of the test's own."""
    return Files(tmp_path)
