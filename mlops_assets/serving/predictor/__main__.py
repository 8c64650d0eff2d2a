"""`python -m mlops_assets.serving.predictor`: the predictor's command line."""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from mlops_assets.errors import MlopsError
from mlops_assets.serving.predictor.server import run_predictor
from mlops_assets.serving.predictor.settings import PredictorSettings

TRUSTED_KEYS = Path("/etc/mlops/trusted-keys")
"""Where the public keys are mounted in a pod."""

_LEAST = {
    "max_body_bytes": 1, "max_body_seconds": 0, "max_rows": 1, "max_waiting": 0,
    "max_wait_seconds": 0, "drain_seconds": 0,
}  # fmt: skip


def read_arguments(arguments: Sequence[str] | None = None) -> PredictorSettings:
    """The settings that a command line asks for; a mistake ends the process with code 2."""
    parser = argparse.ArgumentParser(
        prog="mlops-assets predictor",
        description="Serve one packaged model over KServe's V1 and V2 protocols.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    defaults = {field.name: field.default for field in fields(PredictorSettings)}
    add("--model-name", required=True, help="name under which clients ask for the model")
    add("--model-dir", required=True, type=Path, help="directory of the packaged model")
    add("--model-version", help="version that every answer names")
    add("--model-digest", help="digest that the package must have")
    add("--trusted-type", action="append", default=[], help="type that skops may construct")
    add(
        "--require-signed", type=Path, nargs="?", const=TRUSTED_KEYS, metavar="KEYS",
        help=f"refuse what no key of this file or folder signed (without KEYS: {TRUSTED_KEYS})",
    )  # fmt: skip
    add("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    add("--port", type=int, default=8080, help="port to listen at (default: %(default)s)")
    add("--socket-path", type=Path, help="Unix socket to listen at instead")
    add("--workers", type=int, default=1, help="processes that share the port")
    add("--revision", help="name of the revision in the prediction log")
    add("--log-dir", type=Path, help="folder for the prediction log (default: no log)")
    add("--log-leave-out", action="append", default=[], help="feature that is not logged")
    add("--log-hash", action="append", default=[], help="feature that is logged hashed")
    add("--log-key", type=Path, help="file with the secret for --log-hash")
    add("--log-sink", help="URL of the sink that takes what stands in --log-dir")
    add("--log-sink-token-file", type=Path, help="file with its token (or MLOPS_SINK_TOKEN)")
    add("--log-namespace", default=defaults["log_namespace"], help="(default: %(default)s)")
    add("--parent-pid", type=int, help="die with this process")
    for name in _LEAST:
        default = defaults[name]
        option = f"--{name.replace('_', '-')}"
        add(option, type=type(default), default=default, help="(default: %(default)s)")
    found = parser.parse_args(arguments)
    if found.workers < 1 or (found.workers > 1 and found.socket_path):
        parser.error("--workers: expected at least 1, and 1 with --socket-path")
    if found.socket_path and not found.socket_path.parent.is_dir():
        parser.error(f"--socket-path: expected a folder that is there, found {found.socket_path}")
    for name, least in _LEAST.items():
        if not least <= getattr(found, name) < math.inf:  # nor is NaN
            option = f"--{name.replace('_', '-')}"
            parser.error(f"{option}: expected at least {least}, found {getattr(found, name)}")
    if found.log_sink is not None:
        _require_sink(parser, found)
    given = vars(found)
    trusted = tuple(given.pop("trusted_type"))
    for name in ("log_leave_out", "log_hash"):
        given[name] = tuple(given[name])
    return PredictorSettings(**given, trusted_types=trusted)


def _require_sink(parser: argparse.ArgumentParser, found: argparse.Namespace) -> None:
    from mlops_assets.serving.prediction_log.sink_client import require_url

    if found.log_dir is None:
        parser.error("--log-sink: expected --log-dir beside it, where predictions wait")
    try:
        require_url(found.log_sink)
    except MlopsError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(run_predictor(read_arguments()))
