"""From a document's `source` to rows, a fingerprint or column types."""

from pathlib import Path

from mlops_assets.data.sources.rows import SourceRows
from mlops_assets.spec import SourceSpec


def open_source(spec: SourceSpec, *, base: Path) -> SourceRows:
    """The rows of a source, checked for structure and not yet read.

    Args:
        spec: The document's `source`.
        base: Folder that relative paths start from: the document's.

    Raises:
        SourceError: missing, empty, malformed or unreachable; names the file and what to do.
    """
    raise NotImplementedError


def source_fingerprint(spec: SourceSpec, *, base: Path) -> str | None:
    """A text that changes when the source does, found without reading rows.

    Made of path, size and modification time of files, or the version of a Delta table. A Python
    function answers through its attribute `fingerprint`, a callable that takes the same arguments.

    Returns:
        None when only reading the rows would tell (SQL; functions without that attribute).

    Raises:
        SourceError: the source is missing or unreachable.
    """
    raise NotImplementedError


def source_columns(spec: SourceSpec, *, base: Path) -> dict[str, str] | None:
    """Names and types of the columns, found without reading all rows.

    Types are those of a contract (`string`, `integer`, `number`, `boolean`, `datetime`, `date`);
    types of CSV columns are guessed from the first 1,000 rows.

    Returns:
        None when only reading the rows would tell (SQL, Python functions).

    Raises:
        SourceError: the source is missing, unreachable or has no readable header.
    """
    raise NotImplementedError
