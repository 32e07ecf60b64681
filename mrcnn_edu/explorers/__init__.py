"""Live pictures, one folder each. Importing this imports none of them: `from mrcnn_edu.explorers import Peel` does."""

from importlib import import_module

WHERE = {
    "Anchors": "anchors.explorer",
    "Deltas": "deltas.explorer",
    "Matching": "matching.explorer",
    "Peel": "peel.explorer",
    "Proposals": "proposals.explorer",
    "RoIAlign": "roi_align.explorer",
    "Upload": "toolkit.upload",
}
__all__ = list(WHERE)


def __getattr__(name: str):
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
