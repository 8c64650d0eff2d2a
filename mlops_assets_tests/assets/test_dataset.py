"""The dataset of a model whose past is played: what its clock lets be known."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from mlops_assets.assets.dataset import build_dataset
from mlops_assets.data.documents import ModelDocuments
from mlops_assets.data.snapshots import DatasetSnapshot, Lake
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.resources.environment import build_resources
from mlops_assets_tests.backtest.pasts import ROWS_A_DAY, START, past_rows, past_spec

DAY = timedelta(days=1)
SPEC = past_spec(
    source={"path": "now.parquet"},
    history={"source": {"path": "all.parquet"}, "truth_column": "left_at"},
)


def materialize(home: Path, folder: Path) -> pl.DataFrame:
    resources = build_resources({"MLOPS_HOME": str(home)})
    asset = build_dataset(SPEC, folder)
    needed = {name: resources[name] for name in asset.required_resource_keys & resources.keys()}
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.local_temp(str(home / "dagster")) as instance:
        result = dg.materialize([asset], instance=instance, resources=needed)
    snapshot: DatasetSnapshot = result.asset_value(asset.key)
    return Lake(str(home / "lake")).read_snapshot(snapshot).collect()


def test_a_played_model_sees_its_history_as_it_was_known_and_its_source_before_and_after(
    tmp_path: Path,
) -> None:
    past_rows(12).write_parquet(tmp_path / "all.parquet")
    past_rows(4).write_parquet(tmp_path / "now.parquet")
    home = tmp_path / "home"
    assert materialize(home, tmp_path).height == 4 * ROWS_A_DAY
    windows = MonitoringStore(ModelDocuments(str(home / "monitoring")))
    windows.set_clock(SPEC.name, START + 9 * DAY)
    played = materialize(home, tmp_path)
    assert played.height == 9 * ROWS_A_DAY
    unknown = played.filter(pl.col("churned").is_null())
    assert unknown.height == ROWS_A_DAY * 30 // 24
    assert unknown.filter(pl.col("at") < START + 9 * DAY - timedelta(hours=30)).is_empty()
    windows.set_clock(SPEC.name, None)
    assert materialize(home, tmp_path).height == 4 * ROWS_A_DAY
