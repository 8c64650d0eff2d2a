"""The commands about rollouts: status, approve, promote, rollback, pause, resume, abort."""

import getpass
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.options import HomeOption, JsonOption, ModelArgument, locate

if TYPE_CHECKING:
    from rich.console import Console

    from mlops_assets.rollout.state import CommandKind, RolloutState
    from mlops_assets.rollout.store import RolloutStore

rollout = typer.Typer(
    name="rollout",
    help="Show how a new version reaches users, and say what it shall do.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
WhyOption = Annotated[str, typer.Option(help="Why; recorded with who and when.")]
WhoOption = Annotated[
    str | None, typer.Option(help="Who says so. [default: the user]", show_default=False)
]


@rollout.command()
def status(model: ModelArgument, *, as_json: JsonOption = False, home: HomeOption = None) -> None:
    """Show a model's rollout: versions, traffic, every criterion, and why it stands where it does.

    Exit code 1: it was rolled back, or the version could not run.
    """
    from rich.console import Console

    _, state = _read(model, home)
    if as_json:
        typer.echo(state.model_dump_json(exclude={"cursor"}))
    else:
        _print_state(state, Console())
    raise typer.Exit(1 if state.phase in ("rolled_back", "failed") else 0)


@rollout.command()
def approve(
    model: ModelArgument,
    *,
    why: WhyOption = "",
    who: WhoOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Agree to what the rollout asks: the next step, the promotion, or a difference it found."""
    _tell("approve", model, (why, who), home, as_json=as_json)


@rollout.command()
def promote(
    model: ModelArgument,
    *,
    why: WhyOption = "",
    who: WhoOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Give the new version all traffic now, whatever the evidence says."""
    _tell("promote", model, (why, who), home, as_json=as_json)


@rollout.command()
def rollback(
    model: ModelArgument,
    *,
    why: WhyOption = "",
    who: WhoOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Give all traffic back to the former version now."""
    _tell("rollback", model, (why, who), home, as_json=as_json)


@rollout.command()
def pause(
    model: ModelArgument,
    *,
    why: WhyOption = "",
    who: WhoOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Stay at this share until `resume`. Harm still rolls back."""
    _tell("pause", model, (why, who), home, as_json=as_json)


@rollout.command()
def resume(
    model: ModelArgument,
    *,
    why: WhyOption = "",
    who: WhoOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Go on after `pause`, or after somebody changed the traffic by hand."""
    _tell("resume", model, (why, who), home, as_json=as_json)


@rollout.command()
def abort(
    model: ModelArgument,
    *,
    why: WhyOption = "",
    who: WhoOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """End the rollout: the former version keeps serving, the new one is withdrawn."""
    _tell("abort", model, (why, who), home, as_json=as_json)


def _tell(
    kind: "CommandKind",
    model: str,
    said: tuple[str, str | None],
    home: Path | None,
    *,
    as_json: bool,
) -> None:
    from pydantic import ValidationError

    from mlops_assets.rollout.commanding import give_command
    from mlops_assets.rollout.state import Command

    why, who = said
    try:
        command = Command(kind=kind, who=who or getpass.getuser(), at=datetime.now(UTC), why=why)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise typer.BadParameter(f"--{wrong['loc'][0]}: {wrong['msg']}") from error
    store, before = _read(model, home)
    state = give_command(store, before.service, command)
    if as_json:
        typer.echo(command.model_dump_json())
    else:
        typer.echo(
            f"{model}: {kind} is written down for v{state.challenger.version}; the rollout sensor "
            "acts on it within 10 s while the platform runs"
        )


def _read(model: str, home: Path | None) -> "tuple[RolloutStore, RolloutState]":
    """The store and the state of a model's rollout.

    Raises:
        RolloutError: there is none.
        PlatformError: there is no such model.
    """
    from mlops_assets.errors import RolloutError
    from mlops_assets.platform.models import require_known
    from mlops_assets.platform.rollouts import open_store, service_of
    from mlops_assets.rollout.state import RolloutState

    found, project = locate(home)
    require_known(found, project, model)
    store = open_store(found, os.environ)
    content, _ = store.read(service_of(found, project, model))
    if content is None:
        raise RolloutError(
            f"{model} has no rollout; a document with `rollout:` begins one with each new version"
        )
    return store, RolloutState.from_storage(content)


def _print_state(state: "RolloutState", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    versions = f"v{state.challenger.version} beside v{state.stable.version}"
    hold = f", held: {state.hold.kind}" if state.hold is not None else ""
    console.print(Text(f"{state.model}: {versions}: {state.phase}{hold}"), soft_wrap=True)
    console.print(Text(f"traffic: {state.traffic}"), soft_wrap=True)
    console.print(Text(f"why: {state.reason}"), soft_wrap=True)
    if state.history:
        last = state.history[-1]
        readings = Table("criterion", "says", "stable", "new", "worse by", "interval", "allowed")
        for each in last.readings:
            readings.add_row(
                Text(each.criterion),
                each.verdict,
                _number(each.stable),
                _number(each.challenger),
                _number(each.difference),
                f"{_number(each.low)} … {_number(each.high)}",
                _number(each.limit),
            )
        console.print(Text(f"last look: {last.at:%Y-%m-%d %H:%M:%S} UTC, {last.reason}"))
        if last.readings:
            console.print(readings)
    for command in state.commands:
        words = f"{command.kind} by {command.who}, {command.at:%Y-%m-%d %H:%M:%S} UTC"
        why = f": {command.why}" if command.why else ""
        outcome = f" → {command.outcome}" if command.outcome else " → not read yet"
        console.print(Text(words + why + outcome), soft_wrap=True)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
