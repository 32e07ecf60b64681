"""{R_i} = RPN(F): where in the image there may be an object."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mrcnn_edu.model.anchors import Anchors
from mrcnn_edu.model.boxes import clip_boxes, decode, grouped_nms, large_enough
from mrcnn_edu.model.config import Config
from mrcnn_edu.model.folding import Convs, as_parameters
from mrcnn_edu.model.images import ImageBatch
from mrcnn_edu.model.settings import Configured, instead, step

MIN_SIDE = 1e-3  # pixels; thinner proposals are dropped


class RPNHead(nn.Module):
    """From each cell of each level: A objectness logits and A times four deltas.

    source   Ren et al. 2015, section 3.1
    """

    def __init__(self, channels: int, anchors_per_cell: int, conv_depth: int):
        super().__init__()
        self.conv = Convs(channels, (channels,) * conv_depth)
        self.cls_logits = nn.Conv2d(channels, anchors_per_cell, kernel_size=1)
        self.bbox_pred = nn.Conv2d(channels, anchors_per_cell * 4, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """
        features  one (B, C, h, w) a level
        returns   objectness (B, h·w·A) and pred_bbox_deltas (B, h·w·A, 4) of each level, in the anchors' order
        """
        objectness, deltas = [], []
        for x in features:
            hidden = self.conv(x)
            objectness.append(self.cls_logits(hidden).permute(0, 2, 3, 1).flatten(1))
            deltas.append(self.bbox_pred(hidden).permute(0, 2, 3, 1).reshape(len(x), -1, 4))
        return objectness, deltas


@dataclass
class Proposals:
    """What the RPN gives: the proposals of each image, and all they were chosen from.

    boxes             one (n, 4) an image, xyxy, pixels of the resized image, best first
    scores            one (n,) an image, objectness as a probability
    anchor_index      one (n,) an image, which anchor each proposal came from
    anchors           (N, 4) of all levels, the same for each image
    anchors_per_level how many of them each level has
    objectness        (B, N) logits
    pred_bbox_deltas  (B, N, 4)
    """

    boxes: list[Tensor]
    scores: list[Tensor]
    anchor_index: list[Tensor]
    anchors: Tensor
    anchors_per_level: list[int]
    objectness: Tensor
    pred_bbox_deltas: Tensor


def in_anchor_order(level: Tensor, anchors_per_cell: int) -> Tensor:
    """One level in the order of the anchors, cell by cell, if the head gives it as a map, which torchvision's does."""
    if level.dim() != 4:
        return level
    cells = level.permute(0, 2, 3, 1)
    return cells.flatten(1) if level.shape[1] == anchors_per_cell else cells.reshape(len(level), -1, 4)


