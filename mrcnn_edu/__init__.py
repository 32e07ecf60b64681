"""Mask R-CNN, built from its equations.

`mrcnn_edu.model` holds the finished network, `mrcnn_edu.datasets` the data, `mrcnn_edu.training` the loop, the
checkpoints and the COCO evaluation. `mrcnn_edu.figures`, `mrcnn_edu.explorers` and `mrcnn_edu.exercises` are what
the lessons in `notebooks/` show. Each part is loaded when it is first used, so that `import mrcnn_edu` costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_SUBMODULES = ("model", "datasets", "training", "figures", "explorers", "exercises")

__all__ = list(_SUBMODULES)


def __getattr__(name: str):
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
