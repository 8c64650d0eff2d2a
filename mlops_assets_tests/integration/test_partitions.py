"""A dataset in partitions: a backfill is one run, and one partition is loaded on its own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from mlops_assets.automation.schedules import newest_partition
from mlops_assets_tests.documents import churn_document, churn_rows, churn_spec
from mlops_assets_tests.integration.conftest import Platform, materialized, told

START = datetime(2024, 1, 1, tzinfo=UTC)


def dated(n_days: int, **values: Any) -> pl.DataFrame:
    """Ten rows a day."""
    rows = churn_rows(10 * n_days)
    times = [START + timedelta(days=i // 10, hours=i % 10) for i in range(rows.height)]
    return rows.with_columns(at=pl.Series(times), **values)


def partitioned() -> dict[str, Any]:
    contract: dict[str, Any] = churn_document()["contract"]
    return {
        "source": {"path": "churn.csv", "partitions": {"every": "day", "start": "2024-01-01"}},
        "contract": contract,
        "time_column": "at",
        "split": {"validation_ratio": 0.3},
    }


def materialize(
    platform: Platform, definitions: dg.Definitions, first: str, last: str
) -> dg.ExecuteInProcessResult:
    """The dataset, for a range of partitions as one run."""
    job = definitions.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=platform.instance,
        asset_selection=[dg.AssetKey(["churn", "dataset"])],
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        },
        raise_on_error=False,
    )


def test_partitions_backfill_in_one_run_and_load_alone(platform: Platform, tmp_path: Path) -> None:
    definitions = platform.definitions(tmp_path, **partitioned())
    dated(5).write_csv(tmp_path / "churn.csv")
    whole = materialize(platform, definitions, "2024-01-01", "2024-01-04")
    assert whole.success, told(whole)
    assert materialized(whole)["dataset"].metadata["dagster/row_count"].value == 40
    first_digest = materialized(whole)["dataset"].metadata["snapshot_digest"].value

    dated(5, spend=pl.lit(1.0)).write_csv(tmp_path / "churn.csv")
    one = materialize(platform, definitions, "2024-01-05", "2024-01-05")
    assert materialized(one)["dataset"].metadata["dagster/row_count"].value == 50
    version = materialized(one)["dataset"].metadata["snapshot_version"].value
    kept = pl.scan_delta(str(materialized(one)["dataset"].metadata["dagster/uri"].value)).collect()
    assert kept.filter(pl.col("spend") == 1.0).height == 10

    again = materialize(platform, definitions, "2024-01-05", "2024-01-05")
    assert materialized(again)["dataset"].metadata["snapshot_version"].value == version
    assert materialized(again)["dataset"].metadata["snapshot_digest"].value != first_digest

    rest = platform.run(definitions, only=["features", "trained_model", "evaluation"])
    assert rest.get_step_success_events(), told(rest)


@pytest.mark.parametrize(
    ("every", "now", "key"),
    [
        ("day", datetime(2024, 3, 5, 12, tzinfo=UTC), "2024-03-04"),
        ("week", datetime(2024, 3, 5, 12, tzinfo=UTC), "2024-02-26"),
        ("month", datetime(2024, 3, 5, 12, tzinfo=UTC), "2024-02-01"),
    ],
)
def test_the_schedule_takes_the_newest_whole_partition(every: str, now: datetime, key: str) -> None:
    source = {"path": "churn.csv", "partitions": {"every": every, "start": "2024-01-01"}}
    assert newest_partition(churn_spec(source=source, time_column="at"), now) == key


def test_without_partitions_the_schedule_takes_all() -> None:
    assert newest_partition(churn_spec(), START) is None
