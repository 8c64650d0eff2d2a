"""Two documents bring the same sensors, and there is one of each."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from mlops_assets.automation.documents import documents_of
from mlops_assets.automation.shared_sensor import log_news, read_cursor, tick_seconds
from mlops_assets.component import build_pipeline
from mlops_assets.errors import PlatformError
from mlops_assets.resources.environment import build_resources
from mlops_assets_tests.documents import churn_spec


def test_documents_with_rollouts_merge_after_dagster_noted_where_each_stands(
    tmp_path: Path,
) -> None:
    parts = []
    for name in ("churn", "upsell"):
        spec = churn_spec(name=name, rollout={}, refresh={"cron": "0 3 * * *"})
        part = build_pipeline(spec, tmp_path)
        parts.append(part.with_definition_metadata_update(lambda metadata: {**metadata, "at": 1}))
    resources = dg.Definitions(resources=build_resources({"MLOPS_HOME": str(tmp_path)}))
    merged = dg.Definitions.merge(*parts, resources)
    dg.Definitions.validate_loadable(merged)
    repository = merged.get_repository_def()
    assert sorted(s.name for s in repository.sensor_defs) == ["retraining", "rollouts"]
    assert {s.name for s in repository.schedule_defs} == {"churn_refresh", "upsell_refresh"}
    assert [spec.name for spec in documents_of(repository)] == ["churn", "upsell"]


def test_what_the_last_tick_told_is_logged_no_more() -> None:
    logged: list[str] = []
    context = cast("Any", SimpleNamespace(log=SimpleNamespace(info=logged.append)))
    log_news(context, ["churn: hold: 10 requests"], {})
    cursor = read_cursor('{"churn": {"told": ["churn: hold: 10 requests"]}}')
    log_news(context, ["churn: hold: 10 requests", "churn: its run is under way"], cursor["churn"])
    assert logged == ["churn: hold: 10 requests", "churn: its run is under way"]
    assert read_cursor("of another release") == read_cursor("[]") == read_cursor(None) == {}


def test_how_often_sensors_look_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_TICK_SECONDS", raising=False)
    assert tick_seconds() == 5
    monkeypatch.setenv("MLOPS_TICK_SECONDS", "30")
    assert tick_seconds() == 30
    for wrong in ("0", "soon", "1.5", ""):
        monkeypatch.setenv("MLOPS_TICK_SECONDS", wrong)
        with pytest.raises(PlatformError, match=f"MLOPS_TICK_SECONDS: found '{wrong}'"):
            tick_seconds()
