"""Secrets are named and never said: not in a manifest, an argument, a ConfigMap or a file."""

import re
from pathlib import Path

import pytest

from mlops_assets_tests.k8s.made_pods import DAGSTER_YAML, run_job, run_pod
from mlops_assets_tests.k8s.rendering import FOLDER, OVERLAYS, pods_of, render

_SECRET_NAME = re.compile(r"PASSWORD|TOKEN$|SECRET|ACCESS_KEY|_KEY$", re.IGNORECASE)
_PATHS = {"MLOPS_SIGNING_KEY"}  # of a file
_WITH_PASSWORD = re.compile(r"://[^/\s:@]+:[^/\s:@]+@")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_rendered(overlay: str) -> None:
    assert [c["metadata"]["name"] for c in render(overlay) if c["kind"] == "Secret"] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_variables_with_secrets_come_from_secrets(overlay: str) -> None:
    for pod in pods_of(render(overlay)):
        for container in pod.containers:
            for variable in container.get("env", ()):
                if _SECRET_NAME.search(variable["name"]):
                    assert "secretKeyRef" in variable.get("valueFrom", {}), variable["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_config_maps_hold_no_secret(overlay: str) -> None:
    for content in render(overlay):
        if content["kind"] == "ConfigMap":
            for name, value in content["data"].items():
                is_named = _SECRET_NAME.search(name) and name not in _PATHS
                assert not is_named, f"{content['metadata']['name']}: {name}"
                assert not _WITH_PASSWORD.search(value), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_arguments_hold_no_secret_and_no_variable_with_one(overlay: str) -> None:
    for pod in pods_of(render(overlay)):
        for container in pod.containers:
            for argument in [*container.get("command", ()), *container.get("args", ())]:
                used = re.findall(r"\$\((\w+)\)", argument)
                assert [name for name in used if _SECRET_NAME.search(name)] == [], pod.owner


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_keys_of_the_object_storage_are_of_whoever_has_a_way_to_it(
    overlay: str, tmp_path: Path
) -> None:
    for pod in (*pods_of(render(overlay)), run_pod(overlay, tmp_path)):
        sources = [source for c in pod.containers for source in c.get("envFrom", ())]
        has_keys = {"secretRef": {"name": "object-storage"}} in sources
        assert has_keys == ("mlops-assets/uses-object-storage" in pod.labels), pod.owner


def test_the_pod_of_a_run_names_its_secrets(tmp_path: Path) -> None:
    (container,) = run_job("kind", tmp_path)["spec"]["template"]["spec"]["containers"]
    env = {item["name"]: item for item in container["env"]}
    assert "secretKeyRef" in env["DAGSTER_PG_PASSWORD"]["valueFrom"]
    assert [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source]


def test_the_instance_refers_to_the_password_and_does_not_hold_it() -> None:
    assert "password: {env: DAGSTER_PG_PASSWORD}" in DAGSTER_YAML.read_text()


def test_no_file_holds_a_key() -> None:
    for path in FOLDER.rglob("*"):
        if path.is_file():
            assert "PRIVATE KEY" not in path.read_text(), path
