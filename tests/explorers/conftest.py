"""What the tests of explorers share."""

import pytest

from mrcnn_edu.explorers.toolkit.upload import PHOTOS


@pytest.fixture(autouse=True)
def no_photographs_of_other_tests():
    yield
    PHOTOS.forget()
