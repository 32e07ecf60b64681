"""Grids of numbers: cells with their values, regions, bins and sample points on them."""

import numpy as np
import torch
from matplotlib.patches import Rectangle

from mrcnn_edu.figures.images import draw_boxes
from mrcnn_edu.figures.look import FEATURE_MAP, PALETTE, WIDTH, Figure, canvas, in_style

WRITTEN = 0.36  # inches; in smaller cells no number is legible


@in_style
def show_grids(panels, *, caption: str, columns: int | None = None, height: float | None = None) -> Figure:
    """Grids side by side, on one colour scale where they do not ask for their own.

    Cell (row i, column j) is the square from (j, i) to (j + 1, i + 1).

    panels   list of dicts: values (h, w), and optionally title, digits (2), corner (row, column) of the first cell,
             boxes {kind: (N, 4)} and lines {kind: (N, 4)}, boxes without a halo, and points (N, 2) as (x, y), both in
             cells; names, one for each point; rulers (True) for the numbers of rows and columns; own_scale (False)
    """
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    arrays = [torch.as_tensor(panel["values"]).detach().float().cpu().numpy() for panel in panels]
    low, high = min(a.min() for a in arrays), max(a.max() for a in arrays)
    tallest = max(a.shape[0] / a.shape[1] for a in arrays)
    each = min(WIDTH / columns, 4.6)
    drawing, axes = canvas(rows, columns, height or rows * (each * tallest + 0.35))
    for place in axes.flat[len(panels) :]:
        place.set_axis_off()
    for place, panel, values in zip(axes.flat, panels, arrays, strict=False):
        cell = min(each / values.shape[1], (height or 99) / rows / values.shape[0])
        span = (values.min(), values.max()) if panel.get("own_scale") else (low, high)
        draw_grid(place, values, panel, *span, cell >= WRITTEN)
    return Figure(drawing, caption)


def draw_grid(axes, values: np.ndarray, panel: dict, low: float, high: float, written: bool) -> None:
    """One panel of `show_grids`."""
    top, left = panel.get("corner", (0, 0))
    rows, columns = values.shape
    extent = (left, left + columns, top + rows, top)
    axes.imshow(values, cmap=FEATURE_MAP, vmin=low, vmax=high, extent=extent, interpolation="nearest", alpha=0.5)
    for row in range(rows):
        for column in range(columns):
            axes.add_patch(Rectangle((left + column, top + row), 1, 1, fill=False, edgecolor="white", linewidth=0.8))
            if written:
                words = f"{values[row, column]:.{panel.get('digits', 2)}f}".replace("-", "\u2212")
                axes.text(left + column + 0.5, top + row + 0.5, words, ha="center", va="center", fontsize=9)
    for kind, boxes in panel.get("lines", {}).items():
        for x1, y1, x2, y2 in np.asarray(boxes, dtype=float).reshape(-1, 4):
            place = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=PALETTE[kind], linewidth=1)
            axes.add_patch(place)
    for kind, boxes in panel.get("boxes", {}).items():
        draw_boxes(axes, torch.as_tensor(boxes) + 0.5, kind)  # boxes on images count from the middle of a pixel
    draw_points(axes, panel.get("points"), panel.get("names"))
    axes.set(title=panel.get("title", ""), xlim=(left, left + columns), ylim=(top + rows, top))
    if panel.get("rulers", True):
        axes.set_xticks(np.arange(columns) + left + 0.5, np.arange(columns) + left)
        axes.set_yticks(np.arange(rows) + top + 0.5, np.arange(rows) + top)
        axes.tick_params(length=0)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def draw_points(axes, points, names) -> None:
    """Dots at (N, 2) places (x, y), each with its name in it where there are names."""
    if points is None:
        return
    places = np.asarray(torch.as_tensor(points).detach().cpu(), dtype=float).reshape(-1, 2)
    style = {"color": PALETTE["ink"], "edgecolors": "white", "linewidths": 0.8, "zorder": 4}
    axes.scatter(places[:, 0], places[:, 1], s=170 if names is not None else 16, **style)
    for (x, y), name in zip(places, names if names is not None else (), strict=False):
        axes.text(x, y, str(name), ha="center", va="center", fontsize=9, color="white", weight="bold", zorder=5)
