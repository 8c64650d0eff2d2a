"""`mlops-assets`: every command, what it prints, and its exit codes.

Data goes to standard output, talk to standard error. Exit code 0: done. 1: done, and something is
wrong, as the command says. 2: could not be done; one message on standard error tells what to do.
Each command imports what it needs when it runs, so that help appears at once.
"""

import sys

import typer

from mlops_assets.cli.backtest import backtest
from mlops_assets.cli.demo import demo
from mlops_assets.cli.doctor import doctor
from mlops_assets.cli.documents import check, new
from mlops_assets.cli.keys import keys
from mlops_assets.cli.launch import launch
from mlops_assets.cli.platform import retire, status, up
from mlops_assets.cli.replay import replay
from mlops_assets.cli.retraining import retrain
from mlops_assets.cli.rollout import rollout
from mlops_assets.cli.serving import exporter, predict, predictor, sink
from mlops_assets.errors import MlopsError

app = typer.Typer(
    name="mlops-assets",
    help=(
        "One YAML document declares a model; Dagster keeps its whole life as assets.\n\n"
        "Begin with `mlops-assets up`: it brings every model under defs/ up on this machine. Add a "
        "model of your own with `mlops-assets new NAME --data FILE --target COLUMN`."
    ),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS = (up, status, new, check, doctor, launch, predict, retrain, retire, backtest, replay)
for _command in _COMMANDS:
    app.command()(_command)
app.add_typer(rollout)
app.add_typer(keys)
app.add_typer(demo)
for _server in (predictor, sink, exporter):
    app.command(
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
    )(_server)


def main() -> None:
    """Runs a command. An error that the user can act on is one message and exit code 2."""
    try:
        app()
    except MlopsError as error:
        print(f"mlops-assets: {error}", file=sys.stderr)
        sys.exit(2)
