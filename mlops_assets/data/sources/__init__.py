"""Where rows come from: files, Delta tables, SQL queries and Python functions."""

from mlops_assets.data.source_rows import SourceRows
from mlops_assets.data.sources.opening import open_source, source_columns, source_fingerprint

__all__ = ["SourceRows", "open_source", "source_columns", "source_fingerprint"]
