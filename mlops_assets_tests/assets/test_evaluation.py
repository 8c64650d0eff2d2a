"""Which rows a champion was trained on, as its version in the registry says."""

import pytest

from mlops_assets.assets import evaluation
from mlops_assets.errors import RegistryError
from mlops_assets.modeling.mlflow_registry import RegisteredVersion


@pytest.mark.parametrize("tags", [{}, {"mlops.split": "by hand"}], ids=["none", "of_another"])
def test_a_champion_that_somebody_registered_by_hand_is_named(tags: dict[str, str]) -> None:
    """The step failed with a KeyError."""
    version = RegisteredVersion(
        name="churn", version=3, model_digest="", uri="", mlflow_run_id="", tags=tags
    )
    with pytest.raises(RegistryError, match=r"churn v3 is champion, and its tag mlops\.split"):
        evaluation._split_of(version)
