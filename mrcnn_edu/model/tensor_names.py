"""The names that the parameters of a Mask R-CNN have elsewhere, and ours, which are torchvision's of today."""

from collections.abc import Iterable

# The parts that hold parameters: what stands before them in a name is of whoever wrapped the model.
PARTS = ("backbone", "rpn", "roi_heads")

# Modules that torch puts around others: distributed training, torch.compile, sharding, saved activations.
WRAPPERS = (
    "module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module",
)  # fmt: skip

# The counter that torch's AveragedModel keeps beside the model it holds.
COUNTER = "n_averaged"


def own_names(state_dict: dict) -> dict:
    """The state dict with our names, whatever wrapped the model or named its layers before.

    raises   ValueError where two models stand in one state dict
    """
    return rename_old_keys(without_wrappers(state_dict))


def without_wrappers(state_dict: dict) -> dict:
    """The state dict without what wrappers added to the names: `module.`, `_orig_mod.`, `model.` and the like.

    What stands before `backbone`, `rpn` and `roi_heads` goes if it is the same before all of them; names without one
    of these stay as they are.

    raises   ValueError where names start in different ways, or two become one
    """
    prefixes = name_prefixes(state_dict)
    if len(prefixes) > 1:
        shown = " and ".join(repr(".".join(prefix) + "." if prefix else "") for prefix in sorted(prefixes)[:3])
        raise ValueError(f"names of parameters start with {shown}: more than one model stands here, give one of them")
    prefix = next(iter(prefixes), ())
    stripped = {}
    for key, value in state_dict.items():
        if key == COUNTER:
            continue
        parts = _parts(key)
        parts = parts[len(prefix) :] if parts[: len(prefix)] == prefix else parts
        name = ".".join(parts)
        if name in stripped:
            raise ValueError(f"{name} stands here twice, once within a wrapper: give the state dict of one model")
        stripped[name] = value
    return stripped


def name_prefixes(keys: Iterable[str]) -> set[tuple[str, ...]]:
    """What stands before the parts of a model in the names, wrappers left out: one entry for each way they start."""
    prefixes = set()
    for key in keys:
        parts = _parts(key)
        first = next((i for i, part in enumerate(parts) if part in PARTS), None)
        if first is not None:
            prefixes.add(parts[:first])
    return prefixes


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.split(".") if part not in WRAPPERS)


def rename_old_keys(state_dict: dict) -> dict:
    """The state dict with the names that torchvision has used since version 0.12.

    Older checkpoints, COCO_V1 among them, name the convolutions of the pyramid, the RPN and the mask head without
    the sequence they stand in now.
    """
    renamed = {}
    for key, value in state_dict.items():
        parts = key.split(".")
        if parts[:2] == ["backbone", "fpn"] and len(parts) == 5:
            parts.insert(4, "0")  # backbone.fpn.inner_blocks.0.weight
        elif parts[:3] == ["rpn", "head", "conv"] and len(parts) == 4:
            parts[3:3] = ["0", "0"]  # rpn.head.conv.weight
        elif parts[:2] == ["roi_heads", "mask_head"] and parts[2].startswith("mask_fcn"):
            parts[2:3] = [str(int(parts[2].removeprefix("mask_fcn")) - 1), "0"]  # roi_heads.mask_head.mask_fcn1.weight
        renamed[".".join(parts)] = value
    return renamed
