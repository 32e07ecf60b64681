"""The network, one file an equation.

Read it in this order: `images` (I), `backbone` (F = Backbone(I)), `anchors` and `rpn` ({R_i} = RPN(F)), `roi_align`
(F_Ri = RoIAlign(F, R_i)), `box_head` (p_i, b_i = Classifier(F_Ri)), `mask_head` (M_i = MaskHead(F_Ri)), `losses`
(L = L_cls + L_bbox + L_mask), `mask_rcnn` (all of them).

Letters of shapes, the same in the whole package:

    B  images in the batch          N  boxes or anchors          P  side of a pooled map, in bins
    L  levels of the pyramid        G  ground truths             M  side of a mask, in cells
    A  anchors per cell             R  regions of all images     S  samples per bin and axis
    K  classes with background      D  detections                C  channels
    H, W  height and width of an image, h, w of a feature map

A lower-case letter counts the same things within one image or one level.
"""

from mrcnn_edu.model.config import PRESETS, Config, preset
from mrcnn_edu.model.mask_rcnn import MaskRCNN
from mrcnn_edu.model.stages import Stages
from mrcnn_edu.model.twin import torchvision_twin
from mrcnn_edu.model.weights import load_weights, save_weights

__all__ = ["PRESETS", "Config", "MaskRCNN", "Stages", "load_weights", "preset", "save_weights", "torchvision_twin"]
