"""What commands say on standard error: errors in one line, and of many warnings of one kind the first and a count."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter

from .words import for_command_line

# Of one kind of warning so many are printed, each with its file; the rest is counted.
SHOWN = 3


def print_error(options: argparse.Namespace, error: object) -> None:
    """One line that says what went wrong, in the command's own options."""
    message = " ".join(for_command_line(str(error), options).split())
    print(f"{options.command}: error: {message}", file=sys.stderr)


class WarningPrinter:
    """What `warnings.showwarning` becomes while a command runs.

    A warning of a library about a picture that is being read gets the file's name. One text is printed once; of
    texts that differ in nothing but their file and numbers, three are.
    """

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.texts: set[str] = set()
        self.kinds: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def __call__(self, message, *_) -> None:
        text = " ".join(for_command_line(_with_file(str(message)), self.options).split())
        if text in self.texts:
            return
        self.texts.add(text)
        kind = re.sub(r"\d+", "…", text.partition(": ")[2] or text)
        self.kinds[kind] += 1
        self.first.setdefault(kind, text)
        if self.kinds[kind] <= SHOWN:
            print(f"warning: {text}", file=sys.stderr)

    def finish(self) -> None:
        """Say how many warnings were not printed."""
        for kind, count in self.kinds.items():
            if count > SHOWN:
                print(f"warning: {count - SHOWN} more of the kind: {self.first[kind]}", file=sys.stderr)
        self.kinds.clear()


def _with_file(text: str) -> str:
    from ...datasets.files import BEING_READ

    path = BEING_READ.get()
    return text if path is None or path in text else f"{path}: {text}"
