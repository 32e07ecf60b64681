"""One configuration for all parts of a model, and torchvision's names for its fields.

A setting that torchvision keeps in an attribute, `model.roi_heads.score_thresh`, acts here too: it is a field of the
configuration under another name. What has no such field is refused, so that nothing is set and then ignored.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import ClassVar

from torch import nn

from mrcnn_edu.model.config import Config

FIELDS = frozenset(field.name for field in fields(Config))

# Fields that the layers were built from. Of the anchors only the number at each cell is among them.
BUILT = (
    "num_classes", "backbone", "norm", "norm_eps", "trainable_layers", "fpn_channels", "fpn_norm", "rpn_conv_depth",
    "box_pool_size", "mask_pool_size", "box_convs", "box_fcs", "masks", "mask_convs", "mask_dim_reduced", "head_norm",
)  # fmt: skip


def check_change(old: Config, new: Config) -> None:
    """Refuse a configuration that needs other layers than those that were built.

    raises   TypeError for what is no configuration; ValueError naming the field and the way to such a model
    """
    if not isinstance(new, Config):
        raise TypeError(f"config is a {type(new).__name__}: give a Config, replace(model.config, field=value)")
    for name in BUILT:
        if getattr(old, name) != getattr(new, name):
            raise ValueError(
                f"Config.{name} is {getattr(old, name)!r} and cannot become {getattr(new, name)!r} in a model that is "
                f"built: make another one, MaskRCNN(replace(model.config, {name}=…)) or load_weights(…, {name}=…)"
            )
    for name in ("anchor_sizes", "anchor_ratios"):
        if old.anchors_per_cell != new.anchors_per_cell and getattr(old, name) != getattr(new, name):
            raise ValueError(
                f"Config.{name} gives {new.anchors_per_cell} anchors at each cell, and the RPN's head was built for "
                f"{old.anchors_per_cell}: make another model, MaskRCNN(replace(model.config, {name}=…))"
            )


class Shared:
    """The configuration that all parts of one model have in common."""

    def __init__(self, config: Config):
        self.config = config


class PerClass:
    """An attribute of a model with one entry for each class, or None. It is None, too, once the classes are others.

    what     the entries, in words
    """

    def __init__(self, what: str):
        self.what = what

    def __set_name__(self, owner, name: str):
        self.place = f"_{name}"

    def __get__(self, model, owner=None) -> tuple | None:
        if model is None:
            return self
        entries = vars(model).get(self.place)
        return entries if entries is not None and len(entries) == model.config.num_classes else None

    def __set__(self, model, entries) -> None:
        """Raises ValueError if there are not `num_classes` entries."""
        classes = model.config.num_classes
        if entries is not None and len(entries) != classes:
            raise ValueError(f"{len(entries)} {self.what} for {classes} classes: name each, 'background' first")
        vars(model)[self.place] = None if entries is None else tuple(entries)


class Refusing(nn.Module):
    """A part that refuses the attributes of torchvision's module which would do nothing here.

    REFUSED  their names, and what does it instead
    """

    REFUSED: ClassVar[Mapping[str, str]] = {}

    def __setattr__(self, name: str, value):
        self._check_name(name)
        super().__setattr__(name, value)

    def __getattr__(self, name: str):
        # Asked for only where the usual ways find nothing.
        self._check_name(name)
        return super().__getattr__(name)

    def _check_name(self, name: str) -> None:
        if name in self.REFUSED:
            raise AttributeError(
                f"{name} of torchvision's model is nothing that can be set in this {type(self).__name__}: "
                f"{self.REFUSED[name]}"
            )


class Configured(Refusing):
    """A part of the model that reads its settings from the configuration, each time it runs.

    SETTINGS  attributes of torchvision's module that are a field here: reading and setting them reads and sets it
    """

    SETTINGS: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: Config):
        super().__init__()
        self.shared = Shared(config)

    @property
    def config(self) -> Config:
        """The settings of the whole model. Set, it acts at the next call in every part.

        raises   ValueError naming a field that the layers were built from
        """
        return self.shared.config

    @config.setter
    def config(self, config: Config) -> None:
        check_change(self.config, config)
        self.shared.config = config

    def __setattr__(self, name: str, value):
        field = self.SETTINGS.get(name, name)
        if isinstance(value, nn.Module):
            self._adopt(name, value)
        elif field in FIELDS:
            self.config = replace(self.config, **{field: value})
            return
        super().__setattr__(name, value)

    def __getattr__(self, name: str):
        field = self.SETTINGS.get(name, name)
        if field in FIELDS and name not in self._modules:
            return getattr(self.config, field)
        return super().__getattr__(name)

    def _adopt(self, name: str, module: nn.Module) -> None:
        """Parts within `module` read this model's configuration from now on; a setting of their own is not lost."""
        for part in module.modules():
            if isinstance(part, Configured) and part.shared is not self.shared:
                differ = [f for f in sorted(FIELDS) if getattr(part.config, f) != getattr(self.config, f)]
                if differ:
                    raise ValueError(
                        f"{name} was built with another {', '.join(differ)} than the model: build it with model.config"
                    )
                part.shared = self.shared


def instead(*names: str) -> str:
    """The sentence that names the fields of `Config` which do what an attribute of torchvision does."""
    change = ", ".join(f"{name}=…" for name in names)
    return f"set {' and '.join(names)}, model.config = replace(model.config, {change}) or load_weights(…, {change})"


def step(place: str) -> str:
    """The sentence for a method of torchvision that is a function here."""
    return f"this step is a function of {place}, which no attribute replaces"
