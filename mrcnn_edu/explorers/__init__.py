"""Live pictures, one file each. Importing this imports none of them: `from mrcnn_edu.explorers import Peel` does."""

from importlib import import_module

WHERE = {
    "Anchors": "anchors",
    "Deltas": "deltas",
    "Matching": "matching",
    "Peel": "peel",
    "Proposals": "proposals",
    "RoIAlign": "roi_align",
    "Upload": "upload",
}
__all__ = list(WHERE)


def __getattr__(name: str):
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
