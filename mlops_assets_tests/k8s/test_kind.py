"""The scripts for kind, as far as they can be tried without a cluster: syntax, plan and pins."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

KIND = Path(__file__).parents[2] / "k8s" / "kind"
SCRIPT = KIND / "install.sh"


def plan(
    *steps: str, path: str = "/usr/bin:/bin", **settings: str
) -> subprocess.CompletedProcess[str]:
    """What a dry run prints; without the tools on its path, which a plan does not need."""
    return subprocess.run(
        ["bash", str(SCRIPT), "--dry-run", *steps],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, **settings},
        check=False,
    )


def versions() -> dict[str, str]:
    lines = (KIND / "versions.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_script_is_one_that_bash_reads() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    assert os.access(SCRIPT, os.X_OK)
    assert "set -euo pipefail" in SCRIPT.read_text()


def test_the_plan_goes_from_the_cluster_to_its_examination() -> None:
    shown = plan()
    assert shown.returncode == 0, shown.stderr
    begun = re.findall(r"^== (\S+)$", shown.stderr, re.MULTILINE)
    assert begun == [
        "cluster", "cert-manager", "gateway", "kserve", "images", "platform", "check",
    ]  # fmt: skip
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("kind create cluster --name mlops")
    assert "mlops-assets doctor --cluster" in lines[-1]


def test_every_step_that_makes_something_run_says_what_it_waits_for() -> None:
    for step in ("cluster", "cert-manager", "gateway", "kserve", "platform", "knative", "kubeflow"):
        shown = plan(step)
        assert "waiting for " in shown.stderr, step
        assert "kubectl wait --timeout=300s" in shown.stdout, step


def test_another_overlay_can_be_asked_for() -> None:
    assert "k8s/overlays/kind " in plan("platform").stdout
    assert "k8s/overlays/kind-knative " in plan("platform", OVERLAY="kind-knative").stdout


def test_the_port_of_the_gateway_is_the_one_that_reaches_this_machine() -> None:
    cluster = yaml.safe_load((KIND / "cluster.yaml").read_text())
    (mapped,) = cluster["nodes"][0]["extraPortMappings"]
    documents = list(yaml.safe_load_all((KIND / "kserve-gateway.yaml").read_text()))
    services = {
        (found["metadata"]["namespace"], found["metadata"]["name"]): found["spec"]["provider"][
            "kubernetes"
        ]["envoyService"]
        for found in documents
        if found["kind"] == "EnvoyProxy"
    }
    (gateway,) = (found for found in documents if found["kind"] == "Gateway")
    asked = gateway["spec"]["infrastructure"]["parametersRef"]["name"]
    of_kserve = services.pop((gateway["metadata"]["namespace"], asked))
    (port,) = of_kserve["patch"]["value"]["spec"]["ports"]
    assert port["nodePort"] == mapped["containerPort"]
    (of_others,) = services.values()
    assert "patch" not in of_others  # a second gateway with the same port would get none
    for service in (of_kserve, of_others):  # the node whose port is mapped runs no Envoy
        assert service["externalTrafficPolicy"] == "Cluster"
    assert mapped["listenAddress"] == "127.0.0.1"


def test_a_plan_writes_nothing() -> None:
    before = sorted(KIND.iterdir())
    plan("cert-manager", "gateway", "images")
    assert sorted(KIND.iterdir()) == before


def test_an_unknown_step_is_refused() -> None:
    shown = plan("everything")
    assert (shown.returncode, "there is no step everything" in shown.stderr) == (2, True)


def test_a_missing_tool_is_named(tmp_path: Path) -> None:
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    shown = subprocess.run(
        ["bash", str(SCRIPT), "kserve"],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
        check=False,
    )
    assert (shown.returncode, shown.stderr.splitlines()[-1]) == (
        2,
        "helm is needed and was not found",
    )


def test_a_file_that_is_another_than_its_checksum_says_is_removed(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    curl = 'while [[ "$1" != --output ]]; do shift; done; echo x > "$2"'
    for name, does in (("curl", curl), ("kubectl", 'echo called >> "$CALLS"')):
        (tools / name).write_text(f"#!/bin/bash\n{does}\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    copied = tmp_path / "k8s" / "kind"
    copied.mkdir(parents=True)
    (copied / "install.sh").write_text(SCRIPT.read_text())
    text = (KIND / "versions.env").read_text()
    wrong = re.sub("(?<=CERT_MANAGER_SHA256=).*", "0" * 64, text)
    (copied / "versions.env").write_text(wrong)
    shown = subprocess.run(
        ["bash", str(copied / "install.sh"), "cert-manager"],
        capture_output=True,
        text=True,
        env={"PATH": f"{tools}:/usr/bin:/bin", "CALLS": str(tmp_path / "calls")},
        check=False,
    )
    assert shown.returncode == 1
    assert "is another file than versions.env says; it was removed" in shown.stderr
    assert list((copied / ".downloads").iterdir()) == []
    assert not (tmp_path / "calls").exists()


def test_versions_are_pinned_and_checksums_are_whole() -> None:
    for name, value in versions().items():
        if name.endswith("_SHA256"):
            assert re.fullmatch(r"[0-9a-f]{64}", value), name
        elif name == "KNATIVE_FILES_REF":
            assert re.fullmatch(r"[0-9a-f]{40}", value)
        elif name == "KUBERNETES_IMAGE":  # a tag of kind's is built anew for each release of it
            assert re.search(r":v\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$", value)
        else:
            assert re.search(r"v\d+\.\d+\.\d+$", value), name
    assert versions()["KSERVE_VERSION"] >= "v0.21.0"


def test_knative_allows_what_the_component_says_that_predictors_carry() -> None:
    component = (KIND.parent / "components/knative/kustomization.yaml").read_text()
    wanted = set(re.findall(r"kubernetes\.podspec-[a-z]+", component))
    settings = list(yaml.safe_load_all((KIND / "knative-serving.yaml").read_text()))
    (features,) = (
        found["data"] for found in settings if found["metadata"]["name"] == "config-features"
    )
    assert wanted == {name for name, value in features.items() if value == "enabled"}


def test_the_workflow_installs_the_kind_that_the_node_image_is_of() -> None:
    workflow = yaml.safe_load((KIND.parents[1] / ".github/workflows/cluster.yml").read_text())
    steps = workflow["jobs"]["kind"]["steps"]
    (kind,) = (step for step in steps if step.get("uses", "").startswith("helm/kind-action"))
    assert kind["with"]["version"] == versions()["KIND_VERSION"]


@pytest.mark.parametrize("file", sorted(KIND.glob("*.yaml")), ids=lambda path: path.name)
def test_every_object_has_kind_and_version(file: Path) -> None:
    for content in yaml.safe_load_all(file.read_text()):
        if file.name != "kserve-values.yaml":
            assert {"apiVersion", "kind"} <= set(content)


def test_the_cluster_has_several_workers_and_one_pool_for_trainings() -> None:
    nodes = yaml.safe_load((KIND / "cluster.yaml").read_text())["nodes"]
    assert [node["role"] for node in nodes].count("worker") == 3
    pools = [node.get("labels", {}).get("mlops-assets/pool") for node in nodes]
    assert pools.count("training") == 1
