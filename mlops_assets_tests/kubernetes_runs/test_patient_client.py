"""Jobs made and deleted while the API server answers badly, over the official client."""

import pytest

from mlops_assets.kubernetes_runs.patient_client import PatientClient
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.server import ApiServer

POD = {"containers": [{"name": "dagster"}]}
JOB = {"metadata": {"name": "worker"}, "spec": {"template": {"spec": POD}}}


@pytest.fixture
def patient(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> PatientClient:
    """It pauses for no time."""
    from kubernetes.client import Configuration

    monkeypatch.setattr(Configuration, "_default", Configuration(host=api.url))
    client = PatientClient(patience_seconds=60)
    client.sleeper = lambda _: None
    return client


def jobs(api: ApiServer) -> list[str]:
    return [job["metadata"]["name"] for job in api.objects.list(api.objects.kind("jobs"))]


def test_a_job_whose_creation_was_answered_by_a_failure_is_there_once(
    api: ApiServer, patient: PatientClient
) -> None:
    """The second attempt is carried out, and its answer gets lost: the third finds the Job."""
    api.faults.order(Fault("create", "jobs", 503))
    api.faults.order(Fault("create", "jobs", 504, after_write=True))
    patient.create_namespaced_job_with_retries(body=JOB, namespace="default")
    assert jobs(api) == ["worker"]
    assert [call.code for call in api.calls if call.verb == "create"] == [503, 504, 409]


def test_a_job_whose_deletion_is_refused_for_a_while_is_deleted(
    api: ApiServer, patient: PatientClient
) -> None:
    patient.create_namespaced_job_with_retries(body=JOB, namespace="default")
    api.faults.order(Fault("delete", "jobs", 429))
    assert patient.delete_job("worker", "default")
    assert jobs(api) == []
    assert not patient.delete_job("worker", "default")


def test_a_job_that_is_forbidden_is_not_asked_for_again(
    api: ApiServer, patient: PatientClient
) -> None:
    from kubernetes.client.exceptions import ApiException

    api.faults.order(Fault("create", "jobs", 403))
    with pytest.raises(ApiException, match="ordered failure"):
        patient.create_namespaced_job_with_retries(body=JOB, namespace="default")
    assert jobs(api) == []
