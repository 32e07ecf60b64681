"""python -m mrcnn_edu check-data"""

from __future__ import annotations

import argparse
import sys

from ..recipes import recipe
from .shared import config_changes, network_changes, open_data
from .words import for_command_line


def run(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu check-data"""
    from ...datasets import check_dataset

    config = _config(options)
    dataset = open_data(options, faulty="report")
    report = check_dataset(dataset, options.limit, sys.stderr.isatty(), config)
    print(for_command_line(str(report), options))
    return 0 if report.ok else 1


def _config(options: argparse.Namespace):
    """The settings of the model that `train` would make of the same options."""
    from ...model import preset

    plan = recipe(options.data)
    name = options.preset or plan.preset
    changes = config_changes(options, plan.config if name == plan.preset else {})
    changes |= network_changes(options, preset(name))
    return preset(name, **changes)
