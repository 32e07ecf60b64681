"""A missing file: what may be meant is named."""

import unicodedata

import pytest

from mrcnn_edu.datasets import missing, read_image
from mrcnn_edu.datasets.missing import explain_missing


def put(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("wanted", "there", "how"),
    [
        ("photo.jpg", "inner/deep/photo.jpg", ""),
        ("images/photo.jpg", "photo.jpg", ""),
        ("train/photo.jpg", "val/photo.jpg", ""),
        ("photo.jpg", "Photo.JPG", "upper and lower case"),
        ("photo.jpg", "photo.png", "another extension"),
        ("photo.jpg", "PHOTO.jpeg", "another extension"),
        ("my%20photo.jpg", "my photo.jpg", "written in another way"),
        ("my photo.jpg", "my%20photo.jpg", "written in another way"),
        ("inner\\photo.jpg", "inner/photo.jpg", "written in another way"),
        (unicodedata.normalize("NFD", "blé.jpg"), unicodedata.normalize("NFC", "blé.jpg"), "written in another way"),
        ("photo.jpg ", "photo.jpg", "written in another way"),
        ("photo", "photo.jpg", "another extension"),
    ],
)
def test_the_file_that_may_be_meant_is_named(tmp_path, wanted, there, how):
    put(tmp_path / there)
    with pytest.raises(FileNotFoundError) as caught:
        read_image(tmp_path / wanted)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / wanted}: no such image file; there is {tmp_path / there}")
    assert how in message and "correct the name or the folder" in message


def test_the_same_name_goes_before_a_similar_one(tmp_path):
    put(tmp_path / "Photo.jpg", tmp_path / "photo.png", tmp_path / "inner" / "photo.jpg")
    assert f"there is {tmp_path / 'inner' / 'photo.jpg'};" in explain_missing(tmp_path / "photo.jpg")


def test_of_several_two_are_named_and_the_others_counted(tmp_path):
    put(*(tmp_path / folder / "photo.jpg" for folder in "abcd"))
    text = explain_missing(tmp_path / "photo.jpg")
    assert str(tmp_path / "a" / "photo.jpg") in text and "and 2 more" in text


def test_nothing_like_it(tmp_path):
    put(tmp_path / "other.jpg")
    assert explain_missing(tmp_path / "photo.jpg") == "check the name and the folder"
    assert f"there is no folder {tmp_path / 'none'}" in explain_missing(tmp_path / "none" / "photo.jpg")


def test_a_huge_folder_is_looked_through_once_and_not_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(missing, "LOOKED_AT", 50)
    put(*(tmp_path / f"a{number:04}.jpg" for number in range(80)), tmp_path / "z.jpg")
    missing._below.cache_clear()
    looked, scandir = [], missing.os.scandir
    monkeypatch.setattr(missing.os, "scandir", lambda folder: looked.append(folder) or scandir(folder))
    assert str(tmp_path / "a0007.jpg") in explain_missing(tmp_path / "A0007.jpg")
    for number in range(30):
        assert explain_missing(tmp_path / f"none{number}.jpg") == "check the name and the folder"
    assert explain_missing(tmp_path / "Z.jpg") == "check the name and the folder"
    assert looked == [str(tmp_path)]


@pytest.mark.parametrize("name", ["n" * 5000 + ".jpg", "a\0b.jpg"])
def test_names_that_no_file_can_have(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="check the name and the folder"):
        read_image(tmp_path / name)
