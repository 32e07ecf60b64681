"""Every explorer alone in JupyterLab, under the hands of a reader who types, slides, drags and hurries."""

import time

import pytest

from tests import servers
from tests.browser.stage import Stage
from tests.explorers.opened import OPENINGS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MOVES = 200
QUEUE = 5  # pictures that may still be drawn after the last move: the one at work, the newest, and room for chance
# Were every picture's bytes kept, each round of MOVES would add 10 MiB (Peel) to 40 (Proposals) to the kernel.
# What the allocators below Python take, and give back late, comes in one round and not in the next.
ROUNDS = 4
MOST_GROWTH = {"kernel": 3, "heap": 2, "nodes": 100, "blobs": 1}


@pytest.fixture(scope="module", params=OPENINGS)
def opened_stage(request, browser, jupyterlab):
    with servers.open_page(browser) as page:
        stage = Stage(page, jupyterlab, request.param)
        yield stage
        stage.kernel.close()


@pytest.fixture
def stage(opened_stage):
    """The explorer as it was opened. Errors on the page count against the test that brought them."""
    opened_stage.restore()
    yield opened_stage
    opened_stage.lesson.keep_screen("last")
    assert opened_stage.lesson.errors() == []


@pytest.fixture
def dragged_stage(stage):
    """An explorer with a box that can be dragged; see conftest.py."""
    return stage


def test_it_opens_with_its_words_and_fits_a_laptop(stage):
    assert stage.kernel.ask("explorer.describe()") == stage.picture.words()
    assert stage.picture.root.bounding_box()["width"] >= 700, "squeezed on a laptop's screen"
    assert sideways(stage.page) == []
    stage.lesson.keep_screen("light")


def sideways(page) -> list[str]:
    """What a reader would have to scroll sideways for: scroll bars in the output, and parts that reach beyond it."""
    script = """() => {
        const name = (e) => `${e.tagName}.${e.className}`;
        const output = document.querySelector('.jp-OutputArea-output:has(.mrcnn-canvas)');
        const scrolled = [output, ...output.querySelectorAll('*')]
            .filter((e) => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
            .filter((e) => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1)
            .map((e) => `${name(e)} scrolls: ${e.scrollWidth} in ${e.clientWidth}`);
        const edge = output.getBoundingClientRect().right + 1;
        const beyond = [...output.querySelectorAll('input, select, .noUi-target, .mrcnn-canvas')]
            .filter((e) => e.getBoundingClientRect().right > edge).map((e) => `${name(e)} ends beyond the output`);
        return [...scrolled, ...beyond];
    }"""
    return page.evaluate(script)


@pytest.mark.parametrize("zoom", [1.5, 2.0])
def test_it_fits_the_column_when_the_page_is_magnified(stage, zoom):
    """Magnified twice, a screen of 1366 CSS pixels has 683."""
    try:
        stage.page.set_viewport_size({"width": round(1366 / zoom), "height": round(768 / zoom)})
        stage.page.wait_for_timeout(500)
        stage.picture.bring()
        stage.lesson.keep_screen(f"zoom_{zoom:.0%}".replace("%", ""))
        assert sideways(stage.page) == []
    finally:
        stage.page.set_viewport_size({"width": 1366, "height": 768})


def test_a_number_is_typed_and_a_wrong_one_turns_red(stage):
    name = stage.opening.slider
    low, high = stage.kernel.ask(f"[explorer.controls[{name!r}].low, explorer.controls[{name!r}].high]")
    stage.type(name, f"{high:g}")
    stage.kernel.wait_until(f"explorer.get({name!r}) == {high}")
    for wrong, reason in (("many", "number"), (f"{high + 1:g}", f"outside {low:g} to {high:g}")):
        stage.type(name, wrong)
        stage.page.locator(".mrcnn-wrong").wait_for()
        stage.page.get_by_role("alert").filter(has_text=reason).wait_for()
        assert stage.kernel.ask(f"explorer.get({name!r})") == high, "a wrong value must change nothing"
        colour = stage.number_box(name).evaluate("(box) => getComputedStyle(box).borderTopColor")
        assert colour == "rgb(213, 94, 0)"
    stage.type(name, f"{low:g}")
    stage.kernel.wait_until(f"explorer.get({name!r}) == {low}")
    stage.page.locator(".mrcnn-wrong").wait_for(state="detached")
    stage.page.get_by_role("alert").first.wait_for(state="detached")  # the words go a message later than the colour
    stage.settle()


