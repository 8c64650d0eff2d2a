"""A platform on the emulated cluster: PostgreSQL, code location, daemon, and pods for runs.

The daemon and the code location are processes of their own, as in the cluster; runs are launched
and terminated over Dagster's GraphQL.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_graphql.test.utils import execute_dagster_graphql

from mlops_assets_tests.kubernetes.job_cluster import (
    JobCluster,
    eventually,
    running_job_cluster,
)
from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.kubeconfig import write_kubeconfig
from mlops_assets_tests.kubernetes.processes import Image
from mlops_assets_tests.kubernetes.server import ApiServer
from mlops_assets_tests.kubernetes_runs.settings import (
    NAMESPACE,
    instance_settings,
    platform_environment,
)
from mlops_assets_tests.object_storage import ObjectStorage
from mlops_assets_tests.postgres import Postgres
from mlops_assets_tests.serving.running import find_free_port
from mlops_assets_tests.with_parent import with_parent

IMAGE = "registry.example/mlops/platform:v1"
LOCATION = "mlops_assets"
PATIENCE_SECONDS = 600.0  # a busy machine
_LOOK_SECONDS = 0.2
_FINISHED = ("SUCCESS", "FAILURE", "CANCELED")
_LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_TERMINATE = "mutation($r: String!) { terminateRun(runId: $r) { __typename } }"


@dataclass(slots=True)
class Stand:
    """The running platform.

    Attributes:
        cluster: The cluster.
        folder: Holds DAGSTER_HOME, the workspace and the logs of its processes.
        shared: What all pods see.
        environment: Of its processes.
        keys: Of the object storage; not the daemon's, as in the cluster.
        instance: Dagster's instance, as the webserver has it.
    """

    cluster: JobCluster
    folder: Path
    shared: Path
    environment: dict[str, str]
    keys: Mapping[str, str]
    instance: dg.DagsterInstance
    port: int
    module: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _context: Any = None

    def start_code_location(self, image: str = IMAGE) -> None:
        """Serve the code location, as the Deployment of an image does."""
        serve = ["-m", "dagster", "api", "grpc", "-m", self.module, "-h", "127.0.0.1"]
        where = ["-p", str(self.port), "--location-name", LOCATION]
        more = {**self.keys, "DAGSTER_CURRENT_IMAGE": image}
        self._start("code", [*serve, *where], more)
        eventually(self._code_answers, PATIENCE_SECONDS, "the code location")

    def start_daemon(self, name: str = "daemon", **variables: str) -> None:
        """Start Dagster's daemon with the run keeper, some of its variables changed."""
        workspace = str(self.folder / "workspace.yaml")
        command = ["-m", "mlops_assets.kubernetes_runs.daemon", "-w", workspace]
        self._start(name, command, variables)

    def start_webserver(self) -> str:
        """Start Dagster's webserver; its address."""
        address, workspace = ("127.0.0.1", find_free_port()), str(self.folder / "workspace.yaml")
        serve = ["-m", "dagster_webserver", "-w", workspace, "-h", address[0]]
        account = {"KUBECONFIG": str(self.folder / "dagster-webserver.kubeconfig")}
        self._start("webserver", [*serve, "-p", str(address[1])], {**self.keys, **account})
        eventually(lambda: self._listens("webserver", address), PATIENCE_SECONDS, "the webserver")
        return f"{address[0]}:{address[1]}"

    def _listens(self, name: str, address: tuple[str, int]) -> bool:
        assert self.processes[name].poll() is None, (self.folder / f"{name}.log").read_text()
        with socket.socket() as caller:
            return caller.connect_ex(address) == 0

    def stop(self, name: str, by: signal.Signals = signal.SIGTERM) -> None:
        """End a process of the control plane."""
        process = self.processes.pop(name)
        process.send_signal(by)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def launch(self, job: str, name: str = "", assets: Sequence[str] = (), **tags: str) -> str:
        """Launch a run over GraphQL as the UI does; its id."""
        selector: dict[str, Any] = {
            "repositoryLocationName": LOCATION, "repositoryName": "__repository__",
            "pipelineName": job,
        }  # fmt: skip
        if assets:
            selector["assetSelection"] = [{"path": asset.split("/")} for asset in assets]
        all_tags = {"test/name": name or job, "dagster/max_retries": "0", **tags}
        metadata = {"tags": [{"key": k, "value": v} for k, v in all_tags.items()]}
        execution = {"execution": {"config": {"health_check_seconds": 1}}}
        steps = execution if job.endswith("_in_steps") or job == "in_steps" else {}
        parameters = {"selector": selector, "runConfigData": steps, "executionMetadata": metadata}
        launched = self._graphql(_LAUNCH, {"p": parameters})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """Terminate a run over GraphQL as the UI does."""
        ended = self._graphql(_TERMINATE, {"r": run_id})["terminateRun"]
        assert ended["__typename"] == "TerminateRunSuccess", ended

    def status(self, run_id: str) -> str:
        """The run's status."""
        run = self.instance.get_run_by_id(run_id)
        return run.status.value if run is not None else ""

    def ended(self, run_id: str) -> str:
        """The run's last status, once it has it."""
        try:
            look = _LOOK_SECONDS
            eventually(lambda: self.status(run_id) in _FINISHED, PATIENCE_SECONDS, run_id, look)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(run_id)}") from error
        return self.status(run_id)

    def messages(self, run_id: str) -> list[str]:
        """What the event log says of a run, errors included."""
        found = []
        for entry in self.instance.all_logs(run_id):
            event = entry.dagster_event
            data: Any = event.event_specific_data if event else None
            error = getattr(data, "error", None)
            words = (event.message if event else None) or entry.user_message
            found.append(f"{words} {error.to_string() if error else ''}".strip())
        return found

    def said(self, run_id: str, words: str) -> bool:
        """Whether a message of the run holds these words."""
        return any(words in message for message in self.messages(run_id))

    def began(self, name: str) -> None:
        """Wait until the asset `waiting` has begun."""
        eventually((self.shared / f"{name}-began").exists, PATIENCE_SECONDS, f"{name} to begin")

    def go_on(self, name: str) -> None:
        """Let the asset `waiting` go on."""
        (self.shared / f"{name}-go").touch()

    def jobs(self, run_id: str) -> list[Object]:
        """The run's Jobs."""
        return self.cluster.jobs(f"dagster/run-id={run_id}")

    def pods(self, run_id: str) -> list[Object]:
        """The run's pods."""
        return self.cluster.pods(f"dagster/run-id={run_id}")

    def works(self, run_id: str) -> bool:
        """Whether a pod of the run still runs."""
        return any(pod["status"]["phase"] == "Running" for pod in self.pods(run_id))

    def pod(self, run_id: str, kind: str) -> str:
        """Name of the run's pod of a kind, `dagster-run` or `dagster-step`, that works."""

        def look() -> str:
            for pod in self.pods(run_id):
                name: str = pod["metadata"]["name"]
                if name.startswith(kind) and pod["status"]["phase"] == "Running":
                    return name
            return ""

        return eventually(look, PATIENCE_SECONDS, f"a {kind} pod")

    def story(self, run_id: str) -> str:
        """All there is to know about a run, for a failing test."""
        logs = [f"--- {p.name}\n{p.read_text()[-3000:]}" for p in self.folder.glob("*.log")]
        statuses = [str((p["metadata"]["name"], p["status"])) for p in self.pods(run_id)]
        parts = [*self.messages(run_id), *statuses, self.cluster.logs()[-6000:], *logs]
        return "\n".join(parts)

    def workspace(self) -> Any:
        """The workspace as it is now."""
        if self._context is None:
            target = WorkspaceFileTarget([str(self.folder / "workspace.yaml")])
            self._context = WorkspaceProcessContext(self.instance, target)
        self._context.refresh_workspace()
        return self._context

    def _graphql(self, query: str, variables: Mapping[str, Any]) -> Any:
        request = self.workspace().create_request_context()
        result = execute_dagster_graphql(request, query, dict(variables))
        assert not result.errors, result.errors
        return result.data

    def _start(self, name: str, arguments: list[str], more: Mapping[str, str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*with_parent(), sys.executable, *arguments],
                env={**self.environment, **more},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _code_answers(self) -> bool:
        from dagster._grpc.client import DagsterGrpcClient

        assert self.processes["code"].poll() is None, (self.folder / "code.log").read_text()
        try:
            DagsterGrpcClient(host="127.0.0.1", port=self.port).ping("?")
        except Exception:  # whatever gRPC says until it listens
            return False
        return True

    def close(self) -> None:
        """End everything."""
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stand is made of.

    Attributes:
        postgres: The server; the stand makes a database of its own in it.
        module: The code location.
        storage: Object storage for logs and data, if any.
        api: An API server that runs already; None: one of its own.
        changes: Variables of platform.env that differ.
    """

    postgres: Postgres
    module: str = "mlops_assets_tests.kubernetes_runs.location"
    storage: ObjectStorage | None = None
    api: ApiServer | None = None
    changes: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def running_stand(folder: Path, plan: Plan) -> Iterator[Stand]:
    """The platform, for as long as the block runs; code location and daemon are up."""
    home, shared = folder / "home", folder / "shared"
    for path in (home, shared):
        path.mkdir(parents=True)
    plan.postgres.create("dagster")
    settings = instance_settings(home, plan.postgres, object_storage=plan.storage is not None)
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    port = find_free_port()
    server = {"host": "127.0.0.1", "port": port, "location_name": LOCATION}
    (folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    told = platform_environment(
        {
            "DAGSTER_PG_HOST": plan.postgres.host,
            "PGSSLMODE": "disable",
            "MLOPS_HOME": str(folder / "mlops"),
            "SHARED": str(shared),
            **plan.changes,
        }
    )
    keys = plan.storage.environment if plan.storage is not None else {}
    with ExitStack() as stack:
        images = {IMAGE: Image(_image_environment())}
        cluster = stack.enter_context(running_job_cluster(images, folder / "pods", plan.api))
        daemon, webserver = (
            write_kubeconfig(
                folder / f"{name}.kubeconfig", cluster.api.url, NAMESPACE, f"{NAMESPACE}:{name}"
            )
            for name in ("dagster-daemon", "dagster-webserver")
        )
        _declare(cluster, told, keys)
        control = {
            **_image_environment(), **told, "DAGSTER_HOME": str(home),
            "KUBECONFIG": str(daemon), "DAGSTER_PG_PASSWORD": "none",
            "DAGSTER_INSTANCE_CONFIG_MAP": "dagster-instance", "MLOPS_CONFIG_MAP": "mlops-platform",
            "MLOPS_RUN_KEEPER_SECONDS": "1", "MLOPS_RUN_KEEPER_GRACE_SECONDS": "10",
            "MLOPS_RUN_KEEPER_RETRY_SECONDS": "15",
            "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        }  # fmt: skip
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in {**control, **keys}.items():
            if name not in ("PATH", "PYTHONPATH"):
                patch.setenv(name, value)
        patch.setenv("KUBECONFIG", str(webserver))  # which this process stands for
        default = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"  # read on import
        patch.setattr(default, str(webserver))
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        stand = Stand(cluster, folder, shared, control, keys, instance, port, plan.module)
        stack.callback(stand.close)
        stand.start_code_location()
        stand.start_daemon()
        yield stand


def _image_environment() -> dict[str, str]:
    """What the platform image sets: programs and modules; here also fewer threads and pauses."""
    paths = (str(Path.cwd()), os.environ.get("PYTHONPATH"))
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS": "0.2",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _declare(cluster: JobCluster, told: Mapping[str, str], keys: Mapping[str, str]) -> None:
    """The ConfigMap and the Secrets that dagster.yaml names."""
    objects = cluster.objects
    config = {"metadata": {"name": "mlops-platform"}, "data": dict(told)}
    objects.create(objects.kind("configmaps"), NAMESPACE, config)
    secrets = {
        "object-storage": {**keys, "FROM_SECRET": "s3cr3t"},
        "dagster-postgresql": {"postgresql-password": "none"},
    }
    for name, data in secrets.items():
        secret = {"metadata": {"name": name}, "stringData": data}
        objects.create(objects.kind("secrets"), NAMESPACE, secret)
    cluster.processes.allocatable["ephemeral-storage"] = "100Gi"
