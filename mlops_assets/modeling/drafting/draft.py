"""A working document for a data file: `mlops-assets new`.

Here: reading the data, trying the draft out, and writing it. Not here: what is decided about the
columns (`compose.py` and the modules that it calls).

A draft is tried before it is written: its source is read, its contract checked and its training
frame made, in a folder that is thrown away. What stops that (a column that gives the target away, a
newest part without one of the classes) changes the draft.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter, ValidationError

from mlops_assets.data.inference import typed_rows
from mlops_assets.data.snapshots import Lake
from mlops_assets.data.sources import open_source
from mlops_assets.errors import FeatureError, Problem, SourceError, SpecError
from mlops_assets.modeling.drafting.compose import Findings, compose, decide
from mlops_assets.modeling.drafting.profile import ColumnProfile, profile_columns
from mlops_assets.modeling.features import FrameFacts, build_frame
from mlops_assets.modeling.leakage import assess_leakage
from mlops_assets.spec import ModelSpec, SourceSpec
from mlops_assets.spec.base import PATTERN_WORDS, Identifier
from mlops_assets.spec.explaining import suggestion
from mlops_assets.spec.reading import DOCUMENT_FILES, read_document
from mlops_assets.whole_files import write_aside

_SEPARATORS = (";", "\t", "|")
_NO_VALUE = {"", "na", "n/a", "nan", "null", "none", "-", "--", "?", "unknown", "missing", "#n/a"}
_PROJECT_FILES = ("pyproject.toml", "dg.toml", ".git")
_MOST_TRIALS = 5  # each takes columns out, so a few are enough


def write_draft(name: str, *, data: Path, target: str, defs_dir: Path) -> Path:
    """Write `<defs_dir>/<name>/defs.yaml` for a data file; nothing that exists is overwritten.

    Args:
        name: Name of the model and its folder.
        data: CSV or Parquet file.
        target: The column to predict.
        defs_dir: Folder that holds one folder per model.

    Raises:
        SpecError: the name is no name for a model, or there is a document already.
        SourceError: the data cannot be read, or the target cannot be predicted from it.
        FeatureError: no training frame can be made of the data.
    """
    folder = defs_dir / name
    document = folder / DOCUMENT_FILES[0]
    if any((folder / other).exists() for other in DOCUMENT_FILES):
        raise SpecError([Problem(document, 1, "document", "one already", "another name")])
    is_new = not folder.exists()
    text = draft_text(name, data=data, target=target, folder=folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _write_once(document, text)
    except BaseException:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
        raise
    return document


def draft_text(name: str, *, data: Path, target: str, folder: Path) -> str:
    """The text of a document that trains as it stands, for a folder; nothing is written.

    Raises:
        As `write_draft`.
    """
    _require_name(name, folder)
    source = _source_fields(data)
    profiles = _profiles(source)
    null_values = [*SourceSpec(path="").null_values, *_texts_for_nothing(profiles)]
    if null_values != SourceSpec(path="").null_values:
        source["null_values"] = null_values
        profiles = _profiles(source)
    _require_target(target, profiles, data)
    shown = {**source, "path": _path_from(folder, data)}
    findings = Findings()
    for _ in range(_MOST_TRIALS):
        text = compose(name, shown, decide(profiles, target, findings), findings)
        learned = _try(text, source, findings)
        if learned == findings:
            return text
        findings = learned
    raise FeatureError(f"{data}: no draft of a document for {target} could be trained")


def _require_name(name: str, folder: Path) -> None:
    try:
        TypeAdapter(Identifier).validate_python(name)
    except ValidationError as error:
        [details] = error.errors()
        allowed = PATTERN_WORDS[details["ctx"]["pattern"]]
        problem = Problem(folder / DOCUMENT_FILES[0], 1, "name", name, allowed)
        raise SpecError([problem]) from error


def _source_fields(data: Path) -> dict[str, Any]:
    """Fields of the source: path, and what its ending and header do not say by themselves."""
    fields: dict[str, Any] = {"path": str(data.resolve())}
    if data.suffix.lower() in (".parquet", ".pq") or data.is_dir():
        return fields
    if data.suffix.lower() != ".csv":
        fields["format"] = "csv"
    separator = _separator(data)
    if separator != ",":
        fields["separator"] = separator
    return fields


def _separator(data: Path) -> str:
    """The sign that parts the header's columns; a comma when none does."""
    try:
        with data.open(encoding="utf-8-sig") as opened:
            header = opened.readline(100_000)
    except (OSError, UnicodeDecodeError):
        return ","  # reading the source will say what is wrong
    counts = {sign: header.count(sign) for sign in (",", *_SEPARATORS)}
    return max(counts, key=lambda sign: counts[sign])


