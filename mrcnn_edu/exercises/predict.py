"""A multiple-choice question to answer before the lesson does. Each wrong option has a reply of its own."""

import html

from mrcnn_edu.figures import bundle


class Question:
    """One question.

    text     the question
    options  {option: (is it right, reply)}; exactly one is right
    raises   ValueError where not exactly one option is right, or a reply is missing
    """

    def __init__(self, text: str, options: dict[str, tuple[bool, str]]):
        if sum(right for right, _ in options.values()) != 1:
            raise ValueError(f"exactly one option of {text!r} must be right")
        for option, (_, reply) in options.items():
            if not reply.strip():
                raise ValueError(f"option {option!r} needs a reply: what does that thought get right or miss?")
        self.text, self.options = text, dict(options)
        self._view = None

    def reply(self, option: str) -> str:
        """What to say to an option, by its text or its letter.

        raises   KeyError naming the options
        """
        letters = dict(zip("abcdefgh", self.options, strict=False))
        if option not in self.options:  # an option may itself be called "B"
            option = letters.get(str(option).strip().lower(), option)
        if option not in self.options:
            raise KeyError(f"{option!r} is no option; choose {', '.join(letters)}")
        right, reply = self.options[option]
        return f"{'✔ Right.' if right else '✘ Not quite.'} {reply}"

    def answer(self, option: str) -> None:
        """Answer in text, where widgets do not run: question.answer("b")."""
        print(self.reply(option))

    def widget(self):
        """The question with radio buttons: Tab reaches them, arrows move, and the reply appears under them."""
        import ipywidgets

        if self._view is None:
            style = "max-width: 860px; line-height: 1.45"
            head = ipywidgets.HTML(f'<div style="{style}"><b>Predict first.</b> {html.escape(self.text)}</div>')
            choice = ipywidgets.RadioButtons(
                options=list(self.options), index=None, layout=ipywidgets.Layout(width="auto", max_width="860px")
            )
            reply = ipywidgets.HTML("")

            def chosen(change):
                if change["new"] is not None:
                    words = html.escape(self.reply(change["new"]))
                    reply.value = f'<div role="status" style="{style}">{words}</div>'

            choice.observe(chosen, "value")
            self.choice, self.reply_line = choice, reply
            self._view = ipywidgets.VBox([head, choice, reply])
        return self._view

    def __repr__(self):
        lines = [f"  {letter}) {option}" for letter, option in zip("abcdefgh", self.options, strict=False)]
        return "\n".join([f"Predict first. {self.text}", *lines])

    def _repr_html_(self):
        """For pages without a kernel: each option opens to its reply."""
        parts = [f"<p><b>Predict first.</b> {html.escape(self.text)} Open the option you choose.</p>"]
        for option in self.options:
            parts.append(
                f"<details><summary>{html.escape(option)}</summary>{html.escape(self.reply(option))}</details>"
            )
        return "".join(parts)

    def _repr_mimebundle_(self, include=None, exclude=None):
        return bundle(self.widget(), **{"text/html": self._repr_html_(), "text/plain": repr(self)})


QUESTIONS: dict[str, Question] = {}


def add_question(name: str, text: str, *options: tuple[str, bool, str]) -> Question:
    """Put a question on the list: add_question("name", "…?", ("option", is it right, "reply"), …)."""
    QUESTIONS[name] = Question(text, {words: (right, reply) for words, right, reply in options})
    return QUESTIONS[name]


def predict_first(name: str) -> Question:
    """A lesson's question, by name; its answer stands in the lesson's file, out of the reader's sight.

    raises   KeyError naming the questions there are
    """
    if name not in QUESTIONS:
        raise KeyError(f"no question is called {name!r}; there are {', '.join(sorted(QUESTIONS))}")
    return QUESTIONS[name]
