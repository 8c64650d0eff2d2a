"""Where rows come from: files, Delta tables, SQL queries and Python functions."""

from mlops_assets.data.sources.opening import open_source, source_columns, source_fingerprint
from mlops_assets.data.sources.rows import SourceRows

__all__ = ["SourceRows", "open_source", "source_columns", "source_fingerprint"]
