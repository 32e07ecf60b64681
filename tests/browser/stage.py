"""One explorer alone in a notebook, and the hands that move it: mouse, keyboard, number boxes."""

import json
from pathlib import Path

import nbformat

from tests.browser.kernel import PATIENCE, Kernel
from tests.browser.lab import ROOT, Lesson, Picture, wait_for_kernel
from tests.explorers.opened import OPENINGS

CODE = """import sys

sys.path.insert(0, {root!r})
from tests.explorers.opened import opened

explorer = opened({name!r}, {kind!r})
explorer"""
# Added from outside, so that the notebook stays a reader's: when each picture was drawn, a pause that makes the
# drawing slow, and which controls were moved.
WATCH = """
import hashlib, time
drawn, pause, plain_draw = [], [0.0], explorer.draw
def watched_draw():
    drawn.append(time.time())
    time.sleep(pause[0])
    return plain_draw()
explorer.draw = watched_draw
moved, plain_changed = [], explorer._changed
def watched_changed(name, value):
    moved.append([name, value])
    plain_changed(name, value)
explorer._changed = watched_changed
"""
# Free memory goes back to the system where the C library can do that: what is counted afterwards is held.
TIDY = """
import ctypes, gc, psutil
gc.collect()
getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
"""
# How many pictures and other blobs the page holds.
BLOBS = """
window.blobsHeld = 0;
const make = URL.createObjectURL.bind(URL), drop = URL.revokeObjectURL.bind(URL);
URL.createObjectURL = (blob) => { window.blobsHeld += 1; return make(blob); };
URL.revokeObjectURL = (url) => { if (url) window.blobsHeld -= 1; return drop(url); };
"""


def write_scratch(folder: Path, name: str, kind: str) -> str:
    """Write a notebook whose only cell opens an explorer; returns its file name."""
    cell = nbformat.v4.new_code_cell(CODE.format(root=str(ROOT), name=name, kind=kind))
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, folder / f"explorer_{name}.ipynb")
    return f"explorer_{name}.ipynb"