def test_the_slider_follows_the_mouse_and_the_keyboard(stage):
    name = stage.opening.slider
    high = stage.kernel.ask(f"explorer.controls[{name!r}].high")
    before = stage.picture.data()
    stage.grab(name)
    stage.slide(name, 1.02)
    stage.page.mouse.up()
    stage.kernel.wait_until(f"explorer.get({name!r}) == {high}")
    stage.settle()
    assert stage.number_box(name).input_value() == f"{high:g}"
    assert stage.picture.data() != before
    stage.row(name).locator(".noUi-handle").focus()
    stage.page.keyboard.press("ArrowLeft")
    step = stage.kernel.ask(f"explorer.controls[{name!r}].step")
    stage.kernel.wait_until(f"abs(explorer.get({name!r}) - {high - step}) < 1e-6")
    stage.settle()


def test_the_page_does_not_answer_what_python_sets(stage):
    """Else two answers on their way at once could chase each other for ever."""
    stage.kernel.run("for _ in explorer.sweep(): pass\nmoved.clear()")
    stage.settle()
    stage.page.wait_for_timeout(1000)
    assert stage.kernel.ask("moved") == []


def test_arrow_keys_in_the_picture_reach_the_explorer(stage):
    stage.picture.root.focus()
    before = stage.picture.data()
    stage.page.keyboard.press("ArrowRight")
    stage.page.keyboard.press("ArrowDown")
    for _ in range(40):
        stage.page.wait_for_timeout(250)
        if stage.picture.data() != before:
            break
    assert stage.picture.data() != before
    stage.settle()


def test_two_hundred_hurried_moves_end_in_the_right_picture(stage):
    """Nothing queues up, even where a picture takes Python 50 ms more, and nothing is kept of what lies between."""
    stage.kernel.run("pause[0] = 0.05")
    hurry(stage)
    stage.kernel.run("pause[0] = 0.0")
    hurry(stage)
    held, growing = [stage.memory()], set(MOST_GROWTH)
    for _ in range(ROUNDS):
        hurry(stage)
        held.append(stage.memory())
        before, after = held[-2:]
        growing = {name for name in growing if after[name] - before[name] > MOST_GROWTH[name]}
        if not growing:
            break
    assert not growing, f"{' and '.join(sorted(growing))} grew in each round: {held}"


