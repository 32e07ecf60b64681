from hypothesis import given
from hypothesis import strategies as st

from mrcnn_edu.explorers.toolkit.paint import Sheet, wrapped

WORDS = st.lists(st.text("abcdefgWil.,0−", min_size=1, max_size=12), max_size=30)


@given(WORDS, st.integers(20, 400), st.sampled_from([12, 12.5, 16]))
def test_lines_hold_all_words_and_fit(words, width, size):
    lines, sheet = wrapped(" ".join(words), width, size), Sheet(10, 10)
    assert " ".join(lines).split() == words
    for line in lines:
        assert sheet.length(line, size) <= width or " " not in line, "only a single word may be too long"


@given(WORDS.filter(bool), st.integers(60, 400))
def test_no_line_breaks_earlier_than_it_must(words, width):
    lines, sheet = wrapped(" ".join(words), width, 12), Sheet(10, 10)
    for line, following in zip(lines, lines[1:], strict=False):
        assert sheet.length(f"{line} {following.split()[0]}", 12) > width


def test_a_paragraph_says_where_the_next_line_begins():
    sheet = Sheet(300, 200)
    words = "some words that are longer than one line of the card"
    assert sheet.paragraph(0, 20, 100, words, 12) == 20 + len(wrapped(words, 100, 12)) * 12 * 1.3
