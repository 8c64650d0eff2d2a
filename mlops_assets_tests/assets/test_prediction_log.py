"""A day of the prediction log as a person materializes it, from segments to numbers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.prediction_log import build_prediction_log
from mlops_assets.component import build_pipeline
from mlops_assets.resources.environment import build_resources
from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.failures import FailureLog
from mlops_assets.serving.prediction_log.records import (
    FailureRecord,
    Preamble,
    PredictionRecord,
    TruthRecord,
    encode,
)
from mlops_assets.serving.prediction_log.segments import SegmentWriter
from mlops_assets_tests.documents import churn_spec

DAY = datetime(2026, 3, 4, tzinfo=UTC)
SHIPPED = ("dagster/row_count", "requests", "rows_with_truth", "truth_ratio")


def at_ns(at: datetime) -> int:
    return int(at.timestamp()) * 10**9


def write_log(home: Path) -> None:
    """Version 1 answers 3 requests of 2 rows, version 2 one, and one as a shadow; one fails."""
    folder = ServingHome.under(home)
    for version, shadow, names in (("1", False, "abc"), ("2", False, "d"), ("2", True, "a")):
        preamble = Preamble("churn", f"v{version}", version, [("months", "number")], ["no", "yes"])
        writer = SegmentWriter(
            folder.predictions / "churn" / f"{version}{shadow}", encode(preamble)
        )
        for n, name in enumerate(names):
            at, body = at_ns(DAY + timedelta(hours=n)), b'{"instances":[[1],[2]]}'
            labels = ["yes", "no"]
            logged = PredictionRecord(name, at, "v1", 4_000_000, body, None, labels, None, shadow)
            writer.append(encode(logged))
        writer.append(b"damaged by somebody")
        writer.close()
    truths = SegmentWriter(folder.truths / "churn", encode(Preamble("churn", "", None, [], None)))
    for name, row, value, hours in (
        ("a", 0, "yes", 2), ("a", 1, "no", 9), ("b", 0, "yes", 3), ("b", 0, "no", 4),
        ("z", 0, "no", 5),
    ):  # fmt: skip
        at = at_ns(DAY + timedelta(hours=hours))
        truths.append(encode(TruthRecord(name, row, value, at, at)))
    truths.close()
    failures = FailureLog(folder.failures)
    failures.write("churn", FailureRecord("v1", "e", at_ns(DAY), 503, 1_000_000))
    failures.close()


def materialize(home: Path, day: str) -> dict[str, Any]:
    """The metadata of a day."""
    result = dg.materialize(
        [build_prediction_log(churn_spec())],
        partition_key=day,
        resources=build_resources({"MLOPS_HOME": str(home)}),
    )
    (made,) = result.get_asset_materialization_events()
    return {
        name: value.value
        for name, value in made.step_materialization_data.materialization.metadata.items()
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("home with a blank")
    write_log(made)
    return made


def test_a_day_tells_its_counts_and_its_truth(home: Path) -> None:
    found = materialize(home, "2026-03-04")
    assert [found[name] for name in SHIPPED] == [8, 4, 2, 0.25]
    assert found["unreadable_records"] == 3
    assert (found["contradicted_truths"], found["truths_of_unknown_ids"]) == (1, 1)
    assert (found["failed_requests"], found["latency_ms"]) == (1, 4.0)
    assert [tuple(r.data.values()) for r in found["by_version"].records] == [
        ("v1", "1", "answers", 3, 6, 2),
        ("v2", "2", "answers", 1, 2, 0),
        ("v2", "2", "shadow", 1, 2, 0),
    ]
    ages = {r.data["age"]: tuple(r.data.values())[1:] for r in found["truth_by_age"].records}
    assert ages["1 h"] == (8, 0, "0.0")
    assert ages["6 h"] == (8, 1, "12.5")
    assert ages["1 d"] == (8, 2, "25.0")
    assert found["truth_lag_hours"] == 5.5
    assert "agent/requests" not in found


def test_materializing_again_counts_the_same_and_another_day_is_empty(home: Path) -> None:
    again = materialize(home, "2026-03-04")
    assert [again[name] for name in SHIPPED] == [8, 4, 2, 0.25]
    empty = materialize(home, "2026-03-05")
    assert [empty[name] for name in SHIPPED] == [0, 0, 0, "no predictions"]
    assert empty["truths_of_unknown_ids"] == 0


def test_today_is_a_partition_and_no_schedule_or_pipeline_waits_for_it(tmp_path: Path) -> None:
    asset = build_prediction_log(churn_spec(serving={"prediction_log": {"start": "2026-02-01"}}))
    days = asset.partitions_def
    assert days is not None
    with dg.partition_loading_context(effective_dt=DAY + timedelta(hours=1)):
        keys = days.get_partition_keys()
    assert (keys[0], keys[-1]) == ("2026-02-01", "2026-03-04")
    resources = dg.Definitions(resources=build_resources({"MLOPS_HOME": str(tmp_path)}))
    definitions = dg.Definitions.merge(build_pipeline(churn_spec(), tmp_path), resources)
    graph = definitions.resolve_asset_graph()
    job = definitions.resolve_job_def("churn_pipeline")
    assert asset.key not in job.asset_layer.selected_asset_keys
    assert graph.get(dg.AssetKey(["churn", "inference_service"])).child_keys == {asset.key}
