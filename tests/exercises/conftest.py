"""What every test of exercises needs."""

import pytest


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A busy machine must not lose scenes on which a function is priced: the sentences name their number."""
    monkeypatch.setattr("mrcnn_edu.exercises.price.PATIENCE", 1e6)
