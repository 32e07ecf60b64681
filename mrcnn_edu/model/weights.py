"""Weights in and out: torchvision's published ones, our safetensors files, and training checkpoints."""

import json
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from mrcnn_edu.model.config import Config, preset
from mrcnn_edu.model.mask_rcnn import MaskRCNN
from mrcnn_edu.model.pickles import DamagedFileError, ForeignContentError, read_known
from mrcnn_edu.model.tensor_names import WRAPPERS, name_prefixes, own_names

PACKAGE = Path(__file__).resolve().parents[1]
# What ships lies beside the package in a clone, and inside it when installed.
DATA_FOLDER = PACKAGE / "data" if (PACKAGE / "data" / "README.md").is_file() else PACKAGE.parent / "data"
WEIGHTS_FOLDER = DATA_FOLDER / "weights"
SHIPPED = {"lesson": "lesson_shapes.safetensors", "fruits": "lesson_fruits.safetensors"}
PUBLISHED = {
    "coco": ("resnet50_fpn", "MaskRCNN_ResNet50_FPN_Weights"),
    "coco_v2": ("resnet50_fpn_v2", "MaskRCNN_ResNet50_FPN_V2_Weights"),
}

# COCO_V1 was trained with an epsilon of 0 in its frozen normalisation; this is its file's name.
COCO_V1_FILE = "maskrcnn_resnet50_fpn_coco-bf2d0c1e"

# The layers whose size depends on the number of classes.
CLASS_LAYERS = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")


# Where training scripts put the state dict of the model, and its running average: torchvision's, Lightning, others.
MODEL_ENTRIES = ("model", "state_dict", "model_state_dict")
AVERAGE_ENTRIES = ("model_ema", "ema", "ema_state_dict")

BODY = "backbone.body."


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor of a weights file.

    source  the name or path that was loaded
    kept    names of the tensors that were loaded
    reset   names of those that start anew, because the number of classes differs
    notes   what was done to read the file, and what in it was left unread
    """

    source: str
    kept: tuple[str, ...]
    reset: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __str__(self):
        text = f"{self.source}: {len(self.kept)} tensors loaded"
        if self.reset:
            text += f"; {len(self.reset)} start anew, for another number of classes: {', '.join(self.reset)}"
        return "; ".join((text, *self.notes))


@dataclass
class _Content:
    """What was read: a state dict, the configuration it belongs to, the names and category ids of its classes."""

    state_dict: dict[str, Tensor]
    config: Config
    class_names: tuple[str, ...] | None
    category_ids: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()


def load_weights(
    name_or_path: str | Path,
    num_classes: int | None = None,
    class_names: tuple[str, ...] | None = None,
    category_ids: tuple[int, ...] | None = None,
    **config_changes,
) -> MaskRCNN:
    """A model with trained weights, in evaluation mode.

    Where the number of classes differs from that of the weights, the layers that depend on it start anew; a warning
    says which, and `model.load_report` lists all.

    name_or_path    "lesson" (generated scenes) or "fruits", which ship; "coco" or "coco_v2", torchvision's, which
                    are downloaded once; or a file: ours (.safetensors), a training checkpoint of ours or of
                    torchvision's scripts, or a state dict of torchvision's maskrcnn_resnet50_fpn or _v2, or of the
                    same on another of its ResNets. What DataParallel, torch.compile and the like put before the names
                    is taken off; `model.load_report` says so
    num_classes     K, background included; by default that of the weights
    class_names     K names, "background" first; by default those of the weights
    category_ids    K ids of an annotation file, 0 for the background first; by default those of the weights
    config_changes  fields of `Config`, for example min_size=256 or box_score_thresh=0.5
    raises          FileNotFoundError; ValueError naming the file for one that is truncated, holds code, or belongs to
                    another architecture
    """
    content = _read(name_or_path)
    config = replace(content.config, **config_changes)
    if class_names is not None and num_classes is None:
        num_classes = len(class_names)
    if num_classes is not None:
        config = replace(config, num_classes=num_classes)
    if config.num_classes == content.config.num_classes:
        # New names may be of other classes, which the ids of the old ones do not fit.
        category_ids = content.category_ids if category_ids is None and class_names is None else category_ids
        class_names = content.class_names if class_names is None else class_names
    model = MaskRCNN(config, class_names, category_ids)
    model.load_report = _fill(model, content, str(name_or_path))
    if model.load_report.reset:
        warnings.warn(str(model.load_report), stacklevel=2)
    return model.eval()


def save_weights(model: MaskRCNN, path: str | Path) -> Path:
    """Write weights, configuration and class names to one safetensors file. An old file survives a failed write.

    model    also one that torch.compile or data parallel training wrapped
    path     ends in .safetensors
    raises   ValueError for another ending, or for heads that disagree about the classes; OSError if the disk is full
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: weights are saved as .safetensors, give the file that ending")
    model = unwrapped(model)
    model.roi_heads.check()
    metadata = {
        "config": json.dumps(model.config.to_dict()),
        "class_names": json.dumps(model.class_names),
        "category_ids": json.dumps(model.category_ids),
    }
    state_dict = own_names(model.state_dict())
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with open(temporary, "wb") as file:
            file.write(save(tensors, metadata=metadata))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return path


