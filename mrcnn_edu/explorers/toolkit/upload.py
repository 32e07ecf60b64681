"""The reader's own photographs: one is chosen or dropped once, and is then in the list of every explorer."""

import html
import tempfile
import threading
import weakref
from pathlib import Path

import ipywidgets as widgets
import torch

from mrcnn_edu.datasets import read_image
from mrcnn_edu.figures import bundle

LONGEST = 1024  # pixels; a photograph from a phone is reduced to this


class Photos:
    """The photographs of this session, and the explorers that show them.

    An explorer has know(name, image), which puts one more picture into its list, and add(name, image), which also
    shows it.
    """

    def __init__(self):
        self.images: dict[str, torch.Tensor] = {}
        self._followers, self._lock = weakref.WeakSet(), threading.RLock()

    def follow(self, explorer) -> None:
        """Offer an explorer all photographs there are, and those that come."""
        with self._lock:
            self._followers.add(explorer)
            for name, image in self.images.items():
                explorer.know(name, image)

    def add(self, name: str, image: torch.Tensor, giver) -> None:
        """One more photograph, (3, H, W) in [0, 1]; one of the same name is replaced. `giver` shows it by itself."""
        with self._lock:
            self.images[name] = image
            for explorer in self._followers - {giver}:
                stale = explorer.get("picture") == name
                (explorer.add if stale else explorer.know)(name, image)

    def forget(self) -> None:
        """Forget every photograph; explorers keep what they have."""
        with self._lock:
            self.images.clear()


PHOTOS = Photos()


class Upload:
    """A button to choose a photograph from the disk, and the line that says what became of it.

    explorer  shows the photograph once it is read; every explorer that takes photographs has such a button itself
    path      a picture to read at once, for places where the button does not work
    raises    ValueError or OSError naming the file, for `path` only; the button shows the reason beside it
    """

    def __init__(self, explorer, path: str | Path | None = None):
        self._explorer = weakref.ref(explorer)  # which holds this
        self.button = widgets.FileUpload(
            accept="image/*", multiple=False, description="My photo", layout=widgets.Layout(width="104px")
        )
        self.message = widgets.HTML("", layout=widgets.Layout(display="none"))
        self.button.observe(self._chosen, "value")
        self.view = widgets.HBox([self.button, self.message])
        if path is not None:
            self._show(Path(path).name, read_image(path, max_side=LONGEST))

    def take(self, name: str, content: bytes) -> None:
        """Read a file and show it in the explorer; what cannot be read is said, and nothing changes."""
        try:
            self._show(name, read_bytes(name, content))
        except (ValueError, OSError) as error:
            self._tell(f'<span role="alert">&#9888; {html.escape(str(error))}</span>')
        else:
            self._tell(f"{html.escape(name)} is shown. It stays on this computer.")

    def _show(self, name: str, image: torch.Tensor) -> None:
        explorer = self._explorer()
        if explorer is not None:
            PHOTOS.add(name, image, explorer)
            explorer.add(name, image)

    def _tell(self, words: str) -> None:
        self.message.value, self.message.layout.display = words, ""

    def _chosen(self, change) -> None:
        for name, content in files(change["new"]):
            self.take(name, content)

    def _repr_mimebundle_(self, include=None, exclude=None):
        words = "In the live notebook a button stands here: choose a picture, and it opens in the explorer above."
        return bundle(self.view, **{"text/html": f"<p><em>{words}</em></p>", "text/plain": words})


def files(value) -> list[tuple[str, bytes]]:
    """(name, content) of what a FileUpload holds: ipywidgets 7 gives a dict by name, 8 a tuple of dicts."""
    if isinstance(value, dict):
        return [(name, bytes(entry["content"])) for name, entry in value.items()]
    return [(entry["name"], bytes(entry["content"])) for entry in value]


def read_bytes(name: str, content: bytes) -> torch.Tensor:
    """The picture in `content`, (3, H, W) in [0, 1]; errors name the file as the reader knows it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name).name or "picture")
        path.write_bytes(content)
        try:
            return read_image(path, max_side=LONGEST)
        except (ValueError, OSError) as error:
            raise ValueError(str(error).replace(str(path), name)) from None
