"""What every process of the platform runs under. The only place where it is put together.

Telemetry is off by every switch that the libraries know; each was seen to phone home, or is
documented to. The mark tells the platform's processes apart from all others, whatever their parent
or group, so that a stop, or a start after a kill, finds all of them.
"""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.platform.home import Home

if TYPE_CHECKING:
    import psutil

MARK = "MLOPS_PLATFORM"
PAGES_NICENESS = 5  # predictions and trainings go before pages, and before the runs of the UI

# Where it is set, every process compiles all that it imports: twice the time of each start.
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"

SILENCE = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",  # evidently, mlflow, and many more
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the platform answers."""

    host: str
    dagster_port: int
    mlflow_port: int
    gateway_port: int

    def _url(self, port: int) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def urls(self) -> dict[str, str]:
        """URL of each server, by its name; as seen from this machine."""
        return {
            "dagster": self._url(self.dagster_port),
            "mlflow": self._url(self.mlflow_port),
            "gateway": self._url(self.gateway_port),
        }


def mark_of(home: Home, instance: str) -> str:
    """The mark that the processes of one start of one home carry."""
    return f"{home.root}#{instance}"


def process_environment(
    inherited: Mapping[str, str], home: Home, addresses: Addresses, instance: str
) -> dict[str, str]:
    """The environment of every process that `up` starts."""
    kept = {name: value for name, value in inherited.items() if name != _NO_BYTECODE}
    loopback = "127.0.0.1,localhost,::1"
    proxied = {inherited.get(name) for name in ("no_proxy", "NO_PROXY")} - {None, ""}
    no_proxy = ",".join([*sorted(str(p) for p in proxied), loopback])
    return {
        **kept,
        **SILENCE,
        MARK: mark_of(home, instance),
        "MLOPS_HOME": str(home.root),
        "DAGSTER_HOME": str(home.dagster),
        "MLOPS_TICK_SECONDS": inherited.get("MLOPS_TICK_SECONDS", "3"),
        "MLOPS_GATEWAY_URL": addresses.urls["gateway"],
        "MLOPS_MLFLOW_UI_URL": addresses.urls["mlflow"],
        "MLOPS_DAGSTER_UI_URL": addresses.urls["dagster"],
        "MLFLOW_TRACKING_URI": f"sqlite:///{home.mlflow_database}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # it starts 15 processes with 2 GB
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "GIT_PYTHON_REFRESH": "quiet",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def marked_processes(home: Home, instance: str | None = None) -> "Iterator[psutil.Process]":
    """The live processes of a home: of one start, or of any. Never the caller itself."""
    import psutil

    wanted = mark_of(home, instance or "")
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
            is_ours = mark == wanted if instance else mark.startswith(wanted)
            if is_ours and process.pid != os.getpid() and process.status() != "zombie":
                yield process
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's


def kill_marked(home: Home, instance: str | None = None) -> list[str]:
    """Kills the processes of a home until none is left; returns what they were, each once."""
    import psutil

    killed: dict[int, str] = {}
    while found := list(marked_processes(home, instance)):
        for process in found:
            try:
                name = " ".join(process.cmdline())[:100]
                process.kill()
            except psutil.Error:
                continue
            killed.setdefault(process.pid, f"{process.pid} {name}")
        time.sleep(0.02)  # nobody may bury them, so there is nothing to wait for
    return list(killed.values())