def unwrapped(model: nn.Module) -> nn.Module:
    """The model within what torch put around it."""
    for name in WRAPPERS:
        inner = getattr(model, name, None)
        if isinstance(inner, nn.Module):
            return unwrapped(inner)
    return model


def _fill(model: MaskRCNN, content: _Content, source: str) -> LoadReport:
    """Copy the tensors that fit; only the class layers may differ, and only with the number of classes."""
    given = content.state_dict
    own = model.state_dict()
    if content.config.norm == "frozen" or model.config.norm == "frozen":
        given = {name: value for name, value in given.items() if not name.endswith("num_batches_tracked")}
    may_differ = content.config.num_classes != model.config.num_classes
    reset = tuple(n for n in given if may_differ and n.startswith(CLASS_LAYERS))
    required = {n for n in own if not n.endswith("num_batches_tracked")}
    names = {n for n in given if not n.endswith("num_batches_tracked")}
    missing, unexpected = sorted(required - names), sorted(names - required)
    misfit = sorted(n for n in required & names if n not in reset and given[n].shape != own[n].shape)
    if missing or unexpected or misfit:
        raise ValueError(
            f"{source} belongs to another architecture than the model ({model.config.backbone}): "
            + "; ".join(
                _some(*part) for part in (("missing", missing), ("unknown", unexpected), ("other size", misfit))
            )
        )
    kept = {name: value for name, value in given.items() if name not in reset}
    model.load_state_dict(kept, strict=False)
    return LoadReport(source, tuple(kept), reset, content.notes)


def _some(word: str, names: list[str]) -> str:
    more = ", …" if len(names) > 3 else ""
    return f"{word}: {len(names)}" + (f" ({', '.join(names[:3])}{more})" if names else "")


def _read(name_or_path: str | Path) -> _Content:
    if name_or_path in PUBLISHED:
        return _published(str(name_or_path))
    if name_or_path in SHIPPED:
        path = WEIGHTS_FOLDER / SHIPPED[name_or_path]
        if not path.is_file():
            raise FileNotFoundError(
                f"the weights {name_or_path!r} ship with the repository as data/weights/{path.name}, "
                "which is not there: clone the whole repository, or give a file"
            )
        return _safetensors(path)
    path = Path(name_or_path)
    if not path.is_file():
        names = ", ".join([*SHIPPED, *PUBLISHED])
        raise FileNotFoundError(f"no weights {str(name_or_path)!r}: give a file that exists, or one of {names}")
    return _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)


def _published(name: str) -> _Content:
    """torchvision's COCO weights, through its own downloader, which shows progress and checks the hash."""
    import torchvision.models.detection as detection

    architecture, enum = PUBLISHED[name]
    weights = getattr(detection, enum).COCO_V1
    try:
        state_dict = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # no network, a wrong hash, a file cut short: each its own class
        raise OSError(
            f"the COCO weights could not be downloaded from {weights.url} ({error}): "
            "check the network, or fetch the file by hand and give its path"
        ) from error
    names = tuple("background" if n == "__background__" else n for n in weights.meta["categories"])
    config = _pretrained_config(architecture, len(names), eps_zero=name == "coco")
    return _Content(own_names(state_dict), config, names, tuple(range(len(names))))


def _safetensors(path: Path) -> _Content:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state_dict = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except Exception as error:  # the library's own classes change from version to version
        raise ValueError(f"{path} is truncated or no safetensors file ({error}): fetch or make it again") from error
    if "config" not in metadata:
        return _plain(path, state_dict)
    return _described(path, state_dict, metadata)


def _described(path: Path, state_dict: dict, description: dict) -> _Content:
    """Weights that bring their configuration, class names and category ids with them, as JSON or as plain values."""
    try:
        config, names, ids = (
            json.loads(value) if isinstance(value, str) else value
            for value in (description.get(key) for key in ("config", "class_names", "category_ids"))
        )
        config = Config.from_dict(config)
        return _Content(own_names(state_dict), config, names and tuple(names), ids and tuple(ids))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: the configuration in this file cannot be read: {error}") from error


