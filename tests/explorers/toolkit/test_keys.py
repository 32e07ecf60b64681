import numpy as np
import pytest

from mrcnn_edu.explorers.toolkit.keys import APART, LINE, SIZE, dot, frame, key, stroke
from mrcnn_edu.explorers.toolkit.paint import SCALE, Sheet

RED = "#D00000"
ENTRIES = [(stroke(RED), "one line"), (frame(RED, 2), "a box"), (dot(RED, 4), "a point"), (None, "words alone")]


def red(sheet) -> np.ndarray:
    """Where the card is red, in CSS pixels: (n, 2) of x and y."""
    pixels = np.asarray(sheet.image.convert("RGB")).astype(int)
    y, x = np.nonzero((pixels[..., 0] > 150) & (pixels[..., 1:].max(axis=-1) < 60))
    return np.stack([x, y], axis=1) / SCALE


@pytest.mark.parametrize("mark", [mark for mark, _ in ENTRIES if mark] + [stroke(RED, 3, (4, 3), 30)])
def test_a_mark_is_as_wide_as_it_says_and_its_words_do_not_touch_it(mark):
    sheet = Sheet(200, 60)
    end = key(sheet, 20, 30, [(mark, "words")])
    where = red(sheet)
    assert where[:, 0].min() == pytest.approx(20, abs=2)
    assert where[:, 0].max() == pytest.approx(20 + mark.width, abs=3)
    assert (where[:, 1].min() + where[:, 1].max()) / 2 == pytest.approx(30, abs=1)
    assert end == pytest.approx(20 + mark.width + APART + sheet.length("words", SIZE))


def test_entries_stand_beside_each_other():
    sheet = Sheet(600, 60)
    end, x = key(sheet, 10, 30, ENTRIES, gap=20), 10
    for mark, words in ENTRIES:
        x += (mark.width + APART if mark else 0) + sheet.length(words, SIZE) + 20
    assert end == pytest.approx(x - 20)
    assert np.ptp(red(sheet)[:, 1]) <= 16


def test_what_does_not_fit_comes_in_a_new_line():
    sheet = Sheet(600, 120)
    end = key(sheet, 10, 30, ENTRIES[:3], right=170)
    assert end <= 170
    assert red(sheet)[:, 1].max() == pytest.approx(30 + LINE + 4, abs=3)
    lone = [(stroke(RED), "far too long for the little room that there is")]
    sheet = Sheet(600, 120)
    key(sheet, 10, 30, lone, right=60)
    assert red(sheet)[:, 1].max() < 35, "the first entry begins where it should, however long it is"
