"""The package's own function for each part of the model that can be swapped."""

from mrcnn_edu.model import anchors, boxes, losses, matching, roi_align

# The package's own readable forms, or what it uses itself.
OWN = {
    "roi_align": roi_align.roi_align,
    "decode": boxes.decode,
    "encode": boxes.encode,
    "nms": boxes.nms,
    "grouped_nms": boxes.grouped_nms,
    "to_rois": roi_align.to_rois,
    "cell_anchors": anchors.cell_anchors,
    "grid_anchors": anchors.grid_anchors,
    "match": matching.match,
    "anchor_labels": losses.anchor_labels,
    "sample": matching.sample,
}
