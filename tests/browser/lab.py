"""What a browser test does in JupyterLab: open a lesson, run it, move its widgets, keep screenshots."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "out" / "browser"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
EMPTY_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="117" height="20"></svg>'
SETTLED = 3.0  # seconds


def wait_for_kernel(page, timeout: float = 120) -> None:
    """Return when the notebook on the page has cells and a kernel that has been idle for SETTLED seconds.

    The lab shows "Idle" a moment before the notebook has its kernel; who runs cells in that moment is asked to select
    one, and nothing runs. Between two cells it shows "Idle" for a moment too.
    """
    page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=timeout * 1000)
    idle = page.get_by_text("Python 3 (ipykernel) | Idle").or_(page.locator("[data-status=idle]")).first
    seen = 0.0
    for _ in range(int(timeout / 0.25)):
        seen = seen + 0.25 if idle.is_visible() else 0.0
        if seen >= SETTLED:
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"the kernel is not idle after {timeout:.0f} s")


class Lesson:
    """A lesson opened in JupyterLab on a laptop's screen."""

    def __init__(self, page, server, name: str):
        self.page, self.name = page, name
        page.set_viewport_size({"width": 1366, "height": 768})
        page.set_default_timeout(90_000)  # two busy cores can take half a minute for one click
        # The badge lives on the internet; tests must not.
        page.route(BADGE, lambda route: route.fulfill(content_type="image/svg+xml", body=EMPTY_SVG))
        page.goto(server.notebook_url(name))
        wait_for_kernel(page)

    def menu(self, *path: str) -> None:
        """Choose from the menu bar, such as menu("Run", "Run All Cells")."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{path[0]}$")).click()
        for step in path[1:]:
            item = self.page.locator(".lm-Menu-item", has_text=step).first
            item.wait_for()
            item.hover()
        item.click()

    def go_to_cell(self, number: int) -> None:
        """Select a cell with the keyboard, as a reader would; what is far from the screen is not drawn by the lab."""
        self.page.locator(".jp-NotebookPanel .jp-Cell").first.click(position={"x": 5, "y": 5})
        for _ in range(number):
            self.page.keyboard.press("ArrowDown")

    def run_all(self, timeout: float = 300) -> None:
        """Forget the stored outputs, run all cells, and wait until the kernel has nothing left to do."""
        self.menu("Edit", "Clear Outputs of All Cells")
        self.menu("Run", "Run All Cells")
        self.page.locator(".jp-StatusBar-Left").get_by_text("Busy").wait_for(timeout=60_000)
        wait_for_kernel(self.page, timeout)

    def errors(self) -> list[str]:
        """Texts of error and stderr outputs, and of widgets that did not come up."""
        kinds = '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
        shown = [
            *self.page.locator(kinds).all_text_contents(),
            *self.page.get_by_text("Error displaying").all_text_contents(),
        ]
        return shown + self.page.problems

    def theme(self, name: str) -> None:
        self.menu("Settings", "Theme", name)
        dark = "false" if "Dark" in name else "true"
        self.page.locator(f'body[data-jp-theme-light="{dark}"]').wait_for(state="attached")

    def keep_screen(self, name: str) -> bytes:
        SCREENS.mkdir(parents=True, exist_ok=True)
        return self.page.screenshot(path=SCREENS / f"{Path(self.name).stem}_{name}.png")


class Picture:
    """The canvas of an explorer on the page."""

    def __init__(self, page):
        self.page, self.root = page, page.locator(".mrcnn-canvas").first
        self.root.scroll_into_view_if_needed()
        page.wait_for_function("() => document.querySelector('.mrcnn-canvas img').naturalWidth > 0")

    def words(self) -> str:
        return self.root.get_attribute("aria-label")

    def data(self) -> str:
        """A fingerprint of the bytes of the picture that the browser shows."""
        script = """async (root) => {
            const bytes = await (await fetch(root.querySelector('img').src)).arrayBuffer();
            const digest = await crypto.subtle.digest('SHA-256', bytes);
            return [...new Uint8Array(digest)].map((b) => b.toString(16).padStart(2, '0')).join('');
        }"""
        return self.root.evaluate(script)

    def wait_for_words(self, piece: str) -> None:
        self.page.locator(f'.mrcnn-canvas[aria-label*="{piece}"]').wait_for(timeout=20_000)

    def loses_words(self, piece: str, timeout: float = 20) -> bool:
        """Whether the piece goes from the picture's words within so many seconds."""
        for _ in range(int(timeout / 0.25)):
            self.page.wait_for_timeout(250)  # a busy machine may need many seconds
            if piece not in self.words():
                return True
        return False

    def wait_for_other_data(self, before: str) -> None:
        for _ in range(50):
            if self.data() != before:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError("the picture did not change")

    def bring(self) -> None:
        """Onto the middle of the screen: the mouse reaches only what is on it, and a screenshot shows no more."""
        self.root.evaluate("element => element.scrollIntoView({block: 'center'})")
        self.page.wait_for_timeout(300)

    def click_at(self, x: float, y: float) -> None:
        """Click at a share of the width and height."""
        self.bring()
        box = self.root.bounding_box()
        self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
