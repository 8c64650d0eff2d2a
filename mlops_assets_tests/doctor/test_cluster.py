"""Each finding about a cluster, provoked on the emulated API server."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec import AbstractFileSystem
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.doctor import cluster_judgement as judgement
from mlops_assets.doctor import reaching
from mlops_assets.doctor.cluster import TRUSTED_KEYS, Examined, examine_cluster
from mlops_assets.doctor.finding import Finding, Unanswered
from mlops_assets.doctor.rights import Right, rights_of
from mlops_assets.kserve.manifest import RUNTIME
from mlops_assets_tests.kserve.site import Site, running_site
from mlops_assets_tests.kubernetes.custom_kinds import certificate, service_monitor, serving_runtime
from mlops_assets_tests.kubernetes.faults import Fault
from mlops_assets_tests.kubernetes.kinds import Kind, Object
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig
from mlops_assets_tests.kubernetes.refusal import Refusal
from mlops_assets_tests.serving.running import find_free_port


@pytest.fixture(scope="module")
def whole() -> Iterator[Site]:
    with running_site("Standard") as site:
        objects = site.cluster.objects
        for definition in (serving_runtime(), certificate(), service_monitor()):
            objects.create(objects.kind("customresourcedefinitions"), "", definition)
        yield site


@pytest.fixture
def site(whole: Site) -> Iterator[Site]:
    """A cluster on which everything is as it should be, until a test spoils it."""
    put(whole, "servingruntimes", RUNTIME)
    put(whole, "configmaps", TRUSTED_KEYS)
    deploy(whole, "mlflow", 0)
    yield whole
    whole.cluster.objects.admission[1:] = []
    whole.clean()
    for kind in ("servingruntimes", "configmaps", "deployments", "statefulsets"):
        for each in whole.cluster.objects.list(whole.cluster.objects.kind(kind), "default"):
            whole.cluster.objects.delete(
                whole.cluster.objects.kind(kind), "default", each["metadata"]["name"]
            )


INSIDE = "mlops:dagster-code-location"


def put(site: Site, kind: str, name: str, more: dict[str, Any] | None = None) -> None:
    labels = {"app.kubernetes.io/part-of": "mlops-assets"}
    body = {"metadata": {"name": name, "labels": labels}, **(more or {})}
    site.cluster.objects.put(kind, "default", body)


def deploy(site: Site, name: str, replicas: int) -> None:
    template = {"metadata": {"labels": {"endpoint": name}}, "spec": {"containers": []}}
    put(site, "deployments", name, {"spec": {"replicas": replicas, "template": template}})


def examine(site: Site, now: datetime | None = None, **environment: str) -> dict[str, Finding]:
    examined = Examined(site.api, "default", environment=environment)
    return {finding.check: finding for finding in examine_cluster(examined, now)}


def test_on_a_sound_cluster_nothing_is_wrong(site: Site) -> None:
    found = examine(site)
    not_fine = {check: each for check, each in found.items() if each.verdict != "fine"}
    assert set(not_fine) == {"names", "storage", "database", "mlflow"}  # nobody said where
    assert all("ask from inside" in each.mend for each in not_fine.values())


def test_a_missing_right_is_named_and_what_needs_it_is_unknown(site: Site) -> None:
    site.cluster.api.faults.denied |= {("patch", "inferenceservices.serving.kserve.io")}
    site.cluster.api.faults.denied |= {("patch", "inferenceservices"), ("get", "pods/log")}
    found = examine(site)
    assert found["rights of run"].verdict == "broken"
    assert "patch inferenceservices.serving.kserve.io (models)" in found["rights of run"].found
    assert "get pods/log (models)" in found["rights of run"].found
    assert found["kserve webhook"].verdict == "unknown"


def test_a_dead_webhook_is_told_from_a_refusal(site: Site) -> None:
    def dead(kind: Kind, new: Object, old: Object | None) -> None:
        if kind.plural == "inferenceservices":
            raise Refusal(500, 'failed calling webhook "x": connect: connection refused')

    site.cluster.objects.admission.append(dead)
    found = examine(site)["kserve webhook"]
    assert (found.verdict, "cert-manager must have issued" in found.mend) == ("broken", True)


def test_what_did_not_answer_is_unknown_and_not_to_be_installed(site: Site) -> None:
    schema = "openapi/v3/apis/serving.kserve.io/v1beta1"
    site.cluster.api.faults.order(Fault("get", schema, 503, times=4))
    site.cluster.api.faults.order(Fault("patch", "inferenceservices", 429, times=4))
    found = examine(site)
    assert [found[check].verdict for check in ("kserve", "kserve webhook")] == ["unknown"] * 2


def test_on_knative_nothing_of_gateway_api_is_asked_for() -> None:
    with running_site("Knative", gateway_api=False) as site:
        found = {each.check: each for each in examine_cluster(Examined(site.api, "default"))}
        assert found["kinds of gateway.networking.k8s.io"].verdict == "broken"
        examined = Examined(site.api, "default", mode="Knative")
        found = {each.check: each for each in examine_cluster(examined)}
    assert "kinds of gateway.networking.k8s.io" not in found
    assert found["kinds of serving.knative.dev"].verdict == "fine"
    assert found["kserve"].verdict == "fine"
    asked = {right.resource for right in rights_of("run", "Knative")}
    assert "revisions" in asked
    assert "httproutes" not in asked


def test_what_is_missing_is_told_with_what_to_apply(site: Site) -> None:
    objects = site.cluster.objects
    objects.delete(objects.kind("servingruntimes"), "default", RUNTIME)
    objects.delete(objects.kind("configmaps"), "default", TRUSTED_KEYS)
    objects.delete(objects.kind("deployments"), "default", "mlflow")
    found = examine(site)
    checks = ("serving runtime", "trusted keys", "platform pods")
    assert [found[check].verdict for check in checks] == ["broken"] * 3
    assert "Keys" in found["trusted keys"].mend


def test_pods_that_are_not_available_are_told_with_the_reason(site: Site) -> None:
    site.cluster.order("sink", "quota")
    deploy(site, "sink", 1)
    site.cluster.settle()
    found = examine(site)["platform pods"]
    assert found.verdict == "broken"
    assert found.found.startswith("deployment/sink: 0 of 1 (")
    assert "quota" in found.found
    assert "describe deployment/sink" in found.mend


def test_what_data_is_kept_in_is_a_part_of_the_platform_too(site: Site) -> None:
    put(site, "statefulsets", "postgresql", {"spec": {"replicas": 1}})
    found = examine(site)["platform pods"]
    assert (found.verdict, found.found) == ("broken", "statefulset/postgresql: 0 of 1")


def test_from_inside_as_its_own_output_says_nothing_is_broken_and_the_unseen_is_unknown(
    site: Site,
) -> None:
    (command,) = {each.mend for each in examine(site).values() if "ask from inside" in each.mend}
    account = command.partition("--account ")[2]
    inside = replace(site, user=INSIDE)
    site.cluster.api.faults.allowed[INSIDE] = {
        (right.verb, right.resource) for right in rights_of("code-location")
    }
    examined = Examined(inside.api, "default", account=account)  # type: ignore[arg-type]
    found = {each.check: each for each in examine_cluster(examined)}
    assert {each.check for each in found.values() if each.verdict == "broken"} == set()
    assert found["rights of code-location"].verdict == "fine"
    for check in ("serving runtime", "kserve webhook"):
        assert (found[check].verdict, "forbidden" in found[check].found) == ("unknown", True)
        assert "an administrator's" in found[check].mend


def test_the_mode_is_the_pods_own_unless_it_is_said(site: Site, tmp_path: Path) -> None:
    config = write_kubeconfig(tmp_path / "config", site.cluster.api.url)
    words = ["doctor", "--cluster", "--json", f"--kubeconfig={config}", "--namespace=default"]
    for more, mode in (([], "knative"), (["--mode=Standard"], "gateway")):
        shown = CliRunner().invoke(
            app, [*words, *more], env={"MLOPS_KSERVE_MODE": "Knative"}, catch_exceptions=False
        )
        checks = [each["check"] for each in json.loads(shown.stdout)["findings"]]
        assert any(mode in check for check in checks), checks


def test_clocks_that_differ_are_told(site: Site) -> None:
    now = datetime.now(UTC)
    assert examine(site, now + timedelta(seconds=20))["clock"].verdict == "warning"
    found = examine(site, now + timedelta(minutes=5))["clock"]
    assert (found.verdict, "NTP" in found.mend) == ("broken", True)


def test_an_api_server_that_does_not_answer_is_the_only_finding(site: Site) -> None:
    site.cluster.api.faults.order(Fault("get", "version", 503, times=4))
    api = replace(site.api, first_pause_seconds=0.001)
    (found,) = examine_cluster(Examined(api, "default"))
    assert (found.check, found.verdict) == ("api server", "broken")


def test_a_cluster_without_what_is_needed_says_what_to_install() -> None:
    with running_site("Standard", "0.20", gateway_api=False) as site:
        found = examine(site)
    mend = found["kinds of gateway.networking.k8s.io"].mend
    assert mend.startswith("install Gateway API (docs/kubernetes.md, Install; on kind alone: ")
    assert found["kinds of cert-manager.io"].verdict == "warning"
    assert found["kserve"].verdict == "broken"
    assert "Gateway API" in found["kserve"].found


def test_storage_database_and_servers_are_asked_where_the_environment_says(
    site: Site, tmp_path: Path
) -> None:
    nobody = f"http://127.0.0.1:{find_free_port()}"
    found = examine(
        site,
        MLOPS_STORAGE_URI=str(tmp_path),
        MLOPS_MLFLOW_URI=nobody,
        DAGSTER_PG_HOST="127.0.0.1",
        DAGSTER_PG_PORT=str(find_free_port()),
    )
    assert found["storage"].verdict == found["names"].verdict == "fine"
    assert list(tmp_path.iterdir()) == []
    assert "ConnectError" in found["mlflow"].found
    assert "OperationalError" in found["database"].found
    broken = examine(site, MLOPS_STORAGE_URI="/proc/nowhere")["storage"]
    assert (broken.verdict, "MLOPS_STORAGE_URI" in broken.mend) == ("broken", True)


def test_the_database_is_asked_as_securely_as_dagster_asks() -> None:
    def answer(server: socket.socket) -> None:
        caller, _ = server.accept()
        with caller:
            caller.recv(8)
            caller.sendall(b"N")  # no TLS here

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        port = str(server.getsockname()[1])
        environment = {"DAGSTER_PG_HOST": "127.0.0.1", "DAGSTER_PG_PORT": port}
        findings = reaching.examine({**environment, "PGSSLMODE": "require"})
    found = {finding.check: finding for finding in findings}["database"].found
    assert "SSL was required" in found


class WriteOnly(AbstractFileSystem):  # type: ignore[misc]
    """Storage whose keys may write and not read, and which then says nothing."""

    protocol = "writeonly"
    held: ClassVar[dict[str, bytes]] = {}

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        self.held[path] = value

    def cat_file(self, path: str, **_: Any) -> bytes:
        raise TimeoutError if path in self.held else FileNotFoundError(path)

    def rm_file(self, path: str) -> None:
        del self.held[path]


def test_storage_that_fails_without_a_word_is_told_and_nothing_is_left_in_it() -> None:
    fsspec.register_implementation("writeonly", WriteOnly, clobber=True)
    findings = reaching.examine({"MLOPS_STORAGE_URI": "writeonly://bucket"})
    found = {finding.check: finding for finding in findings}["storage"]
    assert (found.verdict, found.found) == ("broken", "writeonly://bucket: TimeoutError: ")
    assert WriteOnly.held == {}


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("v1.31.9", "broken"), ("v1.32.0", "fine"), ("v1.37.1", "fine"), ("v1.38.0", "warning"),
     ("v2", "unknown")],
)  # fmt: skip
def test_versions_of_kubernetes(version: str, verdict: str) -> None:
    assert judgement.judge_api_server(version).verdict == verdict


def test_a_right_that_could_not_be_asked_for_is_unknown_not_missing() -> None:
    right = Right("get", "", "pods", "models")
    assert judgement.judge_rights("run", {right: Unanswered("503")}).verdict == "unknown"
    assert judgement.judge_rights("run", {right: True}).verdict == "fine"
    other = Right("list", "", "pods", "models")
    both = judgement.judge_rights("run", {right: Unanswered("503"), other: False})
    assert (both.verdict, both.found) == ("broken", "missing: list pods (models)")


def test_the_command_examines_the_cluster_of_a_kubeconfig(site: Site, tmp_path: Path) -> None:
    config = write_kubeconfig(tmp_path / "config", site.cluster.api.url)
    words = ["doctor", "--cluster", "--json", f"--kubeconfig={config}", "--namespace=default"]
    shown = CliRunner().invoke(app, [*words, "--models=default"])
    summary = json.loads(shown.stdout)
    assert (shown.exit_code, summary["verdict"]) == (0, "unknown")
    assert CliRunner().invoke(app, [*words, "--account=nobody"]).exit_code == 2
