"""What every explorer shares: controls, dropped wishes, snapshots, the bundle, and life without anywidget."""

import base64
import io
import threading

import pytest
from PIL import Image

from mrcnn_edu.explorers.toolkit import base, canvas
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.explorers.toolkit.controls import Choice, Number
from mrcnn_edu.explorers.toolkit.paint import Sheet
from mrcnn_edu.figures import WIDGET_VIEW


class Bar(Explorer):
    """A bar as long as a number, in one of two colours."""

    name, width, height, caption = "Bar", 120, 40, "A bar."

    def __init__(self):
        self.drawn = []
        self.length = Number("length", "Length", 0, 100, value=50)
        self.share = Number("share", "Share", 0.0, 1.0, 0.1, value=0.5)
        self.colour = Choice("colour", "Colour", ("dark", "light"))
        self.start(self.length, self.share, self.colour)

    def draw(self):
        self.drawn.append(self.get("length"))
        sheet = Sheet(self.width, self.height)
        shade = "#000000" if self.get("colour") == "dark" else "#AAAAAA"
        sheet.fill((0, 0, max(self.get("length") * self.get("share"), 1), 20), shade)
        return sheet

    def clicked(self, x, y):
        self.length.set(int(x))


def pixels(png: bytes):
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return image.size, image.convert("RGB").tobytes()


def test_snapshots_change_with_each_control_and_have_the_stated_size():
    bar = Bar()
    seen = {pixels(bar.snapshot())[1]}
    for values in ({"length": 80}, {"share": 1.0}, {"colour": "light"}):
        size, data = pixels(bar.snapshot(**values))
        assert size == (120, 40) and data not in seen
        seen.add(data)


def test_an_offered_option_is_chosen_and_taken_up_anew_where_it_was_chosen():
    bar, heard = Bar(), []
    bar.changed = lambda name, value: heard.append((name, value))
    bar.offer("colour", "bright")
    assert bar.get("colour") == "bright" and "dark" in bar.colour.options
    bar.offer("colour", "bright")
    assert heard == [("colour", "bright")] * 2
    with pytest.raises(KeyError, match="no control 'tint'"):
        bar.offer("tint", "bright")


def test_the_live_picture_follows_every_change():
    bar = Bar()
    before = bytes(bar.canvas.value)
    bar.set(length=90)
    assert bytes(bar.canvas.value) != before
    assert Image.open(io.BytesIO(bar.canvas.value)).format == "JPEG"


def test_sweep_reaches_both_ends_of_every_control_and_returns():
    bar = Bar()
    seen = {}
    for name, value in bar.sweep():
        seen.setdefault(name, set()).add(value)
    assert {0, 100} <= seen["length"] and seen["colour"] == {"dark", "light"}
    assert min(seen["share"]) == 0 and max(seen["share"]) == 1
    assert (bar.get("length"), bar.get("share"), bar.get("colour")) == (50, 0.5, "dark")


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"length": 101}, "outside 0 to 100"),
        ({"length": "x"}, "whole number"),
        ({"share": float("nan")}, "outside"),
        ({"colour": "red"}, "one of"),
    ],
)
def test_a_value_that_is_not_one_is_refused_with_the_reason(values, reason):
    bar = Bar()
    with pytest.raises(ValueError, match=reason):
        bar.set(**values)
    assert (bar.get("length"), bar.get("share"), bar.get("colour")) == (50, 0.5, "dark")


def test_an_unknown_control_is_refused():
    with pytest.raises(KeyError, match="length, share, colour"):
        Bar().set(height=1)


def test_the_number_box_turns_red_says_why_and_recovers():
    bar = Bar()
    bar.length.box.value = "many"
    assert "mrcnn-wrong" in bar.length.box._dom_classes and "not a whole number" in bar.length.message.value
    assert bar.get("length") == 50
    bar.length.box.value = "120"
    assert "outside 0 to 100" in bar.length.message.value
    bar.length.box.value = " 70 "
    assert bar.get("length") == 70 and bar.length.message.value == ""
    assert "mrcnn-wrong" not in bar.length.box._dom_classes


def test_a_value_that_the_box_rounds_is_kept_and_drawn_once():
    bar = Bar()
    bar.drawn.clear()
    bar.set(share=0.123456789)
    assert bar.get("share") == 0.123456789 and len(bar.drawn) == 1
    assert bar.share.box.value == "0.123457"


def test_moving_the_slider_clears_a_wrong_number():
    bar = Bar()
    bar.length.box.value = "many"
    bar.length.slider.value = 60
    assert bar.length.message.value == "" and bar.length.box.value == "60"


@pytest.mark.parametrize("value", [0.3, 0.123456789, 0.0, 1.0])
def test_what_the_browser_hears_is_whole_numbers_that_it_has_no_cause_to_answer(value):
    """It answers a float with its own rounding of it; see controls.py."""
    bar = Bar()
    bar.set(share=value)
    state = bar.share.slider.get_state(["value", "min", "max", "step"])
    assert all(type(number) is int for number in state.values())
    bar.drawn.clear()
    bar.share.slider.set_state({"value": state["value"]})
    assert bar.get("share") == value and not bar.drawn


def test_new_limits_keep_the_value_inside():
    bar = Bar()
    bar.length.limit(1, 10)
    assert bar.get("length") == 10
    bar.length.limit(1, 1)
    assert bar.get("length") == 1 and bar.length.slider.disabled
    bar.length.limit(1, 200)
    assert not bar.length.slider.disabled and bar.length.high == 200


def test_wishes_that_come_while_drawing_are_met_once():
    bar = Bar()
    inside, go = threading.Event(), threading.Event()
    plain = bar.draw

    def slow():
        inside.set()
        go.wait(10)
        return plain()

    bar.draw = slow
    first = threading.Thread(target=bar.set, kwargs={"length": 10})
    first.start()
    inside.wait(10)
    bar.draw = plain
    bar.drawn.clear()
    bar._state = bar.length.lock = threading.RLock()  # the values may change while the picture is drawn
    for value in range(20, 60):
        bar.length.slider.value = value
    go.set()
    first.join(10)
    assert len(bar.drawn) <= 3 and bar.drawn[-1] == 59


def test_a_click_reaches_the_explorer():
    bar = Bar()
    bar.canvas.event = {"kind": "click", "x": 33.4, "y": 5, "count": 1}
    assert bar.get("length") == 33


def test_the_bundle_holds_widget_still_and_words():
    data, metadata = Bar()._repr_mimebundle_()
    assert set(data) == {WIDGET_VIEW, "image/png", "text/plain"}
    assert pixels(base64.b64decode(data["image/png"]))[0] == (120, 40)
    assert metadata["image/png"]["alt"] == data["text/plain"] == "Bar. A bar."


def test_without_anywidget_the_sliders_carry_the_explorer(monkeypatch):
    monkeypatch.setattr(canvas, "anywidget", None)
    bar = Bar()
    before = bytes(bar.canvas.value)
    bar.set(length=5)
    assert type(bar.canvas).__name__ == "Image" and bytes(bar.canvas.value) != before
    assert base.bundle(bar.view)[WIDGET_VIEW]["model_id"]
