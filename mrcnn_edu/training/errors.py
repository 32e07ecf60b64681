"""The ways a run can stop early, each with the words that say what to do about it."""

from __future__ import annotations

import re
from contextlib import contextmanager

import torch


class NonFiniteLossError(FloatingPointError):
    """A loss or gradient became NaN or infinite. `step`, `images` and `checkpoint` say where, and what is left.

    step        number of the update that failed, counted from 1; the weights are those before it
    images      what `dataset.describe` says of each image of the batch
    checkpoint  path of the last good checkpoint, or None
    """

    def __init__(self, values: dict[str, float], step: int, images: list[str] | None = None, checkpoint=None):
        self.values, self.step, self.images, self.checkpoint = values, step, images or [], checkpoint
        bad = ", ".join(f"{name} = {value}" for name, value in values.items())
        super().__init__(
            f"step {step}: {bad} on images {', '.join(self.images)}. The last good checkpoint is "
            f"{checkpoint or 'none, as no step was saved'}. Lower the learning rate, lengthen the warm-up, or look at "
            "these images with check_dataset"
        )

    def __reduce__(self):
        return type(self), (self.values, self.step, self.images, self.checkpoint)


@contextmanager
def explained_out_of_memory(what: str, model, batch: int):
    """Turn an out-of-memory error of the device or the CPU into one that says what to lower.

    raises   torch.OutOfMemoryError (a RuntimeError), as torch does
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _says_out_of_memory(error):
            raise
        config = getattr(model, "config", None)
        sizes = ", ".join(
            f"{name} (now {getattr(config, name)})"
            for name in ("min_size", "max_size", "rpn_post_nms_top_n_train", "box_batch_size_per_image")
            if hasattr(config, name)
        )
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise torch.cuda.OutOfMemoryError(
            f"{what} ran out of memory. Lower batch (now {batch}); or the image size and the number of proposals: "
            f"{sizes or 'min_size, max_size, rpn_post_nms_top_n_train'}; or set amp to bfloat16. ({first})"
        ) from error


def _says_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out.

    torch has no class for it but on CUDA, and its words change. So it is asked for more memory than any machine has:
    what it says then, numbers left out, is what it says of the CPU.
    """
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    try:
        torch.empty(2**60, dtype=torch.uint8)
    except Exception as known:
        if type(error) is type(known) and _without_numbers(error) == _without_numbers(known):
            return True
    return "out of memory" in str(error)  # Apple's GPUs, which cannot be asked in this way.


def _without_numbers(error: Exception) -> str:
    return re.sub(r"\d+", "", next(iter(str(error).splitlines()), ""))


class EvaluationError(RuntimeError):
    """The evaluation after the last step failed. The training is complete: the model holds the trained weights.

    result  the `TrainResult`, with the paths of the checkpoint and the weights; its metrics lack the last row
    reason  what went wrong; the error itself is the cause of this one
    """

    def __init__(self, result, reason: str):
        self.result, self.reason = result, reason
        saved = [str(path) for path in (result.weights, result.checkpoint) if path is not None]
        where = f"and saved: {' and '.join(saved)}" if saved else "in the model"
        super().__init__(
            f"the evaluation after the last step ({result.step}) failed: {reason}. The trained weights are whole "
            f"{where}. Repair what is named and call evaluate on them, or resume the run"
        )

    def __reduce__(self):
        return type(self), (self.result, self.reason)


def in_one_line(error: BaseException) -> str:
    """The class and the words of an error."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
