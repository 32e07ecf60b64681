"""One training run between two steps: all that a checkpoint holds, and one update of it."""

from __future__ import annotations

import copy
import math
import warnings
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .checkpoint import CheckpointError, random_state, set_random_state
from .errors import NonFiniteLossError
from .settings import AMP_DTYPES, TrainSettings, learning_rate, make_optimizer, pick_device

# Of a whole model; one without masks has no loss_mask.
LOSSES = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask")
# What may differ when a run goes on: it changes when things are saved or where they run, not the course of training.
FREE_TO_CHANGE = ("device", "workers", "checkpoint_every", "eval_every")


class TrainState:
    """The model, its optimizer, their running average and the step; `to_dict` and `load` carry them over a restart.

    raises   ValueError if nothing in the model is trainable or the device does not exist
    """

    def __init__(self, model: nn.Module, settings: TrainSettings):
        self.settings, self.step, self.updating = settings, 0, False
        self.device = pick_device(settings.device)
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.model = model.to(self.device, memory_format=layout).train()
        self.optimizer = make_optimizer(model, settings)
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.amp == "float16")
        self.average = copy.deepcopy(model).eval() if settings.ema else None
        if self.average is not None:
            pairs = list(zip(self.average.state_dict().values(), model.state_dict().values(), strict=True))
            self.floats = [pair for pair in pairs if pair[0].is_floating_point()]
            self.counters = [pair for pair in pairs if not pair[0].is_floating_point()]

    @property
    def best_model(self) -> nn.Module:
        """The model that evaluation and the saved weights use: the running average where there is one."""
        return self.model if self.average is None else self.average

    def update(self, images: list[Tensor], targets: list[dict]) -> dict[str, float]:
        """One step: forward, backward, clip, update. Returns the losses, the gradient's norm and the learning rate.

        raises   NonFiniteLossError, with the weights as they were before
        """
        self.updating = True
        lr = learning_rate(self.step, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        dtype = AMP_DTYPES.get(self.settings.amp)
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            losses = self.model(images, targets)
        loss = sum(losses.values())
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip or math.inf)
        # One list for all of them: it is the step's only wait for the device.
        values = torch.stack([value.detach().float() for value in (*losses.values(), loss, norm)]).tolist()
        row = dict(zip((*losses, "loss", "grad_norm"), values, strict=True), lr=lr)
        self._check(row)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        if self.average is not None:
            self._average()
        self.updating = False
        return row

    def _check(self, row: dict[str, float]) -> None:
        # An infinite gradient in float16 is the scaler's business: it skips the step and lowers its scale.
        skip = {"grad_norm"} if self.scaler.is_enabled() else ()
        bad = {name: value for name, value in row.items() if name not in skip and not math.isfinite(value)}
        if bad:
            raise NonFiniteLossError(bad, self.step + 1)

    @torch.no_grad()
    def _average(self) -> None:
        # A long memory would keep the random first weights in the average of a short run.
        share = 1 - min(self.settings.ema, self.step / (self.step + 10))
        torch._foreach_lerp_([mean for mean, _ in self.floats], [now for _, now in self.floats], share)
        for mean, now in self.counters:
            mean.copy_(now)

    @contextmanager
    def random_numbers_kept(self):
        """Inside, random numbers may be drawn freely: the run's own go on afterwards as if none had been."""
        before = random_state()
        try:
            yield
        finally:
            set_random_state(before)

    def to_dict(self, dataset) -> dict:
        """Everything a run needs to go on, and the weights, config, class names and category ids that `load_weights`
        reads."""
        config = getattr(self.model, "config", None)
        return {
            "model": self.best_model.state_dict(),
            "training_model": None if self.average is None else self.model.state_dict(),
            "config": None if config is None else config.to_dict(),
            "class_names": list(getattr(self.model, "class_names", None) or dataset.class_names),
            "category_ids": _listed(getattr(dataset, "category_ids", None)),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "schedule": {"name": self.settings.schedule, "next_lr": learning_rate(self.step, self.settings)},
            "step": self.step,
            "sampler": {"seed": self.settings.seed, "position": self.step * self.settings.batch,
                        "dataset": getattr(dataset, "name", ""), "length": len(dataset),
                        "augment": augmentation(dataset)},
            "random": random_state(),
            "settings": self.settings.to_dict(),
        }  # fmt: skip

    def load(self, saved: dict, dataset, path) -> None:
        """Take over what `to_dict` gave.

        raises   CheckpointError naming the file and the first thing that differs: architecture, data set or settings
        """
        self._check_same(saved, dataset, path)
        try:
            self.model.load_state_dict(saved["training_model"] or saved["model"])
            if self.average is not None:
                self.average.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.scaler.load_state_dict(saved["scaler"])
            set_random_state(saved["random"])
        except Exception as error:  # torch's own classes for what does not fit change from version to version
            lines = " ".join(str(error).split())[:300]
            raise CheckpointError(f"{path} does not fit this run's model or optimizer: {lines}") from error
        self.step, self.updating = saved["step"], False

    def _check_same(self, saved: dict, dataset, path) -> None:
        def refuse(what, there, here):
            raise CheckpointError(f"{path} was made with {what} {there!r}, this run has {here!r}: "
                                  "give the same, or start anew in another folder")  # fmt: skip

        config = getattr(self.model, "config", None)
        ours = {} if config is None else config.to_dict()
        for name, value in (saved["config"] or {}).items():
            if name in ours and ours[name] != value:
                refuse(f"the model's {name}", value, ours[name])
        for what, there, here in (
            ("the data set's name", saved["sampler"]["dataset"], getattr(dataset, "name", "")),
            ("the data set's length", saved["sampler"]["length"], len(dataset)),
            ("the classes", saved["class_names"], list(dataset.class_names)),
        ):
            if there != here:
                refuse(what, there, here)
        # Checkpoints did not always hold it.
        there, here = (options or {} for options in (saved["sampler"].get("augment"), augmentation(dataset)))
        for name in {**there, **here} if "augment" in saved["sampler"] else ():
            if there.get(name) != here.get(name):
                refuse(f"the augmentation {name}", there.get(name), here.get(name))
        ours = self.settings.to_dict()
        # A setting that came after the checkpoint had its default then.
        for name, value in {**TrainSettings().to_dict(), **saved["settings"]}.items():
            if ours.get(name) != value and name not in (*FREE_TO_CHANGE, "steps"):
                refuse(f"the setting {name}", value, ours.get(name))
        if saved["step"] > self.settings.steps:
            refuse("steps done", saved["step"], self.settings.steps)
        if saved["settings"]["steps"] != self.settings.steps:
            warnings.warn(f"{path} was planned for {saved['settings']['steps']} steps, now {self.settings.steps}: "
                          "the learning rate follows the new plan from here on", stacklevel=4)  # fmt: skip


def augmentation(dataset) -> dict | None:
    """The options of the data set's `train_transforms`, as plain values; None where it has none, or others."""
    options = getattr(getattr(dataset, "transform", None), "options", None)
    return None if options is None else {name: _listed(value) for name, value in options.items()}


def _listed(value):
    return list(value) if isinstance(value, tuple) else value
