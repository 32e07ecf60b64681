"""Tables on disk that grow while a run goes on: losses.csv and metrics.csv."""

from __future__ import annotations

import csv
import io
import os
from contextlib import suppress
from pathlib import Path


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def read_table(path: str | Path) -> list[dict]:
    """Rows of a table as dicts of numbers. A last line that a killed run left half written is left out."""
    text = Path(path).read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(io.StringIO(whole))]


class Table:
    """A CSV file with one header line, appended to row by row.

    path      the file, or None to keep the rows only in memory
    columns   names; the first one is "step" and rises from row to row
    keep      rows with a step above this one are dropped when the file is opened; None starts a new table
    raises    ValueError if the file on disk has other columns; OSError, naming the file, if it cannot be written
    """

    def __init__(self, path: Path | None, columns: tuple[str, ...], keep: int | None = None):
        self.path, self.columns, self.rows, self.file = path, columns, [], None
        if path is None:
            return
        if keep is not None and path.exists():
            rows = read_table(path)
            if rows and tuple(rows[0]) != columns:
                raise ValueError(f"{path}: columns are {', '.join(rows[0])}, expected {', '.join(columns)}: "
                                 "it is of another version; move it away")  # fmt: skip
            self.rows = [row for row in rows if row["step"] <= keep]
        # The new file takes the old one's place in one move, so that a kill in between loses no row.
        fresh = path.with_name(path.name + ".tmp")
        with self._opened(fresh, "w"):
            self._write([columns, *(row.values() for row in self.rows)])
            self.sync()
        os.replace(fresh, path)
        self._opened(path, "a")

    def _opened(self, path: Path, mode: str):
        self.file = open(path, mode, newline="", encoding="utf-8")
        self.writer = csv.writer(self.file, lineterminator="\n")
        return self.file

    def append(self, row: dict) -> None:
        """Add one row; it is on its way to the disk when this returns."""
        row = {name: row[name] for name in self.columns}
        self.rows.append(row)
        if self.file is not None:
            self._write([row.values()])

    def sync(self) -> None:
        """Wait until every row is on the disk."""
        if self.file is not None:
            try:
                os.fsync(self.file.fileno())
            except OSError as error:
                raise self._failed(error) from error

    def close(self) -> None:
        """Close the file; the rows stay in memory."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def _write(self, lines) -> None:
        try:
            self.writer.writerows(lines)
            self.file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OSError:
        # What is still in the buffer is lost anyway; closing would only fail once more, and hide this error.
        file, self.file = self.file, None
        with suppress(OSError):
            file.close()
        return OSError(error.errno, f"cannot write {self.path}: {error.strerror}; free some space")
