"""How long a reader waits in JupyterLab: from a hand's move to the new picture on the page."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.explorers import ninety_fifth
from tests import servers
from tests.browser.stage import Stage
from tests.explorers.opened import OPENINGS

TITLE = "Explorers in the browser"
MOVES = 60
WANTED = 0.100  # seconds from a drag until Python's picture is in the page
PATIENCE = 1500  # milliseconds for a move's picture; the box itself follows the hand without waiting for it
LOOK = 150  # milliseconds between two looks whether it is there; a look takes the same processors a moment
KEYS = ("ArrowRight",) * 8 + ("ArrowLeft",) * 8
# The clock starts in the page when the hand's event arrives, before the explorer's own listeners run. It is read when
# the page gets the new picture, and again in the frame in which the picture has been decoded.
CLOCK = """() => {
    const root = document.querySelector('.mrcnn-canvas'), img = root.querySelector('img');
    for (const kind of ['pointermove', 'keydown'])
        root.addEventListener(kind, () => { window.asked = performance.now(); }, true);
    new MutationObserver(async () => {
        const from = window.asked;
        if (from === null) return;
        window.asked = null;
        const arrived = performance.now() - from;
        await img.decode();
        requestAnimationFrame(() => window.answers.push([arrived, performance.now() - from]));
    }).observe(img, { attributes: true, attributeFilter: ['src'] });
}"""


class NoBrowser(RuntimeError):
    """There is no Chromium or Chrome on this machine."""


@dataclass(frozen=True)
class Answers:
    """Seconds from a hand's move until the page has the new picture, and until the picture is seen.

    hand    "box dragged" or "arrow keys"
    moves   how many were made, one after the other's answer
    times   (arrived, seen) of those that brought a new picture
    """

    explorer: str
    hand: str
    moves: int
    times: tuple[tuple[float, float], ...]

    @property
    def arrived(self) -> list[float]:
        """Until the page has the picture."""
        return [arrived for arrived, _ in self.times]

    @property
    def seen(self) -> list[float]:
        """Until the browser has decoded it and its frame is due."""
        return [seen for _, seen in self.times]

    @property
    def met(self) -> bool:
        """Whether the target is met: 95 of 100 pictures arrive in time."""
        return ninety_fifth(self.arrived) <= WANTED


def drags(stage: Stage, moves: int) -> Iterator[None]:
    """Hold the box in its middle and move it to and fro, toward the side where it has room; once for each `next`."""
    x1, y1, x2, y2 = box = stage.box()
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    way = [math.copysign(1, room) for room in stage.room(box)]
    stage.press_at(x, y)
    for move in range(moves):
        far = 6 + 24 * abs((move / 20 + 1) % 2 - 1)  # 6 to 30 CSS pixels from where it was taken, and back
        stage.move_to(x + way[0] * far, y + way[1] * far, steps=1)
        yield
    stage.page.mouse.up()


def keys(stage: Stage, moves: int) -> Iterator[None]:
    """Press arrow keys in the picture; one for each `next`."""
    stage.picture.root.focus()
    for move in range(moves):
        stage.page.keyboard.press(KEYS[move % len(KEYS)])
        yield


def answers(stage: Stage, moves: int) -> Answers:
    """Move, wait for the picture, and so on: what is measured is one move's way, never a queue.

    raises   RuntimeError where no move brings a new picture
    """
    stage.picture.bring()
    stage.page.evaluate("window.answers = []; window.asked = null")
    hand, what = (drags, "box dragged") if stage.opening.box else (keys, "arrow keys")
    for count, _ in enumerate(hand(stage, moves), 1):
        for _ in range(PATIENCE // LOOK):
            if stage.page.evaluate("window.asked === null && window.answers.length") >= count:
                break
            stage.page.wait_for_timeout(LOOK)
        else:  # nothing changed: it stays among the moves and out of the times
            stage.page.evaluate("window.asked = null; window.answers.push(null)")
    found = [pair for pair in stage.page.evaluate("window.answers") if pair is not None]
    if not found:
        raise RuntimeError(f"{stage.name}: none of {moves} moves brought a new picture within {PATIENCE / 1000:g} s")
    return Answers(stage.name, what, moves, tuple((arrived / 1000, seen / 1000) for arrived, seen in found))


def measure(quick: bool = False) -> list[Answers]:
    """Every explorer alone in JupyterLab; `quick` makes few moves.

    raises   NoBrowser where there is none
    """
    chromium = servers.find_chromium()
    if chromium is None:
        raise NoBrowser("no Chromium on this machine: looked for " + ", ".join(servers.CHROMIUM_NAMES))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "none").mkdir()
        lab = servers.JupyterLab.start(Path(folder) / "none", Path(folder) / "lab")
        with lab as server, servers.open_browser(chromium) as browser:
            return [measure_one(browser, server, name, 8 if quick else MOVES) for name in OPENINGS]


def measure_one(browser, server, name: str, moves: int) -> Answers:
    """One explorer on a page of its own, after a few moves to warm up."""
    with servers.open_page(browser) as page:
        stage = Stage(page, server, name)
        page.evaluate(CLOCK)
        answers(stage, 8)
        found = answers(stage, moves)
        stage.kernel.close()
    return found
