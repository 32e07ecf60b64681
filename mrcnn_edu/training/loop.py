"""The training loop: batches in, five losses out, weights a little better, and everything on disk."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from multiprocessing import active_children
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..datasets.checker import describe
from ..mistakes import break_it
from ..model.mask_rcnn import MaskRCNN
from ..model.weights import save_weights
from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .checks import check_training_set, check_validation_set, name_classes
from .errors import EvaluationError, NonFiniteLossError, explained_out_of_memory, in_one_line
from .evaluation import METRICS, evaluate
from .folder import CHECKPOINT, LOSSES_TABLE, METRICS_TABLE, WEIGHTS, RunFolder
from .interrupts import Interrupts, end_at_once
from .order import batches, item_index, seed_all
from .plan import plan_text
from .settings import TrainSettings
from .state import LOSSES, TrainState
from .tables import Table

METRIC_COLUMNS = ("step", *(f"{kind}_{name}" for kind, name in METRICS), "seconds")


def loss_columns(model: nn.Module) -> tuple[str, ...]:
    """The columns of losses.csv: a model whose masks were taken away has one loss less."""
    masks = getattr(getattr(model, "config", None), "masks", True)
    losses = LOSSES if masks else tuple(name for name in LOSSES if name != "loss_mask")
    return ("step", *losses, "loss", "grad_norm", "lr", "seconds")


@dataclass
class TrainResult:
    """What a run leaves in memory.

    losses       one dict per step: step, the five losses, loss (their sum), grad_norm, lr, seconds
    metrics      one dict per evaluation: step, bbox_AP, ..., segm_AP75, seconds
    step         updates done, those before a resume included
    interrupted  True if Ctrl-C, the stop button or SIGTERM ended it
    checkpoint   path of the last checkpoint, or None
    weights      path of the weights that were written, or None
    """

    losses: list[dict] = field(default_factory=list)
    metrics: list[dict] = field(default_factory=list)
    step: int = 0
    interrupted: bool = False
    checkpoint: Path | None = None
    weights: Path | None = None


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
    announce: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train `model` on `dataset`; at the end it holds the trained weights (their running average if `ema` is set).

    `out` gets checkpoint.pt, losses.csv (a row per step), metrics.csv (a row per evaluation on `val`) and, at the end
    or when the run is stopped, model.safetensors. It belongs to one run at a time. Both data sets are looked at before
    the first step. What is due is saved before it is evaluated, and an evaluation between steps that fails is left out
    with a warning. The random numbers of Python, NumPy and torch are seeded with `settings.seed`, so the same call
    gives the same weights on the same machine; a run that was killed and resumed ends bit-identical on the CPU to one
    that was not. Ctrl-C finishes the step, saves, and returns; a second one raises KeyboardInterrupt at once, and what
    was saved before is on disk.

    out        folder, made if missing; None keeps nothing on disk
    resume     go on from out/checkpoint.pt; starts at step 0 if there is none yet
    overwrite  start anew even if `out` already holds a run
    limit      validate on the first `limit` images of `val` only
    announce   called with the plan of the run, in words, when all checks have passed
    raises     ValueError for a data set that would poison training or could not be evaluated, whose classes are not the
               model's, or for a mistake that does not exist;
               FileExistsError if `out` holds a run and neither resume nor overwrite is set; FolderInUseError (an
               OSError) while another run writes there;
               CheckpointError for a checkpoint that is damaged or of another run; NonFiniteLossError;
               EvaluationError if the evaluation after the last step failed: all is saved, and the model trained;
               torch.cuda.OutOfMemoryError that says what to lower
    """
    mistake = break_it(settings.mistake) if settings.mistake else nullcontext()
    with Interrupts() as interrupts, RunFolder(out, resume, overwrite) as folder, mistake:
        run = _Run(model, dataset, settings, val, folder, limit, interrupts)
        try:
            if announce is not None:
                announce(run.plan())
            _steps(run, settings, progress)
        finally:
            run.close()
        return run.result()


