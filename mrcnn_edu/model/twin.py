"""torchvision's Mask R-CNN with the same architecture and settings: what ours is compared with."""

import torchvision
from torch import nn
from torchvision.models.detection import MaskRCNN as TorchvisionMaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from mrcnn_edu.model.backbone import LessonBody, make_norm
from mrcnn_edu.model.config import BODY_WIDTHS, Config
from mrcnn_edu.model.mask_rcnn import MaskRCNN

SAME_NAME = (
    "max_size", "image_mean", "image_std", "size_divisible",
    "rpn_pre_nms_top_n_train", "rpn_pre_nms_top_n_test", "rpn_post_nms_top_n_train", "rpn_post_nms_top_n_test",
    "rpn_nms_thresh", "rpn_fg_iou_thresh", "rpn_bg_iou_thresh", "rpn_batch_size_per_image", "rpn_positive_fraction",
    "rpn_score_thresh", "box_score_thresh", "box_nms_thresh", "box_detections_per_img", "box_fg_iou_thresh",
    "box_bg_iou_thresh", "box_batch_size_per_image", "box_positive_fraction", "bbox_reg_weights",
)  # fmt: skip


def torchvision_twin(model: MaskRCNN | Config) -> TorchvisionMaskRCNN:
    """torchvision's model with the architecture and settings of ours and, given a model, its weights.

    model    a model, whose weights are copied (strictly) and whose mode is taken, or a configuration
    """
    config = model if isinstance(model, Config) else model.config
    box_convs, channels = config.box_convs, config.fpn_channels
    if box_convs:
        box_head = FastRCNNConvFCHead(
            (channels, config.box_pool_size, config.box_pool_size), list(box_convs), list(config.box_fcs),
            norm_layer=nn.BatchNorm2d,
        )  # fmt: skip
    else:
        box_head = TwoMLPHead(channels * config.box_pool_size**2, config.box_fcs[0])
    twin = TorchvisionMaskRCNN(
        _backbone(config),
        min_size=config.min_size,
        rpn_anchor_generator=AnchorGenerator(config.anchor_sizes, (config.anchor_ratios,) * len(config.anchor_sizes)),
        rpn_head=RPNHead(channels, config.anchors_per_cell, conv_depth=config.rpn_conv_depth),
        box_roi_pool=_pool(config, config.box_pool_size),
        box_head=box_head,
        box_predictor=FastRCNNPredictor(config.box_fcs[-1], config.num_classes),
        mask_roi_pool=_pool(config, config.mask_pool_size),
        mask_head=MaskRCNNHeads(
            channels, config.mask_convs, 1, norm_layer=nn.BatchNorm2d if config.head_norm else None
        ),
        mask_predictor=MaskRCNNPredictor(config.mask_convs[-1], config.mask_dim_reduced, config.num_classes),
        **{name: getattr(config, name) for name in SAME_NAME},
    )
    if not config.masks:
        twin.roi_heads.mask_roi_pool = twin.roi_heads.mask_head = twin.roi_heads.mask_predictor = None
    if isinstance(model, MaskRCNN):
        twin.load_state_dict(model.state_dict())
        twin.train(model.training)
    return twin


def _backbone(config: Config) -> BackboneWithFPN:
    norm = make_norm(config)
    if config.backbone in BODY_WIDTHS:
        widths = list(BODY_WIDTHS[config.backbone])
        body = LessonBody(widths, norm)
    else:
        body = torchvision.models.get_model(config.backbone, weights=None, norm_layer=norm)
        widths = [body.fc.in_features // 8 * 2**i for i in range(4)]
    layers = {f"layer{i + 1}": str(i) for i in range(len(widths))}
    norm_layer = nn.BatchNorm2d if config.fpn_norm else None
    return BackboneWithFPN(body, layers, widths, config.fpn_channels, norm_layer=norm_layer)


def _pool(config: Config, side: int) -> MultiScaleRoIAlign:
    return MultiScaleRoIAlign(
        [str(level) for level in range(config.num_levels)],
        output_size=side,
        sampling_ratio=config.sampling_ratio,
        canonical_scale=config.canonical_scale,
        canonical_level=config.canonical_level,
    )
