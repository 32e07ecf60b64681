"""The mistakes of all parts of the model, by name."""

from mrcnn_edu.mistakes import anchors, losses, roi_align
from mrcnn_edu.mistakes.base import Mistake

MISTAKES = {mistake.name: mistake for part in (roi_align, anchors, losses) for mistake in part.MISTAKES}


def break_it(name: str) -> Mistake:
    """A classic mistake by name; the same switch each time.

    raises   ValueError naming the mistakes there are
    """
    if name not in MISTAKES:
        raise ValueError(f"there is no mistake {name!r}; there are {', '.join(MISTAKES)}")
    return MISTAKES[name]
