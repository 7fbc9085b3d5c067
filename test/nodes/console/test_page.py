"""What is changed by the operator's page, in a real browser, with a real node and the demo's camera.

Pictures go to build/screenshots.
"""

from __future__ import annotations

import re

from browser import expect, require_browser, take_screenshot
from operator_page import TIMEOUT_MS, at, click_until_told, wait_for_label, wait_for_picture, words

require_browser()

expect.set_options(timeout=TIMEOUT_MS)


def test_a_word_is_taken_away_and_added_and_the_label_maps_follow(open_page, site):
    page, other = open_page(), open_page()
    row = at(page, "word").filter(has_text="floor")
    id = int(row.get_attribute("data-id"))
    row.locator("[data-test=remove]").click()
    expect(at(page, "answer")).to_have_text(re.compile(r"^version \d+: 4 categories; removed 'floor'$"))
    expect(words(other)).to_have_text(["wall", "mug", "ball", "book"])
    wait_for_label(site, id, is_there=False)
    at(page, "add").fill("floor; #00a0ff")
    at(page, "add").press("Enter")
    expect(at(page, "answer")).to_have_text(re.compile(rf"added 'floor' \(id {id}\)"))
    expect(at(page, "add")).to_have_value("")
    wait_for_label(site, id, is_there=True)
    expect(at(other, "word").filter(has_text="floor").locator(".swatch")).to_have_css(
        "background-color", "rgb(0, 160, 255)"
    )
    other.get_by_role("tab", name="Log").click()
    first = at(other, "log").locator("li").first
    expect(first).to_contain_text("operator at 127.0.0.1")
    expect(first).to_contain_text("added 'floor'")
    take_screenshot(other, "log")


def test_a_refusal_stands_beside_the_field_and_what_was_written_stays(open_page):
    page = open_page()
    at(page, "add").fill("MUG")
    at(page, "add-button").click()
    field = page.locator(".q-field", has=at(page, "add"))
    expect(field).to_contain_text("'MUG' is a duplicate: it is present already")
    expect(at(page, "add")).to_have_value("MUG")
    take_screenshot(page, "refusal")


def test_a_word_is_renamed_with_synonyms_and_undone(open_page):
    for _ in range(4):  # NiceGUI does not hear what is written at the very moment at which it fills the field itself
        page = open_page()
        at(page, "word").filter(has_text="book").locator("[data-test=edit]").click()
        at(page, "name").fill("wall")
        at(page, "save").click()
        unheard = at(page, "answer").filter(has_text="'book' is as it was: nothing was changed")
        expect(at(page, "editor-problem").or_(unheard)).to_be_visible()
        if at(page, "editor-problem").is_visible():
            break
    expect(at(page, "editor-problem")).to_contain_text("Refused: ")
    at(page, "name").fill("atlas")
    at(page, "synonyms").fill("book; volume")
    take_screenshot(page, "editor")
    at(page, "save").click()
    expect(at(page, "word").filter(has_text="atlas").locator(".synonyms")).to_have_text("book, volume")
    at(page, "undo").click()
    expect(at(page, "word").filter(has_text="atlas")).to_have_count(0)
    expect(at(page, "word").filter(has_text="book").locator(".synonyms")).to_have_count(0)


def test_what_somebody_else_changed_meanwhile_is_not_lost(open_page, site):
    page = open_page()
    at(page, "word").filter(has_text="book").locator("[data-test=edit]").click()
    assert site.ovsr.set_vocabulary(0, "wall", "floor; ground", "mug", "ball", "book; volume").success
    at(page, "synonyms").fill("atlas")
    at(page, "save").click()
    expect(at(page, "editor-problem")).to_contain_text(
        "Refused: somebody has changed 'book' meanwhile, it is \"book; volume\" now"
    )
    expect(at(page, "synonyms")).to_have_value("atlas")
    take_screenshot(page, "changed_meanwhile")
    page.get_by_role("button", name="Cancel").click()
    at(page, "word").filter(has_text="ball").locator("[data-test=edit]").click()
    assert site.ovsr.set_vocabulary(0, "wall", "floor", "mug", "ball", "book").success
    at(page, "synonyms").fill("globe")
    at(page, "save").click()
    expect(at(page, "word").filter(has_text="ball").locator(".synonyms")).to_have_text("globe")
    expect(at(page, "word").filter(has_text="floor").locator(".synonyms")).to_have_count(0)
    at(page, "undo").click()
    expect(at(page, "word").filter(has_text="ball").locator(".synonyms")).to_have_count(0)


def test_a_click_on_the_picture_tells_what_is_there(open_page):
    page = open_page()
    click_until_told(page, 0.5, 0.9, r"floor\s*score [01]\.\d\d, \d+\.\d\d m away, track \d+")
    expect(at(page, "picked")).to_contain_text("Next best: ")
    page.locator(".q-select", has=at(page, "style")).click()
    page.get_by_role("option", name="Outlined", exact=True).click()
    page.wait_for_function("document.querySelector('[data-test=picture]').dataset.kind === 'plain'")
    wait_for_picture(page)
    wait_for_picture(page)
    take_screenshot(page, "outlined")


