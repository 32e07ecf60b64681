"""Predictions: one right option, a reply for each, in a widget, in text and on a page without a kernel."""

import pytest

from mrcnn_edu.exercises import predict_first
from mrcnn_edu.figures import WIDGET_VIEW


@pytest.fixture
def question():
    return predict_first(
        "Two < three?", a=("yes", True, "It is."), b=("no", False, "Count again."), c=("both", False, "Only one holds.")
    )


def test_choosing_an_option_shows_its_reply(question):
    question.widget()
    question.choice.value = "no"
    assert "Not quite. Count again." in question.reply_line.value
    question.choice.value = "yes"
    assert "Right. It is." in question.reply_line.value


def test_nothing_is_chosen_at_first(question):
    question.widget()
    assert question.choice.value is None and question.reply_line.value == ""


def test_text_fallback_takes_letter_or_option(question, capsys):
    question.answer("B")
    question.answer("both")
    assert capsys.readouterr().out == "✘ Not quite. Count again.\n✘ Not quite. Only one holds.\n"


def test_an_unknown_option_is_refused(question):
    with pytest.raises(KeyError, match="a, b, c"):
        question.answer("d")


def test_every_form_is_in_the_bundle(question):
    bundle = question._repr_mimebundle_()
    assert set(bundle) == {WIDGET_VIEW, "text/html", "text/plain"}
    assert bundle["text/html"].count("<details>") == 3 and "Two &lt; three?" in bundle["text/html"]
    assert "b) no" in bundle["text/plain"]


@pytest.mark.parametrize("right", [(False, False), (True, True)])
def test_exactly_one_option_is_right(right):
    with pytest.raises(ValueError, match="exactly one"):
        predict_first("?", a=("x", right[0], "r"), b=("y", right[1], "r"))


def test_a_reply_is_required():
    with pytest.raises(ValueError, match="needs a reply"):
        predict_first("?", a=("x", True, "r"), b=("y", False, " "))
