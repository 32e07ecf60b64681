"""The training loop: batches in, five losses out, weights a little better, and everything on disk."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..datasets.checker import check_dataset, describe
from ..datasets.faults import DatasetError, grouped
from ..mistakes import break_it
from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .errors import NonFiniteLossError, explained_out_of_memory, interrupts_held
from .evaluation import METRICS, evaluate
from .order import batches, item_index, seed_all, seeded
from .settings import TrainSettings
from .state import LOSSES, TrainState
from .tables import Table

CHECKPOINT = "checkpoint.pt"
LOSS_COLUMNS = ("step", *LOSSES, "loss", "grad_norm", "lr", "seconds")
METRIC_COLUMNS = ("step", *(f"{kind}_{name}" for kind, name in METRICS), "seconds")

# The checker looks at all images of sets up to this size, and at the first so many of larger ones.
CHECK_ALL, CHECK_SOME = 1000, 200


@dataclass
class TrainResult:
    """What a run leaves in memory.

    losses       one dict per step: step, the five losses, loss (their sum), grad_norm, lr, seconds
    metrics      one dict per evaluation: step, bbox_AP, ..., segm_AP75, seconds
    step         updates done, those before a resume included
    interrupted  True if Ctrl-C or the stop button ended it
    checkpoint   path of the last checkpoint, or None
    """

    losses: list[dict] = field(default_factory=list)
    metrics: list[dict] = field(default_factory=list)
    step: int = 0
    interrupted: bool = False
    checkpoint: Path | None = None


def train(
    model: nn.Module,
    dataset: Dataset,
    settings: TrainSettings,
    val: Dataset | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    limit: int | None = None,
) -> TrainResult:
    """Train `model` on `dataset`; at the end it holds the trained weights (their running average if `ema` is set).

    `out` gets checkpoint.pt, losses.csv (a row per step) and metrics.csv (a row per evaluation on `val`). The random
    numbers of Python, NumPy and torch are seeded with `settings.seed`, so the same call gives the same weights on the
    same machine; a run that was killed and resumed ends bit-identical on the CPU to one that was not. Ctrl-C
    finishes the step, saves, and returns.

    out        folder, made if missing; None keeps nothing on disk
    resume     go on from out/checkpoint.pt; starts at step 0 if there is none yet
    overwrite  start anew even if `out` already holds a run
    limit      validate on the first `limit` images of `val` only
    raises     ValueError for a data set that would poison training, whose classes are not the model's, or for a
               mistake that does not exist;
               FileExistsError if `out` holds a run and neither resume nor overwrite is set;
               CheckpointError for a checkpoint that is damaged or of another run; NonFiniteLossError;
               torch.cuda.OutOfMemoryError that says what to lower
    """
    with break_it(settings.mistake) if settings.mistake else nullcontext():
        run = _Run(model, dataset, settings, val, out, resume, overwrite, limit)
        _steps(run, settings, progress)
    return run.result()


def _steps(run: _Run, settings: TrainSettings, progress: bool) -> None:
    bar = tqdm(total=settings.steps, initial=run.state.step, desc="training", unit="step", disable=not progress)
    try:
        started = time.perf_counter()
        for images, targets in run.batches():
            with interrupts_held():
                row = run.update(images, targets)
                now = time.perf_counter()
                run.losses.append({**row, "step": run.state.step, "seconds": round(now - started, 6)})
                started = now
            bar.update()
            bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            if run.due(settings.eval_every):
                run.evaluate()
            if run.due(settings.checkpoint_every):
                run.save()
            started += time.perf_counter() - now
        run.finish()
    except KeyboardInterrupt:
        run.stop()
    finally:
        bar.close()
        run.close()


class _Run:
    """The parts that `train` moves: state, tables, folder."""

    def __init__(self, model, dataset, settings, val, out, resume, overwrite, limit):
        self.dataset, self.val, self.settings, self.limit = dataset, val, settings, limit
        _check_data(model, dataset, settings)
        self.path = None if out is None else Path(out) / CHECKPOINT
        self.saved_step = self.truth = None
        self.interrupted = False
        seed_all(settings.seed)
        self.state = TrainState(model, settings)
        keep = self._open(resume, overwrite)
        self.losses = Table(self._file("losses.csv"), LOSS_COLUMNS, keep)
        self.metrics = Table(self._file("metrics.csv"), METRIC_COLUMNS, keep)
        if self.path is not None and len(self.losses.rows) != self.state.step:
            raise CheckpointError(f"{self.losses.path} has {len(self.losses.rows)} of the {self.state.step} rows up to "
                                  f"{self.path}: it was changed by hand; start anew in another folder")  # fmt: skip

    def _file(self, name: str) -> Path | None:
        return None if self.path is None else self.path.with_name(name)

    def _open(self, resume: bool, overwrite: bool) -> int | None:
        if self.path is None:
            if resume:
                raise ValueError("resume needs the folder of the run: give `out`")
            return None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if resume and self.path.exists():
            self.state.load(load_checkpoint(self.path), self.dataset, self.path)
            self.saved_step = self.state.step
            return self.state.step
        if self.path.exists() and not overwrite:
            raise FileExistsError(f"{self.path.parent} already holds a run: resume it, choose another folder, "
                                  "or overwrite it (`resume=True`, `overwrite=True`)")  # fmt: skip
        self.path.unlink(missing_ok=True)
        return None

    def batches(self):
        s = self.settings
        pin = self.state.device.type == "cuda"
        return batches(self.dataset, s.seed, s.batch, self.state.step, s.steps, s.workers, pin)

    def update(self, images, targets) -> dict[str, float]:
        device = self.state.device
        images = [image.to(device, non_blocking=True) for image in images]
        targets = [{k: v.to(device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in t.items()}
                   for t in targets]  # fmt: skip
        step, batch = self.state.step, self.settings.batch
        try:
            with explained_out_of_memory(f"training step {step + 1}", self.state.model, batch):
                return self.state.update(images, targets)
        except NonFiniteLossError as error:
            raise NonFiniteLossError(error.values, step + 1, self._images(step), self._last_good()) from None
        except ValueError as error:
            raise ValueError(f"step {step + 1}, images {', '.join(self._images(step))}: {error}") from error

    def _images(self, step: int) -> list[str]:
        positions = range(step * self.settings.batch, (step + 1) * self.settings.batch)
        indices = [item_index(self.settings.seed, p, len(self.dataset)) for p in positions]
        return [describe(self.dataset, index) for index in indices]

    def _last_good(self) -> Path | None:
        return None if self.saved_step is None else self.path

    def due(self, every: int) -> bool:
        return every > 0 and self.state.step % every == 0 and self.state.step < self.settings.steps

    def evaluate(self) -> None:
        if self.val is None:
            return
        started = time.perf_counter()
        with self.state.random_numbers_kept():
            self.truth = self.truth or self.val.coco()
            scores = evaluate(self.state.best_model, self.val, limit=self.limit, truth=self.truth, by_size=False)
        row = {f"{kind}_{name}": value for kind, group in scores.items() for name, value in group.items()}
        self.metrics.append({**row, "step": self.state.step, "seconds": round(time.perf_counter() - started, 6)})

    def save(self) -> None:
        if self.path is None or self.saved_step == self.state.step:
            return
        # The rows go first: a checkpoint must never be ahead of its tables.
        self.losses.sync()
        self.metrics.sync()
        save_checkpoint(self.path, self.state.to_dict(self.dataset))
        self.saved_step = self.state.step

    def finish(self) -> None:
        if not self.metrics.rows or self.metrics.rows[-1]["step"] != self.state.step:
            self.evaluate()
        self.save()

    def stop(self) -> None:
        self.interrupted = True
        # A second Ctrl-C can end an update half way; then the last checkpoint is the last good state.
        if len(self.losses.rows) == self.state.step and not self.state.updating:
            self.save()

    def close(self) -> None:
        self.losses.close()
        self.metrics.close()

    def result(self) -> TrainResult:
        state = self.state
        if state.average is not None:
            state.model.load_state_dict(state.average.state_dict())
        return TrainResult(self.losses.rows, self.metrics.rows, state.step, self.interrupted, self._last_good())


def _check_data(model: nn.Module, dataset: Dataset, settings: TrainSettings) -> None:
    if len(dataset) == 0:
        raise ValueError(f"data set {getattr(dataset, 'name', '')!r} holds no image: nothing to train on")
    names = tuple(dataset.class_names)
    config = getattr(model, "config", None)
    if config is not None and config.num_classes != len(names):
        raise ValueError(f"the data set has {len(names)} classes with the background ({', '.join(names)}), the model "
                         f"{config.num_classes}: make it with `num_classes={len(names)}`")  # fmt: skip
    if hasattr(model, "class_names"):
        model.class_names = names
    # Looking at every image of a large set would take longer than a short run.
    with seeded(settings.seed):
        report = check_dataset(dataset, limit=None if len(dataset) <= CHECK_ALL else CHECK_SOME)
    if report.faults:
        more = " (`check_dataset` lists all)" if len(report.faults) > 1 else ""
        raise DatasetError("\n".join(grouped(report.faults)) + more)
