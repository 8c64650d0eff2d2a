from typing import Any

from mlops_assets.kserve.blocks import Declared
from mlops_assets.kserve.manifest import build_inference_service
from mlops_assets.kserve.pod_settings import PodSettings
from mlops_assets.kserve.standard import render_standard
from mlops_assets.kserve.validation import check_manifest
from mlops_assets_tests.documents import churn_spec
from mlops_assets_tests.serving.running import with_canary

SETTINGS = PodSettings(
    service_account="predictor", priority_class="serving", storage_container="fetcher"
)


def service() -> dict[str, Any]:
    """A service with a canary, as it is sent to a cluster."""
    first, second = (
        build_inference_service(
            churn_spec(),
            version=version,
            storage_uri=f"s3://models/{version}",
            model_digest=str(version) * 64,
            mlflow_run_id="r",
        )
        for version in (1, 2)
    )
    return render_standard(Declared(with_canary(first, second)), None)


def test_every_revision_gets_the_account_the_priority_and_no_token() -> None:
    spec = SETTINGS.on_service(service())["spec"]
    for block in (spec["predictor"], spec["canary"][0]["predictor"]):
        assert block["serviceAccountName"] == "predictor"
        assert block["priorityClassName"] == "serving"
        assert block["storageContainerName"] == "fetcher"
        assert block["automountServiceAccountToken"] is False


def test_what_they_add_is_a_service_that_kserve_takes() -> None:
    assert check_manifest(SETTINGS.on_service(service())) == []


def test_they_are_no_part_of_a_revision() -> None:
    before, after = service(), SETTINGS.on_service(service())
    digest = [made["spec"]["predictor"]["annotations"] for made in (before, after)]
    assert digest[0] == digest[1]


def test_without_a_priority_or_a_storage_container_there_is_none() -> None:
    spec = PodSettings(service_account="predictor").on_service(service())["spec"]
    assert not {"priorityClassName", "storageContainerName"} & spec["predictor"].keys()
