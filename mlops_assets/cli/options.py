"""Options that several commands share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlops_assets.platform.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="Where everything is kept. [default: $MLOPS_HOME, else .mlops in the project folder]",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")
]
ModelArgument = Annotated[
    str, typer.Argument(help="Name of the model, as in its document.", metavar="MODEL")
]


def locate(home: Path | None) -> "tuple[Home, Path]":
    """The home in force and the project folder."""
    from mlops_assets.platform.home import home_at, project_folder

    project = project_folder(os.environ)
    return home_at(home, os.environ, project), project
