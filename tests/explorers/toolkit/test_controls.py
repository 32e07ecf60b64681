"""Controls alone: what may be typed, what a wrong value says and where, the play button."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcnn_edu.explorers.toolkit.controls import Choice, Number, Threshold, plain


@pytest.mark.parametrize(
    "typed, value",
    [
        ("\N{MINUS SIGN}0.5", -0.5),
        ("-0,5", -0.5),
        ("0,25", 0.25),
        (" 1,5 ", 1.5),
        ("1\N{NO-BREAK SPACE}000.5", 1000.5),
        ("+2", 2),
        ("1e2", 100),
    ],
)
def test_numbers_as_people_write_them(typed, value):
    number = Number("n", "N", -2000.0, 2000.0, 0.5, 0.0)
    number.box.value = typed
    assert number.value == value and number.message.value == ""


@given(st.floats(-1e6, 1e6).map(lambda v: round(v, 4)))
def test_a_true_minus_and_a_comma_mean_the_same_number(value):
    text = f"{value:.4f}"
    assert float(plain(text)) == float(plain(text.replace("-", "\N{MINUS SIGN}").replace(".", ","))) == float(text)


@pytest.mark.parametrize("typed", ["", "1,2,3", "1.2.3", "one", "nan", "inf", "--1"])
def test_what_is_no_number_names_its_control_beside_it(typed):
    number = Number("n", "Top-n before", 0, 10, value=3)
    assert number.message.layout.display == "none", "an empty line takes no room"
    number.box.value = typed
    if typed == "":
        number.box.value = "x"
    assert number.value == 3 and "Top-n before" in number.message.value and number.message.layout.display == ""
    assert number.message in number.widget.children, "it stands beside its control"
    number.box.value = "4"
    assert number.value == 4 and number.message.value == "" and number.message.layout.display == "none"


def test_whole_numbers_refuse_parts():
    number = Number("n", "N", 0, 10, value=3)
    number.box.value = "4,5"
    assert number.value == 3 and "whole number" in number.message.value


def test_a_threshold_reads_a_comma_too():
    threshold = Threshold("t", "Reached from", 0.3, 0.95, 0.7, "150px")
    threshold.box.value = "0,55"
    assert threshold.value == 0.55


def test_the_play_button_walks_within_the_limits():
    number = Number("step", "Step", 0, 10, value=2, play=500)
    assert (number.player.min, number.player.max, number.player.value) == (0, 10, 2)
    number.limit(0, 4)
    assert (number.player.min, number.player.max) == (0, 4)
    assert number.player in number.line.children and number.player.interval == 500
    assert Number("n", "N", 0, 10).player is None


def test_the_play_button_of_a_choice_walks_through_all_options():
    choice = Choice("stage", "Stage", ("a", "b", "c"), "b", ordered=True, play=900)
    assert (choice.player.min, choice.player.max, choice.player.value) == (0, 2, 1)


def test_a_control_that_can_change_nothing_is_pale():
    for control in (Number("n", "N", 0, 10), Choice("c", "C", ("a", "b"))):
        assert not control.disabled
        control.enable(False)
        assert control.disabled
        control.enable(True)
        assert not control.disabled
