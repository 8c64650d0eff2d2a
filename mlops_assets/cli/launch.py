"""The command launch: a model's run on a platform that runs somewhere."""

from typing import Annotated

import typer

from mlops_assets.cli.options import ModelArgument


def launch(
    model: ModelArgument,
    *,
    dagster_url: Annotated[
        str, typer.Option(envvar="MLOPS_DAGSTER_UI_URL", help="Address of Dagster's pages.")
    ] = "http://127.0.0.1:3000",
    token_command: Annotated[
        str | None,
        typer.Option(
            envvar="MLOPS_DAGSTER_TOKEN_COMMAND",
            help="Shell command that prints the token to show, where the pages are behind a login.",
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(help="How long to follow the run.")] = 120.0,
) -> None:
    """Launch a model's job on a running platform, follow it, and print the run's page.

    Exit code 1 when the run failed, a gate refused the candidate, or it did not end in time; 2 when
    Dagster refused it, or did not answer for a minute.
    """
    from mlops_assets.platform.launching import GraphqlRuns, launch_and_follow

    def say(words: str) -> None:
        typer.echo(words, err=True)

    runs = GraphqlRuns(dagster_url, token_command)
    ended = launch_and_follow(runs, model, dagster_url, 60 * minutes, say)
    typer.echo(ended.url)
    raise typer.Exit(0 if ended.status == "SUCCESS" else 1)
