"""Still pictures, in one look for the whole series.

Every function `show_…` returns a Figure, which shows its picture on a white card with a caption under it.
"""

from mrcnn_edu.figures.grids import show_grids
from mrcnn_edu.figures.images import draw_boxes, draw_image, draw_masks, legend, show_feature_maps, show_images
from mrcnn_edu.figures.look import (
    DPI,
    FEATURE_MAP,
    HEAVY,
    INSTANCES,
    LINES,
    PALETTE,
    STYLE,
    WIDGET_VIEW,
    WIDTH,
    Figure,
    as_array,
    bundle,
    canvas,
    in_style,
    ink_on,
    show_still,
    small_png,
    still_outputs,
)
from mrcnn_edu.figures.plots import show_counts, show_curves
from mrcnn_edu.figures.strip import show_strip

__all__ = [
    "DPI",
    "FEATURE_MAP",
    "Figure",
    "HEAVY",
    "INSTANCES",
    "LINES",
    "PALETTE",
    "STYLE",
    "WIDGET_VIEW",
    "WIDTH",
    "as_array",
    "bundle",
    "canvas",
    "draw_boxes",
    "draw_image",
    "draw_masks",
    "in_style",
    "ink_on",
    "legend",
    "show_counts",
    "show_curves",
    "show_feature_maps",
    "show_grids",
    "show_images",
    "show_still",
    "show_strip",
    "small_png",
    "still_outputs",
]
