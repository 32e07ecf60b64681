"""Figures: one look, colours that mean one thing, a caption on each, readable text."""

import base64
import io

import matplotlib
import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mrcnn_edu import figures
from mrcnn_edu.figures import INSTANCES, LINES, PALETTE, Figure, as_array, ink_on, small_png

IMAGE = torch.rand(3, 30, 40)


def all_figures():
    yield figures.show_strip("everything", caption="The model.")
    yield figures.show_strip("backbone", "loss", caption="Two parts.")
    boxes = torch.tensor([[2.0, 3, 20, 25], [5, 5, 30, 20]])
    panel = {
        "image": IMAGE,
        "title": "found",
        "boxes": dict.fromkeys(LINES, boxes),
        "labels": {"prediction": ["a", "b"]},
    }
    masks = torch.zeros(2, 1, 30, 40)
    masks[0, 0, 3:9, 4:9] = 1
    yield figures.show_images([panel, {"image": IMAGE[:1], "masks": masks, "names": True}], caption="Boxes and masks.")
    yield figures.show_images([{"image": IMAGE[0], "pixels": True}] * 3, columns=2, caption="Three.")
    yield figures.show_feature_maps([torch.rand(4, 6), torch.rand(2, 3)], titles=["P2", "P3"], caption="Maps.")
    yield figures.show_curves(
        {"a": ([0, 1], [1, 2]), "b": ([0, 1], [2, 1])}, x_label="step", y_label="loss", caption="Two."
    )
    grid = {"values": torch.randn(4, 5), "title": "map", "corner": (7, 2), "names": [1, 2]}
    grid |= {"boxes": {"proposal": [[2.5, 7.5, 4, 9]]}, "lines": {"here": [[2.5, 7.5, 3, 8]]}}
    grid["points"] = [[3.2, 8.1], [4.4, 9.9]]
    yield figures.show_grids([grid, {"values": torch.randn(30, 30), "rulers": False}], caption="Grids.")
    yield figures.show_grids([{"values": torch.eye(3), "digits": 1}], caption="One.", height=2.4)
    yield figures.show_counts({"anchors": 20_000, "masks": 0}, title="Fewer", caption="Counts.")


FIGURES = list(all_figures())


@pytest.mark.parametrize("figure", FIGURES, ids=range(len(FIGURES)))
def test_a_figure_is_a_picture_on_a_white_card_with_its_caption(figure, monkeypatch):
    image = Image.open(io.BytesIO(figure.png)).convert("RGB")
    assert image.width >= figures.WIDTH * figures.DPI
    assert all(image.getpixel(corner) == (255, 255, 255) for corner in ((0, 0), (image.width - 1, image.height - 1)))
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **kw: shown.append((data, kw["metadata"])))
    figure._ipython_display_()
    (picture, about), (words, _) = shown
    kind = next(k for k in picture if k.startswith("image/"))
    assert Image.open(io.BytesIO(base64.b64decode(picture[kind]))).format.lower() == kind.split("/")[1]
    assert about[kind]["alt"] == figure.caption and figure.caption in picture["text/plain"]
    assert figure.caption in words["text/html"] and figure.caption in words["text/plain"]


@pytest.mark.parametrize("figure", FIGURES, ids=range(len(FIGURES)))
def test_no_text_is_smaller_than_nine_points(figure):
    texts = figure.drawing.findobj(matplotlib.text.Text)
    assert all(t.get_fontsize() >= 9 for t in texts if t.get_text() and t.get_visible())


def test_labels_of_boxes_that_meet_make_room_for_each_other():
    boxes = torch.tensor([[4.0, 12, 18, 24], [8, 12, 24, 24], [6, 13, 20, 22]])
    panel = {"image": IMAGE, "boxes": {"proposal": boxes}, "labels": {"proposal": ["0.93", "0.88", "0.71"]}}
    drawing = figures.show_images([panel], caption="x").drawing
    drawing.draw_without_rendering()
    pills = [text.get_bbox_patch().get_window_extent() for text in drawing.axes[0].texts]
    assert len(pills) == 3
    assert all(pill.count_overlaps([other for other in pills if other is not pill]) == 0 for pill in pills)


