"""docs/troubleshooting.md quotes what the package really says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "troubleshooting.md"


def spoken():
    """Every piece of text in the package's source: strings, and the constant parts of formatted ones."""
    texts = []
    for path in sorted((ROOT / "ovsr_ros").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def quoted():
    """The messages of the tables: cells that hold at least three words in backticks."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [cell for row in rows for cell in row.strip("|").split("|")[:2]]
    quotes = [quote for cell in cells for quote in re.findall(r"`([^`]+)`", cell)]
    return [quote for quote in quotes if len(quote.split()) >= 3]


def test_every_message_on_the_page_is_one_of_the_nodes():
    source, messages = spoken(), quoted()
    assert len(messages) > 15
    for message in messages:
        for part in message.split("..."):
            assert part.strip() in source, f"{PAGE.name} quotes {message!r}; nothing says {part.strip()!r}"
