"""Still pictures, in one look for the whole series.

A colour has one meaning everywhere, and a line style says the same again for readers who do not see the colour:
see PALETTE and LINES. Every function returns a Figure, which shows its picture on a white card with a caption under it.
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
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from PIL import Image
from scipy.ndimage import distance_transform_edt

# Okabe and Ito's colours, by meaning.
PALETTE = {
    "ground truth": "#0072B2",
    "prediction": "#D55E00",
    "proposal": "#E69F00",
    "anchor": "#56B4E9",
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


def draw_image(axes, image, title: str = "", pixels: bool = False) -> None:
    """The image without ticks. `pixels` shows them as squares: use it where they are the subject."""
    axes.imshow(as_array(image), interpolation="nearest" if pixels else "antialiased")
    axes.set_title(title)
    axes.set_axis_off()


def draw_boxes(axes, boxes, kind: str = "prediction", labels=None, width: float = 1.8) -> None:
    """Boxes (N, 4) xyxy in pixels, in the colour and line of `kind` (a key of PALETTE), with a label each if given."""
    if kind not in LINES:
        raise ValueError(f"boxes are of the kind {', '.join(map(repr, LINES))}, not {kind!r}")
    boxes = np.asarray(torch.as_tensor(boxes).detach().cpu(), dtype=float).reshape(-1, 4)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        place = {"xy": (x1 - 0.5, y1 - 0.5), "width": x2 - x1, "height": y2 - y1, "fill": False}
        axes.add_patch(Rectangle(**place, edgecolor="white", linewidth=width + 1.4, alpha=0.8))
        axes.add_patch(Rectangle(**place, edgecolor=PALETTE[kind], linewidth=width, linestyle=LINES[kind]))
        if kind == "suppressed":
            axes.plot([x1, x2], [y1, y2], color=PALETTE[kind], linewidth=1)
            axes.plot([x1, x2], [y2, y1], color=PALETTE[kind], linewidth=1)
        if labels is not None:
            tag(axes, x1, y1, str(labels[number]), PALETTE[kind])


def tag(axes, x: float, y: float, text: str, colour: str) -> None:
    """A label in a filled pill on the box corner (x, y): above it, or below where it would run into the title."""
    at_top = y < 0.1 * max(axes.get_ylim())
    pill = {"boxstyle": "round,pad=0.18,rounding_size=0.2", "facecolor": colour, "edgecolor": "white", "linewidth": 0.6}
    axes.text(x, y, text, fontsize=9, color=ink_on(colour), va="top" if at_top else "bottom", bbox=pill)


def ink_on(colour: str) -> str:
    """White or near black, whichever reads better on `colour` (WCAG relative luminance)."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return "#FFFFFF" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.0565 else PALETTE["ink"]


def draw_masks(axes, masks, colours=INSTANCES, alpha: float = 0.55, names=None) -> None:
    """Masks, each in its colour with an outline and, where `names` are given, its name at its innermost pixel.

    masks  (N, H, W) or (N, 1, H, W) or a list of (H, W), soft or bool
    names  N strings, or True for the numbers from 1
    """
    masks = [np.asarray(torch.as_tensor(mask).detach().cpu().float()).squeeze() for mask in masks]
    names = [str(n + 1) for n in range(len(masks))] if names is True else names
    for number, mask in enumerate(masks):
        colour = colours[number % len(colours)]
        inside = mask >= 0.5
        if not inside.any():
            continue
        layer = np.zeros((*mask.shape, 4))
        layer[inside] = (*matplotlib.colors.to_rgb(colour), alpha)
        axes.imshow(layer, interpolation="nearest")
        axes.contour(np.pad(inside.astype(float), 1), [0.5], colors=[colour], linewidths=1.4, extent=around(mask))
        if names is not None:
            depth = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
            y, x = np.unravel_index(depth.argmax(), depth.shape)
            pill = {"boxstyle": "round,pad=0.2", "facecolor": colour, "edgecolor": "white", "linewidth": 0.6}
            style = {"fontsize": 9, "ha": "center", "va": "center", "color": ink_on(colour)}
            axes.text(x, y, names[number], bbox=pill, **style)


