"""The reader's own pictures, for any explorer that has `add(name, image)`."""

import html
import tempfile
from pathlib import Path

import ipywidgets as widgets
import torch

from mrcnn_edu.datasets import read_image
from mrcnn_edu.figures import bundle

LONGEST = 1024  # pixels; a photograph from a phone is reduced to this


class Upload:
    """A button to choose pictures, each of which is read and handed to an explorer.

    explorer  has add(name, image), for example Peel
    path      a picture to read at once, for places where the button does not work
    raises    ValueError or OSError naming the file, for `path` only; the button shows the reason beside it
    """

    def __init__(self, explorer, path: str | Path | None = None):
        self.explorer = explorer
        self.button = widgets.FileUpload(accept="image/*", multiple=False, description="Choose a picture")
        self.button.layout.width = "220px"
        self.message = widgets.HTML("JPEG, PNG and most other formats. The picture stays on this computer.")
        self.button.observe(self._chosen, "value")
        self.view = widgets.HBox([self.button, self.message])
        if path is not None:
            explorer.add(Path(path).name, read_image(path, max_side=LONGEST))

    def _chosen(self, change) -> None:
        for name, content in files(change["new"]):
            try:
                self.explorer.add(name, read_bytes(name, content))
                words = f"{html.escape(name)} is now in the explorer above."
            except (ValueError, OSError) as error:
                words = f'<span role="alert">&#9888; {html.escape(str(error))}</span>'
            self.message.value = words

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
