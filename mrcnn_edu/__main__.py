"""The command line: python -m mrcnn_edu train | evaluate | predict | check-data."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from importlib import import_module

DATA_NAMES = ("shapes", "coins", "fruits_nuts")
MISTAKES = ("round_roi", "roi_pool", "half_pixel", "ratio_on_one_side", "ignored_are_negative")
EXAMPLES = {
    "train": "python -m mrcnn_edu train --data fruits_nuts --steps 300 --out runs/fruits",
    "evaluate": "python -m mrcnn_edu evaluate --data fruits_nuts --weights fruits --json",
    "predict": "python -m mrcnn_edu predict photo.jpg --weights coco --score 0.7 --out predictions",
    "check-data": "python -m mrcnn_edu check-data --annotations trainval.json --images images",
}


def whole(least: int):
    """A parser of whole numbers of at least `least`, for argparse."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    return parse


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the whole usage before it."""

    def error(self, message: str):
        self.exit(2, f"{self.prog.rpartition(' ')[2]}: error: {message} (see --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all four commands."""
    parser = Parser(
        prog="python -m mrcnn_edu",
        description="Train and use Mask R-CNN. Each command has its own --help.",
        epilog="example: " + EXAMPLES["train"],
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="train | evaluate | predict | check-data")
    for name, add, text in (
        ("train", _train, "train a model; the run's folder gets checkpoint.pt, losses.csv, metrics.csv and weights"),
        ("evaluate", _evaluate, "COCO average precision and recall of a model on a data set"),
        ("predict", _predict, "find objects in pictures; writes a picture and COCO results for them"),
        ("check-data", _check_data, "look for annotations that would poison training; status 1 if there are any"),
    ):
        command = commands.add_parser(name, help=text, description=text, epilog="example: " + EXAMPLES[name])
        add(command)
    return parser


def _data(command, split: str) -> None:
    command.add_argument("--data", choices=DATA_NAMES, help="a data set by name")
    command.add_argument("--annotations", metavar="FILE", help="a COCO annotation file, together with --images")
    command.add_argument("--images", metavar="DIR", help="the folder of that file's images")
    command.add_argument(
        "--split", choices=("train", "val"), default=split, help="part of --data (default: %(default)s)"
    )
    command.add_argument(
        "--allow-outside", action="store_true", help="read pictures whose file_name leads out of --images"
    )
    command.add_argument(
        "--crowds-are-objects", action="store_true", help="take annotations with iscrowd 1 as objects like others"
    )


def _leave_out(command) -> None:
    command.add_argument(
        "--leave-out-faulty", action="store_true", help="go on without the annotations that check-data calls faulty"
    )


def _sizes_and_limits(command) -> None:
    command.add_argument("--min-size", type=whole(1), metavar="PIXELS", help="shorter side of the images in the model")
    command.add_argument("--max-size", type=whole(1), metavar="PIXELS", help="limit of the longer side")
    command.add_argument("--detections", type=whole(1), metavar="N", help="the most objects found in one picture")
    command.add_argument(
        "--proposals-kept", type=whole(1), metavar="N", help="regions of one picture that are looked at for objects"
    )


def _model(command, weights: str) -> None:
    command.add_argument("--weights", metavar="NAME", help=f"lesson, fruits, coco, or a file ({weights})")
    _sizes_and_limits(command)
    command.add_argument(
        "--full-size", action="store_true", help="do not reduce pictures that are far larger than the model's sizes"
    )
    command.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps or auto (default: %(default)s)")


def _mistake(command, text: str) -> None:
    names = ", ".join(MISTAKES)
    command.add_argument("--mistake", choices=MISTAKES, metavar="NAME", help=f"{text}: {names}")


def _train(command) -> None:
    _data(command, "train")
    _leave_out(command)
    command.add_argument(
        "--val-annotations", metavar="FILE", help="validation set for your own data, with --val-images"
    )
    command.add_argument("--val-images", metavar="DIR", help="the folder of that file's images (default: as --images)")
    _model(command, "weights to start from; default: none, random weights")
    command.add_argument(
        "--anchors", type=whole(1), nargs="+", metavar="PIXELS", help="sides of the anchors, one a level, finest first"
    )
    command.add_argument("--preset", help="model when no weights are given: lesson, resnet50_fpn, resnet50_fpn_v2")
    _course(command.add_argument_group("course of the training (defaults by data set)"))
    _numbers(command.add_argument_group("numbers and machine"))
    _augmentation(command.add_argument_group("augmentation (defaults by data set)"))
    command.add_argument("--eval-every", type=whole(0), help="steps between validations; 0: only at the end")
    command.add_argument("--checkpoint-every", type=whole(0), help="steps between checkpoints; 0: only at the end")
    command.add_argument("--limit", type=whole(1), help="validate on the first images only")
    _mistake(command, "train with a classic mistake of the lessons switched on")
    command.add_argument("--out", default="runs/train", help="folder of the run (default: %(default)s)")
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    command.add_argument("--overwrite", action="store_true", help="start anew even if --out holds a run")


