"""Lesson 00 in JupyterLab: it runs, Peel answers mouse and keyboard, and it looks right in both themes."""

import pytest

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.explorers.peel import Peel
from mrcnn_edu.explorers.peel_views import FRAME
from tests.browser.lab import Lesson, Picture

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def share_of_card(x: float, y: float) -> tuple[float, float]:
    return x / Peel.width, y / Peel.height


def coin_places() -> list[tuple[float, float]]:
    """Where the 24 coins lie on the card, as shares of its width and height."""
    image, truth = load_dataset("coins")[0]
    zoom = min(FRAME[2] / image.shape[2], FRAME[3] / image.shape[1])
    left = FRAME[0] + (FRAME[2] - image.shape[2] * zoom) / 2
    top = FRAME[1] + (FRAME[3] - image.shape[1] * zoom) / 2
    centres = (truth["boxes"][:, :2] + truth["boxes"][:, 2:]) / 2
    return [share_of_card(left + x * zoom, top + y * zoom) for x, y in centres.tolist()]


def test_lesson_00_runs_and_peel_answers(page, jupyterlab):
    lesson = Lesson(page, jupyterlab, "00_start_here.ipynb")
    stored = page.locator(".jp-RenderedImage img")
    assert stored.count() >= 5, "the stored lesson should show its stills before anything runs"
    lesson.run_all()
    assert lesson.errors() == []

    peel = Picture(page)
    assert "Stage masks" in peel.words()
    at_masks = peel.data()

    handle = page.locator(".widget-slider:has-text('Stage') .noUi-handle")
    track = page.locator(".widget-slider:has-text('Stage') .noUi-target").bounding_box()
    handle.hover()
    page.mouse.down()
    page.mouse.move(track["x"] + 0.6 * track["width"], track["y"] + track["height"] / 2, steps=5)
    page.mouse.up()
    peel.wait_for_words("Stage proposals")
    at_proposals = peel.data()
    assert at_proposals != at_masks

    before = peel.words()
    for place in coin_places()[::-1]:
        peel.click_at(*place)
        page.wait_for_timeout(700)
        if peel.words() != before:
            break
    assert "Instance 1 of" not in peel.words() and peel.data() != at_proposals
    assert lesson.errors() == []


def test_peel_with_the_keyboard_and_wrong_numbers(page, jupyterlab):
    lesson = Lesson(page, jupyterlab, "00_start_here.ipynb")
    lesson.run_all()
    peel = Picture(page)

    peel.root.focus()
    page.keyboard.press("ArrowRight")
    peel.wait_for_words("Instance 2 of")
    page.keyboard.press("ArrowUp")
    peel.wait_for_words("Stage boxes")

    box = page.locator(".widget-hbox:has-text('Instance') input[type=text]").first
    box.fill("many")
    box.press("Enter")
    page.locator(".mrcnn-wrong").wait_for()
    assert "is not a whole number" in page.get_by_role("alert").first.inner_text()
    box.fill("3")
    box.press("Enter")
    peel.wait_for_words("Instance 3 of")
    assert page.locator(".mrcnn-wrong").count() == 0
    assert lesson.errors() == []


def test_both_themes_at_a_laptops_size(page, jupyterlab):
    lesson = Lesson(page, jupyterlab, "00_start_here.ipynb")
    lesson.run_all()
    peel = Picture(page)
    light = lesson.keep_screen("peel_light")
    assert peel.root.bounding_box()["width"] >= 700, "Peel is squeezed on a laptop's screen"
    lesson.theme("JupyterLab Dark")
    Picture(page)
    dark = lesson.keep_screen("peel_dark")
    assert light != dark
    assert lesson.errors() == []
