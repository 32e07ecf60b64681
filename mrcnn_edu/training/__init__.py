"""Training: the loop, its checkpoints, COCO evaluation, and the recall of the proposals."""

from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .errors import EvaluationError, NonFiniteLossError
from .evaluation import evaluate
from .lock import FolderInUseError
from .loop import TrainResult, train
from .proposal_recall import proposal_recall
from .settings import TrainSettings, learning_rate
from .tables import read_table

__all__ = [
    "CheckpointError",
    "EvaluationError",
    "FolderInUseError",
    "NonFiniteLossError",
    "TrainResult",
    "TrainSettings",
    "evaluate",
    "learning_rate",
    "load_checkpoint",
    "proposal_recall",
    "read_table",
    "save_checkpoint",
    "train",
]
