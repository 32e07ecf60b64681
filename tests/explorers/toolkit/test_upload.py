"""The reader's own picture: both shapes of FileUpload's value, and files that are none."""

import io

import pytest
from PIL import Image

from mrcnn_edu.explorers.toolkit.upload import LONGEST, Upload, files


class Album:
    def __init__(self):
        self.pictures = {}

    def add(self, name, image):
        self.pictures[name] = image


def png(width=30, height=20) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "#804020").save(buffer, "PNG")
    return buffer.getvalue()


def test_both_shapes_of_the_value_are_read():
    seven = {"a.png": {"metadata": {}, "content": b"x"}}
    eight = ({"name": "a.png", "content": memoryview(b"x"), "size": 1},)
    assert files(seven) == files(eight) == [("a.png", b"x")]
    assert files({}) == files(()) == []


def test_a_chosen_picture_reaches_the_explorer():
    album = Album()
    upload = Upload(album)
    upload._chosen({"new": ({"name": "plate.png", "content": memoryview(png())},)})
    assert album.pictures["plate.png"].shape == (3, 20, 30)
    assert "plate.png is shown" in upload.message.value


@pytest.mark.parametrize("content", [b"", b"no image", png()[:40]])
def test_a_file_that_is_no_picture_is_named_and_nothing_breaks(content):
    album = Album()
    upload = Upload(album)
    upload._chosen({"new": ({"name": "<plate>.png", "content": content},)})
    assert album.pictures == {} and "&lt;plate&gt;.png" in upload.message.value and "alert" in upload.message.value


def test_a_large_photograph_is_reduced(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(png(2 * LONGEST, 100))
    album = Album()
    Upload(album, path)
    assert max(album.pictures["large.png"].shape) == LONGEST


def test_a_path_that_leads_nowhere_is_named(tmp_path):
    with pytest.raises((ValueError, OSError), match="gone.png"):
        Upload(Album(), tmp_path / "gone.png")
