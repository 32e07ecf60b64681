"""Images with boxes and masks on them, and feature maps."""

import matplotlib
import numpy as np
import torch
from matplotlib.patches import Patch, Rectangle
from matplotlib.transforms import Bbox
from scipy.ndimage import distance_transform_edt

from mrcnn_edu.figures.look import (
    FEATURE_MAP,
    INSTANCES,
    LINES,
    PALETTE,
    WIDTH,
    Figure,
    as_array,
    canvas,
    in_style,
    ink_on,
)

PILL = 3  # pixels by which the pill of a label is larger than its words


def draw_image(axes, image, title: str = "", pixels: bool = False) -> None:
    """The image without ticks. `pixels` shows them as squares: use it where they are the subject."""
    axes.imshow(as_array(image), interpolation="nearest" if pixels else "antialiased")
    axes.set_title(title)
    axes.set_axis_off()


def draw_boxes(axes, boxes, kind: str = "prediction", width: float = 1.8) -> None:
    """Boxes (N, 4) xyxy in pixels, in the colour and line of `kind` (a key of PALETTE)."""
    if kind not in LINES:
        raise ValueError(f"boxes are of the kind {', '.join(map(repr, LINES))}, not {kind!r}")
    for x1, y1, x2, y2 in as_boxes(boxes):
        place = {"xy": (x1 - 0.5, y1 - 0.5), "width": x2 - x1, "height": y2 - y1, "fill": False}
        axes.add_patch(Rectangle(**place, edgecolor="white", linewidth=width + 1.4, alpha=0.8))
        axes.add_patch(Rectangle(**place, edgecolor=PALETTE[kind], linewidth=width, linestyle=LINES[kind]))
        if kind == "suppressed":
            axes.plot([x1, x2], [y1, y2], color=PALETTE[kind], linewidth=1)
            axes.plot([x1, x2], [y2, y1], color=PALETTE[kind], linewidth=1)


def as_boxes(boxes) -> np.ndarray:
    """Boxes as an array (N, 4)."""
    return np.asarray(torch.as_tensor(boxes).detach().cpu(), dtype=float).reshape(-1, 4)


def tag_boxes(axes, boxes, labels, colour: str) -> None:
    """A label in a filled pill at each box: outside a corner of it or inside one, wherever it meets no other label,
    stays on the picture and hides least of what is in any box; boxes drawn before count too."""
    pill = {"boxstyle": "round,pad=0.18,rounding_size=0.2", "facecolor": colour, "edgecolor": "white", "linewidth": 0.6}
    renderer = axes.figure.canvas.get_renderer()
    axes.figure.get_layout_engine().execute(axes.figure)  # places are compared as they will be drawn
    frame = axes.get_window_extent(renderer)
    drawn = [patch.get_window_extent(renderer) for patch in axes.patches if isinstance(patch, Rectangle)]
    for (x1, y1, x2, y2), label in zip(as_boxes(boxes), labels, strict=True):
        taken = [other.get_window_extent(renderer).padded(PILL) for other in axes.texts if other.get_bbox_patch()]
        words = axes.text(0, 0, str(label), fontsize=9, color=ink_on(colour), bbox=pill)

        corners = [
            {"x": x1, "y": y1, "ha": "left", "va": "bottom"},
            {"x": x2, "y": y1, "ha": "right", "va": "bottom"},
            {"x": x1, "y": y2, "ha": "left", "va": "top"},
            {"x": x2, "y": y2, "ha": "right", "va": "top"},
            {"x": x2, "y": y1, "ha": "left", "va": "top"},
            {"x": x1, "y": y1, "ha": "right", "va": "top"},
            {"x": x1, "y": y1, "ha": "left", "va": "top"},
            {"x": x2, "y": y2, "ha": "right", "va": "bottom"},
        ]
        costs = []
        for number, corner in enumerate(corners):
            words.set(**corner)
            place = words.get_window_extent(renderer).padded(PILL)
            hidden = sum(shared(place, box) / max(box.width * box.height, 1) for box in drawn)
            outside = 1 - shared(place, frame) / (place.width * place.height)
            costs.append(100 * place.count_overlaps(taken) + 3 * outside + hidden + 0.03 * number)
        words.set(**corners[int(np.argmin(costs))])


def shared(one, other) -> float:
    """The area that two places on the drawing share, in its dots."""
    met = Bbox.intersection(one, other)
    return 0.0 if met is None else met.width * met.height


def draw_points(axes, points, kind: str = "anchor") -> None:
    """Points (N, 2) x, y in pixels as small dots in the colour of `kind`."""
    x, y = np.asarray(torch.as_tensor(points).detach().cpu(), dtype=float).reshape(-1, 2).T - 0.5
    axes.plot(x, y, ".", markersize=4, color=PALETTE[kind], markeredgecolor="white", markeredgewidth=0.4)


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
             boxes {kind: (N, 4)} and labels {kind: [str]}, points {kind: (N, 2)}; boxes of two kinds and more bring a
             key to their lines
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
        for kind, points in panel.get("points", {}).items():
            draw_points(place, points, kind)
        kinds, labels = panel.get("boxes", {}), panel.get("labels", {})
        for kind, boxes in kinds.items():
            draw_boxes(place, boxes, kind)
        if len(kinds) > 1:
            legend(place, kinds)
        for kind in labels:  # after all boxes, so that labels can spare them
            if kind not in kinds:
                raise ValueError(f"labels for {kind!r}, of which the panel has no boxes; it has {', '.join(kinds)}")
            tag_boxes(place, kinds[kind], labels[kind], PALETTE[kind])
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


def legend(axes, kinds) -> None:
    """A legend for the kinds of boxes in a picture, under it."""
    handles = [Patch(fill=False, edgecolor=PALETTE[k], linestyle=LINES[k], linewidth=1.8, label=k) for k in kinds]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=min(len(handles), 3), frameon=False
    )
