"""What the four commands of `python -m mrcnn_edu` do: a file each, and what they share."""

from __future__ import annotations

import argparse
import errno
import warnings
from importlib import import_module

import torch

from ..checkpoint import CheckpointError
from ..errors import NonFiniteLossError
from .messages import WarningPrinter, print_error

HOME = {"train": "train", "evaluate": "evaluate", "predict": "predict", "check-data": "check_data"}


def run(options: argparse.Namespace) -> int:
    """Run the command that was parsed. Bad input ends in one line on standard error and status 2, without traceback."""
    command = import_module(f"{__name__}.{HOME[options.command]}")
    with warnings.catch_warnings():
        # What we warn of is for whoever runs the command, however Python was told to treat warnings.
        warnings.simplefilter("default", UserWarning)
        # Pillow says the same words of each file, and Python would show them for the first one only.
        warnings.filterwarnings("always", module=r"PIL\.")
        warnings.simplefilter("ignore", DeprecationWarning)
        printer = warnings.showwarning = WarningPrinter(options)
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
        finally:
            printer.finish()


def _fail(options: argparse.Namespace, error, status: int) -> int:
    print_error(options, error)
    return status
