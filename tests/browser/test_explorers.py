"""Every explorer alone in JupyterLab, under the hands of a reader who types, slides, drags and hurries."""

import time

import pytest

from tests import servers
from tests.browser.stage import Stage
from tests.explorers.opened import OPENINGS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SMALLEST = 12  # CSS pixels of the smallest text on a card at its full width
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
    assert stage.page.locator(".jp-FileBrowser").is_visible(), "a laptop's screen with the file browser open"
    stage.page.locator(".mrcnn-view").first.evaluate("view => view.scrollIntoView({block: 'start'})")
    stage.page.wait_for_timeout(300)
    assert stage.picture.root.bounding_box()["width"] >= 700, "squeezed on a laptop's screen"
    panel = stage.page.locator(".jp-WindowedPanel-outer").first.bounding_box()
    view, card = stage.page.locator(".mrcnn-view").first.bounding_box(), stage.picture.root.bounding_box()
    whole = card["y"] + card["height"] - view["y"]
    assert whole <= panel["height"], f"controls and card take {whole:.0f} of {panel['height']:.0f} px"
    assert sideways(stage.page) == []
    stage.lesson.keep_screen("light")


def sideways(page) -> list[str]:
    """What a reader would have to scroll sideways for: scroll bars in the output, and parts that reach beyond it.

    The card itself may: below 700 px it is not shown smaller, and its own frame scrolls.
    """
    script = """() => {
        const name = (e) => `${e.tagName}.${e.className}`;
        const output = document.querySelector('.jp-OutputArea-output:has(.mrcnn-canvas)');
        const scrolled = [output, ...output.querySelectorAll('*')]
            .filter((e) => !e.classList.contains('mrcnn-frame'))
            .filter((e) => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
            .filter((e) => e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1)
            .map((e) => `${name(e)} scrolls: ${e.scrollWidth} in ${e.clientWidth}`);
        const edge = output.getBoundingClientRect().right + 1;
        const beyond = [...output.querySelectorAll('input, select, button, .noUi-target, .mrcnn-frame')]
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
        card = stage.picture.root.bounding_box()["width"]
        assert card >= 700 and SMALLEST * card / stage.card_width * zoom >= 11, "text of 11 px on the screen"
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
        alert = stage.page.get_by_role("alert").filter(has_text=reason)
        alert.wait_for()
        assert stage.kernel.ask(f"explorer.controls[{name!r}].label") in alert.text_content()
        box, said = stage.number_box(name).bounding_box(), alert.bounding_box()
        assert abs(said["y"] - box["y"]) < 60 and abs(said["x"] - box["x"]) < 400, "it stands beside its control"
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


def test_what_takes_the_keyboard_has_a_name_and_a_whole_ring(stage):
    script = """() => [...document.querySelector('.mrcnn-view')
            .querySelectorAll('input, select, button, [role=slider], .mrcnn-canvas')]
        .filter((e) => e.offsetParent)
        .map((e) => [e.tagName + '.' + e.className,
                     e.getAttribute('aria-label') || (e.labels && e.labels[0] && e.labels[0].textContent.trim())
                     || e.closest('label')?.textContent.trim() || e.textContent.trim() || e.title])"""
    parts = stage.page.evaluate(script)
    assert len(parts) >= 6 and [part for part, name in parts if not name] == []
    value = stage.row(stage.opening.slider).locator(".noUi-handle").get_attribute("aria-valuetext")
    assert value == stage.number_box(stage.opening.slider).input_value(), "a slider is read aloud as its number"
    stage.picture.root.focus()
    stage.page.keyboard.press("Shift")
    ring = stage.picture.root.evaluate("(e) => getComputedStyle(e, '::after').borderTopWidth")
    assert ring == "3px", "the ring lies inside the card, where nothing cuts it off"


def test_the_mouse_is_a_hand_where_a_click_acts_and_only_there(stage):
    stage.picture.bring()
    areas = stage.kernel.ask("[[float(v) for v in area] for area in explorer.areas()]")
    grips = stage.kernel.ask("[[float(v) for v in box['box']] for box in explorer.boxes()]")

    def inside(place, boxes, room=0):
        x, y = place
        return any(a - room <= x <= c + room and b - room <= y <= d + room for a, b, c, d in boxes)

    width, height = stage.kernel.ask("[explorer.width, explorer.height]")
    places = [(x, y) for x in range(15, width, 61) for y in range(17, height, 53)]
    places = [place for place in places if not inside(place, grips, 14)]
    seen = {}
    for place in places:
        stage.page.mouse.move(*stage.page_place(*place))
        cursor = stage.picture.root.evaluate("(e) => getComputedStyle(e).cursor")
        seen[place] = cursor, inside(place, areas)
    wrong = {place: found for place, found in seen.items() if found[0] != ("pointer" if found[1] else "default")}
    assert wrong == {} and {found[1] for found in seen.values()} == {True, False}
    stage.settle()


def test_reset_brings_the_opening_back(stage):
    before, name = stage.picture.data(), stage.opening.slider
    high = stage.kernel.ask(f"explorer.controls[{name!r}].high")
    stage.type(name, f"{high:g}")
    stage.kernel.wait_until(f"explorer.get({name!r}) == {high}")
    stage.page.locator(".mrcnn-view button", has_text="Reset").click()
    stage.kernel.wait_until(f"explorer.get({name!r}) == {stage.opening_values[name]}")
    stage.settle()
    assert stage.picture.data() == before


def test_a_true_minus_and_a_comma_are_read(stage):
    name = stage.opening.slider
    low, kind = stage.kernel.ask(f"[explorer.controls[{name!r}].low, explorer.controls[{name!r}].kind.__name__]")
    typed = f"{low:.1f}" if kind == "float" else f"{low:g}"
    stage.type(name, typed.replace("-", "\N{MINUS SIGN}").replace(".", ","))
    stage.kernel.wait_until(f"explorer.get({name!r}) == {low}")
    stage.settle()


def test_the_play_button_walks(stage):
    played = stage.kernel.ask("[n for n, c in explorer.controls.items() if getattr(c, 'player', None)]")
    if not played:
        assert stage.name not in ("Peel", "Proposals", "RoIAlign"), "there are steps, and nothing plays them"
        return
    (name,) = played
    stage.kernel.run(f"explorer.controls[{name!r}].set(explorer.controls[{name!r}].sweep()[0])")
    stage.settle()
    stage.kernel.run("drawn.clear()")
    play, stop = stage.page.locator(".mrcnn-view .widget-play button").all()[:2]
    play.click()
    stage.kernel.wait_until("len(drawn) >= 2")
    stop.click()
    stage.settle()


def test_a_photograph_is_dropped_onto_the_card(stage):
    if not stage.kernel.ask("explorer.canvas.takes_files"):
        assert stage.name == "Deltas"
        return
    script = """async (root) => {
        const canvas = new OffscreenCanvas(90, 60), pen = canvas.getContext('2d');
        pen.fillStyle = '#804020';
        pen.fillRect(0, 0, 90, 60);
        const files = new DataTransfer();
        files.items.add(new File([await canvas.convertToBlob()], 'plate.png', { type: 'image/png' }));
        for (const kind of ['dragover', 'drop'])
            root.dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
    }"""
    stage.picture.root.evaluate(script)
    stage.kernel.wait_until("explorer.get('picture') == 'plate.png'")
    stage.page.get_by_text("plate.png is shown").wait_for()
    stage.settle()


def test_it_is_a_light_card_that_does_not_glare_in_the_dark_theme(stage):
    stage.lesson.theme("JupyterLab Dark")
    try:
        stage.picture.bring()
        stage.lesson.keep_screen("dark")
        face = stage.picture.root.evaluate("(root) => getComputedStyle(root).backgroundColor")
        softened = stage.picture.root.evaluate("(root) => getComputedStyle(root).filter")
        assert face == "rgb(255, 255, 255)" and softened == "brightness(0.87)"
    finally:
        stage.lesson.theme("JupyterLab Light")
