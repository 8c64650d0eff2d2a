"""Fixtures of the serving tests."""

from pathlib import Path

import pytest

from mlops_assets_tests.serving.packages import write_binary_model, write_mixed_model


@pytest.fixture(scope="session")
def positive_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packaged model; class 1 when x0 − 2·x1 + hours/2 is positive."""
    return write_binary_model(tmp_path_factory.mktemp("models") / "positive")


@pytest.fixture(scope="session")
def negative_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with the opposite answers."""
    return write_binary_model(
        tmp_path_factory.mktemp("models") / "negative", sign=-1.0, digest="b" * 64
    )


@pytest.fixture(scope="session")
def mixed_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packaged model of three named classes that takes a number, a text and a boolean."""
    return write_mixed_model(tmp_path_factory.mktemp("models") / "mixed")
