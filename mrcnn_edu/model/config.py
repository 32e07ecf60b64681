"""Every setting of the model, in one frozen dataclass, and the three presets.

The names are those of torchvision's `MaskRCNN` arguments wherever it has one.
"""

from dataclasses import MISSING, asdict, dataclass, fields, replace
from numbers import Integral, Real

from mrcnn_edu.model.config_rules import RULES

BODY_WIDTHS = {"lesson": (32, 64, 128)}


# torchvision takes None for the default of these.
NONE_IS_DEFAULT = ("image_mean", "image_std", "bbox_reg_weights")


def _plain(value):
    """Lists (from JSON) as tuples and numpy's numbers as Python's, so that equal settings compare and hash equal."""
    if isinstance(value, list | tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


@dataclass(frozen=True)
class Config:
    """The settings of one Mask R-CNN. Change some with `dataclasses.replace` or `preset(name, field=value)`.

    raises   ValueError naming the field, its value and what would be right
    """

    num_classes: int = 91  # K, the background included

    # I: the image
    min_size: tuple[int, ...] = (800,)  # one is drawn at random while training; the last serves prediction
    max_size: int = 1333
    image_mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    image_std: tuple[float, ...] = (0.229, 0.224, 0.225)
    size_divisible: int = 32

    # F = Backbone(I)
    backbone: str = "resnet50"  # the name of a torchvision ResNet, or "lesson"
    norm: str = "batch"  # "batch" learns while it trains, "frozen" keeps the statistics of pretrained weights
    norm_eps: float = 1e-5
    trainable_layers: int = 5  # how many stages of the body are trained, counted from the last
    fpn_channels: int = 256
    fpn_norm: bool = False

    # {R_i} = RPN(F)
    anchor_sizes: tuple[tuple[int, ...], ...] = ((32,), (64,), (128,), (256,), (512,))
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # h / w
    rpn_conv_depth: int = 1
    rpn_pre_nms_top_n_train: int = 2000
    rpn_pre_nms_top_n_test: int = 1000
    rpn_post_nms_top_n_train: int = 2000
    rpn_post_nms_top_n_test: int = 1000
    rpn_nms_thresh: float = 0.7
    rpn_fg_iou_thresh: float = 0.7
    rpn_bg_iou_thresh: float = 0.3
    rpn_batch_size_per_image: int = 256
    rpn_positive_fraction: float = 0.5
    rpn_score_thresh: float = 0.0

    # F_Ri = RoIAlign(F, R_i)
    box_pool_size: int = 7  # P of the box head
    mask_pool_size: int = 14  # P of the mask head; the mask side M is twice that
    sampling_ratio: int = 2
    canonical_scale: int = 224  # a RoI of this side ...
    canonical_level: int = 4  # ... is pooled from this level of the pyramid

    # p_i, b_i = Classifier(F_Ri)
    box_convs: tuple[int, ...] = ()
    box_fcs: tuple[int, ...] = (1024, 1024)
    box_score_thresh: float = 0.05
    box_nms_thresh: float = 0.5
    box_detections_per_img: int = 100
    box_fg_iou_thresh: float = 0.5
    box_bg_iou_thresh: float = 0.5
    box_batch_size_per_image: int = 512
    box_positive_fraction: float = 0.25
    bbox_reg_weights: tuple[float, ...] = (10.0, 10.0, 5.0, 5.0)

    # M_i = MaskHead(F_Ri)
    masks: bool = True  # False: a detector of boxes, without this head
    mask_convs: tuple[int, ...] = (256, 256, 256, 256)
    mask_dim_reduced: int = 256
    head_norm: bool = False  # BatchNorm in the convolutions of the box and mask heads

    def __post_init__(self):
        for field in fields(self):
            value = _plain(getattr(self, field.name))
            if value is None and field.name in NONE_IS_DEFAULT and field.default is not MISSING:
                value = field.default
            if field.name == "min_size" and not isinstance(value, tuple):
                value = (value,)
            object.__setattr__(self, field.name, value)
        self._check()

    def _check(self):
        def refuse(name, wanted):
            raise ValueError(f"Config.{name} is {getattr(self, name)!r}: {wanted}")

        for name, (accepts, wanted) in RULES.items():
            if not accepts(getattr(self, name)):
                refuse(name, wanted)
        if len(self.anchor_sizes) != self.num_levels + 1:
            refuse("anchor_sizes", f"give {self.num_levels + 1} tuples, one a level and one for the pooled level")
        if len({len(sizes) for sizes in self.anchor_sizes}) != 1:
            refuse("anchor_sizes", "give the same number of sizes at every level: one head serves them all")
        for part in ("rpn", "box"):
            high = getattr(self, f"{part}_fg_iou_thresh")
            if getattr(self, f"{part}_bg_iou_thresh") > high:
                refuse(f"{part}_bg_iou_thresh", f"give at most {part}_fg_iou_thresh ({high})")

    @property
    def num_levels(self) -> int:
        """How many levels of the pyramid RoIs are pooled from; the RPN sees one more."""
        return len(BODY_WIDTHS.get(self.backbone, (0, 0, 0, 0)))

    @property
    def strides(self) -> tuple[int, ...]:
        """Image pixels per cell of each of those levels."""
        return tuple(4 * 2**level for level in range(self.num_levels))

    @property
    def anchors_per_cell(self) -> int:
        """A."""
        return len(self.anchor_sizes[0]) * len(self.anchor_ratios)

    @property
    def mask_size(self) -> int:
        """M."""
        return 2 * self.mask_pool_size

    def to_dict(self) -> dict:
        """The settings as plain values, for JSON and checkpoints."""
        return asdict(self)

    @classmethod
    def from_dict(cls, settings: dict) -> "Config":
        """The reverse of `to_dict`.

        raises   ValueError naming a field that does not exist
        """
        unknown = sorted(set(settings) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"the configuration has unknown fields {unknown}: it comes from another version or model")
        return cls(**settings)


PRESETS = {
    "resnet50_fpn": Config(),
    "resnet50_fpn_v2": Config(
        fpn_norm=True, rpn_conv_depth=2, box_convs=(256, 256, 256, 256), box_fcs=(1024,), head_norm=True
    ),
    # Small enough to train on two CPU cores while the reader watches. Its objects are 12 to 120 pixels wide, so the
    # anchors are small, and a RoI of 112 pixels (not 224) is pooled from level 4.
    "lesson": Config(
        num_classes=5,
        min_size=(128,),
        max_size=512,
        backbone="lesson",
        fpn_channels=64,
        anchor_sizes=((16,), (32,), (64,), (128,)),
        rpn_pre_nms_top_n_train=300,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_train=200,
        rpn_post_nms_top_n_test=200,
        rpn_batch_size_per_image=128,
        canonical_scale=112,
        box_fcs=(256, 256),
        box_batch_size_per_image=64,
        mask_convs=(64, 64),
        mask_dim_reduced=64,
    ),
}


def preset(name: str, **changes) -> Config:
    """A named configuration, with some fields changed.

    name     "resnet50_fpn" and "resnet50_fpn_v2" (torchvision's `maskrcnn_resnet50_fpn` and `_v2`), or "lesson"
    raises   ValueError naming the presets there are
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}: choose one of {', '.join(PRESETS)}")
    return replace(PRESETS[name], **changes)
