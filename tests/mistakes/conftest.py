"""What every test of mistakes needs."""

import pytest

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.mistakes import switched_on
from mrcnn_edu.model import load_weights


@pytest.fixture(scope="module")
def model():
    return load_weights("lesson")


@pytest.fixture(scope="module")
def scenes():
    dataset = load_dataset("shapes", split="val", length=2)
    return [dataset[index] for index in range(2)]


@pytest.fixture(autouse=True)
def nothing_stays_on():
    yield
    left = switched_on()
    for swap in left:
        swap.off()
    assert left == []