def _pickled(path: Path) -> _Content:
    """A checkpoint or state dict saved with torch. Only plain tensors and values are read: nothing in it runs."""
    try:
        saved, foreign = read_known(path)
    except ForeignContentError as error:
        raise ValueError(_refusal(path, str(error))) from error
    except DamagedFileError as error:
        raise ValueError(f"{path} is truncated or no weights file ({error}): fetch or make it again") from error
    if isinstance(saved, dict) and isinstance(saved.get("config"), dict) and _is_state_dict(saved.get("model")):
        return _described(path, saved.get("ema") or saved["model"], saved)
    state_dict, notes = _chosen(path, saved, foreign)
    if foreign:
        notes.append(f"left unread, because it is no plain value: {', '.join(foreign)}")
    content = _plain(path, state_dict)
    return replace(content, notes=(*notes, *content.notes))


def _chosen(path: Path, saved: object, foreign: list[str]) -> tuple[dict, list[str]]:
    """The state dict of the model in what a file holds, and what to say of the choice.

    raises   ValueError if there is none, or if two entries could be it
    """
    if _is_state_dict(saved):
        return saved, []
    entries = saved if isinstance(saved, dict) else {}
    models = [name for name in MODEL_ENTRIES if _is_state_dict(entries.get(name))]
    averages = [name for name in AVERAGE_ENTRIES if _is_state_dict(entries.get(name))]
    if len(models) > 1:
        raise ValueError(f"{path} holds the weights of several models, {' and '.join(models)}: save one of them alone")
    if models or averages:
        taken = (models or averages)[0]
        others = f"; its running average {averages[0]!r} was not" if models and averages else ""
        if others:
            warnings.warn(f"{path}: the entry {taken!r} was taken{others}", stacklevel=5)
        return entries[taken], [f"the entry {taken!r} was taken{others}"]
    if foreign:
        raise ValueError(_refusal(path, ", ".join(foreign[:3])))
    raise ValueError(f"{path} holds no state dict: give a dict from parameter names to tensors")


def _refusal(path: Path, names: str) -> str:
    return (
        f"{path} holds more than tensors and plain values ({names}), and was refused: nothing in it was run. "
        "Save a state dict, or use save_weights"
    )


def _is_state_dict(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(v, Tensor) for v in value.values())


def _plain(path: Path, saved: dict) -> _Content:
    """A state dict that does not say what it belongs to: one of torchvision's, told by names and sizes."""
    try:
        state = own_names(saved)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    score = state.get("roi_heads.box_predictor.cls_score.weight")
    if score is None:
        raise ValueError(f"{path} holds the weights of another architecture: it has no Mask R-CNN heads")
    architecture = "resnet50_fpn" if "roi_heads.box_head.fc6.weight" in state else "resnet50_fpn_v2"
    frozen = "backbone.body.bn1.num_batches_tracked" not in state
    config = preset(
        architecture,
        num_classes=len(score),
        norm="frozen" if frozen else "batch",
        backbone=body_of(state) or "resnet50",
        masks="roi_heads.mask_predictor.conv5_mask.weight" in state,
    )
    if COCO_V1_FILE in path.name:
        config = _pretrained_config(architecture, len(score), eps_zero=True)
    notes = [f"{'.'.join(prefix)!r} was taken off the names" for prefix in name_prefixes(saved) if prefix]
    return _Content(state, config, None, notes=tuple(notes))


def body_of(state_dict: dict[str, Tensor]) -> str | None:
    """The name of the torchvision ResNet whose body a state dict holds, told by the sizes of its weights; None if none.

    state_dict  with our names
    """
    own = {
        name.removeprefix(BODY): tensor.shape
        for name, tensor in state_dict.items()
        if name.startswith(BODY) and tensor.dim() == 4
    }
    for name in torchvision.models.list_models(module=torchvision.models):
        if hasattr(torchvision.models.resnet, name):
            with torch.device("meta"):  # sizes without numbers
                body = torchvision.models.get_model(name, weights=None).state_dict()
            if own == {key: tensor.shape for key, tensor in body.items() if tensor.dim() == 4}:
                return name
    return None


def _pretrained_config(architecture: str, num_classes: int, eps_zero: bool) -> Config:
    """torchvision's settings with pretrained weights: the stem and the first stage are not trained any more."""
    config = preset(architecture, num_classes=num_classes, trainable_layers=3)
    if architecture == "resnet50_fpn":
        config = replace(config, norm="frozen", norm_eps=0.0 if eps_zero else 1e-5)
    return config