def _profiles(source: Mapping[str, Any]) -> list[ColumnProfile]:
    """Profiles of the source's columns. Text is typed once, not for each look."""
    rows = open_source(SourceSpec.model_validate(source), base=Path.cwd())
    if not rows.is_text:
        return profile_columns(rows.frame)
    with tempfile.TemporaryDirectory() as scratch:
        typed = Path(scratch, "rows.parquet")
        typed_rows(rows).sink_parquet(typed)
        return profile_columns(pl.scan_parquet(typed))


def _texts_for_nothing(profiles: Sequence[ColumnProfile]) -> list[str]:
    """Texts such as `N/A` that stand where columns of numbers have no value."""
    found = {
        text
        for profile in profiles
        if profile.number_ratio >= 0.5
        and all(text.strip().lower() in _NO_VALUE for text in profile.not_numbers)
        for text in profile.not_numbers
    }
    return sorted(found)


def _require_target(target: str, profiles: Sequence[ColumnProfile], data: Path) -> None:
    names = [profile.name for profile in profiles]
    if target not in names:
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise SourceError(
            f"{data} has no column {target!r}{suggestion(target, names)}; it has {shown}"
        )


def _path_from(folder: Path, data: Path) -> str:
    """Relative to the document when both lie in one project, so that the project can move."""
    folder, data = folder.resolve(), data.resolve()
    roots = [up for up in folder.parents if any((up / file).exists() for file in _PROJECT_FILES)]
    root = roots[0] if roots else folder.parent
    return os.path.relpath(data, folder) if data.is_relative_to(root) else str(data)


def _try(text: str, source: Mapping[str, Any], findings: Findings) -> Findings:
    """What stands in the way of training on a draft, beside what is known; nothing when equal."""
    with tempfile.TemporaryDirectory() as scratch:
        document = Path(scratch, DOCUMENT_FILES[0])
        document.write_text(text, encoding="utf-8")
        spec = read_document(document)
        lake = Lake(str(Path(scratch, "lake")))
        rows = open_source(SourceSpec.model_validate(source), base=Path.cwd())
        snapshot = lake.write_snapshot(spec, rows, now=datetime.now(UTC))
        if not snapshot.contract.passed:
            raise FeatureError(f"the drafted contract does not hold: {snapshot.contract.reason}")
        try:
            facts = build_frame(lake.read_snapshot(snapshot), spec).facts
        except FeatureError as error:
            if spec.split_method != "time":
                raise
            return replace(findings, no_time_split=f"{error}; so a hash of the row decides")
    return _learned(spec, facts, findings)


def _learned(spec: ModelSpec, facts: FrameFacts, findings: Findings) -> Findings:
    verdict = assess_leakage(facts.single_column_scores, spec.features.maximum_single_column_score)
    columns = {
        f"{name}_{part}": name for name, parts in spec.features.datetime.items() for part in parts
    }
    if not verdict.passed and not verdict.suspects:
        raise FeatureError(f"no draft can be trained: {verdict.reason}")
    excluded = dict(findings.excluded)
    for feature in verdict.suspects:
        score = facts.single_column_scores[feature]
        excluded[columns.get(feature, feature)] = (
            f"it tells {spec.target.column} all by itself (score {score:.3f} of 1): "
            "was it known beforehand?"
        )
    lacking = [label for label, n in facts.class_counts.get("validation", {}).items() if n == 0]
    no_time_split = findings.no_time_split
    if lacking and spec.split_method == "time":
        no_time_split = f"the newest rows have no {lacking[0]}, so a hash of the row decides"
    return Findings(excluded, no_time_split)


def _write_once(document: Path, text: str) -> None:
    """Write aside, then link to the name; a document that is there meanwhile stays."""
    aside = write_aside(document, text, 0o644)
    try:
        document.hardlink_to(aside)
    except FileExistsError as error:
        raise SpecError(
            [Problem(document, 1, "document", "one already", "another name")]
        ) from error
    finally:
        aside.unlink(missing_ok=True)
