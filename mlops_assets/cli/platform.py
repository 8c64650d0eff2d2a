"""The commands about the embedded platform: up, status, retire."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.options import HomeOption, JsonOption, ModelArgument, locate

if TYPE_CHECKING:
    from rich.console import Console

    from mlops_assets.platform.start import Report
    from mlops_assets.platform.status import PlatformStatus


def up(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Bring up, check every model, print, and stop.")
    ] = False,
    as_json: JsonOption = False,
    require_champion: Annotated[
        bool,
        typer.Option("--require-champion", help="A model that its gates refused is a failure too."),
    ] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Only this model; may be repeated. A retired one is taken up again."),
    ] = None,
    home: HomeOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    dagster_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Dagster's pages. 0: any that is free.")
    ] = 3000,
    mlflow_port: Annotated[
        int, typer.Option(min=0, max=65535, help="MLflow's pages. 0: any that is free.")
    ] = 5000,
    gateway_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Predictions. 0: any that is free.")
    ] = 8080,
) -> None:
    """Bring everything up on this machine, and keep it up until Ctrl-C.

    Makes what is stale of every model until each has a champion that answers predictions, and
    starts Dagster's pages, MLflow and the serving gateway. What is still valid is not made again.

    Prints one line for each model: that its champion answers; `refused` and the gates' reasons, a
    result like any other; or `failed`, with what and where. Exit code 1 when one failed, or the
    platform could not begin.
    """
    from rich.console import Console

    from mlops_assets.errors import MlopsError
    from mlops_assets.platform.environment import Addresses
    from mlops_assets.platform.progress import Progress
    from mlops_assets.platform.results import exit_code
    from mlops_assets.platform.start import Options, Report
    from mlops_assets.platform.up import bring_up

    found, project = locate(home)
    options = Options(
        home=found,
        project=project,
        addresses=Addresses(host, dagster_port, mlflow_port, gateway_port),
        once=once,
        models=tuple(model or ()),
    )

    def code_of(report: "Report") -> int:
        return exit_code(report.results, error=report.error, require_champion=require_champion)

    def tell(report: "Report") -> None:
        _print_report(report, code_of(report), as_json=as_json)

    with Progress(Console(stderr=True)) as progress:
        try:
            report = bring_up(options, progress, tell)
        except MlopsError as error:  # it could not begin
            report = Report([], {}, {}, error=str(error))
            tell(report)
    raise typer.Exit(code_of(report))


def status(*, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show what runs, and how it stands with each model. Works without a running platform too."""
    from rich.console import Console

    from mlops_assets.platform.status import read_status

    found = read_status(*locate(home))
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        _print_status(found, Console())


def retire(model: ModelArgument, *, home: HomeOption = None) -> None:
    """Take a model out of service. Its document and all evidence stay; safe to repeat.

    Its service, schedules, state of retraining and aliases in the registry go. `mlops-assets up`
    passes it over from then on; `mlops-assets up --model NAME` takes it up again.
    """
    from datetime import UTC, datetime

    from mlops_assets.platform.retirement import retire as take_out

    found, project = locate(home)
    gone = take_out(found, project, model, datetime.now(UTC))
    service = f"service {gone.service}" if gone.service else "no service was left"
    schedules = ", ".join(gone.schedules) or "it has none"
    typer.echo(f"{model} is retired: {service}, aliases: {gone.n_aliases}, schedules: {schedules}")


def _print_report(report: "Report", code: int, *, as_json: bool) -> None:
    from mlops_assets.platform.results import build_summary

    if as_json:
        summary = build_summary(
            report.results, code=code, error=report.error, urls=report.urls, seconds=report.seconds
        )
        typer.echo(json.dumps(summary, ensure_ascii=False))
    else:
        for result in report.results:
            typer.echo(result.line)
        if report.error is not None:
            typer.echo(f"mlops-assets: {report.error}", err=True)
    sys.stdout.flush()  # the platform may stay up for days


def _print_status(found: "PlatformStatus", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    running = f"runs as process {found.pid} since {found.started_at}" if found.pid else "is stopped"
    console.print(Text(f"The platform in {found.home} {running}."), soft_wrap=True)
    servers = Table("server", "address", "answers")
    for server in found.servers:
        servers.add_row(server.name, server.url, "yes" if server.answers else "no")
    processes = Table("process", "pid", "memory")
    for process in found.processes:
        megabytes = f"{process.memory_bytes / 1e6:.0f} MB"
        processes.add_row(process.role, str(process.pid), megabytes)
    models = Table("model", "service", "champion", "snapshot", "rows", "")
    for model in found.models:
        models.add_row(
            Text(model.model),
            model.state,
            f"v{model.champion}" if model.champion is not None else "none",
            "none" if model.snapshot is None else str(model.snapshot),
            "" if model.n_rows is None else f"{model.n_rows:,}",
            Text(model.reason or model.rollout or model.last_result or ""),
        )
    watched = Table("model", "newest window", "retraining")
    for model in found.models:
        if model.verdict is not None or model.retraining is not None:
            told = (model.verdict or "none judged yet", model.retraining or "nothing decided yet")
            watched.add_row(Text(model.model), *map(Text, told))
    for table in (servers, processes, models, watched):
        if table.row_count:
            console.print(table)
