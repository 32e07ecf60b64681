import errno

import pytest

from mrcnn_edu.training import read_table
from mrcnn_edu.training.tables import Table

from .test_checkpoint import FullDisk


def fill(path, steps, keep=None):
    table = Table(path, ("step", "loss"), keep)
    for step in steps:
        table.append({"loss": step / 3, "step": step})
    table.close()
    return table


def test_rows_read_back_exactly(tmp_path):
    table = fill(tmp_path / "losses.csv", range(1, 5))
    assert read_table(tmp_path / "losses.csv") == table.rows == [{"step": s, "loss": s / 3} for s in range(1, 5)]


@pytest.mark.parametrize("keep", [0, 2, 4, 9])
def test_rows_after_the_checkpoint_are_dropped_none_lost_or_doubled(tmp_path, keep):
    path = tmp_path / "losses.csv"
    fill(path, range(1, 5))
    kept = min(keep, 4)
    fill(path, range(kept + 1, 7), keep)
    assert [row["step"] for row in read_table(path)] == list(range(1, 7))


def test_a_last_line_that_was_cut_does_not_count(tmp_path):
    path = tmp_path / "losses.csv"
    fill(path, range(1, 5))
    path.write_text(path.read_text()[:-3])
    assert [row["step"] for row in read_table(path)] == [1, 2, 3]
    fill(path, [4], keep=4)
    assert [row["step"] for row in read_table(path)] == [1, 2, 3, 4]


def test_a_table_with_other_columns_is_left_alone(tmp_path):
    path = tmp_path / "losses.csv"
    path.write_text("step,other\n1,2\n")
    with pytest.raises(ValueError, match="columns are step, other, expected step, loss"):
        Table(path, ("step", "loss"), keep=1)
    assert path.read_text() == "step,other\n1,2\n"


def test_without_a_path_the_rows_stay_in_memory(tmp_path):
    table = fill(None, [1, 2])
    assert [row["step"] for row in table.rows] == [1, 2] and not list(tmp_path.iterdir())


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.open", FullDisk(30))
    with pytest.raises(OSError, match=r"cannot write .*losses.csv: No space left on device; free some space") as caught:
        fill(tmp_path / "losses.csv", range(1, 9))
    assert caught.value.errno == errno.ENOSPC


def test_nan_and_infinity_read_back_as_numbers(tmp_path):
    table = Table(tmp_path / "t.csv", ("step", "loss"))
    table.append({"step": 1, "loss": float("inf")})
    table.close()
    assert read_table(tmp_path / "t.csv") == [{"step": 1, "loss": float("inf")}]
