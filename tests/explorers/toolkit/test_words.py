import pytest

from mrcnn_edu.explorers.toolkit.words import counted, signed


@pytest.mark.parametrize(
    "value, digits, words",
    [
        (0.004, 2, "0.00"), (-0.004, 2, "0.00"), (0.0, 3, "0.000"), (-0.0, 1, "0.0"),
        (-0.006, 2, "−0.01"), (0.06, 2, "+0.06"), (-12.25, 1, "−12.2"), (0.125, 3, "+0.125"),
    ],
)  # fmt: skip
def test_a_sign_stands_only_where_something_is_left(value, digits, words):
    assert signed(value, digits) == words


@pytest.mark.parametrize(
    "number, one, words",
    [(1, "box", "1 box"), (0, "box", "0 boxes"), (3, "box", "3 boxes"), (16320, "anchor", "16,320 anchors")],
)
def test_one_and_many(number, one, words):
    assert counted(number, one) == words
