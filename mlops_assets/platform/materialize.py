"""The process that brings models up to date: loads everything heavy once, and tells what it does.

Started by `up`, which reads its standard output: one event a line (`events.py`). What user code
prints goes to standard error, and so to the log.

One model after the other. Two processes side by side were measured on two cores: all models are
there 2 to 4 s sooner (of 25), but the first prediction comes 1 to 4 s later (of 18), since both
load the same libraries, and 600 MB more are needed.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError, PlatformError, SpecError
from mlops_assets.modeling.checking import check_documents
from mlops_assets.platform.events import Event, Message, Models, Unusable
from mlops_assets.platform.home import Home
from mlops_assets.platform.instance import CodeLocation, code_location, ensure_instance
from mlops_assets.platform.making import Workbench, make
from mlops_assets.platform.models import defs_folder
from mlops_assets.platform.pipelines import Pipeline, find_pipelines, load_location
from mlops_assets.platform.repair import repair
from mlops_assets.platform.retirement import read_retired, unretire
from mlops_assets.platform.sources import find_sources

if TYPE_CHECKING:
    import dagster as dg


def main() -> None:
    """`python -m mlops_assets.platform.materialize HOME PROJECT [MODEL...]`."""
    root, project, *names = sys.argv[1:]
    with _events_on_stdout() as emit:
        try:
            run(Home(Path(root)), code_location(Path(project)), names, emit)
        except MlopsError as error:
            emit(Unusable(text=str(error)))
            sys.exit(1)


def run(
    home: Home, location: CodeLocation, names: Sequence[str], emit: Callable[[Event], None]
) -> None:
    """Brings the models up to date; all that are not retired when none is named.

    Raises:
        PlatformError: a name is no model's, or the definitions cannot be loaded.
    """
    import dagster as dg

    began = datetime.now(UTC)
    ensure_instance(location.workspace.parent, home)
    repository = _load(location)  # once: 0.5 s each time
    with dg.DagsterInstance.get() as instance:
        bench = Workbench(home, location, repository, instance, find_sources(repository), emit)
        for message in repair(instance, home, began):
            emit(Message(text=message))
        chosen, retired = _choose(bench, find_pipelines(repository), names)
        emit(Models(models=[pipeline.model for pipeline in chosen], retired=retired))
        for pipeline in chosen:
            emit(make(bench, pipeline))


def _load(location: CodeLocation) -> "dg.RepositoryDefinition":
    try:
        return load_location(location).get_definition()
    except Exception as error:  # of whatever a document or a user's module does
        logging.exception("%s cannot be loaded", location.module)
        reason = _document_problems(location) or f"{type(error).__name__}: {error}"
        raise PlatformError(f"{location.module} cannot be loaded:\n{reason}") from error


def _document_problems(location: CodeLocation) -> str:
    """What is wrong with the documents, a line each; empty when it is not they."""
    try:
        problems = check_documents(defs_folder(location.workspace.parent))
    except SpecError:  # there is no such folder
        return ""
    return "\n".join(str(problem) for problem in problems)


def _choose(
    bench: Workbench, pipelines: Sequence[Pipeline], names: Sequence[str]
) -> tuple[list[Pipeline], list[str]]:
    """The models to make, and those passed over since they are retired."""
    known = {pipeline.model: pipeline for pipeline in pipelines}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise PlatformError(f"no model is named {unknown[0]!r}; found: {', '.join(known)}")
    for name in names:
        unretire(bench.home, bench.instance, bench.location, name)
    retired = [model for model in read_retired(bench.home) if model in known]
    chosen = [p for p in pipelines if (p.model in names if names else p.model not in retired)]
    return chosen, [] if names else retired


@contextmanager
def _events_on_stdout() -> Iterator[Callable[[Event], None]]:
    """Keeps standard output for events: Dagster captures what steps print, and users print."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as events:
        os.dup2(2, 1)

        def emit(event: Event) -> None:
            events.write(event.model_dump_json() + "\n")
            events.flush()

        yield emit


if __name__ == "__main__":
    main()
