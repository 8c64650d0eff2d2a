"""The servers of the platform, as commands."""

import sys
from pathlib import Path

from mlops_assets.platform.environment import Addresses
from mlops_assets.platform.home import Home
from mlops_assets.platform.supervision import Server


def build_servers(home: Home, project: Path, addresses: Addresses, parent_pid: int) -> list[Server]:
    """The servers, the gateway first.

    Args:
        home: Whose servers they are.
        project: Folder with dagster.yaml and workspace.yaml.
        addresses: Where they listen.
        parent_pid: Process with which the gateway, and all that it starts, dies.
    """
    root, host, urls = str(home.root), addresses.host, addresses.urls

    def module(name: str, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", name, *arguments)

    gateway = module(
        "mlops_assets.serving.gateway",
        *("--home", root, "--host", host, "--port", str(addresses.gateway_port)),
        *("--parent-pid", str(parent_pid)),
    )
    dagster = module(
        "mlops_assets.platform.dagster_server",
        *(root, str(project), host, str(addresses.dagster_port)),
    )
    mlflow = module("mlops_assets.platform.mlflow_server", root, host, str(addresses.mlflow_port))
    return [
        Server("gateway", gateway, f"{urls['gateway']}/healthz", stops_its_own=True),
        Server("dagster", dagster, f"{urls['dagster']}/server_info"),
        Server("mlflow", mlflow, f"{urls['mlflow']}/health"),
    ]
