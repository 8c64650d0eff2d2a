"""The scripts for kind, as far as they can be tried without a cluster: syntax, plan and pins."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mlops_assets_tests.k8s.rendering import render, render_text

KIND = Path(__file__).parents[2] / "k8s" / "kind"
SCRIPT = KIND / "install.sh"
KUBECTL = Path(sys.executable).with_name("kubectl")


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
        "cluster", "cert-manager", "metrics-server", "gateway", "kserve", "images", "platform",
        "check",
    ]  # fmt: skip
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("kind create cluster --name mlops")
    assert "mlops-assets doctor --cluster" in lines[-1]


def test_every_step_that_makes_something_run_says_what_it_waits_for() -> None:
    for step in steps() - {"images", "check"}:
        shown = plan(step)
        assert "waiting for " in shown.stderr, step
        assert re.search("kubectl --context kind-mlops (wait|rollout status).*600s", shown.stdout)


def steps() -> set[str]:
    found = re.findall(r"^step_([\w-]+)\(\)", SCRIPT.read_text(), re.MULTILINE)
    return set(found)


def test_every_step_acts_on_the_cluster_that_is_named_whatever_is_current() -> None:
    asked = 0
    for line in plan(*sorted(steps()), CLUSTER="other").stdout.splitlines():
        if line.startswith(("kubectl ", "helm ")) and not line.startswith("kubectl kustomize"):
            assert re.match(r"kubectl --context kind-other |helm --kube-context kind-other ", line)
            asked += 1
        assert not line.startswith("kind ") or "--name other" in line
    assert asked > 20


def test_the_examination_makes_what_it_needs_and_knows_the_mode() -> None:
    made, examined = plan("check").stdout.splitlines()
    assert re.fullmatch(r"make -C \S+ \.venv/\.installed ", made)
    assert "doctor --cluster --context kind-mlops --mode Standard" in examined
    assert "--mode Knative" in plan("check", OVERLAY="kind-knative").stdout


def test_pods_stateful_ones_and_jobs_are_waited_for() -> None:
    platform = plan("platform").stdout
    order = ("delete --namespace mlops --ignore-not-found job", "apply", "wait", "rollout status")
    found = [platform.index(f"kubectl --context kind-mlops {words}") for words in order]
    assert found == sorted(found)
    jobs = {each["metadata"]["name"] for each in render("kind") if each["kind"] == "Job"}
    for name in jobs:
        assert len(re.findall(rf"job/{name}\b", platform)) == 2  # removed, then waited for
    assert "get deployment,statefulset" in SCRIPT.read_text()


def test_step_kserve_finds_a_webhook_of_cert_manager_that_answers() -> None:
    asked = plan("cert-manager").stdout.splitlines()[-1]
    (file,) = re.findall(r"apply --dry-run=server --filename (\S+)", asked)
    assert yaml.safe_load(Path(file).read_text())["kind"] == "Certificate"


def test_autoscalers_have_numbers_and_their_source_is_a_commit() -> None:
    content = yaml.safe_load((KIND / "metrics-server" / "kustomization.yaml").read_text())
    (source,) = content["resources"]
    assert re.search(r"\?ref=[0-9a-f]{40}$", source)
    (patch,) = content["patches"]
    assert yaml.safe_load(patch["patch"])[0]["value"] == "--kubelet-insecure-tls"


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


def test_missing_tools_are_named_all_at_once_before_the_first_step(tmp_path: Path) -> None:
    for tool in ("bash", "dirname", "tr", "sort"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    shown = subprocess.run(
        ["bash", str(SCRIPT), "cluster", "cert-manager", "kserve", "images"],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
        check=False,
    )
    missing = "needed and not found: curl docker helm kind kubectl make sha256sum\n"
    assert (shown.returncode, shown.stderr) == (2, missing)


def test_a_changed_image_has_another_name_in_all_that_names_it(tmp_path: Path) -> None:
    docker = """[[ "$*" == *predictor* ]] && echo sha256:1111222233334444 || echo "$ID" """
    kubectl = f"""case "$*" in
      *kustomize*) exec {KUBECTL} "$@" ;;
      *--output*) echo deployment.apps/one; echo statefulset.apps/two ;;
      *) echo "$@" >> "$CALLS" ;;
    esac"""
    path = put_tools(tmp_path / "tools", docker=docker, kubectl=kubectl)
    found = []
    for image in ("sha256:aaaabbbbccccdddd", "sha256:eeeeffff00001111"):
        subprocess.run(
            ["bash", str(SCRIPT), "platform"],
            env={
                "PATH": path,
                "CALLS": str(tmp_path / "calls"),
                "DOWNLOADS": str(tmp_path / "rendered"),
                "ID": image,
            },
            check=True,
        )
        found.append((tmp_path / "rendered" / "kind.yaml").read_text())
    as_it_stands = render_text(KIND.parent / "overlays" / "kind")
    n_platform = as_it_stands.count("mlops-assets/platform:kind\n")
    assert n_platform > 5
    assert found[0].count("mlops-assets/platform:kind-aaaabbbbcccc\n") == n_platform
    assert found[0].count("mlops-assets/predictor:kind-111122223333\n") == 2
    assert "assets/platform:kind\n" not in found[0]
    assert found[1] == found[0].replace("kind-aaaabbbbcccc", "kind-eeeeffff0000")
    calls = (tmp_path / "calls").read_text()
    assert calls.count("rollout status") == 4
    assert "--timeout=600s statefulset.apps/two" in calls


def put_tools(folder: Path, **does: str) -> str:
    """Programs that are scripts; the PATH on which they come first."""
    folder.mkdir()
    for name, script in does.items():
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


CURL = 'while [[ "$1" != --output ]]; do shift; done; echo x > "$2"'
SHA256_OF_X = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac"


def install_cert_manager(
    folder: Path, sha256: str, kubectl: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """The step in a copy of this folder, where the file that curl gets is `x`."""
    copied = folder / "k8s" / "kind"
    copied.mkdir(parents=True)
    (copied / "install.sh").write_text(SCRIPT.read_text())
    text = (KIND / "versions.env").read_text()
    told = re.sub("(?<=CERT_MANAGER_SHA256=).*", sha256, text)
    (copied / "versions.env").write_text(told)
    path = put_tools(folder / "tools", curl=CURL, kubectl=kubectl)
    return subprocess.run(
        ["bash", str(copied / "install.sh"), "cert-manager"],
        capture_output=True,
        text=True,
        env={"PATH": path, "CALLS": str(folder / "calls"), **settings},
        check=False,
    )


def test_a_file_that_is_another_than_its_checksum_says_is_removed(tmp_path: Path) -> None:
    shown = install_cert_manager(tmp_path, "0" * 64, 'echo called >> "$CALLS"')
    assert shown.returncode == 1
    assert "is another file than versions.env says; it was removed" in shown.stderr
    assert list((tmp_path / "k8s" / "kind" / ".downloads").iterdir()) == []
    assert not (tmp_path / "calls").exists()


REFUSES_ONCE = """
echo called >> "$CALLS"
[[ "$*" != *dry-run* || $(wc -l < "$CALLS") -gt 3 ]] || { echo no webhook yet >&2; exit 1; }
"""


def test_a_webhook_that_is_not_ready_yet_is_asked_again_until_time_is_over(tmp_path: Path) -> None:
    (tmp_path / "in_time").mkdir()
    shown = install_cert_manager(tmp_path / "in_time", SHA256_OF_X, REFUSES_ONCE)
    assert (shown.returncode, "no webhook yet" in shown.stderr) == (0, False)
    (tmp_path / "late").mkdir()
    never = REFUSES_ONCE.replace("-gt 3", "-gt 99")
    shown = install_cert_manager(tmp_path / "late", SHA256_OF_X, never, WAIT_SECONDS="0")
    assert (shown.returncode, shown.stderr.splitlines()[-1]) == (1, "no webhook yet")


def test_versions_are_pinned_and_checksums_are_whole() -> None:
    for name, value in versions().items():
        if name.endswith("_SHA256"):
            assert re.fullmatch(r"[0-9a-f]{64}", value), name
        elif name.endswith("_REF"):
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