def _steps(run: _Run, settings: TrainSettings, progress: bool) -> None:
    interrupts = run.interrupts
    bar = tqdm(total=settings.steps, initial=run.state.step, desc="training", unit="step", disable=not progress)
    try:
        run.evaluate_between()  # A run that was killed in an evaluation had saved its checkpoint before.
        started = time.perf_counter()
        for images, targets in run.batches():
            if interrupts.asked:
                break
            row = run.update(images, targets)
            now = time.perf_counter()
            run.losses.append({**row, "step": run.state.step, "seconds": round(now - started, 6)})
            started = now
            bar.update()
            bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            if run.due(settings.checkpoint_every):
                run.save()
            if not interrupts.asked:
                run.evaluate_between()
            started += time.perf_counter() - now
        run.keep()
        if not interrupts.asked:
            run.evaluate_at_end()
    except KeyboardInterrupt:
        run.stop()
    finally:
        bar.close()


class _Run:
    """The parts that `train` moves: state, tables, folder."""

    def __init__(self, model, dataset, settings, val, folder, limit, interrupts):
        self.dataset, self.val, self.settings, self.limit = dataset, val, settings, limit
        self.folder, self.interrupts, self.path = folder, interrupts, folder.file(CHECKPOINT)
        self.saved_step = self.weights = self.truth = None
        with interrupts.at_once():
            self.report = check_training_set(model, dataset, settings.seed)
            name_classes(model, dataset)
            if val is not None:
                self.truth = check_validation_set(model, dataset, val, settings.seed, limit)
            seed_all(settings.seed)
            self.state = TrainState(model, settings)
            if folder.resumes:
                self.go_back()
        if folder.path is not None and not folder.resumes:
            folder.clear()
        keep = self.state.step if folder.resume else None
        self.losses = Table(folder.file(LOSSES_TABLE), loss_columns(model), keep)
        self.metrics = Table(folder.file(METRICS_TABLE), METRIC_COLUMNS, keep)
        if self.path is not None and len(self.losses.rows) != self.state.step:
            raise CheckpointError(f"{self.losses.path} has {len(self.losses.rows)} of the {self.state.step} rows up to "
                                  f"{self.path}: it was changed by hand; start anew in another folder")  # fmt: skip

    def go_back(self) -> None:
        """Take everything over from the last checkpoint."""
        self.state.load(load_checkpoint(self.path), self.dataset, self.path)
        self.saved_step = self.state.step

    def plan(self) -> str:
        report, s = self.report, self.settings
        some = "" if report.images == len(self.dataset) else f" in the first {report.images}"
        return plan_text(self.state.model, self.dataset, s, f"{report.objects} objects{some}", self.val, self.limit,
                         self.folder.path, self.state.step, self.state.device)  # fmt: skip

    def batches(self):
        s = self.settings
        pin, others = self.state.device.type == "cuda", set(active_children())
        try:
            yield from batches(self.dataset, s.seed, s.batch, self.state.step, s.steps, s.workers, pin)
        except Exception:
            self.rescue()
            raise
        finally:
            if self.interrupts.asked > 1:
                end_at_once(set(active_children()) - others)

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
        return every > 0 and self.state.step > 0 and self.state.step % every == 0 and not self.complete

    @property
    def complete(self) -> bool:
        return self.state.step >= self.settings.steps

    @property
    def whole(self) -> bool:
        """Whether the state lies between two steps: an update that was cut leaves weights that nobody should save."""
        return len(self.losses.rows) == self.state.step and not self.state.updating

    def _evaluated(self) -> bool:
        return self.val is None or bool(self.metrics.rows) and self.metrics.rows[-1]["step"] == self.state.step

    def evaluate(self) -> dict:
        """The row of metrics of the present state."""
        started = time.perf_counter()
        with self.state.random_numbers_kept(), self.interrupts.at_once():
            scores = evaluate(
                self.state.best_model, self.val, limit=self.limit, truth=self.truth, by_size=False, warn=False
            )
        row = {f"{kind}_{name}": value for kind, group in scores.items() for name, value in group.items()}
        return {**row, "step": self.state.step, "seconds": round(time.perf_counter() - started, 6)}

    def evaluate_between(self) -> None:
        """The evaluation that is due after this step, if one is; it never ends the run."""
        if not self.due(self.settings.eval_every) or self._evaluated():
            return
        try:
            row = self.evaluate()
        except Exception as error:
            warnings.warn(f"the evaluation after step {self.state.step} failed and is left out, training goes on: "
                          f"{in_one_line(error)}", stacklevel=4)  # fmt: skip
            return
        self.metrics.append(row)

    def evaluate_at_end(self) -> None:
        """The evaluation after the last step, when everything is saved.

        raises   EvaluationError if it fails
        """
        if self._evaluated():
            return
        try:
            row = self.evaluate()
        except Exception as error:
            raise EvaluationError(self.result(), in_one_line(error)) from error
        self.metrics.append(row)
        self.metrics.sync()

    def save(self) -> None:
        """Write a checkpoint, unless this step has one."""
        if self.path is None or self.saved_step == self.state.step:
            return
        # The rows go first: a checkpoint must never be ahead of its tables.
        self.losses.sync()
        self.metrics.sync()
        save_checkpoint(self.path, self.state.to_dict(self.dataset))
        self.saved_step = self.state.step

    def keep(self) -> None:
        """Write a checkpoint and the weights; of a run that was stopped before its first step there is nothing to keep.

        raises   CheckpointError, OSError if the disk is full
        """
        if self.path is None or (self.state.step == 0 and not self.complete):
            return
        self.save()
        if self.weights is None and isinstance(self.state.model, MaskRCNN):
            self._write_weights(self.folder.file(WEIGHTS))

    def _write_weights(self, path: Path) -> None:
        kept = f"the same weights are in {self.path}, which is whole"
        try:
            self.weights = save_weights(self.state.best_model, path)
        except OSError as error:
            raise OSError(error.errno, f"cannot write {path}: {error.strerror or error}; {kept}: free some space and "
                          "resume the run") from error  # fmt: skip
        except Exception as error:  # A model that somebody changed may hold what the file format does not take.
            warnings.warn(f"{path} was not written ({in_one_line(error)}); {kept}", stacklevel=5)

    def rescue(self) -> None:
        """Keep the steps that are done before an error from elsewhere ends the run."""
        if self.path is None or self.state.step == 0 or not self.whole:
            return
        try:
            self.keep()
        except (CheckpointError, OSError) as error:
            warnings.warn(str(error), stacklevel=4)
        else:
            warnings.warn(f"the {self.state.step} steps done are saved in {self.path}: resume goes on", stacklevel=4)

    def stop(self) -> None:
        """After the first interrupt, keep the last whole state; after the second, end at once."""
        if self.interrupts.asked > 1:
            raise KeyboardInterrupt
        self.interrupts.asked = 1
        if not self.whole:
            if self.saved_step is None:
                raise KeyboardInterrupt
            self.go_back()
            for table in (self.losses, self.metrics):
                table.rows = [row for row in table.rows if row["step"] <= self.state.step]
        self.keep()

    def close(self) -> None:
        for table in (self.losses, self.metrics):
            table.close()
            if table.path is not None and not self.losses.rows and self.saved_step is None:
                table.path.unlink(missing_ok=True)

    def result(self) -> TrainResult:
        state = self.state
        if state.average is not None:
            state.model.load_state_dict(state.average.state_dict())
        interrupted = self.interrupts.asked > 0 and not (self.complete and self._evaluated())
        return TrainResult(
            self.losses.rows, self.metrics.rows, state.step, interrupted, self._last_good(), self.weights
        )
