"""What the four commands of `python -m mrcnn_edu` do: a file each, and what they share."""

from __future__ import annotations

import argparse
import errno
import sys
import warnings
from importlib import import_module

import torch

from ..checkpoint import CheckpointError
from ..errors import NonFiniteLossError
from .words import for_command_line

HOME = {"train": "train", "evaluate": "evaluate", "predict": "predict", "check-data": "check_data"}


def run(options: argparse.Namespace) -> int:
    """Run the command that was parsed. Bad input ends in one line on standard error and status 2, without traceback."""
    command = import_module(f"{__name__}.{HOME[options.command]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        # What we warn of is for whoever runs the command, however Python was told to treat warnings.
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_: print(
            f"warning: {for_command_line(str(message), options)}", file=sys.stderr
        )
        try:
            return command.run(options)
        except (NonFiniteLossError, torch.cuda.OutOfMemoryError) as error:
            return _fail(options, error, 1)
        except CheckpointError as error:
            return _fail(options, error, 1 if isinstance(error.__cause__, OSError) else 2)
        except (ValueError, OSError) as error:
            return _fail(options, error, 1 if getattr(error, "errno", None) == errno.ENOSPC else 2)
        except KeyboardInterrupt:
            return _fail(options, "interrupted", 130)


def _fail(options: argparse.Namespace, error, status: int) -> int:
    message = " ".join(for_command_line(str(error), options).split())
    print(f"{options.command}: error: {message}", file=sys.stderr)
    return status
