"""Classic mistakes that can be switched on in the real model, and the reader's own functions put into it.

`break_it("round_roi")` makes every model of this process round its RoIs while it is switched on.
`swapped("nms", function)` runs every model with another NMS. Both replace what one part of `mrcnn_edu.model` calls,
and put it back afterwards.
"""

from mrcnn_edu.mistakes.base import Mistake
from mrcnn_edu.mistakes.parts import PARTS, TRAINING_PARTS
from mrcnn_edu.mistakes.prices import KINDS, PRICES_FILE, read_prices
from mrcnn_edu.mistakes.registry import MISTAKES, break_it
from mrcnn_edu.mistakes.swap import Swap, swapped, switched_on

__all__ = [
    "KINDS",
    "MISTAKES",
    "PARTS",
    "PRICES_FILE",
    "TRAINING_PARTS",
    "Mistake",
    "Swap",
    "break_it",
    "read_prices",
    "swapped",
    "switched_on",
]
