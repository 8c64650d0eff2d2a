"""The command about retraining: retrain."""

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer

from mlops_assets.cli.options import HomeOption, JsonOption, ModelArgument, locate
from mlops_assets.cli.rollout import WhoOption


def retrain(
    model: ModelArgument,
    *,
    why: Annotated[str, typer.Option(help="Why; recorded with who and when.")],
    who: WhoOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Ask for a model to be trained again now, whatever the windows say.

    The candidate goes the usual way: gates against the champion, registry, rollout. Cooldown,
    budget and breakers do not hold it up; it waits for an attempt that is in flight.
    """
    from mlops_assets.platform.watching import ask_retraining
    from mlops_assets.retraining.state import Request

    found, project = locate(home)
    request = Request(who=who or getpass.getuser(), at=datetime.now(UTC), why=why)
    ask_retraining(found, project, model, request)
    if as_json:
        typer.echo(request.model_dump_json())
    else:
        typer.echo(
            f"{model}: {request.who} asks for a retraining; the retraining sensor begins it within "
            "10 s while the platform runs"
        )