def hurry(stage) -> None:
    """Move the slider MOVES times as fast as the moves can be sent, and see where that ends."""
    name = stage.opening.slider
    stage.grab(name)
    stage.kernel.run("drawn.clear()")
    stage.slide(name, 1.0, steps=MOVES // 2)
    stage.slide(name, 0.3, steps=MOVES // 2)
    last = time.time()
    stage.page.mouse.up()
    steps = stage.row(name).locator(".noUi-target").evaluate("(slider) => slider.noUiSlider.get(true)")
    shown = stage.kernel.ask(f"{steps} * explorer.controls[{name!r}].step")
    low, high = stage.kernel.ask(f"[explorer.controls[{name!r}].low, explorer.controls[{name!r}].high]")
    assert (shown - low) / (high - low) == pytest.approx(0.3, abs=0.1)
    stage.kernel.wait_until(f"abs(explorer.get({name!r}) - {shown}) < 1e-6")
    stage.settle()
    assert float(stage.number_box(name).input_value()) == pytest.approx(shown, rel=1e-4)
    assert stage.picture.words() == stage.kernel.ask("explorer.describe()")
    assert stage.kernel.ask("bytes(explorer.canvas.value) == plain_draw().live()"), "the picture is not the state's"
    drawn = stage.kernel.ask("drawn")
    assert 1 <= len(drawn) <= MOVES
    assert sum(when > last for when in drawn) <= QUEUE, "pictures of old moves were still drawn after the last one"
    stage.page.wait_for_timeout(1500)
    assert len(stage.kernel.ask("drawn")) == len(drawn), "a picture came long after the last move"


def test_the_box_follows_the_hand_without_python(dragged_stage, tmp_path):
    """While the kernel is at work the box goes where the mouse goes; afterwards Python has it where it was dropped."""
    stage = dragged_stage
    x1, y1, x2, y2 = before = stage.box()
    values = stage.values()
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    by_x, by_y = stage.room(before)
    with stage.kernel.busy(tmp_path):
        stage.press_at(x, y)
        for share in (0.25, 0.5, 1.0):
            stage.move_to(x + share * by_x, y + share * by_y)
            moved = [share * by_x, share * by_y] * 2
            assert stage.box() == pytest.approx([v + d for v, d in zip(before, moved, strict=True)], abs=1.5)
        stage.page.mouse.up()
        stage.lesson.keep_screen("dragged")
    dropped = agreed(stage)
    assert dropped != pytest.approx(before, abs=2)
    assert stage.values() != values, "the controls hold where the box was dropped"


def agreed(stage) -> list[float]:
    """The box when browser and Python agree about it."""
    stage.settle()
    for _ in range(100):
        box = stage.box()
        if box == pytest.approx(stage.python_box(), abs=0.01):
            return box
        stage.page.wait_for_timeout(200)
    raise AssertionError(f"the browser has {stage.box()}, Python {stage.python_box()}")


@pytest.mark.parametrize("grip, moved", [("edge", [0]), ("corner", [2, 3])])
def test_an_edge_and_a_corner_move_alone(dragged_stage, grip, moved):
    stage = dragged_stage
    x1, y1, x2, y2 = before = stage.box()
    values = stage.sides()
    start = (x1, (y1 + y2) / 2) if grip == "edge" else (x2, y2)
    inward = 24 if grip == "edge" else -24
    stage.press_at(*start)
    stage.move_to(start[0] + inward, start[1] + inward)
    held = stage.box()
    assert held == pytest.approx([v + inward * (side in moved) for side, v in enumerate(before)], abs=1.5)
    stage.page.mouse.up()
    agreed(stage)
    now = stage.sides()
    changed = [side for side, (old, new) in enumerate(zip(values, now, strict=True)) if abs(old - new) > 1e-6]
    assert changed == moved, f"from {values} to {now}"


def test_arrow_keys_move_the_box_by_one_and_with_shift_by_a_tenth(dragged_stage):
    stage = dragged_stage
    stage.picture.root.focus()
    way = 1 if stage.room(stage.box())[0] > 0 else -1
    key = "ArrowRight" if way > 0 else "ArrowLeft"
    for keys, step in ((key, 1.0), (f"Shift+{key}", 0.1)):
        x1, y1, x2, y2 = stage.sides()
        stage.page.keyboard.press(keys)
        for _ in range(40):
            stage.page.wait_for_timeout(250)
            if stage.sides()[0] != x1:
                break
        assert stage.sides() == pytest.approx([x1 + way * step, y1, x2 + way * step, y2], abs=1e-3)
        stage.settle()


def test_it_is_a_white_card_in_the_dark_theme_too(stage):
    stage.lesson.theme("JupyterLab Dark")
    try:
        stage.picture.bring()
        stage.lesson.keep_screen("dark")
        face = stage.picture.root.evaluate("(root) => getComputedStyle(root).backgroundColor")
        assert face == "rgb(255, 255, 255)"
    finally:
        stage.lesson.theme("JupyterLab Light")
