"""Predictions: one right option, a reply for each, in a widget, in text and on a page without a kernel."""

import pytest

from mrcnn_edu.exercises import predict_first
from mrcnn_edu.exercises.predict import QUESTIONS, Question, add_question
from mrcnn_edu.figures import WIDGET_VIEW


@pytest.fixture
def question(monkeypatch):
    monkeypatch.setattr("mrcnn_edu.exercises.predict.QUESTIONS", {})
    options = ("yes", True, "It is."), ("no", False, "Count again."), ("both", False, "Only one holds.")
    add_question("small", "Two < three?", *options)
    return predict_first("small")


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
        add_question("wrong", "?", ("x", right[0], "r"), ("y", right[1], "r"))


def test_a_reply_is_required():
    with pytest.raises(ValueError, match="needs a reply"):
        add_question("wrong", "?", ("x", True, "r"), ("y", False, " "))


def test_an_unknown_question_is_refused():
    with pytest.raises(KeyError, match="touching_coins"):
        predict_first("no such")


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_option_of_every_lesson_has_a_reply_of_its_own(name):
    replies = [reply for _, reply in QUESTIONS[name].options.values()]
    assert len(replies) >= 3 and len(set(replies)) == len(replies)


def test_an_option_that_is_called_like_a_letter_is_itself():
    question = Question("Which?", {"A": (False, "first"), "A and C": (True, "second"), "B": (False, "third")})
    assert question.reply("B").endswith("third") and question.reply("A").endswith("first")
    assert question.reply("b").endswith("second") and question.reply("c").endswith("third")
