"""What a training run is made of: its settings, its learning rate at each step, its optimizer."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace

import torch
from torch import nn

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "step", "constant")
AMP_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class TrainSettings:
    """Settings of one training run. They are stored in each checkpoint; a resumed run must be given the same ones.

    steps            optimizer updates in the whole run
    batch            images per step
    optimizer        "sgd" (Nesterov momentum) or "adamw"
    lr               learning rate after the warm-up
    momentum         of SGD, or beta 1 of AdamW
    weight_decay     on weights of two or more axes; biases and norm parameters are left alone
    warmup           steps in which the learning rate rises on a line from lr / 1000 to lr
    schedule         after the warm-up: "cosine" falls to lr * final_lr, "step" divides by 10 at each milestone,
                     "constant" stays
    final_lr         end of the cosine, as a share of lr
    milestones       of "step", as shares of the run
    clip             largest norm of the whole gradient; None leaves it as it is
    amp              None (float32), "bfloat16", or "float16" (with a gradient scaler)
    ema              decay of the running average of the weights that evaluation and the saved model use; None uses the
                     last weights
    channels_last    memory layout of the weights and images: the faster one for convolutions on most machines
    seed             of the data order, the augmentation and the sampling inside the model
    workers          processes that prepare batches; 0 prepares them between the steps. The result is the same
    checkpoint_every steps between checkpoints; 0 saves only at the end
    eval_every       steps between evaluations on the validation set; 0 evaluates only at the end
    device           "auto" (CUDA, then MPS, then CPU) or a torch device
    mistake          a name for `mrcnn_edu.mistakes.break_it` that is switched on for the whole run, its evaluations
                     included; None trains the sound model
    """

    steps: int = 300
    batch: int = 8
    optimizer: str = "sgd"
    lr: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup: int = 50
    schedule: str = "cosine"
    final_lr: float = 0.01
    milestones: tuple[float, ...] = (0.7, 0.9)
    clip: float | None = 10.0
    amp: str | None = None
    ema: float | None = None
    channels_last: bool = True
    seed: int = 0
    workers: int = 0
    checkpoint_every: int = 100
    eval_every: int = 0
    device: str = "auto"
    mistake: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "milestones", tuple(self.milestones))
        for name, least in (("steps", 0), ("batch", 1), ("warmup", 0), ("workers", 0), ("seed", 0),
                            ("checkpoint_every", 0), ("eval_every", 0)):  # fmt: skip
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"TrainSettings.{name} must be a whole number of at least {least}, not {value!r}")
        if self.seed >= 2**63:
            raise ValueError(f"TrainSettings.seed must be below 2**63, not {self.seed}")
        for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("amp", (None, *AMP_DTYPES))):
            if getattr(self, name) not in choices:
                raise ValueError(f"TrainSettings.{name} must be one of {choices}, not {getattr(self, name)!r}")
        for name in ("lr", "momentum", "weight_decay", "final_lr"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"TrainSettings.{name} must be a finite number of at least 0, not {value!r}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"TrainSettings.clip must be above 0, or None for no clipping, not {self.clip!r}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"TrainSettings.ema must lie between 0 and 1, or be None, not {self.ema!r}")

    def to_dict(self) -> dict:
        """The settings as plain values, for a checkpoint."""
        return {**asdict(self), "milestones": list(self.milestones)}

    @classmethod
    def from_dict(cls, values: dict) -> TrainSettings:
        """The settings that `to_dict` gave. Raises ValueError at a name that is no setting."""
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown training settings: {', '.join(sorted(unknown))}")
        return cls(**values)

    def changed(self, **changes) -> TrainSettings:
        """A copy with some settings changed; a change to None is kept only where None is a value of the setting."""
        return replace(self, **changes)


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Learning rate of step 0, 1, ..., steps - 1: a line up, then the schedule.

    lr_t = lr (1/1000 + 999/1000 t / warmup)                       while t < warmup
    lr_t = lr (f + (1 - f) (1 + cos(pi u)) / 2), f = final_lr      then, with u from 0 to 1   (cosine)

    source   Goyal et al. 2017, section 2.2 (warm-up); Loshchilov and Hutter 2017, eq. 5 (cosine)
    """
    if step < settings.warmup:
        return settings.lr * (0.001 + 0.999 * step / settings.warmup)
    if settings.schedule == "constant":
        return settings.lr
    if settings.schedule == "step":
        return settings.lr * 0.1 ** sum(step >= share * settings.steps for share in settings.milestones)
    u = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.lr * (settings.final_lr + (1 - settings.final_lr) * (1 + math.cos(math.pi * min(1.0, u))) / 2)


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """The optimizer of the settings, in its fused form: one kernel for all parameters.

    raises   ValueError if no parameter of the model is trainable
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError("the model has no trainable parameter: set requires_grad on the parts to train")
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in ("cpu", "cuda") for p in trainable)
    form = {"fused": True} if fused else {"foreach": True}
    if settings.optimizer == "sgd":
        nesterov = settings.momentum > 0
        optimizer = torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, **form)
        # Where the gradient scaler skips the very first step, torch's fused form would go on from memory that nothing
        # has written. Starting from zero gives the same steps.
        for p in trainable if nesterov else ():
            optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
        return optimizer
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(settings.momentum, 0.999), **form)


def pick_device(name: str) -> torch.device:
    """The torch device of a name; "auto" takes CUDA, then MPS, then the CPU.

    raises   ValueError if the name is no device, or this machine has none of it
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except Exception as error:  # whatever class torch has for a name that it does not know
        raise ValueError(f"{name!r} is no device: use cpu, cuda, cuda:1, mps or auto") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name!r} was asked for, but torch finds no CUDA GPU here: use cpu or auto")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} was asked for, but there are only {torch.cuda.device_count()} CUDA GPUs")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"device {name!r} was asked for, but torch finds no MPS here: use cpu or auto")
    return device
