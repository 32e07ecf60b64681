"""Image files of every kind, and the errors for those that are none."""

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mrcnn_edu.datasets import ImageFileError, read_image

GREY = np.array([[0, 51], [102, 255]], np.uint8)


def test_grey_becomes_three_equal_channels(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    image = read_image(tmp_path / "grey.png")
    assert image.shape == (3, 2, 2) and image.dtype == torch.float32
    for channel in image:
        assert torch.allclose(channel, torch.tensor([[0.0, 0.2], [0.4, 1.0]]))


def test_transparent_parts_show_white(tmp_path):
    pixels = np.zeros((1, 2, 4), np.uint8)
    pixels[0, 0] = 255, 0, 0, 255
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    assert torch.equal(read_image(tmp_path / "rgba.png"), torch.tensor([[[1.0, 1]], [[0, 1]], [[0, 1]]]))


def test_sixteen_bits_keep_their_range(tmp_path):
    values = np.array([[0, 13107], [32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    image = read_image(tmp_path / "deep.png")
    assert torch.allclose(image[0], torch.tensor(values.astype(np.float32) / 65535))
    assert torch.equal(image[0], image[2])


def test_palette(tmp_path):
    picture = Image.fromarray(np.array([[0, 1]], np.uint8), mode=None).convert("P")
    picture.putdata([0, 1])
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.save(tmp_path / "palette.png")
    assert torch.equal(read_image(tmp_path / "palette.png")[:, 0], torch.tensor([[1.0, 0], [0, 0], [0, 1]]))


@pytest.mark.parametrize(("mode", "pixel"), [("1", 1), ("LA", (255, 255)), ("CMYK", (0, 0, 0, 0)), ("F", 1.0)])
def test_other_modes_read_white_as_white(tmp_path, mode, pixel):
    path = tmp_path / ("white.tif" if mode in ("CMYK", "F") else "white.png")
    Image.new(mode, (3, 2), pixel).save(path)
    assert torch.equal(read_image(path), torch.ones(3, 2, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_carried_out(tmp_path, orientation):
    stored = np.zeros((16, 32), np.uint8)
    stored[:8, :16] = 255
    picture, exif = Image.fromarray(stored), Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "turned.jpg")[0]
    height, width = image.shape
    assert (height, width) == ((16, 32) if orientation <= 4 else (32, 16))
    # Which corner of the stored picture's bright top left quarter is seen where, by the EXIF standard.
    bottom, right = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[
        orientation
    ]
    quarter = image[bottom * height // 2 :, right * width // 2 :][: height // 2, : width // 2]
    assert quarter.mean() > 0.95 and image.mean() < 0.3


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1333, 20), (20, 1333)])
def test_extreme_sizes(tmp_path, width, height):
    Image.new("RGB", (width, height), (255, 0, 0)).save(tmp_path / "thin.png")
    assert read_image(tmp_path / "thin.png").shape == (3, height, width)
    assert max(read_image(tmp_path / "thin.png", max_side=100).shape[1:]) == min(100, max(width, height))


def test_reduced_picture_keeps_its_mean(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    small = read_image(tmp_path / "noise.png", max_side=20)
    assert small.shape == (3, 15, 20)
    assert torch.allclose(small.mean(), torch.tensor(pixels.mean() / 255, dtype=torch.float32), atol=0.01)


def truncated_jpeg(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])


def truncated_png(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        path.with_suffix(".png")
    )
    path.write_bytes(path.with_suffix(".png").read_bytes()[:900])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (truncated_jpeg, ImageFileError, "truncated or damaged.*save it again"),
        (truncated_png, ImageFileError, "truncated or damaged.*save it again"),
        (lambda path: path.write_text("<html>not found</html>"), ImageFileError, "no image.*<html>"),
        (lambda path: path.write_bytes(b""), ImageFileError, "the file is empty"),
        (lambda path: path.mkdir(), ImageFileError, "a folder"),
        (lambda path: None, FileNotFoundError, "no such image file.*check the name"),
        (
            lambda path: Image.fromarray(np.full((2, 2), 7e4, np.float32)).save(path, format="TIFF"),
            ImageFileError,
            "floats.*to 70000, expected 0 to 1, 255",
        ),
    ],
    ids=["truncated jpeg", "truncated png", "no image", "empty", "folder", "missing", "unknown range"],
)
def test_what_cannot_be_read_is_named_with_the_fix(tmp_path, make, error, message):
    path = tmp_path / "photo.jpg"
    make(path)
    with pytest.raises(error, match=message) as caught:
        read_image(path)
    assert "photo.jpg" in str(caught.value)


@pytest.mark.parametrize(
    "error", [KeyError(34), IndexError("list"), NotImplementedError(), ZeroDivisionError("by zero")]
)
def test_whatever_pillow_raises_is_told_with_the_files_name(tmp_path, monkeypatch, error):
    path = tmp_path / "photo.png"
    Image.new("RGB", (4, 4)).save(path)

    def fail(*given):
        raise error

    monkeypatch.setattr("mrcnn_edu.datasets.files.ImageOps.exif_transpose", fail)
    with pytest.raises(ImageFileError, match="photo.png: the image is truncated or damaged"):
        read_image(path)


def encoded(kind):
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, format=kind, **({"exif": exif} if kind != "GIF" else {}))
    return stream.getvalue()


ENCODED = {kind: encoded(kind) for kind in ("JPEG", "PNG", "TIFF", "GIF")}


@pytest.mark.filterwarnings("ignore")
@given(
    st.sampled_from(sorted(ENCODED)),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
)
def test_damaged_files_are_read_or_refused_by_name(kind, keep, changes):
    body = bytearray(ENCODED[kind])
    for where, value in changes:
        body[int(where * (len(body) - 1))] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.img"
        path.write_bytes(body[: round(keep * len(body))])
        try:
            image = read_image(path)
        except ImageFileError as error:
            assert "photo.img" in str(error)
        else:
            assert image.shape[0] == 3 and bool(torch.isfinite(image).all())