class Stage:
    """An explorer on the page and in its kernel.

    picture   its canvas
    kernel    answers questions about `explorer`, about `drawn`, the times at which Python drew a picture, and about
              `moved`, which names each control that got another value
    """

    def __init__(self, page, server, name: str):
        self.page, self.name, self.opening = page, name, OPENINGS[name]
        notebook = write_scratch(server.root, name, self.opening.kind)
        page.add_init_script(BLOBS)
        self.lesson = Lesson(page, server, notebook)
        self.lesson.menu("Run", "Run All Cells")
        page.locator(".mrcnn-canvas").wait_for(timeout=PATIENCE * 1000)
        wait_for_kernel(page)
        self.picture = Picture(page)
        self.kernel = Kernel(server, notebook)
        self.kernel.run(WATCH)
        self.opening_values = self.values()

    def values(self) -> dict:
        """The value of every control, as Python holds it."""
        return self.kernel.ask("{name: control.value for name, control in explorer.controls.items()}")

    def restore(self) -> None:
        """Put every control back to where it stood, and the picture onto the screen."""
        self.kernel.run(f"import json; explorer.set(**json.loads({json.dumps(self.opening_values)!r}))")
        self.settle()
        self.picture.bring()

    def settle(self) -> None:
        """Return when the page shows Python's newest picture, and its words with it."""
        quiet = "not explorer._drawing.locked() and explorer._drawn == explorer._wanted"
        newest = "[hashlib.sha256(explorer.canvas.value).hexdigest(), explorer.canvas.alt, explorer.describe()]"
        seen = 0
        for _ in range(PATIENCE * 5):
            data, words, description = self.kernel.ask(newest)
            marks = {
                "its bytes": self.picture.data() == data,
                "its words": self.picture.words() == words,
                "words of the state": words == description,
                "a kernel that is done": self.kernel.ask(quiet),
            }
            seen = seen + 1 if all(marks.values()) else 0
            if seen == 2:  # between two pictures it may be quiet for a moment
                return
            self.page.wait_for_timeout(100)
        missing = ", ".join(name for name, met in marks.items() if not met)
        raise AssertionError(f"the page does not show the newest picture; missing: {missing or 'two looks in a row'}")

    def row(self, control: str):
        """The slider and the number box of a number."""
        label = self.kernel.ask(f"explorer.controls[{control!r}].label")
        return self.page.locator(f".widget-hbox:has(> .widget-slider > .widget-label:text-is('{label}'))")

    def number_box(self, control: str):
        return self.row(control).locator("input[type=text]")

    def type(self, control: str, text: str) -> None:
        """Type into a number box, as a hand would, and press Enter."""
        box = self.number_box(control)
        box.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def track(self, control: str) -> tuple[float, float, float]:
        """Left end, right end and height on the page of a slider's track."""
        track = self.row(control).locator(".noUi-target").bounding_box()
        return track["x"], track["x"] + track["width"], track["y"] + track["height"] / 2

    def grab(self, control: str) -> None:
        """Put the mouse on a slider's handle and press."""
        self.row(control).locator(".noUi-handle").hover()
        self.page.mouse.down()

    def slide(self, control: str, share: float, steps: int = 8) -> None:
        """Move the mouse, which holds the handle, to a share of the track."""
        left, right, y = self.track(control)
        self.page.mouse.move(left + share * (right - left), y, steps=steps)

    def box(self) -> list[float]:
        """The box that can be dragged as the browser draws it, CSS pixels of the card."""
        script = "(r) => ['x', 'y', 'width', 'height'].map((name) => Number(r.getAttribute(name)))"
        x, y, width, height = self.picture.root.locator(f"rect[data-id={self.opening.box}]").evaluate(script)
        return [x, y, x + width, y + height]

    def python_box(self) -> list[float]:
        """The same as Python has it now."""
        found = f"[[float(v) for v in b['box']] for b in explorer.boxes() if b['id'] == {self.opening.box!r}]"
        return self.kernel.ask(found)[0]

    def sides(self) -> list[float]:
        """What the numbers say that hold the box's x1, y1, x2, y2."""
        values = self.values()
        return [values[name] for name in self.opening.sides]

    def bounds(self) -> list[float]:
        return self.kernel.ask("[float(v) for v in explorer.bounds()]")

    def room(self, box) -> tuple[float, float]:
        """How far to move a box, CSS pixels: toward the side of its bounds that is farther away."""
        x1, y1, x2, y2 = box
        left, top, right, bottom = self.bounds()
        ways = []
        for low, high, least, most in ((x1, x2, left, right), (y1, y2, top, bottom)):
            way = max(least - low, most - high, key=abs)
            assert abs(way) >= 8, "the opening state leaves the box no room to be dragged"
            ways.append(max(-40, min(40, way * 0.8)))
        return tuple(ways)

    def page_place(self, x: float, y: float) -> tuple[float, float]:
        """A place of the card → of the page."""
        box = self.picture.root.bounding_box()
        zoom = box["width"] / self.card_width
        return box["x"] + x * zoom, box["y"] + y * zoom

    @property
    def card_width(self) -> float:
        """The card's width in its own CSS pixels; on a narrow page it is shown smaller."""
        return float(self.picture.root.locator("svg").get_attribute("viewBox").split()[2])

    def press_at(self, x: float, y: float) -> None:
        """Press the mouse at a place of the card."""
        self.page.mouse.move(*self.page_place(x, y))
        self.page.mouse.down()

    def move_to(self, x: float, y: float, steps: int = 6) -> None:
        self.page.mouse.move(*self.page_place(x, y), steps=steps)

    def memory(self) -> dict[str, float]:
        """What is held now: MiB of the kernel and of the page's JavaScript, nodes and blobs of the page."""
        tools = self.page.context.new_cdp_session(self.page)
        tools.send("HeapProfiler.collectGarbage")
        tools.send("Performance.enable")
        page = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
        tools.detach()
        self.kernel.run(TIDY)
        return {
            "kernel": self.kernel.ask("psutil.Process().memory_info().rss") / 2**20,
            "heap": page["JSHeapUsedSize"] / 2**20,
            "nodes": page["Nodes"],
            "blobs": self.page.evaluate("window.blobsHeld"),
        }
