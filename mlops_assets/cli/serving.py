"""The commands about predictions, and the servers: predict, predictor, sink, exporter."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.options import HomeOption, ModelArgument, locate
from mlops_assets.errors import ServingError

if TYPE_CHECKING:
    from mlops_assets.platform.home import Home


def predict(
    model: ModelArgument,
    *,
    row: Annotated[
        list[str] | None,
        typer.Option(help="One row as JSON, such as '{\"age\": 31}'; may be repeated."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="JSON file with one row or a list of rows; - is stdin.")
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(
            help="URL of the serving gateway. [default: the running platform's]", show_default=False
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Ask a model's champion for predictions, and print its answer as JSON.

    Rows hold every raw feature by name; null says that a value is missing. Without `--row` and
    `--file` they are read from standard input.
    """
    from mlops_assets.platform.evidence import declared_services
    from mlops_assets.platform.probe import predict as ask

    found, _ = locate(home)
    rows = _read_rows(row or [], file)
    service = declared_services(found).get(model)
    if service is None:
        raise ServingError(
            f"{model} has no service in {found.root}; `mlops-assets status` tells why"
        )
    typer.echo(json.dumps(ask(gateway or _gateway_url(found), service, rows), ensure_ascii=False))


def predictor(context: typer.Context) -> None:
    """Serve one model from its directory over KServe's protocols, as a pod does (--help: more)."""
    _become("mlops_assets.serving.predictor", context.args)


def sink(context: typer.Context) -> None:
    """Take predictions (CloudEvents) and ground truth into tables, as a pod does (--help: more)."""
    _become("mlops_assets.serving.sink", context.args)


def exporter(context: typer.Context) -> None:
    """Tell Prometheus of runs, rollouts, windows and retraining (--help: more)."""
    _become("mlops_assets.observability.exporter", context.args)


def _become(module: str, arguments: list[str]) -> None:
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def _read_rows(rows: list[str], file: Path | None) -> list[dict[str, Any]]:
    """The rows of the command line, of a file or of standard input.

    Raises:
        ServingError: something is no row.
    """
    if rows:
        texts = [("--row", text) for text in rows]
    elif file is not None and str(file) != "-":
        try:
            texts = [(str(file), file.read_text(encoding="utf-8"))]
        except (OSError, UnicodeDecodeError) as error:
            raise ServingError(f"{file} cannot be read: {error}") from error
    else:
        texts = [("standard input", sys.stdin.read())]
    found: list[dict[str, Any]] = []
    for place, text in texts:
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ServingError(f"{place} is not JSON: {error}") from error
        listed = content if isinstance(content, list) else [content]
        wrong = next((item for item in listed if not isinstance(item, dict)), None)
        if wrong is not None or not listed:
            raise ServingError(f"{place}: found {wrong!r}, needed: an object of features by name")
        found += listed
    return found


def _gateway_url(home: "Home") -> str:
    """Where the gateway of a home answers: the running platform's, else the one that ran last."""
    from mlops_assets.platform.lock import current_holder
    from mlops_assets.serving.home import ServingHome, read_json

    holder = current_holder(home.lock)
    if holder is not None and "gateway" in holder.urls:
        return holder.urls["gateway"]
    last = read_json(ServingHome.under(home.root).gateway)
    return str(last["url"]) if last is not None else "http://127.0.0.1:8080"
