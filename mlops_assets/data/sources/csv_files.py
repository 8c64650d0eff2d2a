"""CSV: every value as text, for contract or inference to type."""

from pathlib import Path

import polars as pl

from mlops_assets.data.inference import infer_types
from mlops_assets.data.source_rows import SourceRows
from mlops_assets.data.sources.csv_structure import read_header, read_structure
from mlops_assets.data.sources.files import SourceFile, local_copies
from mlops_assets.errors import SourceError
from mlops_assets.spec import SourceSpec

_GUESSED_ROWS = 1_000


def open_csv(spec: SourceSpec, files: list[SourceFile]) -> SourceRows:
    """The rows of CSV files, in the order of their names; each file is checked first.

    Raises:
        SourceError: a file cannot be read as it stands, or the files have different columns.
    """
    separator = spec.separator or ","
    paths = local_copies(files)
    structures = [
        read_structure(path, name=file.name, separator=separator)
        for file, path in zip(files, paths, strict=True)
    ]
    _require_same_header(files, [structure.header for structure in structures])
    frame = _scan(paths, structures[0].header, spec)
    facts = {}
    if n_blank := sum(structure.n_blank_lines for structure in structures):
        # A blank line comes out as a row in which everything is missing.
        frame = frame.filter(pl.any_horizontal(pl.all().is_not_null()))
        facts["blank_lines"] = f"{n_blank:,} left out, with all rows that have no value"
    return SourceRows(frame, facts, is_text=True)


def csv_columns(spec: SourceSpec, files: list[SourceFile]) -> dict[str, str]:
    """Names of the columns of the first file, with types guessed from its first 1,000 rows.

    Raises:
        SourceError: the header cannot be used.
    """
    [path] = local_copies(files[:1])
    header = read_header(path, name=files[0].name, separator=spec.separator or ",")
    try:
        head = _scan([path], header, spec).head(_GUESSED_ROWS).collect()
    except pl.exceptions.PolarsError as error:
        raise SourceError(f"{files[0].name} cannot be read: {error}") from error
    return dict(infer_types([head], header))


def _scan(paths: list[Path], header: list[str], spec: SourceSpec) -> pl.LazyFrame:
    return pl.scan_csv(
        paths,
        separator=spec.separator or ",",
        schema=dict.fromkeys(header, pl.String()),
        null_values=spec.null_values,
        empty_string_is_null="" in spec.null_values,  # the values themselves cover quoted text only
        glob=False,
    )


def _require_same_header(files: list[SourceFile], headers: list[list[str]]) -> None:
    for file, header in zip(files, headers, strict=True):
        if header != headers[0]:
            raise SourceError(
                f"{file.name} has the columns {', '.join(header)}; {files[0].name} has "
                f"{', '.join(headers[0])}; all files of one source need the same header"
            )
