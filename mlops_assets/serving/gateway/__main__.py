"""`python -m mlops_assets.serving.gateway`: the gateway's command line."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from mlops_assets.serving.gateway.server import run_gateway
from mlops_assets.serving.gateway.settings import GatewaySettings


def read_arguments(arguments: Sequence[str] | None = None) -> GatewaySettings:
    """The settings that a command line asks for; a mistake ends the process with code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m mlops_assets.serving.gateway",
        description="Run the declared revisions of every service and route requests to them.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--home", required=True, type=Path, help="MLOPS_HOME")
    add("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    add("--port", type=int, default=8080, help="port to listen at (default: %(default)s)")
    add("--parent-pid", type=int, help="die with this process")
    defaults = {field.name: field.default for field in fields(GatewaySettings)}
    limits = ("max_body_bytes", "max_body_seconds", "request_timeout_seconds", "hold_seconds")
    for name in limits:
        default = defaults[name]
        option = f"--{name.replace('_', '-')}"
        add(option, type=type(default), default=default, help="(default: %(default)s)")
    found = vars(parser.parse_args(arguments))
    return GatewaySettings(**found, sink_token=os.environ.get("MLOPS_SINK_TOKEN") or None)


if __name__ == "__main__":
    sys.exit(run_gateway(read_arguments()))
