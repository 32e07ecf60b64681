"""Data sets by name, and batches."""

import subprocess
import sys

import pytest
import torch

from mrcnn_edu import datasets
from mrcnn_edu.datasets import Shapes, collate, load_dataset


def test_unknown_names_are_told_what_exists():
    with pytest.raises(ValueError, match="no data set 'cats'; choose one of shapes, coins, fruits_nuts"):
        load_dataset("cats")
    with pytest.raises(ValueError, match="split: 'test' is neither"):
        load_dataset("shapes", "test")
    with pytest.raises(AttributeError, match="nothing_here"):
        datasets.nothing_here  # noqa: B018


def test_options_reach_the_data_set():
    val = load_dataset("shapes", "val", length=7, size=64, seed=5)
    assert len(val) == 7 and val[0][0].shape == (3, 64, 64) and val.seed != load_dataset("shapes", "val").seed


def test_every_public_name_exists():
    assert all(getattr(datasets, name) is not None for name in datasets.__all__)
    assert set(datasets.__all__) <= set(dir(datasets))


def test_importing_the_package_loads_no_data_set():
    code = (
        "import sys, mrcnn_edu.datasets; "
        "heavy = {'skimage', 'pycocotools', 'pooch', 'matplotlib', 'ipywidgets'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "assert 'mrcnn_edu.datasets.shapes' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_collate_keeps_sizes_and_empty_images():
    batch = [Shapes(size=64)[0], Shapes(max_objects=0)[1]]
    images, targets = collate(batch)
    assert [tuple(image.shape) for image in images] == [(3, 64, 64), (3, 128, 128)]
    assert len(targets[1]["labels"]) == 0
    assert collate([]) == ([], [])


def test_data_loader_with_workers_gives_the_same_scenes():
    dataset = Shapes(length=6, seed=2)
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=2, collate_fn=collate)
    images = [image for batch, _ in loader for image in batch]
    assert all(torch.equal(a, b) for a, (b, _) in zip(images, dataset, strict=True))