def _course(group) -> None:
    group.add_argument("--steps", type=whole(0), help="updates of the weights")
    group.add_argument("--batch", type=whole(1), help="images per step")
    group.add_argument("--optimizer", choices=("sgd", "adamw"))
    group.add_argument("--lr", type=float, help="learning rate after the warm-up")
    group.add_argument("--momentum", type=share, help="of SGD, or beta 1 of AdamW")
    group.add_argument("--weight-decay", type=float, metavar="DECAY", help="on all weights but biases and norms")
    group.add_argument("--clip", type=float, metavar="NORM", help="largest norm of the whole gradient, 0 for no limit")
    group.add_argument("--warmup", type=whole(0), help="steps in which the learning rate rises")
    group.add_argument("--schedule", choices=("cosine", "step", "constant"), help="of the learning rate, after that")
    group.add_argument("--final-lr", type=share, metavar="SHARE", help="end of the cosine, as a share of --lr")
    group.add_argument(
        "--milestones", type=share, nargs="+", metavar="SHARE", help="where --schedule step divides by 10, of the run"
    )
    group.add_argument("--ema", type=share, help="decay of the running average of the weights, 0 for none")
    group.add_argument("--seed", type=whole(0), help="of weights, data order and sampling (default: 0)")


def _numbers(group) -> None:
    group.add_argument("--amp", choices=("bfloat16", "float16", "none"), help="mixed precision; none is float32")
    on_or_off(group, "--channels-last", "memory layout of weights and images, usually the faster one")
    group.add_argument("--workers", type=whole(0), help="processes that prepare batches")


def _augmentation(group) -> None:
    on_or_off(group, "--flip", "mirror left and right, half of the time")
    on_or_off(group, "--flip-vertical", "mirror top and bottom too: for what is seen from above")
    on_or_off(group, "--transpose", "swap rows and columns, half of the time")
    group.add_argument("--degrees", type=float, help="rotate by up to so many degrees")
    group.add_argument(
        "--zoom", type=float, nargs=2, metavar=("LOW", "HIGH"), help="enlarge by a factor between; 1 1 for none"
    )
    group.add_argument("--colour", type=share, metavar="SHARE", help="change brightness, contrast and saturation")
    group.add_argument("--grey", type=share, metavar="SHARE", help="probability of a grey image")
    group.add_argument("--least-visible", type=share, metavar="SHARE", help="objects cut to less are dropped")
    group.add_argument("--no-augment", action="store_true", help="train on the images as they are")


def on_or_off(group, name: str, text: str) -> None:
    """An option with its opposite: --name and --no-name; neither leaves it to the data set's recipe."""
    group.add_argument(name, action=argparse.BooleanOptionalAction, default=None, help=text)


def _evaluate(command) -> None:
    _data(command, "val")
    _leave_out(command)
    _model(command, "default: lesson for shapes and coins, fruits for fruits_nuts")
    command.add_argument(
        "--batch", type=whole(1), default=1, help="images of one size in a forward pass on a GPU (default: %(default)s)"
    )
    command.add_argument(
        "--max-detections", type=whole(1), metavar="N",
        help="detections of a class that count in one picture (default: 100, or --detections where that is more)",
    )  # fmt: skip
    command.add_argument("--seed", type=whole(0), default=0, help="of generated data (default: %(default)s)")
    command.add_argument("--limit", type=whole(1), help="only the first images")
    _mistake(command, "switch on a classic mistake of the lessons")
    command.add_argument("--class-agnostic", action="store_true", help="count every class as one")
    command.add_argument(
        "--proposals", action="store_true", help="instead of AP, the recall of the RPN's proposals, of any class"
    )
    command.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    command.add_argument("--out", metavar="DIR", help="also write detections.json, in COCO's results format")


def _predict(command) -> None:
    command.add_argument("image", nargs="+", metavar="IMAGE", help="pictures, or folders of pictures")
    _model(command, "default: lesson")
    command.add_argument("--score", type=share, default=0.5, help="least score to keep (default: %(default)s)")
    text = "folder for the results (default: %(default)s); those of an earlier call are replaced, other files never"
    command.add_argument("--out", default="predictions", help=text)


def _check_data(command) -> None:
    _data(command, "train")
    command.add_argument("--seed", type=whole(0), default=0, help="of generated data (default: %(default)s)")
    command.add_argument(
        "--limit", type=whole(1), help="open the first pictures only; annotations are looked at in any case"
    )
    text = "model whose anchors, proposals and detections the objects are held against: lesson, resnet50_fpn, …"
    command.add_argument("--preset", help=f"{text} (default: as train)")
    _sizes_and_limits(command)
    command.add_argument(
        "--anchors", type=whole(1), nargs="+", metavar="PIXELS", help="sides of the anchors, one a level, finest first"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit status: 0, 1 if a run failed or data has faults, 2 for bad input."""
    with every_character_printable():
        options = build_parser().parse_args(arguments)
        commands = import_module("mrcnn_edu.training.commands")
        return commands.run(options)


@contextmanager
def every_character_printable():
    """Have standard output and error write characters that their code page lacks as \\x, \\u or \\U with a number.

    Without it a name of a class or file in another script would end a command, and its results would be lost.
    """
    streams = [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            if not stream.closed:
                stream.reconfigure(errors=errors)


if __name__ == "__main__":
    sys.exit(main())
