"""The commands that show the platform at work: demo rollout."""

from typing import Annotated

import typer

from mlops_assets.cli.options import HomeOption, locate

demo = typer.Typer(name="demo", help="Show the running platform at work.", no_args_is_help=True)


@demo.callback()
def _group() -> None:
    """Show the running platform at work."""


@demo.command()
def rollout(
    model: Annotated[
        str, typer.Argument(help="Name of a model whose document has `rollout:`.")
    ] = "flight_delay",
    *,
    bad: Annotated[
        bool, typer.Option("--bad", help="Roll out a broken version, and see it rolled back.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Train a variation of a served model, send traffic, and watch it reach users, or not.

    With `make run` up; takes about two minutes. Exit code 1: it did not end as it should.
    """
    from mlops_assets.platform.demo import show_rollout
    from mlops_assets.rollout.phases import PROMOTED

    found, project = locate(home)
    state = show_rollout(found, project, model, lambda line: typer.echo(line, err=True), bad=bad)
    is_expected = state.phase in ("rolled_back", "failed") if bad else state.phase in PROMOTED
    typer.echo(f"{model}: v{state.challenger.version}: {state.phase}: {state.reason}")
    raise typer.Exit(0 if is_expected else 1)
