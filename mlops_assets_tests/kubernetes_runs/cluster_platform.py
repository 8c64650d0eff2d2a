"""A platform over nothing but its webserver and its API server, emulated or real."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_graphql import DagsterGraphQLClient

from mlops_assets.kserve.api import PODS, ClusterApi
from mlops_assets.kubernetes_runs.jobs_api import RUN_LABEL
from mlops_assets.resources.serving import serving_from


@dataclass(frozen=True)
class ClusterPlatform:
    """What `pipeline_contract.py` needs.

    Attributes:
        webserver: Host and port of Dagster's webserver.
        api: The namespace of the runs.
        environment: Names the cluster that serves, as for the platform.
        patience_seconds: Longest wait for a run.
    """

    webserver: str
    api: ClusterApi
    environment: Mapping[str, str]
    patience_seconds: float

    def launch(self, job: str) -> str:
        return self._dagster.submit_job_execution(job)

    def terminate(self, run_id: str) -> None:
        self._dagster.terminate_run(run_id)

    def status(self, run_id: str) -> str:
        return self._dagster.get_run_status(run_id).value

    def story(self, run_id: str) -> str:
        return "\n".join(str((p["metadata"]["name"], p["status"])) for p in self.pods(run_id))

    def pods(self, run_id: str) -> Sequence[Any]:
        return self.api.list(PODS, f"{RUN_LABEL}={run_id}")

    def live(self, service: str) -> Mapping[str, int]:
        with dg.build_init_resource_context() as context:
            serving = serving_from(self.environment, Path()).create_resource(context)
            return serving.traffic(service)

    @property
    def _dagster(self) -> DagsterGraphQLClient:
        host, _, port = self.webserver.partition(":")
        return DagsterGraphQLClient(host, port_number=int(port or 80))
