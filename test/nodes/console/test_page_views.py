"""What the operator's page shows, of which node, to how many, and when something is lost: in real browsers, with real
nodes and the demo's camera. Pictures go to build/screenshots.
"""

from __future__ import annotations

import re
from pathlib import Path

from browser import expect, require_browser, take_screenshot
from operator_page import TIMEOUT_MS, at, wait_for_picture, words

require_browser()

LOW_CONTRAST = (Path(__file__).parents[2] / "support" / "low_contrast.js").read_text(encoding="utf-8")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}

expect.set_options(timeout=TIMEOUT_MS)


def test_it_shows_the_picture_the_words_and_how_fast_the_node_is(open_page, busy_factor):
    page = open_page()
    expect(words(page)).to_have_text(["wall", "floor", "mug", "ball", "book"])
    expect(at(page, "word").first.locator(".use")).to_have_text(re.compile(r"\d+ %"))
    expect(at(page, "speed")).to_have_text(
        re.compile(r"[\d.]+ pictures a second labelled, [\d.]+ come, [\d.]+ ms each")
    )
    expect(at(page, "chip")).to_have_text(re.compile(r"^(all well|\d problems?)$"))  # a busy machine is one
    paint_ms = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint_ms < 1000 * busy_factor()
    take_screenshot(page, "page")


def test_it_fits_a_phone_and_can_be_read_on_one(open_page):
    page = open_page(color_scheme="light", **PHONE)
    expect(words(page)).to_have_count(5)
    expect(at(page, "chip")).not_to_have_text("listening")
    expect(at(page, "word").first.locator(".use")).not_to_be_empty()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("body")).to_have_class(re.compile(rf"body--{scheme}"))
        assert page.evaluate(LOW_CONTRAST) == []
        take_screenshot(page, f"phone_{scheme}")


def test_the_node_is_paused_and_goes_on_for_everybody(open_page):
    page, other = open_page(), open_page()
    at(page, "pause").click()
    expect(at(other, "chip")).to_have_text("paused")
    expect(at(other, "pause")).to_have_attribute("aria-label", "Go on")
    expect(at(page, "caption")).to_have_text(re.compile(r"No new picture for \d+ s"))
    take_screenshot(page, "paused")
    at(other, "pause").click()
    expect(at(page, "chip")).not_to_have_text("paused")
    wait_for_picture(page)
    page.get_by_role("tab", name="Log").click()
    said = at(page, "log").locator("li")
    expect(said.nth(0)).to_contain_text("had it go on")
    expect(said.nth(1)).to_contain_text("paused it")


def test_ten_pages_all_get_pictures_and_each_change(open_page, site):
    first = open_page()
    pages = [first, *(first.context.new_page() for _ in range(9))]
    for page in pages[1:]:
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(site.url)
    for page in pages:
        wait_for_picture(page)  # while the nine others look, too
    assert site.count_subscribers("/ovsr/overlay/compressed") == 1
    assert site.ovsr.set_vocabulary(1, "lamp").success
    for page in pages:
        expect(at(page, "word").filter(has_text="lamp")).to_have_count(1)
        wait_for_picture(page)
    assert site.ovsr.set_vocabulary(2, "lamp").success


def test_from_one_node_to_another_and_back(open_page, site):
    rear = site.start_node("/rear", "floor, lamp")
    page = open_page()

    def choose(name):
        page.locator(".q-select", has=at(page, "nodes")).click()
        page.get_by_role("option", name=name, exact=True).click()
        page.wait_for_function(f"document.querySelector('[data-test=picture]').dataset.node === '{name}'")

    choose("/rear/ovsr")
    expect(words(page)).to_have_text(["floor", "lamp"])
    wait_for_picture(page)
    site.ovsr.client.wait(
        lambda: not site.count_subscribers("/ovsr/overlay/compressed"), "nobody to look at the first node"
    )
    assert site.count_subscribers("/rear/ovsr/overlay/compressed") == 1
    take_screenshot(page, "rear")
    at(page, "add").fill("stool")
    at(page, "add").press("Enter")
    expect(words(page)).to_have_text(["floor", "lamp", "stool"])
    choose("/ovsr")
    expect(words(page)).to_have_text(["wall", "floor", "mug", "ball", "book"])
    wait_for_picture(page)
    page.goto(f"{site.url}?node=/rear/ovsr")
    expect(words(page)).to_have_text(["floor", "lamp", "stool"])
    wait_for_picture(page)
    rear.close()
    expect(at(page, "problems")).to_contain_text("/rear/ovsr ")
    choose("/ovsr")
    expect(at(page, "problems")).not_to_contain_text("/rear/ovsr")
    wait_for_picture(page)


def test_with_a_token_alone_and_for_viewing_nothing_can_be_changed(open_page, site, tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"operator: {'o' * 20}\nview: {'v' * 20}\n")
    file.chmod(0o600)
    url = site.start_console("--token-file", str(file))
    page = open_page(url, picture=False)
    page.get_by_label("Token").fill("wrong token, wrong token")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("alert")).to_have_text("This is not the token.")
    take_screenshot(page, "token")
    page.get_by_label("Token").fill("v" * 20)
    page.get_by_role("button", name="Open").click()
    wait_for_picture(page)
    expect(words(page)).to_have_count(5)
    expect(at(page, "view-only")).to_be_visible()
    for name in ("add", "undo", "edit", "remove", "tune", "who"):
        expect(at(page, name)).to_have_count(0)
    page.goto(f"{url}?token={'o' * 20}")
    wait_for_picture(page)
    assert page.url == url
    expect(at(page, "add")).to_be_visible()


def test_a_browser_that_slept_goes_on_by_itself(open_page, site):
    page = open_page()
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.sleeping, configurable: true})")
    page.evaluate("window.sleeping = true; document.dispatchEvent(new Event('visibilitychange'))")
    site.ovsr.client.wait(
        lambda: not site.count_subscribers("/ovsr/overlay/compressed"), "nobody to look at the picture"
    )
    page.evaluate("window.before = true; window.socket.disconnect()")
    at_least = "Number(document.querySelector('[data-test=picture]')?.dataset.count || 0) > 0 && !window.before"
    site.ovsr.client.wait(lambda: not site.count_subscribers("/ovsr/vocabulary"), "nobody to listen")
    page.wait_for_timeout(12_000)  # longer than the server keeps what the browser had
    page.evaluate("window.sleeping = false; document.dispatchEvent(new Event('visibilitychange')); socket.connect()")
    page.wait_for_function(at_least)
    expect(words(page)).to_have_count(5)


def test_camera_and_node_are_gone_and_back(open_page, site):
    page = open_page()
    site.processes["camera"].close()
    expect(at(page, "problems")).to_contain_text("image input: ")
    expect(at(page, "caption")).to_have_text(re.compile(r"No new picture for \d+ s"))
    take_screenshot(page, "camera_gone")
    site.start_camera()
    expect(at(page, "problems")).not_to_contain_text("image input: ")
    wait_for_picture(page)
    site.processes["node"].close()  # by SIGKILL: it says nothing any more
    expect(at(page, "problems")).to_contain_text("/ovsr ")
    take_screenshot(page, "node_gone")
    at(page, "add").fill("lamp")
    site.start_node()
    wait_for_picture(page)
    expect(words(page)).to_have_count(5)
    expect(at(page, "add")).to_have_value("lamp")
