"""The progress file: whatever lies in its place is not lost, nothing is raised, and one line says what became of it."""

import json
import os
from pathlib import Path

import pytest

from mrcnn_edu.exercises import progress
from mrcnn_edu.exercises.base import record as ledger

OURS = "touching_coins"


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Where the progress file is to be; its folder is there, the file is not."""
    monkeypatch.setenv("MRCNN_EDU_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and what it holds; a folder counts as a file without content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def said(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


DAMAGED = {
    "no JSON": b"{not json",
    "half of it": b'{"a": "right", "b": "tri',
    "no text": b"\xff\xfe\x00\x01",
    "a list": b'["right"]',
    "a number": b"3",
    "deeper than Python reads": b"[" * 100_000,
    "a number for a state": b'{"a": "right", "b": 3}',
    "an unknown state": b'{"a": "right", "b": "half"}',
    "a list for a state": b'{"a": "right", "b": ["tried"]}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_kept_beside_the_new_one(place, content, capsys):
    place.write_bytes(content)
    ledger.record(OURS, "right")
    (line,) = said(capsys)
    assert "could not be read" in line and "kept as progress.unreadable.json" in line
    assert (place.parent / "progress.unreadable.json").read_bytes() == content
    assert json.loads(place.read_text())[OURS] == "right"
    assert sorted(tree(place.parent)) == ["progress.json", "progress.unreadable.json"]


def test_a_second_and_a_third_damaged_file_leave_the_first_alone(place, capsys):
    for number in range(3):
        place.write_text(f"damaged {number}")
        ledger.record(OURS, "tried")
    kept = [content for name, content in tree(place.parent).items() if "unreadable" in name]
    assert sorted(kept) == [b"damaged 0", b"damaged 1", b"damaged 2"]
    assert len(said(capsys)) == 3


def test_what_can_be_read_of_a_damaged_file_still_counts(place, capsys):
    place.write_text('{"a": "right", "b": 3}')
    ledger.record(OURS, "tried")
    assert json.loads(place.read_text()) == {"a": "right", OURS: "tried"}


@pytest.mark.parametrize("content", [*DAMAGED.values(), b"", b" \n"])
def test_looking_at_the_progress_changes_nothing(place, content, capsys):
    place.write_bytes(content)
    progress(0)
    first, *others = said(capsys)
    assert "could not be read" in first and others[0].startswith("Lesson 00: 0 of")
    assert tree(place.parent) == {"progress.json": content}


@pytest.mark.parametrize("content", [b"", b" \n"])
def test_an_empty_file_is_begun_anew_and_not_kept(place, content, capsys):
    place.write_bytes(content)
    ledger.record(OURS, "right")
    assert len(said(capsys)) == 1
    assert list(tree(place.parent)) == ["progress.json"] and json.loads(place.read_text()) == {OURS: "right"}


def test_a_file_that_an_editor_marked_as_utf_8_is_read(place, capsys):
    place.write_bytes(b"\xef\xbb\xbf" + json.dumps({OURS: "right"}).encode())
    assert ledger.read() == {OURS: "right"} and said(capsys) == []


def a_folder(place):
    place.mkdir()
    (place / "notes.txt").write_text("mine")


def a_pipe(place):
    os.mkfifo(place)


def a_circle_of_links(place):
    place.symlink_to(place.name)


@pytest.mark.parametrize("make", [a_folder, a_pipe, a_circle_of_links])
def test_what_is_no_file_stays_as_it_is(place, make, capsys):
    make(place)
    before = tree(place.parent)
    assert ledger.read() == {}
    ledger.record(OURS, "right")
    first, second = said(capsys)
    assert first == second and str(place) in first and "let MRCNN_EDU_PROGRESS name another file" in first
    assert tree(place.parent) == before and not place.is_file()


def test_a_device_is_not_replaced(place, monkeypatch, capsys):
    monkeypatch.setenv("MRCNN_EDU_PROGRESS", os.devnull)
    ledger.record(OURS, "right")
    assert len(said(capsys)) == 1 and Path(os.devnull).is_char_device()


@pytest.mark.parametrize("named", ["~no_such_user_at_all/progress.json", "~no_such_user_at_all"])
def test_the_home_of_nobody_is_said_and_not_made(place, named, monkeypatch, capsys):
    monkeypatch.chdir(place.parent)
    monkeypatch.setenv("MRCNN_EDU_PROGRESS", named)
    assert ledger.read() == {}
    ledger.record(OURS, "right")
    first, second = said(capsys)
    assert first == second and named in first
    assert tree(place.parent) == {}


def test_a_file_that_cannot_be_opened_is_not_replaced(place, monkeypatch, capsys):
    """Who may not read a file may still replace it, where its folder can be written."""
    place.write_text('{"a": "right"}')

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        ledger.record(OURS, "right")
    (line,) = said(capsys)
    assert "Permission denied" in line and tree(place.parent) == {"progress.json": b'{"a": "right"}'}


@pytest.mark.parametrize("content", [b'{"a": "right"}', b"{not json"])
def test_a_read_only_file_stays(place, content, capsys):
    place.write_bytes(content)
    place.chmod(0o444)
    ledger.record(OURS, "right")
    (line,) = said(capsys)
    assert "could not be saved" in line and "read-only" in line
    assert tree(place.parent) == {"progress.json": content}


def test_a_folder_that_is_a_file_does_not_stop_the_lesson(place, monkeypatch, capsys):
    place.write_text("mine")
    monkeypatch.setenv("MRCNN_EDU_PROGRESS", str(place / "progress.json"))
    ledger.record(OURS, "right")
    assert len(said(capsys)) == 1 and place.read_text() == "mine"


@pytest.mark.parametrize("content", [b'{"a": "right"}', b"{not json"])
def test_a_full_disk_leaves_the_old_file_under_its_name(place, content, monkeypatch, capsys):
    place.write_bytes(content)

    def full(*given, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger.json, "dump", full)
    ledger.record(OURS, "right")
    (line,) = said(capsys)
    assert "could not be saved (No space left on device)" in line
    assert tree(place.parent) == {"progress.json": content}


def test_a_link_stays_a_link(place, capsys):
    target = place.parent / "kept elsewhere.json"
    target.write_text('{"a": "right"}')
    place.symlink_to(target)
    ledger.record(OURS, "right")
    assert place.is_symlink() and json.loads(target.read_text()) == {"a": "right", OURS: "right"}
    assert said(capsys) == []


def test_a_good_file_is_read_and_written_without_a_word(place, capsys):
    ledger.record("a", "tried")
    ledger.record("a", "right")
    ledger.record("a", "tried")
    assert ledger.read() == {"a": "right"} and said(capsys) == []
