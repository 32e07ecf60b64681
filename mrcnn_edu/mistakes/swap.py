"""A function put into one part of every model of this process, and taken out again."""

from collections.abc import Callable

from mrcnn_edu.mistakes.parts import PARTS

_on: list["Swap"] = []


class Swap:
    """A switch, and a context, that puts a function into one part of every model of this process."""

    def __init__(self, part: str, function: Callable, title: str):
        self.part, self.function, self.title = part, function, title
        self._undo: list[tuple] = []

    @property
    def is_on(self) -> bool:
        """Whether it is switched on."""
        return self in _on

    def on(self) -> "Swap":
        """Switch it on.

        raises   RuntimeError if it is on already, or another swap of the same part is
        """
        if self.is_on:
            raise RuntimeError(f"{self.title} is on already; off() switches it off")
        patches = PARTS[self.part](self.function)
        wanted = {(patch.owner, patch.attribute) for patch in patches}
        for other in _on:
            if wanted & {(owner, attribute) for owner, attribute, _ in other._undo}:
                raise RuntimeError(
                    f"{self.title} and {other.title} both replace the model's {other.part}, and the second is on: "
                    "switch it off first"
                )
        _on.append(self)
        for patch in patches:
            self._undo.append((patch.owner, patch.attribute, vars(patch.owner)[patch.attribute]))
            setattr(patch.owner, patch.attribute, patch.replacement)
        return self

    def off(self) -> None:
        """Switch it off; the model is as it was. Nothing happens where it is off."""
        while self._undo:
            setattr(*self._undo.pop())
        if self.is_on:
            _on.remove(self)

    def __enter__(self):
        return self.on()

    def __exit__(self, *error):
        self.off()


def switched_on() -> list[Swap]:
    """All swaps that are on."""
    return list(_on)


def swapped(part: str, function: Callable) -> Swap:
    """Every model of this process with `function` as one of its parts, within a `with` block.

    function  what it is called with, and what it gives, by part:
              roi_align      (features (B, C, H, W), rois (R, 5), output_size, spatial_scale, sampling_ratio, aligned)
                             → (R, C, P, P), once a level
              to_rois        (boxes, one (N, 4) an image) → (R, 5)
              decode         (deltas (N, 4), anchors (N, 4), weights) → boxes (N, 4)
              encode         (boxes (N, 4), anchors (N, 4), weights) → deltas (N, 4)
              nms            (boxes (N, 4), scores (N,), iou_threshold) → indices of those kept; once a level and class
              cell_anchors   (sizes, ratios) → (A, 4), once a level
              grid_anchors   (base (A, 4), (h, w) cells, stride) → (h·w·A, 4), once a level
              match          (gt_boxes (G, 4), boxes (N, 4), high, low, low_quality) → (N,)
              anchor_labels  (matched_idxs (N,)) → (N,)
              sample         (labels (N,), count, positive_fraction) → indices of positives and of negatives
    raises    ValueError naming the parts there are
    """
    if part not in PARTS:
        raise ValueError(f"the model has no part {part!r} to swap; there are {', '.join(PARTS)}")
    return Swap(part, function, f"swapped({part!r}, {getattr(function, '__name__', 'function')})")
