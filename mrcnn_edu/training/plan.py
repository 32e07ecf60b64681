"""What a run is about to do, in words: printed before the first step, each part by the name of its option."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.utils.data import Dataset

from .settings import TrainSettings
from .state import augmentation

# Every setting stands in one of these lines.
LINES = (
    ("steps", ("steps", "batch")),
    ("optimizer", ("optimizer", "lr", "momentum", "weight_decay", "clip")),
    ("schedule", ("schedule", "warmup", "final_lr", "milestones")),
    ("numbers", ("amp", "ema", "channels_last")),
    ("machine", ("device", "workers", "seed")),
    ("saving", ("checkpoint_every", "eval_every")),
    ("mistake", ("mistake",)),
)


def plan_text(
    model: nn.Module,
    dataset: Dataset,
    settings: TrainSettings,
    objects: str = "",
    val: Dataset | None = None,
    limit: int | None = None,
    folder=None,
    done: int = 0,
    device=None,
) -> str:
    """The plan of a run, a line a subject.

    objects  how many the training set holds, in words
    limit    how many images of `val` are used at most
    folder   where the run is kept; None for nowhere
    done     steps that are done already
    device   the one that "auto" stands for
    """
    parts = {"data": _data(dataset, objects), "classes": ", ".join(dataset.class_names[1:]),
             "model": _model(model), "scale": _scale(model)}  # fmt: skip
    parts |= {subject: pairs((name, getattr(settings, name)) for name in names).removeprefix(f"{subject} ")
              for subject, names in LINES}  # fmt: skip
    epochs = settings.steps * settings.batch / max(1, len(dataset))
    parts["steps"] += f" ({epochs:.3g} epochs)" + (f"; {done} steps are done" if done else "")
    parts["machine"] += f" ({device})" if settings.device == "auto" and device is not None else ""
    parts["augmentation"] = _augmentation(dataset)
    parts["validation"] = _validation(val, limit, settings)
    parts["saved in"] = "nowhere" if folder is None else str(folder)
    return "\n".join(f"{subject:<13}{words}" for subject, words in parts.items())


def pairs(named: Iterable[tuple[str, object]]) -> str:
    """Names and values as the options of the command line have them."""
    return ", ".join(f"{name.replace('_', '-')} {_value(value)}" for name, value in named)


def _value(value: object) -> str:
    if value is None or value is False:
        return "off" if value is False else "none"
    if value is True:
        return "on"
    return " ".join(str(each) for each in value) if isinstance(value, (tuple, list)) else str(value)


def _data(dataset: Dataset, objects: str) -> str:
    return f"{getattr(dataset, 'name', type(dataset).__name__)}: {len(dataset)} images" + (objects and f", {objects}")


def _model(model: nn.Module) -> str:
    numbers = [(p.numel(), p.requires_grad) for p in model.parameters()]
    count, trained = sum(n for n, _ in numbers), sum(n for n, wanted in numbers if wanted)
    report = getattr(model, "load_report", None)
    start = f"; weights from {report.source}" if report is not None else ""
    backbone = getattr(getattr(model, "config", None), "backbone", type(model).__name__)
    return f"{backbone}, {count:,} parameters, {trained:,} of them trained{start}"


def _scale(model: nn.Module) -> str:
    config = getattr(model, "config", None)
    if config is None:
        return "the model's own"
    drawn = " (one is drawn for each image)" if len(config.min_size) > 1 else ""
    return f"min-size {_value(config.min_size)}{drawn}, max-size {config.max_size}"


def _augmentation(dataset: Dataset) -> str:
    options = augmentation(dataset)
    if options is not None:
        return pairs(options.items())
    transform = getattr(dataset, "transform", None)
    return "none" if transform is None else f"the data set's own {type(transform).__name__}"


def _validation(val: Dataset | None, limit: int | None, settings: TrainSettings) -> str:
    if val is None:
        return "none"
    count = len(val) if limit is None else min(limit, len(val))
    when = f"every {settings.eval_every} steps and at the end" if settings.eval_every else "at the end"
    return f"{getattr(val, 'name', type(val).__name__)}: {count} images, {when}"