def test_what_is_pointed_at_is_taught_and_taken_back(open_page, site):
    page = open_page()
    click_until_told(page, 0.5, 0.9, r"floor\s*score")
    at(page, "this-is").fill("parquet")
    at(page, "teach").click()
    expect(at(page, "taught")).to_have_text(re.compile(r"^version \d+: 6 .* 'parquet' has 1 example$"))
    row = at(page, "word").filter(has_text="parquet")
    id = int(row.get_attribute("data-id"))
    wait_for_label(site, id, is_there=True)
    expect(row.locator(".use")).to_have_text(re.compile(r"\d+ %"))
    thumbnail = row.locator("[data-test=examples] img")
    expect(thumbnail).to_have_js_property("complete", True)
    assert thumbnail.evaluate("picture => picture.naturalWidth") > 40
    take_screenshot(page, "taught")
    row.locator("[data-test=forget]").click()
    expect(thumbnail).to_have_count(0)
    row.locator("[data-test=remove]").click()
    expect(words(page)).to_have_count(5)
    wait_for_label(site, id, is_there=False)


def test_everything_can_be_done_by_the_keyboard(open_page):
    page = open_page()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.test") == "picture":
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(at(page, "picked")).to_contain_text(re.compile(r"track \d+"))
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('[data-test=add]') !== null"):
            break
    page.keyboard.type("stool; seat")
    page.keyboard.press("Enter")
    expect(at(page, "word").filter(has_text="stool")).to_have_count(1)
    at(page, "undo").focus()
    page.keyboard.press("Enter")
    expect(at(page, "word").filter(has_text="stool")).to_have_count(0)


def test_a_parameter_is_set_or_refused_with_the_node_s_reason(open_page, site):
    page = open_page()
    at(page, "tune").click()
    row = page.locator('[data-test=parameter][data-name="score_threshold"]').first
    expect(row).to_contain_text("0 to 1")
    row.locator("input").fill("7")
    row.locator("input").press("Enter")
    expect(row).to_contain_text("score_threshold")
    expect(row.locator(".q-field__messages")).not_to_be_empty()
    assert site.ovsr.get_parameter("score_threshold") != 7
    take_screenshot(page, "parameters")
    row.locator("input").fill("0.25")
    row.locator("input").press("Enter")
    site.ovsr.client.wait(lambda: site.ovsr.get_parameter("score_threshold") == 0.25, "the parameter to be set")


def test_a_parameter_that_is_set_elsewhere_shows_at_once_but_where_somebody_writes(open_page, site):
    page = open_page()
    at(page, "tune").click()
    field = page.locator('[data-test=parameter][data-name="score_threshold"] input').first
    other = page.locator('[data-test=parameter][data-name="num_runners_up"]').first
    tracking = page.locator('[data-test=parameter][data-name="tracking.enabled"]').first.get_by_role("switch")
    expect(tracking).to_have_attribute("aria-checked", "true")
    other.locator("input").fill("1")
    assert site.ovsr.set_parameters(score_threshold=0.375, tracking__enabled=False, num_runners_up=2).successful
    expect(field).to_have_value("0.375")
    expect(tracking).to_have_attribute("aria-checked", "false")
    expect(other).to_contain_text("It is 2 now, set elsewhere")
    expect(other.locator("input")).to_have_value("1")
    take_screenshot(page, "parameters_elsewhere")
    assert site.ovsr.set_parameters(score_threshold=0.25, tracking__enabled=True, num_runners_up=3).successful
    expect(field).to_have_value("0.25")
    expect(tracking).to_have_attribute("aria-checked", "true")


def test_words_are_tried_on_a_frozen_picture_before_they_are_in_force(open_page):
    page = open_page()
    page.get_by_role("tab", name="Try").click()
    at(page, "freeze").click()
    expect(at(page, "still")).to_be_visible()
    at(page, "try-words").fill("floor\nwall\nspoon")
    at(page, "try").click()
    expect(at(page, "tried").locator("li")).to_have_count(3)
    expect(at(page, "tried").locator("li").filter(has_text="floor").locator(".use")).to_have_text(re.compile(r"\d+ %"))
    take_screenshot(page, "try")
    page.get_by_role("tab", name="Words").click()
    expect(words(page)).to_have_count(5)


def test_a_vocabulary_is_saved_imported_and_exported(open_page, site):
    page = open_page()
    page.get_by_role("tab", name="Saved").click()
    at(page, "save-as").fill("kitchen")
    at(page, "save-words").click()
    expect(at(page, "saved")).to_contain_text("kitchen")
    with page.expect_download() as download:
        at(page, "export-yaml").click()
    assert "mug" in download.value.path().read_text()
    file = {"name": "more.txt", "mimeType": "text/plain", "buffer": b"mug; cup\nlamp\n"}
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator(".confirm")).to_contain_text("adds lamp; removes ")
    take_screenshot(page, "saved")
    assert site.ovsr.set_vocabulary(1, "stool").success
    at(page, "use").click()
    expect(at(page, "saved-answer")).to_have_text(re.compile(r"Refused: the change was made from version \d+, and"))
    expect(page.locator(".confirm")).to_contain_text("book, stool")
    take_screenshot(page, "saved_refused")
    at(page, "use").click()
    expect(at(page, "saved-answer")).to_contain_text("added 'lamp'")
    page.get_by_role("tab", name="Words").click()
    expect(words(page)).to_have_text(["mug", "lamp"])
    at(page, "undo").click()
    expect(words(page)).to_have_count(6)
    at(page, "undo").click()
    expect(words(page)).to_have_count(5)
