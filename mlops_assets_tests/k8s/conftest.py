"""Fixtures of these tests."""

from mlops_assets_tests.serving.conftest import negative_model, positive_model

__all__ = ["negative_model", "positive_model"]
