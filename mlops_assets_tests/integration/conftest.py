"""One gateway, one home and one Dagster instance for a module of integration tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.component import build_pipeline
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.resources.environment import build_resources
from mlops_assets.serving.embedded import EmbeddedServing
from mlops_assets_tests.documents import churn_spec
from mlops_assets_tests.serving.running import find_free_port, running_gateway


@dataclass
class Platform:
    """What an integration test runs a document against."""

    home: Path
    instance: dg.DagsterInstance
    serving: EmbeddedServing

    @property
    def tracking(self) -> Tracking:
        """The MLflow of this home."""
        return Tracking(f"sqlite:///{self.home}/mlflow.db", f"file://{self.home}/mlartifacts")

    def definitions(self, folder: Path, **changes: Any) -> dg.Definitions:
        """The definitions of a churn document that stands in a folder."""
        resources = build_resources({"MLOPS_HOME": str(self.home)})
        return dg.Definitions.merge(
            build_pipeline(churn_spec(**changes), folder), dg.Definitions(resources=resources)
        )

    def run(
        self, definitions: dg.Definitions, only: list[str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Runs the pipeline, or some of its assets."""
        job = definitions.resolve_job_def("churn_pipeline")
        selection = [dg.AssetKey(["churn", asset]) for asset in only] if only else None
        return job.execute_in_process(
            instance=self.instance, asset_selection=selection, raise_on_error=False
        )


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    """By asset, what a run materialized."""
    events = result.get_asset_materialization_events()
    made = [e.step_materialization_data.materialization for e in events]
    return {each.asset_key.path[-1]: each for each in made}


def _failures(result: dg.ExecuteInProcessResult) -> list[dg.DagsterEvent]:
    return [event for event in result.all_events if event.is_step_failure]


def told(result: dg.ExecuteInProcessResult) -> str:
    """What a person reads of a failed run: the failures and the refused checks."""
    failures = [str(e.step_failure_data.error_display_string) for e in _failures(result)]
    checks = [
        f"{check.description} {check.metadata.get('violations')}"
        for check in result.get_asset_check_evaluations()
        if not check.passed
    ]
    return "\n".join([*failures, *checks])


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A home with a gateway and a Dagster instance."""
    home = tmp_path_factory.mktemp("home")
    (home / "dagster").mkdir()
    with (
        running_gateway(home, find_free_port()),
        dg.DagsterInstance.local_temp(
            str(home / "dagster"), overrides={"telemetry": {"enabled": False}}
        ) as instance,
    ):
        yield Platform(home, instance, EmbeddedServing(home))
