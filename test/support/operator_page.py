"""The operator's page in a browser, as tests read and use it."""

from __future__ import annotations

import re
import time

import numpy as np
from sensor_msgs.msg import Image

from ovsr_ros.messages.images import to_label_array

TIMEOUT_MS = 120_000


def at(page, name):
    return page.locator(f"[data-test={name}]")


def words(page):
    return at(page, "word").locator(".name")


def wait_for_picture(page):
    """One that comes after now."""
    count = int(at(page, "picture").get_attribute("data-count") or 0)
    page.wait_for_function(f"Number(document.querySelector('[data-test=picture]')?.dataset.count || 0) > {count}")


def wait_for_label(site, id, is_there):
    """Wait for a label map with that class id in it, or without, of those that come from now on."""
    maps = site.ovsr.client.collect("/ovsr/label_map", Image)
    try:
        site.ovsr.client.wait(
            lambda: maps and (id in np.unique(to_label_array(maps[-1]))) == is_there,
            f"a label map {'with' if is_there else 'without'} class {id}",
        )
    finally:
        site.ovsr.client.stop_collecting("/ovsr/label_map")


def click_until_told(page, x, y, text):
    """Click at that part of the picture until what stands there is told so: in front of it things pass."""
    picture, picked = at(page, "picture"), at(page, "picked")
    box = picture.bounding_box()
    end = time.monotonic() + TIMEOUT_MS / 1000
    while not re.search(text, told := picked.inner_text()):
        assert time.monotonic() < end, f"at ({x}, {y}) there was never {text!r}, at last {told!r}"
        picture.click(position={"x": box["width"] * x, "y": box["height"] * y})
        page.wait_for_timeout(500)