class RegionProposalNetwork(Configured):
    """{R_i} = RPN(F).

    The best anchors of each level are picked by their logits before any box is decoded; of their boxes, clipped to
    the image, NMS within each level keeps the best.
    """

    SETTINGS = {
        "nms_thresh": "rpn_nms_thresh",
        "score_thresh": "rpn_score_thresh",
        "batch_size_per_image": "rpn_batch_size_per_image",
        "positive_fraction": "rpn_positive_fraction",
        "fg_iou_thresh": "rpn_fg_iou_thresh",
        "bg_iou_thresh": "rpn_bg_iou_thresh",
    }
    REFUSED = {
        **dict.fromkeys(
            ("_pre_nms_top_n", "pre_nms_top_n"), instead("rpn_pre_nms_top_n_train", "rpn_pre_nms_top_n_test")
        ),
        **dict.fromkeys(
            ("_post_nms_top_n", "post_nms_top_n"), instead("rpn_post_nms_top_n_train", "rpn_post_nms_top_n_test")
        ),
        "anchor_generator": instead("anchor_sizes", "anchor_ratios"),
        "proposal_matcher": instead("rpn_fg_iou_thresh", "rpn_bg_iou_thresh"),
        "fg_bg_sampler": instead("rpn_batch_size_per_image", "rpn_positive_fraction"),
        "min_size": f"proposals thinner than MIN_SIDE = {MIN_SIDE} pixels are dropped, as in torchvision",
        "box_coder": "the RPN's deltas have the weights (1, 1, 1, 1); see encode and decode in mrcnn_edu.model.boxes",
        **dict.fromkeys(("filter_proposals", "_get_top_n_idx"), step("RegionProposalNetwork.forward")),
        **dict.fromkeys(
            ("assign_targets_to_anchors", "compute_loss", "box_similarity"), step("mrcnn_edu.model.losses.rpn_losses")
        ),
    }

    def __init__(self, config: Config):
        super().__init__(config)
        self.head = RPNHead(config.fpn_channels, config.anchors_per_cell, config.rpn_conv_depth)
        self._anchors = Anchors(config.anchor_sizes, config.anchor_ratios)

    @property
    def anchors(self) -> Anchors:
        """The anchors of `config.anchor_sizes` and `config.anchor_ratios`."""
        made, config = self._anchors, self.config
        if (made.sizes, made.ratios) != (config.anchor_sizes, config.anchor_ratios):
            made = self._anchors = Anchors(config.anchor_sizes, config.anchor_ratios)
        return made

    def forward(self, batch: ImageBatch, features: dict[str, Tensor], training: bool) -> Proposals:
        """
        features  (B, C, h, w) of each level, "pool" included
        """
        maps = [as_parameters(x, self.head) for x in features.values()]
        grids = [tuple(x.shape[-2:]) for x in maps]
        anchors = self.anchors(tuple(batch.tensors.shape[-2:]), grids, maps[0].device)
        objectness, deltas = self.head(maps)
        # Geometry is float32 whatever the precision of the network.
        per_cell = self.config.anchors_per_cell
        objectness = [in_anchor_order(level, per_cell).float() for level in objectness]
        deltas = [in_anchor_order(level, per_cell).float() for level in deltas]
        with torch.no_grad(), torch.autocast(maps[0].device.type, enabled=False):
            kept = self._select(anchors, objectness, deltas, batch.image_sizes, training)
        return Proposals(
            *kept,
            anchors=torch.cat(anchors),
            anchors_per_level=[len(level) for level in anchors],
            objectness=torch.cat(objectness, dim=1),
            pred_bbox_deltas=torch.cat(deltas, dim=1),
        )

    def _select(self, anchors, objectness, deltas, image_sizes, training):
        """The proposals of each image: (boxes, scores, anchor_index), each a list."""
        config = self.config
        pre = config.rpn_pre_nms_top_n_train if training else config.rpn_pre_nms_top_n_test
        post = config.rpn_post_nms_top_n_train if training else config.rpn_post_nms_top_n_test
        boxes, logits, index, levels = [], [], [], []
        offset = 0
        for level, (level_anchors, level_logits, level_deltas) in enumerate(
            zip(anchors, objectness, deltas, strict=True)
        ):
            top_logits, top = level_logits.topk(min(pre, level_logits.shape[1]), dim=1)
            top_deltas = level_deltas.gather(1, top[..., None].expand(-1, -1, 4))
            decoded = decode(top_deltas.flatten(0, 1), level_anchors[top.flatten()])
            boxes.append(decoded.view(*top.shape, 4))
            logits.append(top_logits)
            index.append(top + offset)
            levels.append(torch.full_like(top, level))
            offset += len(level_anchors)
        columns = [torch.cat(parts, dim=1) for parts in (boxes, logits, index, levels)]
        chosen = [
            self._keep(clip_boxes(image_boxes, size), image_logits.sigmoid(), image_index, image_levels, post)
            for image_boxes, image_logits, image_index, image_levels, size in zip(*columns, image_sizes, strict=True)
        ]
        return [list(parts) for parts in zip(*chosen, strict=True)]

    def _keep(self, boxes: Tensor, scores: Tensor, index: Tensor, levels: Tensor, post: int):
        sound = torch.where(large_enough(boxes, MIN_SIDE) & (scores >= self.config.rpn_score_thresh))[0]
        boxes, scores, index, levels = boxes[sound], scores[sound], index[sound], levels[sound]
        kept = grouped_nms(boxes, scores, levels, self.config.rpn_nms_thresh)[:post]
        return boxes[kept], scores[kept], index[kept]
