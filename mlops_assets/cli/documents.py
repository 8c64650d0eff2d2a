"""The commands about model documents: new, check."""

from pathlib import Path
from typing import Annotated

import typer


def new(
    name: Annotated[str, typer.Argument(help="Name of the model: letters, digits and _.")],
    *,
    data: Annotated[Path, typer.Option(help="CSV or Parquet file with past rows.")],
    target: Annotated[str, typer.Option(help="Column that the model is to predict.")],
) -> None:
    """Write a working document for a new model, inferred from its data.

    Types, ranges, categories, time column and task are read off the rows; each is explained in a
    comment. The result trains as it stands: look at it, then run `mlops-assets up --model NAME`.
    """
    import os

    from mlops_assets.modeling.drafting.draft import write_draft
    from mlops_assets.platform.home import project_folder
    from mlops_assets.platform.models import defs_folder

    folder = defs_folder(project_folder(os.environ))
    typer.echo(write_draft(name, data=data, target=target, defs_dir=folder))


def check(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of documents. [default: defs/ of the project]")
    ] = None,
) -> None:
    """Check every model document, and everything that it refers to, without running anything.

    Every problem of every document is listed: file, line, field, what was found, what is allowed.
    Exit code 1 when there is one.
    """
    import os

    from mlops_assets.modeling.checking import check_documents
    from mlops_assets.platform.home import project_folder
    from mlops_assets.platform.models import defs_folder
    from mlops_assets.spec.reading import discover_documents

    found = folder or defs_folder(project_folder(os.environ))
    problems = check_documents(found)
    for problem in problems:
        typer.echo(str(problem))
    n_documents = len(discover_documents(found))
    typer.echo(f"{n_documents} documents, {len(problems)} problems", err=True)
    raise typer.Exit(1 if problems else 0)
