"""The equation card: each symbol of an equation beside its shape, its line of code and its value in a live run."""

import importlib
import inspect
import re
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType

import torch


@dataclass(frozen=True)
class Row:
    """One symbol.

    symbol   in LaTeX, without the dollars
    meaning  a few words
    value    its tensor in the live run
    shape    letters and numbers, such as "R, 4K"; a letter means one number on the whole card
    code     what computes it, as it stands in a line of the package
    built    heading of the lesson under which it is built, or "" where it is not
    """

    symbol: str
    meaning: str
    value: torch.Tensor
    shape: str
    code: str
    built: str = ""


class CardError(AssertionError):
    """The card and the code disagree."""


class Card:
    """Rows checked against the run and the source, as a table.

    source   the module or function in which the rows' lines of code stand
    raises   CardError naming the row where a shape or a line of code disagrees
    """

    def __init__(self, source, *rows: Row):
        self.rows, self.letters = rows, {}
        for row in rows:
            self._bind(row)
        self.places = [find_line(source, row) for row in rows]

    def _bind(self, row: Row) -> None:
        dims = [dim.strip() for dim in row.shape.split(",") if dim.strip()]
        got = tuple(row.value.shape)
        if len(dims) != len(got):
            raise CardError(f"{row.symbol}: the card says ({row.shape}), the run gives {got}")
        for dim, size in zip(dims, got, strict=True):
            parsed = re.fullmatch(r"(\d*)([A-Za-z]?)", dim)
            if parsed is None or not dim:
                raise ValueError(f"{row.symbol}: {dim!r} is no dimension; write a number, a letter, or both, as in 4K")
            factor, letter = int(parsed[1] or 1), parsed[2]
            wanted = factor * (self.letters.setdefault(letter, size // factor) if letter else 1)
            if wanted != size:
                raise CardError(f"{row.symbol}: the card says {dim} = {wanted}, the run gives {size} in {got}")

    def _repr_markdown_(self) -> str:
        lines = ["| symbol | meaning | shape | now | values now | line of code |", "|---|---|---|---|---|---|"]
        for row, (path, line) in zip(self.rows, self.places, strict=True):
            now = "\u00a0×\u00a0".join(map(str, row.value.shape)) or "one number"
            shape = row.shape.replace(", ", ",\u00a0")
            link = f"[`{row.code}`]({repository()}/blob/main/{path}#L{line})"
            if row.built:
                # JupyterLab's and GitHub's name for the place of a heading.
                link += f"; [built below](#{row.built.replace(' ', '-')})"
            lines.append(f"| ${row.symbol}$ | {row.meaning} | ({shape}) | {now} | {span(row.value)} | {link} |")
        bound = ", ".join(f"{letter} = {size:,}" for letter, size in self.letters.items())
        return "\n".join([*lines, "", f"In this run {bound}."])

    def __repr__(self) -> str:
        table = [
            f"{row.symbol:10} ({row.shape}) = {tuple(row.value.shape)}  {row.meaning}  [{path}:{line}] {row.code}"
            for row, (path, line) in zip(self.rows, self.places, strict=True)
        ]
        return "\n".join(table)


def card(source, *rows: Row) -> Card:
    """The equation card of `rows`, whose lines of code stand in `source`; see Card."""
    return Card(source, *rows)


def span(value: torch.Tensor) -> str:
    """The values of a tensor in a few words."""
    value = value.detach().float()
    if value.numel() == 0:
        return "none"
    if value.numel() <= 4:
        return ", ".join(map(brief, value.flatten().tolist()))
    return f"{brief(value.min().item())} to {brief(value.max().item())}"


def brief(number: float) -> str:
    """A number to three digits; "almost 0" below a thousandth."""
    return "almost 0" if 0 < abs(number) < 1e-3 else f"{number:.3g}"


def find_line(source, row: Row) -> tuple[str, int]:
    """(path in the repository, line number) of a row's code."""
    lines, first = inspect.getsourcelines(source)
    module = source if isinstance(source, ModuleType) else importlib.import_module(source.__module__)
    path = module.__name__.replace(".", "/") + ".py"
    for number, line in enumerate(lines):
        if row.code in line.split("#")[0]:
            return path, max(first, 1) + number
    raise CardError(f"{row.symbol}: no line of {path} holds {row.code!r}")


def repository() -> str:
    """The repository's address, from the package's own metadata."""
    try:
        addresses = metadata.metadata("mrcnn_edu").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        addresses = []
    found = [address.split(",", 1)[1].strip() for address in addresses if address.startswith("Repository,")]
    return found[0] if found else ".."
