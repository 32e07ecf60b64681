"""Lesson 00 in JupyterLab: it runs, Peel answers mouse and keyboard, and it looks right in both themes."""

import pytest

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.explorers.peel.explorer import Peel
from mrcnn_edu.explorers.peel.reading import FRAME
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


def move_the_slider(page, peel) -> None:
    """Drag the stage slider with the mouse from the last stage to the fourth."""
    slider = page.locator(".widget-slider:has-text('Stage')")
    track = slider.locator(".noUi-target").bounding_box()
    before = peel.data()
    slider.locator(".noUi-handle").hover()
    page.mouse.down()
    page.mouse.move(track["x"] + 0.6 * track["width"], track["y"] + track["height"] / 2, steps=5)
    page.mouse.up()
    peel.wait_for_words("Stage proposals")
    peel.wait_for_other_data(before)


def click_an_instance(page, peel) -> None:
    """Click the coin at the lower right: the walk on the right becomes its own."""
    before, first_one = peel.data(), "Instance 1 of"
    assert first_one in peel.words()
    for place in (coin_places()[-1], coin_places()[0]):  # one of the two is not instance 1
        peel.click_at(*place)
        if peel.loses_words(first_one):
            break
    assert first_one not in peel.words()
    peel.wait_for_other_data(before)


def use_the_keyboard(page, peel) -> None:
    """Arrow keys in the picture: left and right change the instance, up and down the stage."""
    page.locator(".widget-hbox:has-text('Instance') input[type=text]").first.fill("1")
    page.keyboard.press("Enter")
    peel.wait_for_words("Instance 1 of")
    peel.root.focus()
    page.keyboard.press("ArrowRight")
    peel.wait_for_words("Instance 2 of")
    page.keyboard.press("ArrowDown")
    peel.wait_for_words("Stage boxes")


def type_a_wrong_number(page, peel) -> None:
    """A word in the number box turns it red and says why; a number puts it right."""
    box = page.locator(".widget-hbox:has-text('Instance') input[type=text]").first
    box.fill("many")
    box.press("Enter")
    page.locator(".mrcnn-wrong").wait_for()
    assert "is not a whole number" in page.get_by_role("alert").first.inner_text()
    box.fill("3")
    box.press("Enter")
    peel.wait_for_words("Instance 3 of")
    page.locator(".mrcnn-wrong").wait_for(state="detached")


def answer_the_question(page) -> None:
    """Choose a wrong option of the prediction; its reply appears."""
    options = page.locator(".widget-radio-box input")
    options.first.scroll_into_view_if_needed()
    options.first.check()
    page.get_by_text("Not quite.").wait_for()


def test_lesson_00_runs_and_answers_in_jupyterlab(page, jupyterlab):
    lesson = Lesson(page, jupyterlab, "00_start_here.ipynb")
    lesson.go_to_cell(4)
    page.locator(".jp-RenderedImage img").first.wait_for()  # stored stills show before anything runs
    lesson.run_all()
    assert lesson.errors() == []

    peel = Picture(page)
    assert "Stage masks" in peel.words()
    assert peel.root.bounding_box()["width"] >= 700, "Peel is squeezed on a laptop's screen"
    peel.bring()
    lesson.keep_screen("light")
    move_the_slider(page, peel)
    click_an_instance(page, peel)
    use_the_keyboard(page, peel)
    type_a_wrong_number(page, peel)
    answer_the_question(page)

    lesson.theme("JupyterLab Dark")
    Picture(page).bring()
    lesson.keep_screen("dark")
    assert lesson.errors() == []
