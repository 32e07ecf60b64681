"""What every explorer does under a hand: the opening comes back, clicks act where they seem to, photographs stay."""

import io

import numpy as np
import pytest
from PIL import Image

from mrcnn_edu.explorers.toolkit.upload import PHOTOS
from tests.explorers.opened import OPENINGS, opened

PHOTOGRAPHED = ("Anchors", "Matching", "Peel", "Proposals", "RoIAlign")


def shown(explorer) -> tuple[bytes, str]:
    return explorer.snapshot(), explorer.describe()


def points(explorer):
    """Places spread over the card, none on a line between two parts of it."""
    xs, ys = np.arange(9.3, explorer.width, 37.1), np.arange(7.7, explorer.height, 31.3)
    return [(float(x), float(y)) for x in xs for y in ys]


def covered(explorer, x: float, y: float) -> bool:
    return any(x1 <= x <= x2 and y1 <= y <= y2 for x1, y1, x2, y2 in explorer.areas())


@pytest.mark.parametrize("name", OPENINGS)
def test_reset_brings_the_opening_picture_back(name):
    explorer = opened(name, OPENINGS[name].kind)
    opening, generator = shown(explorer), np.random.default_rng(0)
    for x, y in generator.permutation(points(explorer))[:12].tolist():
        explorer.clicked(x, y)
    for box in explorer.boxes():
        x1, y1, x2, y2 = box["box"]
        explorer.dragged(box["id"], (x1 + 3, y1, x2 + 9, y2))
    for control in generator.permutation(list(explorer.controls)).tolist():
        value = (values := explorer.controls[control].sweep())[len(values) // 2]
        try:
            explorer.set(**{control: value})
        except ValueError:
            continue  # another control bounds it now
    explorer.pressed("ArrowRight", False)
    assert shown(explorer) != opening
    explorer.reset_button.click()
    assert shown(explorer) == opening


@pytest.mark.parametrize("name", OPENINGS)
def test_a_click_acts_where_the_mouse_is_a_hand_and_nowhere_else(name):
    explorer = opened(name, OPENINGS[name].kind)
    opening, acted = shown(explorer), 0
    areas = [(x, y) for x, y in points(explorer) if covered(explorer, x, y)]
    beside = [(x, y) for x, y in points(explorer) if not covered(explorer, x, y)]
    assert areas and beside
    for x, y in beside:
        explorer.clicked(x, y)
    assert shown(explorer) == opening, "a click beside every area changed something"
    for x, y in areas[:: max(len(areas) // 25, 1)]:
        explorer.clicked(x, y)
        acted += shown(explorer) != opening
        explorer.reset()
    assert acted


@pytest.mark.parametrize("name", OPENINGS)
def test_the_areas_lie_on_the_card(name):
    explorer = opened(name, OPENINGS[name].kind)
    for x1, y1, x2, y2 in explorer.areas():
        assert 0 <= x1 and 0 <= y1 and x2 <= explorer.width and y2 <= explorer.height
    assert explorer.canvas.areas == [[float(v) for v in area] for area in explorer.areas()]


def photograph(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", PHOTOGRAPHED)
def test_a_dropped_photograph_is_shown_and_stays_with_the_reader(name):
    first, other = opened(name), opened("Peel" if name == "Anchors" else "Anchors")
    chosen = other.get("picture")
    first.canvas._handle_custom_msg({"kind": "file", "name": "plate.png"}, [photograph("#804020")])
    assert first.get("picture") == "plate.png" and "plate.png is shown" in first.upload.message.value
    assert "plate.png" in other.picture.options and other.get("picture") == chosen
    assert "plate.png" in opened(name).picture.options, "an explorer that is opened later has it too"
    other.set(picture="plate.png")
    before = shown(other)
    first.upload.take("plate.png", photograph("#2050C0"))
    assert shown(other) != before, "one of the same name takes the place of the first"


def test_a_dropped_file_that_is_no_picture_changes_nothing():
    explorer = opened("Peel")
    before = shown(explorer)
    explorer.canvas._handle_custom_msg({"kind": "file", "name": "<notes>.txt"}, [b"no picture"])
    assert shown(explorer) == before and not PHOTOS.images
    assert "&lt;notes&gt;.txt" in explorer.upload.message.value and "alert" in explorer.upload.message.value


def test_who_takes_photographs():
    assert {name for name in OPENINGS if opened(name, OPENINGS[name].kind).upload} == set(PHOTOGRAPHED)
    assert not opened("Deltas").canvas.takes_files