def test_labels_spare_small_boxes():
    large, small = [[2.0, 2, 38, 28]], [[10.0, 10, 14, 14]]
    panel = {"image": IMAGE, "boxes": {"ground truth": large, "anchor": small}, "labels": {"anchor": ["0.55"]}}
    drawing = figures.show_images([panel], caption="x").drawing
    drawing.draw_without_rendering()
    axes = drawing.axes[0]
    (pill,) = (text.get_bbox_patch().get_window_extent() for text in axes.texts)
    corners = axes.transData.transform([[9.5, 9.5], [13.5, 13.5]])
    (x1, x2), (y1, y2) = sorted(corners[:, 0]), sorted(corners[:, 1])
    across, down = min(pill.x1, x2) - max(pill.x0, x1), min(pill.y1, y2) - max(pill.y0, y1)
    assert max(across, 0) * max(down, 0) < 0.1 * (x2 - x1) * (y2 - y1)


def test_two_kinds_of_boxes_bring_a_key():
    boxes = torch.tensor([[4.0, 12, 18, 24]])
    one = {"image": IMAGE, "boxes": {"anchor": boxes}}
    two = {"image": IMAGE, "boxes": {"ground truth": boxes, "anchor": boxes + 2}}
    left, right = figures.show_images([one, two], caption="x").drawing.axes
    assert left.get_legend() is None
    assert [words.get_text() for words in right.get_legend().get_texts()] == ["ground truth", "anchor"]


def test_labels_without_boxes_are_refused():
    with pytest.raises(ValueError, match="labels for 'anchor', of which the panel has no boxes"):
        figures.show_images([{"image": IMAGE, "labels": {"anchor": ["a"]}}], caption="x")


def test_points_lie_in_the_middle_of_their_pixels():
    points = torch.tensor([[0.5, 0.5], [10.5, 20.5]])
    drawing = figures.show_images([{"image": IMAGE, "points": {"anchor": points}}], caption="x").drawing
    assert drawing.axes[0].lines[0].get_xydata().tolist() == [[0, 0], [10, 20]]


@pytest.mark.parametrize("caption", ["", "  \n "])
def test_an_empty_caption_is_refused(caption):
    with pytest.raises(ValueError, match="caption"):
        figures.show_strip("backbone", caption=caption)


def test_unknown_parts_and_kinds_are_named():
    with pytest.raises(ValueError, match="'neck'"):
        figures.show_strip("neck", caption="x")
    with pytest.raises(ValueError, match="'guess'"):
        figures.show_images([{"image": IMAGE, "boxes": {"guess": torch.zeros(1, 4)}}], caption="x")
    with pytest.raises(ValueError, match="shape"):
        as_array(torch.zeros(2, 3, 4))


def test_line_styles_repeat_what_colours_say():
    assert set(LINES) <= set(PALETTE)
    dashed = [kind for kind, style in LINES.items() if style != "-"]
    assert dashed == ["proposal", "anchor", "rounded", "ignored"]
    assert PALETTE["region"] == PALETTE["proposal"]  # a proposal that is read from is drawn solid
    assert len({PALETTE[kind] for kind in LINES}) == len(LINES) - 1


def contrast(one: str, other: str) -> float:
    def luminance(colour):
        channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [*PALETTE.values(), *INSTANCES])
def test_labels_read_on_every_colour(colour):
    assert contrast(ink_on(colour), colour) >= 3.0
    assert contrast(PALETTE["ink"], PALETTE["card"]) >= 7 and contrast(PALETTE["faint"], PALETTE["card"]) >= 4.5


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))
def test_any_image_becomes_rows_columns_colours(height, width, channels):
    array = as_array(torch.rand(channels, height, width) * 3 - 1)
    assert array.shape == (height, width, 3) and 0 <= array.min() and array.max() <= 1


def test_small_png_keeps_the_colours_that_mean_something():
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    noise[:2, :2] = [int(PALETTE["prediction"][i : i + 2], 16) for i in (1, 3, 5)]
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    kept = Image.open(io.BytesIO(small_png(buffer.getvalue(), 64))).convert("RGB")
    assert kept.size == (80, 80)
    assert np.abs(np.asarray(kept)[0, 0].astype(int) - noise[0, 0]).max() <= 24


def test_photographs_are_stored_as_jpeg_and_drawings_as_png():
    assert FIGURES[0].stored[0] == "image/png"
    coins = skimage.data.coins() / 255
    noisy = figures.show_images([{"image": coins}, {"image": coins}], caption="Two photographs.")
    assert noisy.stored[0] == "image/jpeg" and len(noisy.stored[1]) < len(noisy.png)


def test_figures_do_not_touch_the_readers_matplotlib():
    before = dict(matplotlib.rcParams)
    _ = figures.show_curves({"a": ([0, 1], [1, 2])}, x_label="x", y_label="y", caption="c").png
    assert dict(matplotlib.rcParams) == before
    assert isinstance(FIGURES[0], Figure)
