"""Values of more than 8 bits: scaled by the range that they have, and said; or refused by name."""

import warnings

import numpy as np
import pytest
from PIL import Image

from mrcnn_edu.datasets import ImageFileError, read_image
from tests.datasets.deep_files import twelve_bits_packed, write_png, write_tiff

STEPS = np.array([[0, 1000, 2000], [3000, 4000, 4095]])


def read(path):
    """The red channel of a picture and the warnings that reading it gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = read_image(path)
    assert all(str(path) in str(warning.message) for warning in caught)
    return image[0].numpy(), [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("code", "bits"),
    [("<u2", 16), (">u2", 16), ("<i2", 16), (">i2", 16), ("<u4", 32), ("<i4", 32), (">i4", 32)],
)
@pytest.mark.parametrize(("white", "real"), [(255, 8), (4095, 12)])
def test_integers_are_scaled_by_their_real_range(tmp_path, code, bits, white, real):
    path, values = tmp_path / "deep.tif", np.round(STEPS * (white / 4095))
    write_tiff(path, values, code)
    image, said = read(path)
    assert np.allclose(image, values / white, atol=1e-6)
    assert len(said) == 1 and f"{real}-bit values in a {bits}-bit file (the largest is {white})" in said[0]


def test_sixteen_bits_in_thirty_two_are_scaled_and_said(tmp_path):
    write_tiff(tmp_path / "deep.tif", STEPS * 16, "<i4")
    image, said = read(tmp_path / "deep.tif")
    assert np.allclose(image, STEPS * 16 / 65535) and "16-bit values in a 32-bit file" in said[0]


@pytest.mark.parametrize("code", ["<u2", ">u2"])
def test_the_full_range_of_sixteen_bits_is_read_as_ever_and_without_a_word(tmp_path, code):
    values = STEPS * 16
    write_tiff(tmp_path / "full.tif", values, code)
    write_png(tmp_path / "full.png", values)
    for name in ("full.tif", "full.png"):
        image, said = read(tmp_path / name)
        assert np.array_equal(image, (values.astype(np.float32) / 65535).astype(np.float32)) and said == []


def test_twelve_bits_that_the_file_declares_are_no_guess(tmp_path):
    dark = STEPS // 20 * 2
    write_tiff(tmp_path / "packed.tif", np.hstack([dark, dark]), "<u2", 12, twelve_bits_packed(np.hstack([dark, dark])))
    image, said = read(tmp_path / "packed.tif")
    assert np.allclose(image[:, :3], dark / 4095) and said == []


def test_a_black_picture_is_black_and_nothing_is_said(tmp_path):
    write_png(tmp_path / "black.png", np.zeros((2, 3)))
    write_png(tmp_path / "black_colour.png", np.zeros((2, 3, 3)))
    for name in ("black.png", "black_colour.png"):
        image, said = read(tmp_path / name)
        assert not image.any() and not [line for line in said if "values" in line]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("white", "real"), [(255, 8), (4095, 12)])
def test_colours_of_twelve_bits_in_sixteen_are_not_black(tmp_path, channels, white, real):
    values = np.round(np.stack([STEPS, STEPS // 2, STEPS // 4, STEPS * 0 + 4095][:channels], axis=2) * (white / 4095))
    if channels == 4:
        values[:, :, 3] = 65535
    write_png(tmp_path / "colour.png", values)
    image, said = read(tmp_path / "colour.png")
    assert np.abs(image - values[:, :, 0] / white).max() <= 0.5 / 255 + 1e-6
    assert f"{real}-bit values in a 16-bit file" in said[0] and len(said) == 1


@pytest.mark.parametrize("code", ["<u2", ">u2"])
def test_colours_of_twelve_bits_in_a_tiff(tmp_path, code):
    write_tiff(tmp_path / "colour.tif", np.stack([STEPS, STEPS // 2, STEPS // 4], axis=2), code)
    image, said = read(tmp_path / "colour.tif")
    assert np.abs(image - STEPS / 4095).max() <= 0.5 / 255 + 1e-6 and "12-bit values in a 16-bit file" in said[0]


def test_an_alpha_of_twelve_bits_is_as_opaque_as_it_was_meant(tmp_path):
    write_png(tmp_path / "colour.png", np.stack([STEPS] * 3 + [STEPS * 0 + 4095], axis=2))
    image, _ = read(tmp_path / "colour.png")
    assert np.abs(image - STEPS / 4095).max() <= 0.5 / 255 + 1e-6


def test_colours_of_the_full_range_are_read_as_pillow_reads_them(tmp_path):
    values = np.stack([STEPS * 16, STEPS * 8, STEPS * 4], axis=2)
    write_png(tmp_path / "colour.png", values)
    image, said = read(tmp_path / "colour.png")
    assert np.array_equal(image, (values[:, :, 0] // 256).astype(np.float32) / np.float32(255)) and said == []


def test_grey_with_alpha_whose_lower_bytes_cannot_be_had_is_named(tmp_path):
    write_png(tmp_path / "grey.png", np.stack([STEPS, STEPS * 0 + 65535], axis=2))
    image, said = read(tmp_path / "grey.png")
    assert image.max() < 0.1 and "nearly black; save it with 8 bits" in said[0]


@pytest.mark.parametrize(("white", "real"), [(255, 8), (4095, 12), (65535, 16)])
def test_floats_of_whole_levels_are_scaled_and_said(tmp_path, white, real):
    values = (STEPS * (white / 4095)).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "levels.tif")
    image, said = read(tmp_path / "levels.tif")
    assert np.allclose(image, STEPS / 4095, atol=1e-6) and f"{real}-bit values in a file of floats" in said[0]


def test_floats_from_0_to_1_stay_also_with_rounding(tmp_path):
    values = np.array([[-1e-6, 0.25], [0.5, 1 + 1e-6]], np.float32)
    Image.fromarray(values).save(tmp_path / "unit.tif")
    image, said = read(tmp_path / "unit.tif")
    assert np.array_equal(image, values.clip(0, 1)) and said == []


@pytest.mark.parametrize(
    ("values", "code", "message"),
    [
        ([[0.0, np.nan]], "<f4", "1 pixel values are not finite"),
        ([[0.0, np.inf]], "<f4", "1 pixel values are not finite"),
        ([[-0.5, 1.0]], "<f4", "run from -0.5 to 1, expected 0 to 1"),
        ([[0.0, 1.5]], "<f4", "run from 0 to 1.5, expected 0 to 1"),
        ([[-3, 100]], "<i2", "16-bit integers.*run from -3 to 100, expected 0 to 255"),
        ([[0, 70000]], "<i4", "32-bit integers.*run from 0 to 70000, expected 0 to 255"),
        ([[0, 2**32 - 1]], "<u4", "32-bit integers"),
        ([[0.0, 1.0]], "<f8", "TIFF file of a kind that Pillow cannot read"),
    ],
)
def test_values_without_a_known_range_are_refused_by_name_with_a_fix(tmp_path, values, code, message):
    write_tiff(tmp_path / "odd.tif", values, code)
    with pytest.raises(ImageFileError, match=message) as caught:
        read_image(tmp_path / "odd.tif")
    assert "odd.tif" in str(caught.value) and "with 8 or 16 bits a channel" in str(caught.value)


@pytest.mark.parametrize("name", ["pages.tif", "frames.gif"])
def test_pages_that_are_not_read_are_counted(tmp_path, name):
    first, second = Image.new("L", (4, 3), 255), Image.new("L", (4, 3), 0)
    first.save(tmp_path / name, save_all=True, append_images=[second, first])
    image, said = read(tmp_path / name)
    assert (image == 1).all() and len(said) == 1 and "3 pages or frames, and the first is read" in said[0]
