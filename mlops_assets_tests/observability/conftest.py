"""Fixtures of these tests."""

from mlops_assets_tests.serving.conftest import positive_model

__all__ = ["positive_model"]
