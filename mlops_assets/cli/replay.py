"""The command that plays a model's past as live traffic: replay."""

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.options import HomeOption, JsonOption, ModelArgument, locate

if TYPE_CHECKING:
    from mlops_assets.replay.position import Position

_SPEED = re.compile(r"^(\d+(?:\.\d+)?)\s*([smhdw])/s$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DAY = "%Y-%m-%d"


def replay(
    model: ModelArgument,
    *,
    speed: Annotated[
        str, typer.Option(help="Past time in a real second, at most: 1d/s, 6h/s, 90s/s.")
    ] = "1d/s",
    until: Annotated[
        datetime | None,
        typer.Option(formats=[_DAY], help="First day not to play. [default: to the end]"),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Give the model back to real time, and stop.")
    ] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Play a model's past as live traffic on the platform that runs; Ctrl-C stops, again goes on.

    The rows of the document's `history:` are asked of the gateway one by one, truth is told as late
    as it truly came. The model's clock stands at what was played: its windows are judged, its
    retraining is decided and its rollouts go on by that clock, while Dagster shows them. At the end
    of each window it waits until that is done, so the speed is an upper bound. Exit code 1: it was
    stopped.
    """
    from mlops_assets.platform.replay import open_stage
    from mlops_assets.platform.replay import reset as give_back
    from mlops_assets.replay.playing import last_window_end, play

    found, project = locate(home)
    if reset:
        give_back(found, project, model)
        typer.echo(f"{model} lives in real time again", err=True)
        return
    seconds = read_speed(speed)
    with open_stage(found, project, model, lambda line: typer.echo(line, err=True)) as stage:
        end = None if until is None else until.replace(tzinfo=UTC)
        last = min(end or stage.history.end, last_window_end(stage.history))
        try:
            with _bar(model, stage.history.begin, last) as tell:
                done = play(stage, speed=seconds, until=end, tell=tell)
        except KeyboardInterrupt:
            typer.echo(f"stopped; `mlops-assets replay {model}` goes on where it was", err=True)
            raise typer.Exit(1) from None
    told = f"{done.n_sent:,} predictions, {done.n_failed:,} failed, {done.n_truths:,} truths"
    typer.echo(done.model_dump_json() if as_json else f"{model} until {done.at:{_DAY}}: {told}")


def read_speed(text: str) -> float:
    """Seconds of the past in a real second.

    >>> read_speed("1d/s"), read_speed("90s/s")
    (86400.0, 90.0)

    Raises:
        typer.BadParameter: it is no speed above 0.
    """
    match = _SPEED.match(text.strip())
    speed = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if speed <= 0:
        raise typer.BadParameter(f"found {text!r}, allowed: such as 1d/s, 6h/s or 90s/s")
    return speed


@contextlib.contextmanager
def _bar(model: str, begin: datetime, end: datetime) -> "Iterator[Callable[[Position], None]]":
    """A progress bar over the days, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(f"{model} {{task.description}}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(f"{begin:{_DAY}}", total=(end - begin) / timedelta(hours=1))

        def tell(position: "Position") -> None:
            words = f"{position.at:{_DAY}} {position.n_sent:,} predictions"
            bars.update(
                task, completed=(position.at - begin) / timedelta(hours=1), description=words
            )

        yield tell