def around(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Where the pixels of a mask that was padded by one lie in the picture: the extent for `contour`."""
    height, width = mask.shape
    return -1, width, -1, height


@in_style
def show_images(panels, *, caption: str, columns: int | None = None, height: float | None = None) -> Figure:
    """Images side by side.

    panels   list of dicts: image (3, H, W), and optionally title, pixels, masks, colours, alpha, names,
             boxes {kind: (N, 4)} and labels {kind: [str]}
    """
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    sizes = [torch.as_tensor(panel["image"]).shape[-2:] for panel in panels]
    tallest = max(h / w for h, w in sizes)
    drawing, axes = canvas(rows, columns, height or rows * (WIDTH / columns * tallest + 0.3))
    for place in axes.flat[len(panels) :]:
        place.set_axis_off()
    for place, panel in zip(axes.flat, panels, strict=False):
        draw_image(place, panel["image"], panel.get("title", ""), panel.get("pixels", False))
        if panel.get("masks") is not None:
            draw_masks(
                place, panel["masks"], panel.get("colours", INSTANCES), panel.get("alpha", 0.55), panel.get("names")
            )
        for kind, boxes in panel.get("boxes", {}).items():
            draw_boxes(place, boxes, kind, panel.get("labels", {}).get(kind))
    return Figure(drawing, caption)


@in_style
def show_feature_maps(maps, *, caption: str, titles=None, unit: str = "activation", columns: int = 4) -> Figure:
    """Maps, a list of (H, W), on one shared colour scale with its bar in `unit`."""
    maps = [torch.as_tensor(m).detach().float().cpu().numpy() for m in maps]
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    low, high = min(m.min() for m in maps), max(m.max() for m in maps)
    tallest = max(m.shape[0] / m.shape[1] for m in maps)
    drawing, axes = canvas(rows, columns, rows * ((WIDTH - 0.9) / columns * tallest + 0.3))
    for place in axes.flat[len(maps) :]:
        place.set_axis_off()
    for number, (place, values) in enumerate(zip(axes.flat, maps, strict=False)):
        picture = place.imshow(values, cmap=FEATURE_MAP, vmin=low, vmax=high, interpolation="nearest")
        place.set_title(titles[number] if titles else "")
        place.set_xticks([])
        place.set_yticks([])
    drawing.colorbar(picture, ax=axes, shrink=0.85, label=unit)
    return Figure(drawing, caption)


@in_style
def show_curves(curves: dict, *, x_label: str, y_label: str, caption: str, title: str = "") -> Figure:
    """Curves {name: (x, y)} in one plot; colour, line style and a label at the end of each tell them apart."""
    drawing, axes = canvas(height=3.2)
    place = axes[0, 0]
    styles = ("-", "--", "-.", ":")
    for number, (name, (x, y)) in enumerate(curves.items()):
        colour = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")[number % 5]
        place.plot(x, y, color=colour, linestyle=styles[number % 4], linewidth=2, label=name)
    place.set(xlabel=x_label, ylabel=y_label, title=title)
    place.grid(alpha=0.25)
    if len(curves) > 1:
        place.legend(frameon=False)
    return Figure(drawing, caption)


@in_style
def show_counts(counts: dict, *, caption: str, title: str = "", unit: str = "") -> Figure:
    """A bar per name, the number written beside it; a logarithmic axis, so that 20 and 20,000 both show."""
    drawing, axes = canvas(height=0.55 + 0.42 * len(counts))
    place = axes[0, 0]
    names, values = list(counts), list(counts.values())
    place.barh(
        names, [max(v, 0.8) for v in values], color=PALETTE["anchor"], edgecolor=PALETTE["ground truth"], height=0.6
    )
    for row, value in enumerate(values):
        place.text(max(value, 0.8) * 1.12, row, f"{value:,} {unit}".strip(), va="center", fontsize=10)
    place.set(xscale="log", xlim=(0.7, max(values) * 8), title=title)
    place.invert_yaxis()
    place.spines[["bottom"]].set_visible(False)
    place.tick_params(left=False, bottom=False, labelbottom=False)
    place.minorticks_off()
    return Figure(drawing, caption)


# Name, symbol it hands on, column and row in the strip.
PARTS = (
    ("image", "$I$", 0, 0.0),
    ("backbone", "$F$", 1, 0.0),
    ("proposals", "$\\{R_i\\}$", 2, 0.0),
    ("RoIAlign", "$F_{R_i}$", 3, 0.0),
    ("box head", "$p_i,\\ b_i$", 4, 0.5),
    ("mask head", "$M_i$", 4, -0.5),
    ("loss", "$L$", 5, 0.0),
)
FLOW = ((0, 1), (1, 2), (2, 3), (3, 4), (3, 5), (4, 6), (5, 6))


@in_style
def show_strip(*current: str, caption: str) -> Figure:
    """Where we are in the model: its parts as a strip, those named in `current` filled in. "everything" fills all."""
    names = [name for name, *_ in PARTS]
    for name in current:
        if name not in (*names, "everything"):
            raise ValueError(f"the model's parts are {', '.join(names)}; {name!r} is none of them")
    drawing, axes = canvas(height=1.55)
    place = axes[0, 0]
    place.set(xlim=(-0.5, 5.5), ylim=(-1.02, 1.02))
    place.set_axis_off()
    for start, end in FLOW:
        (x1, y1), (x2, y2) = PARTS[start][2:], PARTS[end][2:]
        style = {"arrowstyle": "-|>", "mutation_scale": 11, "color": PALETTE["faint"], "linewidth": 1.2}
        place.add_patch(FancyArrowPatch((x1 + 0.39, y1), (x2 - 0.39, y2), shrinkA=0, shrinkB=0, **style))
    for name, symbol, x, y in PARTS:
        on = name in current or "everything" in current
        face, edge = (PALETTE["here"], PALETTE["here"]) if on else ("#F3F5F7", PALETTE["faint"])
        ink = "white" if on else PALETTE["ink"]
        shape = FancyBboxPatch((x - 0.33, y - 0.33), 0.66, 0.66, boxstyle="round,pad=0.05,rounding_size=0.1")
        shape.set(facecolor=face, edgecolor=edge, linewidth=1.2)
        place.add_patch(shape)
        place.text(
            x, y + 0.14, name, ha="center", va="center", fontsize=9.5, color=ink, weight="bold" if on else "normal"
        )
        place.text(x, y - 0.18, symbol, ha="center", va="center", fontsize=11, color=ink)
    return Figure(drawing, caption)


def legend(axes, kinds) -> None:
    """A legend for the kinds of boxes in a picture, under it."""
    handles = [Patch(fill=False, edgecolor=PALETTE[k], linestyle=LINES[k], linewidth=1.8, label=k) for k in kinds]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=len(handles), frameon=False)
