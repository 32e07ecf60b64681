"""What several commands need: the data set, the model and the results that the options name."""

from __future__ import annotations

import argparse
import json
import os
from contextlib import contextmanager
from pathlib import Path

from ..settings import pick_device


def open_data(options: argparse.Namespace, faulty: str | None = None, **changes):
    """The data set that --data, or --annotations and --images, name.

    faulty   what `CocoDataset` does with annotations that cannot be used; by default as --leave-out-faulty says
    raises   ValueError if neither or both are given
    """
    from ...datasets import load_dataset

    if options.annotations or options.images:
        if options.data:
            raise ValueError("--data and --annotations exclude each other: give one of them")
        if not (options.annotations and options.images):
            raise ValueError("--annotations FILE and --images DIR belong together: give both")
        return open_coco(options, options.annotations, options.images, faulty)
    if not options.data:
        raise ValueError("no data: give --data NAME, or --annotations FILE and --images DIR")
    if options.data == "shapes" and getattr(options, "seed", None):
        changes["seed"] = options.seed
    return load_dataset(options.data, options.split, **changes)


def open_coco(options: argparse.Namespace, annotations: str, images: str, faulty: str | None = None):
    """A COCO file of the user's own, read as the options say."""
    from ...datasets import CocoDataset

    return CocoDataset(
        annotations,
        images,
        faulty=faulty or ("drop" if options.leave_out_faulty else "raise"),
        outside=options.allow_outside,
        crowds="objects" if options.crowds_are_objects else "regions",
    )


def read_for_model(options: argparse.Namespace, config, *datasets) -> None:
    """Have COCO files of the user's own read no larger than the model makes use of, unless --full-size says otherwise.

    Data sets that come by name are small, and stay as they are.

    config    of the model
    datasets  also with a transform; None is passed over
    """
    from ...datasets import CocoDataset, Transformed

    for dataset in datasets:
        inner = dataset.dataset if isinstance(dataset, Transformed) else dataset
        if type(inner) is CocoDataset:
            inner.read_for = model_sizes(options, config)


def model_sizes(options: argparse.Namespace, config) -> tuple | None:
    """What pictures are read for: (min_size, max_size) of the model, or None with --full-size."""
    return None if options.full_size else (config.min_size, config.max_size)


def config_changes(options: argparse.Namespace, defaults: dict) -> dict:
    """`defaults`, with what the options change in the model's configuration; one size given moves the other along."""
    changes = dict(defaults)
    if options.min_size is not None:
        changes["min_size"] = (options.min_size,)
    if options.max_size is not None:
        changes["max_size"] = options.max_size
    if getattr(options, "detections", None) is not None:
        changes["box_detections_per_img"] = options.detections
    if {"min_size", "max_size"} <= set(changes) and min(changes["min_size"]) > changes["max_size"]:
        changes["max_size" if options.max_size is None else "min_size"] = (
            changes["min_size"][0] if options.max_size is None else (options.max_size,)
        )
    return changes


def network_changes(options: argparse.Namespace, config) -> dict:
    """What --proposals-kept and --anchors change in a configuration that is known already.

    raises   ValueError if the sizes of --anchors do not fit its levels
    """
    changes, kept, anchors = {}, options.proposals_kept, getattr(options, "anchors", None)
    if kept is not None:
        # The anchors of each level that come before NMS must be as many, or the limit stays where it was.
        before = max(kept, config.rpn_pre_nms_top_n_test)
        changes = {"rpn_post_nms_top_n_test": kept, "rpn_pre_nms_top_n_test": before}
    if anchors is not None:
        levels = len(config.anchor_sizes)
        if len(anchors) != levels or sorted(anchors) != anchors:
            now = " ".join(str(size) for sizes in config.anchor_sizes for size in sizes)
            raise ValueError(f"--anchors {' '.join(map(str, anchors))} does not fit the model: give {levels} sizes, "
                             f"one a level, from small to large; without the option it has {now}")  # fmt: skip
        changes["anchor_sizes"] = tuple((size,) for size in anchors)
    return changes


def load_changed(options: argparse.Namespace, weights: str, **more):
    """`load_weights` with what the options change in the configuration."""
    from ...model import load_weights

    model = load_weights(weights, **config_changes(options, {}), **more)
    changes = network_changes(options, model.config)
    if not changes:
        return model
    return load_weights(weights, **config_changes(options, {}), **changes, **more)


def load_model(options: argparse.Namespace, weights: str | None):
    """The model that --weights names, on the device that --device names.

    raises   ValueError without weights
    """
    if weights is None:
        raise ValueError("no weights: give --weights lesson, fruits, coco, or a file")
    device = pick_device(options.device)
    return load_changed(options, weights).to(device)


@contextmanager
def written_whole(path: Path):
    """A new file that takes the place of `path` once it is complete; a link there is never followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".unfinished_{os.getpid()}{path.suffix}")
    try:
        yield fresh
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def write_results(path: Path, results: list[dict]) -> None:
    """Write detections in COCO's results format, in one move; the folder is made."""
    with written_whole(path) as fresh:
        fresh.write_text(json.dumps([_plain(result) for result in results]), encoding="utf-8")


def _plain(result: dict) -> dict:
    if "segmentation" not in result:
        return result
    code = result["segmentation"]
    counts = code["counts"].decode("ascii") if isinstance(code["counts"], bytes) else code["counts"]
    return {**result, "segmentation": {"size": [int(side) for side in code["size"]], "counts": counts}}
