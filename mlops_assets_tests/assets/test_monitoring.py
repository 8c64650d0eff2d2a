"""What stands against a page costs no verdict."""

from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import polars as pl
import pytest

from mlops_assets.assets import monitoring
from mlops_assets_tests.monitoring.windows import window_of


@pytest.mark.parametrize(
    "error",
    [pl.exceptions.ColumnNotFoundError("months"), RuntimeError("MLflow is away")],
    ids=["of_the_rows", "of_the_place_where_it_is_kept"],
)
def test_a_page_that_cannot_be_made_or_kept_is_told_in_the_log(error: Exception) -> None:
    """It ended the run, and nobody was told of the windows that were judged after this one."""

    def references(_: str) -> Any:
        raise error

    record = SimpleNamespace(
        verdict=window_of(0), mlflow_run_id="r1", window=SimpleNamespace(key="2026-03-02")
    )
    page = monitoring._draw_page(
        cast("dg.AssetExecutionContext", dg.build_asset_context()),
        cast("Any", None),
        cast("Any", SimpleNamespace(references=references)),
        cast("Any", SimpleNamespace(record=record)),
    )
    assert page is None
