"""The look of every picture of the series, and how a picture gets into a notebook.

A colour has one meaning everywhere, and a line style says the same again for readers who do not see the colour:
see PALETTE and LINES.
"""

import base64
import functools
import html
import io
from dataclasses import dataclass

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure
from PIL import Image

# Okabe and Ito's colours, by meaning; "rounded" is their vermilion, darker, so that words in it read well.
PALETTE = {
    "ground truth": "#0072B2",
    "prediction": "#D55E00",
    "proposal": "#E69F00",
    "anchor": "#56B4E9",
    "region": "#E69F00",
    "rounded": "#A63E00",
    "ignored": "#CC79A7",
    "suppressed": "#8C8C8C",
    "right": "#009E73",
    "here": "#34495E",
    "ink": "#1F2933",
    "faint": "#5F6B76",
    "card": "#FFFFFF",
}
# The second cue: what is final is solid, what comes before refinement dashed.
LINES = {
    "ground truth": "-",
    "prediction": "-",
    "proposal": (0, (6, 2)),
    "anchor": (0, (3, 2)),
    "region": "-",
    "rounded": (0, (5, 2)),
    "ignored": (0, (1, 2)),
    "suppressed": "-",
}
# Instances of one picture; a number or label on each is the second cue.
INSTANCES = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
FEATURE_MAP = "viridis"  # perceptually even, and rising in lightness
WIDTH = 8.6  # inches: about 860 CSS pixels, a laptop's notebook column
DPI = 100
HEAVY = 30_000  # bytes; a lesson has 600 KB for all its outputs
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9.5,
    "axes.edgecolor": PALETTE["faint"],
    "text.color": PALETTE["ink"],
    "axes.labelcolor": PALETTE["ink"],
    "xtick.color": PALETTE["ink"],
    "ytick.color": PALETTE["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "mathtext.fontset": "dejavuserif",
}


@dataclass
class Figure:
    """A picture and the caption that stands in for it.

    caption  what to see, in sentences that read on their own
    raises   ValueError where the caption is empty
    """

    drawing: MatplotlibFigure
    caption: str

    def __post_init__(self):
        self.caption = " ".join(self.caption.split())
        if not self.caption:
            raise ValueError("a figure needs a caption: say what to see in it, for who cannot see it")

    @functools.cached_property
    def png(self) -> bytes:
        """The picture as PNG bytes on the white card, finer than the screen."""
        return small_png(self._render(1.5 * DPI))

    @functools.cached_property
    def stored(self) -> tuple[str, bytes]:
        """(mime type, bytes) for the notebook: PNG, or JPEG where photographs would make the PNG heavy."""
        if len(self.png) <= HEAVY:
            return "image/png", self.png
        buffer = io.BytesIO()
        picture = Image.open(io.BytesIO(self._render(DPI))).convert("RGB")
        picture.save(buffer, "JPEG", quality=78, subsampling=0, optimize=True, progressive=True)
        return "image/jpeg", buffer.getvalue()

    def _render(self, dpi: float) -> bytes:
        buffer = io.BytesIO()
        self.drawing.set_facecolor(PALETTE["card"])
        with matplotlib.rc_context(STYLE):
            self.drawing.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        return buffer.getvalue()

    def _ipython_display_(self):
        width = int(self.drawing.get_size_inches()[0] * DPI)
        kind, picture = self.stored
        show_still(picture, self.caption, width, kind)


def small_png(data: bytes, colours: int = 256) -> bytes:
    """The same picture with at most `colours` colours, a third of the bytes, so that notebooks stay small.

    The colours of PALETTE and INSTANCES are always among them: they carry meaning.
    """
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    # A strip of the meaningful colours under the picture gives each enough weight to survive; it is cut off again.
    meaning = list(dict.fromkeys([*PALETTE.values(), *INSTANCES]))
    strip = Image.new("RGB", (picture.width, picture.height + 4 * len(meaning)))
    strip.paste(picture)
    for number, colour in enumerate(meaning):
        top = picture.height + 4 * number
        strip.paste(colour, (0, top, picture.width, top + 4))
    strip = strip.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    strip.crop((0, 0, *picture.size)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def still_outputs(still: bytes | str, caption: str, width: int, kind: str = "image/png") -> list[tuple[dict, dict]]:
    """Two outputs, each as (data, metadata): the picture, its caption as alternative text, and the caption to read.

    still    bytes, or base64 text as notebooks store it
    width    of the picture on the page, CSS pixels
    kind     mime type of the picture
    """
    encoded = still if isinstance(still, str) else base64.b64encode(still).decode()
    picture = {kind: encoded, "text/plain": f"Figure: {caption}"}
    words = {
        "text/html": f'<div style="max-width: {width}px; font-size: 0.92em; line-height: 1.45; margin: 2px 0 14px">'
        f"<em>Figure.</em> {html.escape(caption)}</div>",
        "text/plain": f"Figure: {caption}",
    }
    return [(picture, {kind: {"width": width, "alt": caption}}), (words, {})]


def bundle(widget, **forms: str) -> dict:
    """A mime bundle of a widget and what stands for it: bundle(view, **{"text/html": …, "text/plain": …}).

    JupyterLab, Notebook and Colab prefer the widget while it lives; the other forms serve pages without a kernel.
    """
    return {WIDGET_VIEW: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}, **forms}


def show_still(picture: bytes, caption: str, width: int, kind: str = "image/png") -> None:
    """Display a picture and its caption in a notebook."""
    from IPython.display import display

    for data, metadata in still_outputs(picture, caption, width, kind):
        display(data, metadata=metadata, raw=True)


def in_style(draw):
    """Run a drawing function under the series' settings."""

    @functools.wraps(draw)
    def styled(*positional, **named):
        with matplotlib.rc_context(STYLE):
            return draw(*positional, **named)

    return styled


@in_style
def canvas(rows: int = 1, columns: int = 1, height: float = 3.2, width: float = WIDTH, **options):
    """A figure of the series and its axes as a (rows, columns) array. Free of pyplot, so nothing is kept alive."""
    drawing = MatplotlibFigure(figsize=(width, height), layout="constrained")
    drawing.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    FigureCanvasAgg(drawing)
    return drawing, drawing.subplots(rows, columns, squeeze=False, **options)


def as_array(image) -> np.ndarray:
    """(3, H, W), (1, H, W) or (H, W) in [0, 1], tensor or array → (H, W, 3) float array for drawing."""
    array = torch.as_tensor(image).detach().float().cpu().numpy()
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[0] not in (1, 3):
        raise ValueError(f"an image to draw has shape (3, H, W), (1, H, W) or (H, W), not {tuple(array.shape)}")
    return np.broadcast_to(array, (3, *array.shape[1:])).transpose(1, 2, 0).clip(0, 1)


def ink_on(colour: str) -> str:
    """White or near black, whichever reads better on `colour` (WCAG relative luminance)."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "#FFFFFF" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.0565 else PALETTE["ink"]
