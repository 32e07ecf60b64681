"""The names that parameters had in older torchvision checkpoints."""


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
