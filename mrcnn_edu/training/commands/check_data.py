"""python -m mrcnn_edu check-data"""

from __future__ import annotations

import argparse
import sys
import warnings

from .shared import open_data


def run(options: argparse.Namespace) -> int:
    """python -m mrcnn_edu check-data"""
    from ...datasets import check_dataset

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        dataset = open_data(options, faulty="drop")
    report = check_dataset(dataset, limit=options.limit, progress=sys.stderr.isatty())
    print(report)
    for warning in caught:
        print(f"  fault: {warning.message}")
    return 0 if report.ok and not caught else 1
