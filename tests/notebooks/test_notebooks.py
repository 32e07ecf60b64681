"""Every lesson keeps the promises of all lessons: budgets, stills, captions, the same set-up, current outputs."""

import json
import re
from pathlib import Path
from statistics import median, quantiles

import nbformat
import pytest

from mrcnn_edu import explorers
from mrcnn_edu.exercises.base import SHELF
from mrcnn_edu.exercises.predict import QUESTIONS
from mrcnn_edu.figures import WIDGET_VIEW
from tests import project

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What makes a picture in a lesson's code: each such cell must store one, with a caption.
EXPLORERS = "|".join(name for name in explorers.__all__ if name != "Upload")
DRAWS = re.compile(rf"\bfigures\.show_|(?<![\w.])(?:{EXPLORERS})\(")
PARTS = ("The question", "Prove it", "Move it", "Break it", "Exercises", "What you can now explain")


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def lesson(request):
    book = nbformat.read(request.param, as_version=4)
    book.path = request.param
    return book


def code_cells(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def lines(cell) -> int:
    return len([line for line in cell.source.splitlines() if line.strip()])


def words(book) -> int:
    return sum(len(cell.source.split()) for cell in book.cells if cell.cell_type == "markdown")


def test_there_are_lessons_and_nothing_else():
    assert LESSONS
    assert [path.name for path in (ROOT / "notebooks").iterdir() if path.suffix not in (".ipynb", "")] == []


def test_code_is_in_small_cells_between_text(lesson):
    sizes = [lines(cell) for cell in code_cells(lesson)]
    assert median(sizes) <= 8
    assert quantiles(sizes, n=10)[-1] <= 25
    share = 1 - len(sizes) / len(lesson.cells)
    assert 0.55 <= share <= 0.65, f"{share:.3f} of the cells are text"
    assert "ccc" not in "".join(cell.cell_type[0] for cell in lesson.cells)


def test_text_and_file_are_short(lesson):
    assert words(lesson) <= 3500
    assert lesson.path.stat().st_size <= 600 * 1024


def test_it_is_stored_executed_in_order_without_errors_or_warnings(lesson):
    cells = code_cells(lesson)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
        kinds = [output.output_type for output in cell.outputs]
        assert ("stream", "stream") not in zip(kinds, kinds[1:], strict=False), "cut where chance would have it"


def test_it_is_stored_with_every_photograph(lesson):
    """Without MRCNN_EDU_DATA or a network `make notebooks` would store a lesson that lacks them."""
    printed = " ".join(output.get("text", "") for cell in code_cells(lesson) for output in cell.outputs)
    assert "could not be downloaded" not in printed


def test_no_widget_state_and_no_path_of_one_machine_is_stored(lesson):
    assert "widgets" not in lesson.metadata
    stored = json.dumps([cell.get("outputs", []) for cell in lesson.cells]) + "".join(c.source for c in lesson.cells)
    assert WIDGET_VIEW not in stored
    for piece in (str(ROOT), str(Path.home()) + "/", "/tmp/", "/home/", "/Users/", "C:\\\\"):
        assert piece not in stored


def test_every_picture_has_a_caption_that_stands_in_for_it(lesson):
    for cell in code_cells(lesson):
        data = [output.get("data", {}) for output in cell.outputs]
        pictures = [output for output in cell.outputs if any(k.startswith("image/") for k in output.get("data", {}))]
        if DRAWS.search(cell.source):
            assert pictures or "display(" in cell.source, f"no still is stored for:\n{cell.source}"
        for picture in pictures:
            kind = next(k for k in picture.data if k.startswith("image/"))
            caption = picture.metadata[kind]["alt"]
            assert len(caption.split()) >= 8, f"too short to stand in for the picture: {caption}"
            assert any(caption in d.get("text/plain", "") and "text/html" in d for d in data)


def test_explorers_are_stored_as_png_stills(lesson):
    for cell in code_cells(lesson):
        if re.search(rf"^\w+ = (?:{EXPLORERS})\(", cell.source, re.M):
            assert any("image/png" in output.get("data", {}) for output in cell.outputs)


def test_badge_setup_and_links_name_the_repository_of_pyproject(lesson):
    address = project.project()["project"]["urls"]["Repository"]
    owner = address.removeprefix("https://github.com/")
    text = "".join(cell.source for cell in lesson.cells)
    assert f"colab.research.google.com/github/{owner}/blob/main/notebooks/{lesson.path.name})" in lesson.cells[0].source
    assert f"git+{address}\n" in text
    stored = text + json.dumps([cell.get("outputs", []) for cell in code_cells(lesson)])
    for found in re.findall(r"https://github\.com/[\w.-]+/[\w-]+", stored):
        assert found == address, found


def test_the_setup_cell_is_the_same_in_every_lesson(lesson):
    first = nbformat.read(LESSONS[0], as_version=4)
    assert code_cells(lesson)[0].source == code_cells(first)[0].source


def test_links_into_the_package_lead_to_files_and_lines(lesson):
    tables = [
        o.data["text/markdown"] for c in code_cells(lesson) for o in c.outputs if "text/markdown" in o.get("data", {})
    ]
    for path in re.findall(
        r"/blob/main/(mrcnn_edu/[\w/]+\.py)", "".join(tables) + "".join(c.source for c in lesson.cells)
    ):
        assert (ROOT / path).is_file(), path
    linked = [
        found for table in tables for found in re.findall(r"\[`(.+?)`\]\(\S+/blob/main/(\S+\.py)#L(\d+)\)", table)
    ]
    assert linked, "no card links a line of code"
    heads = {
        head.replace(" ", "-")
        for c in lesson.cells
        if c.cell_type == "markdown"
        for head in re.findall(r"^#+ (.+)$", c.source, re.M)
    }
    for place in re.findall(r"\[built below\]\(#(.+?)\)", "".join(tables)):
        assert place in heads, f"the card links to {place}, but no heading is called so"
    for code, path, line in linked:
        assert code in (ROOT / path).read_text().splitlines()[int(line) - 1], f"{path}:{line} moved: make notebooks"


def test_the_parts_stand_in_their_order(lesson):
    heads = re.findall(r"^## (.+)$", "\n".join(c.source for c in lesson.cells if c.cell_type == "markdown"), re.M)
    places = [next((i for i, head in enumerate(heads) if head.startswith(part)), None) for part in PARTS]
    assert None not in places, dict(zip(PARTS, places, strict=True))
    assert places == sorted(places)


def test_exercises_and_questions_exist_and_are_left_open(lesson):
    code = "\n".join(cell.source for cell in code_cells(lesson))
    names = re.findall(r'@exercise\("(\w+)"\)', code)
    assert len(names) >= 2 and set(names) <= set(SHELF.known)
    assert [SHELF.known[name].number for name in names] == list(range(1, len(names) + 1)), "as `progress` lists them"
    assert set(re.findall(r'predict_first\("(\w+)"\)', code)) <= set(QUESTIONS)
    stored = json.dumps([cell.outputs for cell in code_cells(lesson)])
    assert stored.count("Yours to write") >= len(names)


def test_deterministic_text_is_checked_by_nbval(lesson):
    assert sum("NBVAL_CHECK_OUTPUT" in cell.source for cell in code_cells(lesson)) >= 3
