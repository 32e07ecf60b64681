"""What is wrong with data, as one record each, and as a report that stays readable with ten thousand of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# Of many faults of one kind, so many are written out; of many kinds, so many get a line.
SHOWN, KINDS = 3, 25
MOST_OF_A_VALUE = 60


class DatasetError(ValueError):
    """A data set or sample that would poison training; the message names image, object, field and fix."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, or, as a note, one that is worth knowing.

    image    the image's name, or the annotation file's
    object   which object of the image, such as "annotation id 17" or "object 3"; empty if it concerns the image
    field    "image", "boxes", "labels", "masks", "image_id" or "file"; of a COCO file, the field's own name
    problem  what is wrong, with the value
    fix      what to do, in the same words for every fault of a kind
    """

    image: str
    object: str
    field: str
    problem: str
    fix: str

    @property
    def where(self) -> str:
        """The image, and the object if there is one."""
        return f"{self.image}, {self.object}" if self.object else self.image

    def __str__(self) -> str:
        named = self.problem.startswith((self.field, 'field "'))
        return f"{self.where}: {'' if named else self.field + ': '}{self.problem}; {self.fix}"


@dataclass
class Report:
    """What `check_dataset` found; `str(report)` is for people.

    name     the data set's name
    images   number of images looked at
    objects  number of objects in them
    faults   what would poison training, each on its own
    notes    what is allowed but worth knowing, such as images without objects
    """

    name: str
    images: int = 0
    objects: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.faults

    def __str__(self) -> str:
        verdict = "no faults" if self.ok else f"{len(self.faults)} fault{'s' if len(self.faults) > 1 else ''}"
        lines = [f"{self.name}: {self.images} images, {self.objects} objects, {verdict}"]
        lines += [f"  fault: {line}" for line in grouped(self.faults)]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def raise_if_faulty(self) -> None:
        """Raise DatasetError with the report's text if there is a fault."""
        if not self.ok:
            raise DatasetError(str(self))


def grouped(faults: Iterable[Fault]) -> list[str]:
    """The faults as lines of text: many of one kind are one line with their number and the first three.

    Two faults are of one kind if they concern one field and ask for one fix.
    """
    kinds: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        kinds.setdefault((fault.field, _plain(fault.fix, fault.image)), []).append(fault)
    lines = [_line(same) for same in kinds.values()]
    if len(lines) > KINDS:
        more = sum(len(same) for same in list(kinds.values())[KINDS:])
        lines[KINDS:] = [f"and {more} more, of {len(kinds) - KINDS} other kinds"]
    return lines


def short(value: object) -> str:
    """A value as it stands in a file, cut where it is too long for a message."""
    text = repr(value)
    return text if len(text) <= MOST_OF_A_VALUE else text[:MOST_OF_A_VALUE] + "…"


def numbers(values: Iterable[float]) -> str:
    """Coordinates for a message, such as (2, 1, 8.5, 5)."""
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"


def file_fault(image: str, error: Exception) -> Fault:
    """The fault that an error of reading an image's file tells of; its message ends in the fix, after a semicolon."""
    problem, mark, fix = str(error).rpartition("; ")
    return Fault(image, "", "file", problem if mark else fix, fix if mark else "repair or remove this image")


def _line(same: list[Fault]) -> str:
    if len(same) == 1:
        return str(same[0])
    first = same[0]
    one_problem = all(fault.problem == first.problem for fault in same)
    shown = [fault.where if one_problem else f"{fault.where}: {fault.problem}" for fault in same[:SHOWN]]
    if len(same) > SHOWN:
        shown.append(f"and {len(same) - SHOWN} more")
    problem = f"{first.problem} (" if one_problem else "("
    return f"{first.field}, {len(same)} times: {problem}{'; '.join(shown)}); {first.fix}"


def _plain(fix: str, image: str) -> str:
    """The fix without names and numbers: what remains is the same for every fault of a kind."""
    stem = re.split(r"[\\/]", image)[-1].rpartition(".")[0]
    return re.sub(r"\d+", "0", fix.replace(stem, "") if stem else fix)
