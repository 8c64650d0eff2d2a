"""The cluster's dagster.yaml and workspace.yaml, read by Dagster itself."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from mlops_assets_tests.k8s.made_pods import DAGSTER_YAML, process_environment, run_job
from mlops_assets_tests.k8s.rendering import OVERLAYS, render
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig

EMBEDDED = Path(__file__).parents[2] / "dagster.yaml"


def settings(path: Path = DAGSTER_YAML) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def test_dagster_takes_every_setting() -> None:
    from dagster._core.instance.config import dagster_instance_config

    with mock.patch.dict(os.environ, process_environment("kind")):
        found, _ = dagster_instance_config(str(DAGSTER_YAML.parent), DAGSTER_YAML.name)
    assert found["run_monitoring"]["max_resume_run_attempts"] == 0


def test_a_launch_that_waits_for_the_api_server_leaves_its_pod_time_to_start() -> None:
    launcher = settings()["run_launcher"]["config"]
    longest = launcher["api_patience_seconds"] + launcher["start_timeout_seconds"]
    assert settings()["run_monitoring"]["start_timeout_seconds"] >= longest


def test_each_class_that_it_names_takes_its_settings() -> None:
    from dagster._config import process_config, resolve_to_config_type
    from dagster._core.instance.ref import InstanceRef

    with mock.patch.dict(os.environ, process_environment("kind")):
        ref = InstanceRef.from_dir(str(DAGSTER_YAML.parent))
        parts = [ref.run_storage_data, ref.event_storage_data, ref.schedule_storage_data]
        parts += [ref.compute_logs_data, ref.run_launcher_data, ref.run_coordinator_data]
        for part in parts:
            assert part is not None
            module = __import__(part.module_name, fromlist=[part.class_name])
            kind = resolve_to_config_type(getattr(module, part.class_name).config_type())
            done = process_config(kind, part.config_dict)
            assert done.success, f"{part.class_name}: {done.errors}"


def test_the_daemon_starts_without_whatever_keeps_logs(tmp_path: Path) -> None:
    """It has no key of the object storage; `kubernetes_runs/` works with such a daemon."""
    import dagster as dg
    from dagster_shared.check import CheckError

    from mlops_assets.kubernetes_runs.daemon import gen_daemons

    content = settings()
    content["storage"] = {"sqlite": {"base_dir": str(tmp_path)}}
    content["compute_logs"] = {"module": "missing", "class": "Logs"}
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    content["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(kubeconfig),
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(content))
    with (
        mock.patch.dict(os.environ, process_environment("kind")),
        dg.DagsterInstance.from_config(str(tmp_path)) as instance,
    ):
        assert len(gen_daemons(instance)) > 1
        with pytest.raises(CheckError, match=r"missing\.Logs"):
            _ = instance.compute_log_manager


def test_variables_that_it_names_are_set_in_every_process_that_reads_it() -> None:
    names = set(_variables(settings()))
    for overlay in OVERLAYS:
        assert names - set(process_environment(overlay)) == set()


def test_the_pod_of_a_run_has_the_variables_that_it_needs(tmp_path: Path) -> None:
    """All but the launcher's, which only the daemon builds."""
    (container,) = run_job("kind", tmp_path)["spec"]["template"]["spec"]["containers"]
    given = {item["name"] for item in container["env"]}
    (shared,) = [s["configMapRef"]["name"] for s in container["envFrom"] if "configMapRef" in s]
    (found,) = [c for c in render("kind") if c["metadata"]["name"] == shared]
    needed = {
        name
        for section in ("storage", "compute_logs", "local_artifact_storage")
        for name in _variables(settings()[section])
    }
    assert needed <= given | set(found["data"])


def test_one_training_of_a_model_at_a_time_as_on_one_machine() -> None:
    unique = {"key": "mlops/model", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    for path in (DAGSTER_YAML, EMBEDDED):
        assert unique in settings(path)["concurrency"]["runs"]["tag_concurrency_limits"]
    assert settings()["retention"] == settings(EMBEDDED)["retention"]


def test_only_crashes_are_tried_again_and_nothing_runs_for_ever() -> None:
    assert settings()["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert settings()["run_monitoring"]["max_runtime_seconds"] > 0


def test_the_workspace_leads_to_the_code_location() -> None:
    workspace = settings(DAGSTER_YAML.with_name("workspace.yaml"))
    (server,) = (item["grpc_server"] for item in workspace["load_from"])
    services = {c["metadata"]["name"]: c for c in render("kind") if c["kind"] == "Service"}
    ports = [port["port"] for port in services[server["host"]]["spec"]["ports"]]
    assert [server["port"]] == ports


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_runs_start_from_the_image_that_the_code_location_has(overlay: str) -> None:
    (deployment,) = (
        content
        for content in render(overlay)
        if content["kind"] == "Deployment"
        and content["metadata"]["name"] == "dagster-code-location"
    )
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    env = {item["name"]: item.get("value") for item in container["env"]}
    assert env["DAGSTER_CURRENT_IMAGE"] == container["image"]


def test_settings_of_a_models_document_go_over_those_of_the_instance(tmp_path: Path) -> None:
    from mlops_assets.automation.schedules import build_job
    from mlops_assets_tests.documents import churn_spec

    spec = churn_spec(
        kubernetes={
            "run": {
                "memory": "8Gi",
                "cpu": "4",
                "node_selector": {"mlops-assets/pool": "training"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
            }
        }
    )
    tags = {name: str(value) for name, value in (build_job(spec).tags or {}).items()}
    pod = run_job("kind", tmp_path, tags)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["requests"]["cpu"] == "4"
    assert container["resources"]["limits"]["memory"] == "8Gi"
    assert container["resources"]["limits"]["ephemeral-storage"] == "20Gi"  # the instance's stays
    assert pod["nodeSelector"] == {"mlops-assets/pool": "training"}
    tolerated = [toleration["key"] for toleration in pod["tolerations"]]
    assert {"gpu", "mlops-assets/pool"} <= set(tolerated)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def _variables(content: Any) -> list[str]:
    """Names in `{env: NAME}`."""
    if isinstance(content, dict):
        if content.keys() == {"env"}:
            return [content["env"]]
        return [name for value in content.values() for name in _variables(value)]
    if isinstance(content, list):
        return [name for value in content for name in _variables(value)]
    return []
