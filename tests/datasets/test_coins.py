"""The coins: our outlines lie on the photograph's coins."""

import numpy as np
import pytest
from scipy import ndimage

from mrcnn_edu.datasets import check_dataset, load_dataset
from mrcnn_edu.datasets.files import data_folder


@pytest.fixture(scope="module")
def coins():
    return load_dataset("coins")


def test_one_photograph_with_24_coins(coins):
    image, target = coins[0]
    assert len(coins) == 1 and image.shape == (3, 303, 384)
    assert coins.class_names == ("background", "coin") and target["labels"].tolist() == [1] * 24
    assert coins.describe(0) == "coins.png"
    report = check_dataset(coins)
    assert report.ok, str(report)


def test_coins_are_apart_and_of_plausible_size(coins):
    masks = coins[0][1]["masks"].numpy()
    assert masks.sum(axis=0).max() == 1
    diameters = 2 * np.sqrt(masks.sum(axis=(1, 2)) / np.pi)
    assert 34 <= diameters.min() and diameters.max() <= 66


def test_every_outline_follows_an_edge_all_the_way_round(coins):
    image, target = coins[0]
    grey = image[0].numpy()
    for number, mask in enumerate(target["masks"].numpy().astype(bool)):
        inside = mask & ~ndimage.binary_erosion(mask, iterations=3)
        outside = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_dilation(mask)
        rows, columns = np.nonzero(mask)
        centre = rows.mean(), columns.mean()
        y, x = np.indices(mask.shape)
        sector = ((np.arctan2(y - centre[0], x - centre[1]) + np.pi) / (2 * np.pi) * 8).astype(int) % 8
        for part in range(8):
            here = sector == part
            step = grey[inside & here].mean() - grey[outside & here].mean()
            assert step > 0.04, f"coin {number + 1}, sector {part}: bright inside by {step:.3f} only"


def test_reduced_coins(coins):
    image, target = load_dataset("coins", max_side=128)[0]
    assert image.shape == (3, 101, 128) and len(target["labels"]) == 24


def test_absent_data_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("mrcnn_edu.datasets.files.PACKAGE_ROOT", tmp_path / "mrcnn_edu")
    with pytest.raises(FileNotFoundError, match="data folder is neither at .* nor at .*complete clone"):
        data_folder()
