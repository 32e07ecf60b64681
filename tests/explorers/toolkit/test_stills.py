"""What is stored of a lesson: stills and captions, never a widget."""

import base64

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mrcnn_edu.explorers.toolkit.stills import keep_stills, run
from mrcnn_edu.figures import WIDGET_VIEW

VIEW = {"model_id": "abc", "version_major": 2, "version_minor": 0}


def notebook(*outputs):
    book = new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell("x", outputs=list(outputs))])
    book.metadata["widgets"] = {"state": {}}
    return book


def test_an_explorer_becomes_its_still_and_its_caption():
    data = {WIDGET_VIEW: VIEW, "image/png": base64.b64encode(b"png").decode(), "text/plain": "Peel. Six <stages>."}
    metadata = {"image/png": {"alt": "Peel. Six <stages>.", "width": 920}}
    book = notebook(new_output("execute_result", data=data, metadata=metadata, execution_count=1))
    keep_stills(book)
    picture, words = book.cells[1].outputs
    assert set(picture.data) == {"image/png", "text/plain"} and picture.metadata["image/png"]["alt"].startswith("Peel")
    assert "Six &lt;stages&gt;" in words.data["text/html"]
    assert "widgets" not in book.metadata
    nbformat.validate(book)


def test_a_question_keeps_its_text():
    book = notebook(new_output("display_data", data={WIDGET_VIEW: VIEW, "text/html": "<p>?</p>", "text/plain": "?"}))
    keep_stills(book)
    assert set(book.cells[1].outputs[0].data) == {"text/html", "text/plain"}


def test_other_outputs_stay_as_they_are():
    plain = new_output("stream", name="stdout", text="24 of 24")
    book = notebook(plain)
    keep_stills(book)
    assert book.cells[1].outputs == [plain]


@pytest.mark.parametrize("shown", ["  0%|          | 0/12 [00:00<?, ?it/s]", "a.jpg:  40%|####      | 2.1k/5.2k"])
def test_a_progress_bar_is_dropped(shown):
    data = {WIDGET_VIEW: VIEW, "text/plain": shown}
    book = notebook(new_output("display_data", data=data))
    keep_stills(book)
    assert book.cells[1].outputs == []


def test_a_widget_with_nothing_to_show_is_refused():
    book = notebook(new_output("display_data", data={WIDGET_VIEW: VIEW, "text/plain": "IntSlider(value=1)"}))
    with pytest.raises(ValueError, match="cell 1"):
        keep_stills(book)


@pytest.mark.slow
def test_a_notebook_runs_in_place_and_a_failing_one_is_left_alone(tmp_path):
    path = tmp_path / "lesson.ipynb"
    book = new_notebook(cells=[new_code_cell("import os\nprint('progress.json' in os.environ['MRCNN_EDU_PROGRESS'])")])
    nbformat.write(book, path)
    run(path)
    stored = nbformat.read(path, as_version=4)
    assert stored.cells[0].outputs[0].text == "True\n" and stored.cells[0].execution_count == 1

    book.cells[0].source = "1 / 0"
    nbformat.write(book, path)
    before = path.read_bytes()
    with pytest.raises(Exception):  # noqa: B017 - of the library that runs notebooks
        run(path)
    assert path.read_bytes() == before
