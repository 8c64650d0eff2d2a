"""The command that plays retraining policies on a model's past: backtest."""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.options import HomeOption, JsonOption, ModelArgument, locate

if TYPE_CHECKING:
    from mlops_assets.backtest.report import BacktestReport
    from mlops_assets.backtest.running import Progress
    from mlops_assets.spec import ModelSpec
    from mlops_assets.spec.retraining import RetrainingSpec

_DAY = "%Y-%m-%d"


def backtest(
    model: ModelArgument,
    *,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="A policy to play; may stand several times. [default: all]"),
    ] = None,
    begin: Annotated[
        datetime | None,
        typer.Option("--from", formats=[_DAY], help="First day. [default: as the document says]"),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--until", formats=[_DAY], help="First day no more. [default: to the end]"),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Policies played at once. [default: the cores]")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the results. [default: backtests/MODEL under the home]"),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Play a model's past under retraining policies, and say which one to take.

    Nothing is served and nothing changes: the rows of the document's `history:` come day by day,
    truth as late as it truly did; windows are judged, models trained and gated by the real code.
    Prints quality, retrainings, compute and regret of each policy, and writes `report.json`,
    `backtest.png` and the recommended policy, `policy.yaml`.
    """
    from mlops_assets.backtest.history import read_history
    from mlops_assets.backtest.running import run_backtest
    from mlops_assets.platform.models import find_document

    found, project = locate(home)
    document = find_document(project, model)
    chosen = _choose(document.spec, policy)
    typer.echo(f"{model}: reading its history", err=True)
    history = read_history(
        document.spec, document.file.parent, begin=_as_utc(begin), end=_as_utc(end)
    )
    n_processes = min(processes or os.cpu_count() or 1, len(chosen))
    with _progress_bars(chosen, n_windows=len(history.windows())) as progress:
        report = run_backtest(history, chosen, processes=n_processes, progress=progress)
    folder = output or found.root / "backtests" / model
    _write(report, folder)
    if as_json:
        typer.echo(report.model_dump_json())
    else:
        _print(report)
        typer.echo(f"written: {folder}/report.json, backtest.png, policy.yaml", err=True)


def _choose(spec: "ModelSpec", names: list[str] | None) -> "dict[str, RetrainingSpec]":
    from mlops_assets.backtest.policies import standard_policies
    from mlops_assets.errors import HistoryError

    known = standard_policies(spec)
    if unknown := [name for name in names or [] if name not in known]:
        raise HistoryError(
            f"{spec.name} has no policy {', '.join(unknown)}; there are {', '.join(known)}"
        )
    return {name: known[name] for name in known if not names or name in names}


def _as_utc(day: datetime | None) -> datetime | None:
    return None if day is None else day.replace(tzinfo=UTC)


@contextlib.contextmanager
def _progress_bars(
    policies: "dict[str, RetrainingSpec]", *, n_windows: int
) -> "Iterator[Progress]":
    """A bar for each policy, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bars:
        tasks = {name: bars.add_task(name, total=n_windows) for name in policies}
        yield lambda name, done, _: bars.update(tasks[name], completed=done)


def _write(report: "BacktestReport", folder: Path) -> None:
    from mlops_assets.backtest.report import draw_report
    from mlops_assets.whole_files import replace_file

    contents = {
        "report.json": report.model_dump_json(indent=1).encode(),
        "backtest.png": draw_report(report),
        "policy.yaml": f"# {report.recommended}: {report.reason}\n{report.policy}".encode(),
    }
    for name, content in contents.items():
        replace_file(folder / name, content)


def _print(report: "BacktestReport") -> None:
    from rich.console import Console
    from rich.table import Table

    title = f"{report.model}, {report.begin:{_DAY}} to {report.end:{_DAY}}: {report.n_rows:,} rows"
    table = Table("policy", title=title)
    for heading in (report.metric, "regret", "retrainings", "promoted", "CPU min"):
        table.add_column(heading, justify="right")
    for score in report.scores:
        table.add_row(
            score.policy,
            "unknown" if score.mean is None else f"{score.mean:.4f}",
            "unknown" if score.regret is None else f"{score.regret:.4f}",
            str(score.n_retrained),
            str(score.n_promoted),
            f"{score.cpu_minutes:.1f}",
        )
    console = Console()
    console.print(table)
    console.print(f"recommended: {report.reason}", markup=False, highlight=False)
    console.print(report.policy, markup=False, highlight=False)
