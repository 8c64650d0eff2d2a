"""Rows that a function of the user returns."""

import importlib
from typing import Any

import polars as pl

from mlops_assets.data.source_rows import SourceRows
from mlops_assets.errors import MlopsError, SourceError
from mlops_assets.spec.data import PythonSourceSpec


def open_python(spec: PythonSourceSpec) -> SourceRows:
    """What the function returns: a Polars frame or lazy frame, or `SourceRows` with facts.

    Raises:
        SourceError: there is no such function, it fails, or it returns something else.
    """
    result = _call(spec, _load(spec))
    if isinstance(result, SourceRows):
        return result
    if isinstance(result, pl.DataFrame):
        return SourceRows(result.lazy(), sliceable=True)
    if isinstance(result, pl.LazyFrame):
        return SourceRows(result)
    raise SourceError(
        f"source.python.function: {spec.function} returned {type(result).__name__}, allowed: a "
        "Polars DataFrame or LazyFrame, or SourceRows (pandas: polars.from_pandas)"
    )


def python_fingerprint(spec: PythonSourceSpec) -> str | None:
    """What the function's attribute `fingerprint` answers; None without it.

    Raises:
        SourceError: there is no such function, or its fingerprint fails.
    """
    fingerprint = getattr(_load(spec), "fingerprint", None)
    return str(_call(spec, fingerprint)) if callable(fingerprint) else None


def _load(spec: PythonSourceSpec) -> Any:
    module_name, _, name = spec.function.replace(":", ".").rpartition(".")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except Exception as error:  # a module of the user may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise SourceError(
            f"source.python.function: {spec.function} cannot be imported: {reason}"
        ) from error
    if not callable(function):
        raise SourceError(f"source.python.function: {spec.function} is no function")
    return function


def _call(spec: PythonSourceSpec, function: Any) -> Any:
    try:
        return function(**spec.arguments)
    except MlopsError:
        raise
    except Exception as error:  # a function of the user may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise SourceError(f"source.python: {spec.function} failed: {reason}") from error
