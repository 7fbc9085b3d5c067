"""Chromium for tests, driven by Playwright; where there is none they are skipped, unless OVSR_NEEDS_BROWSER is set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

try:
    import nicegui  # noqa: F401
    from playwright.sync_api import expect as expect  # as this module's own
    from playwright.sync_api import sync_playwright
except ImportError as error:
    _LACKS = str(error)
    expect = None
else:
    _LACKS = ""

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_NEEDED = "needs Chromium (apt install chromium), and the Python packages nicegui and playwright (make setup)"


def require_browser() -> None:
    """Skip the module that calls this, where there is no browser; .ci/run sets OVSR_NEEDS_BROWSER, and it fails."""
    lacks = _LACKS or ("" if _find() else "no chromium on PATH")
    if lacks and os.environ.get("OVSR_NEEDS_BROWSER"):
        pytest.fail(f"{_NEEDED}: {lacks}", pytrace=False)
    if lacks:
        pytest.skip(f"{_NEEDED}: {lacks}", allow_module_level=True)


@contextmanager
def open_browser() -> Iterator[Any]:
    """A browser without windows."""
    # As root, as in a container, Chromium has no sandbox; what it opens here is this repository's own page.
    flags = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_find(), args=flags)
        try:
            yield browser
        finally:
            browser.close()


def take_screenshot(page: Any, name: str) -> None:
    """Keep a picture of the page in build/screenshots."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SCREENSHOTS / f"{name}.png"))


def _find() -> str:
    return next((path for name in _NAMES if (path := shutil.which(name))), "")
