"""`python -m mlops_assets.serving.sink`: the sink's command line."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops_assets.errors import MlopsError
from mlops_assets.serving.prediction_log.truth import read_token
from mlops_assets.serving.sink.server import run_sink_server
from mlops_assets.serving.sink.settings import SinkSettings


def read_arguments(arguments: Sequence[str] | None = None) -> SinkSettings:
    """The settings that a command line asks for; a mistake ends the process with code 2."""
    parser = argparse.ArgumentParser(
        prog="mlops-assets sink",
        description="Take predictions (CloudEvents, as KServe's agent sends them, too) and ground "
        "truth, and move them to one table for each service.",
        allow_abbrev=False,
    )
    defaults = SinkSettings(home=Path())
    add = parser.add_argument
    add("--home", required=True, type=Path, help="folder for what is not in the tables yet")
    add("--lake", help="root of the tables, a folder or a URL (default: HOME/lake)")
    add("--host", default=defaults.host, help="address to listen at (default: %(default)s)")
    add("--port", type=int, default=defaults.port, help="port to listen at (default: %(default)s)")
    add("--token-file", type=Path, help="file with the token (default: MLOPS_SINK_TOKEN, if set)")
    add("--namespace", action="append", default=[], help="take events of this namespace only")
    add("--max-body-bytes", type=int, default=defaults.max_body_bytes, help="(%(default)s)")
    add("--drain-seconds", type=float, default=defaults.drain_seconds, help="(%(default)s)")
    add("--parent-pid", type=int, help="die with this process")
    given = vars(parser.parse_args(arguments))
    try:
        token = read_token(given.pop("token_file"), os.environ)
    except MlopsError as error:
        parser.error(str(error))
    namespaces = tuple(given.pop("namespace"))
    return SinkSettings(**given, namespaces=namespaces, token=token)


if __name__ == "__main__":
    sys.exit(run_sink_server(read_arguments()))
