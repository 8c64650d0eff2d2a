"""dagster-k8s's client of the API server, with patience for an outage."""

from typing import Any

from dagster_k8s.client import DagsterKubernetesClient  # noqa: TID253 - loaded on a cluster only

from mlops_assets.kubernetes_runs.jobs_api import call_patiently

_REQUEST_SECONDS = 10.0
_DELETE_PATIENCE_SECONDS = 20.0  # somebody waits for it; what is left over, the keeper deletes


class PatientClient(DagsterKubernetesClient):
    """Creates and deletes Jobs although the API server is away for a while.

    The library's own client gives up after 30 s, and at once on other answers than 401, 500, 503
    and 504. A run that is being launched, or a running one that starts a step, fails with it.
    """

    def __init__(self, patience_seconds: float) -> None:
        made = DagsterKubernetesClient.production_client()
        super().__init__(made.batch_api, made.core_api, made.logger, made.sleeper, made.timer)
        self._patience_seconds = patience_seconds

    def create_namespaced_job_with_retries(self, body: Any, namespace: str, **_: Any) -> None:
        """Create a Job; that there is one of its name is success.

        The name is made of the run and the step: there is one when an attempt was carried out
        and its answer got lost, or when a second daemon was at it, as in a roll-out of the daemon.
        """
        from kubernetes.client.exceptions import ApiException

        def create() -> None:
            try:
                self.batch_api.create_namespaced_job(
                    body=body, namespace=namespace, _request_timeout=_REQUEST_SECONDS
                )
            except ApiException as error:
                if error.status != 409:
                    raise

        call_patiently(create, self._patience_seconds, sleep=self.sleeper)

    def delete_job(self, job_name: str, namespace: str) -> bool:
        """Delete a Job with its pods; False when there is none.

        In one call: the library deletes the Job first and then its pods, and when it is
        interrupted in between, pods are left that belong to nothing.
        """
        from kubernetes.client.exceptions import ApiException

        def delete() -> bool:
            try:
                self.batch_api.delete_namespaced_job(
                    name=job_name,
                    namespace=namespace,
                    propagation_policy="Background",
                    _request_timeout=_REQUEST_SECONDS,
                )
            except ApiException as error:
                if error.status == 404:
                    return False
                raise
            return True

        seconds = min(self._patience_seconds, _DELETE_PATIENCE_SECONDS)
        return call_patiently(delete, seconds, sleep=self.sleeper)
