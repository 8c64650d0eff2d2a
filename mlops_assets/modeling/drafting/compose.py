"""A whole first document from the profiles of the columns: decisions, and the text with reasons.

Pure: same profiles and findings, same text.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlops_assets.modeling.drafting.contract import DraftedContract, draft_contract
from mlops_assets.modeling.drafting.document_text import comment_lines, entry, flow, joined, scalar
from mlops_assets.modeling.drafting.features import (
    Features,
    choose_features,
    choose_id,
    choose_time,
)
from mlops_assets.modeling.drafting.profile import ColumnProfile
from mlops_assets.modeling.drafting.target import DraftedTarget, draft_target
from mlops_assets.spec.reading import COMPONENT_TYPE

MANY_ROWS = 2_000
"""From here on trees are worth more than a straight line."""

_GATE_TRAINING, _GATE_VALIDATION = 100, 50  # defaults of gates.minimum_rows


@dataclass(frozen=True, slots=True)
class Findings:
    """What a trial of a former draft taught.

    Attributes:
        excluded: Columns that cannot be features, with the reason.
        no_time_split: Why the newest rows cannot validate; empty when they can.
    """

    excluded: Mapping[str, str] = field(default_factory=dict)
    no_time_split: str = ""


@dataclass(frozen=True, slots=True)
class DraftedDocument:
    """What was decided about a document.

    Attributes:
        target: What is predicted.
        features: What the model sees.
        contracts: Contract of each column that has one.
        identifier: The column that names the rows, or whom they are about.
        time: The time column.
        n_rows: Rows of the data.
    """

    target: DraftedTarget
    features: Features
    contracts: Mapping[str, DraftedContract]
    identifier: ColumnProfile | None
    time: ColumnProfile | None
    n_rows: int


def decide(profiles: Sequence[ColumnProfile], target: str, findings: Findings) -> DraftedDocument:
    """The document that the columns suggest.

    Raises:
        SourceError: the target cannot be predicted, or no column is left to predict it from.
    """
    by_name = {profile.name: profile for profile in profiles}
    drafted = draft_target(by_name[target])
    identifier = choose_id(profiles, target)
    time = choose_time(profiles, target)
    features = choose_features(
        profiles,
        target=target,
        excluded=findings.excluded,
        time=time.name if time is not None and not findings.no_time_split else None,
    )
    rare = {value for value, _ in drafted.rare}
    classes = [value for value, _ in by_name[target].values if value not in rare]
    contracts = {
        profile.name: draft_contract(
            profile,
            is_unique=profile is identifier and profile.n_distinct == profile.n_rows,
            classes=sorted(classes, key=str) if profile.name == target and rare else (),
        )
        for profile in profiles
        if profile.type is not None and profile.n_present
    }
    return DraftedDocument(drafted, features, contracts, identifier, time, by_name[target].n_rows)


def compose(
    name: str, source: Mapping[str, Any], draft: DraftedDocument, findings: Findings
) -> str:
    """The text of the document.

    Args:
        name: Name of the model.
        source: Fields of the document's `source`.
        draft: What was decided.
        findings: Why, where a trial decided it.
    """
    target = draft.target.spec.column
    file = str(source["path"]).rpartition("/")[2]
    return joined(
        [
            *comment_lines(
                0,
                f"Drafted from {draft.n_rows:,} rows of {file}. Each comment says what was seen "
                "there; change what you know better. docs/yaml-reference.md lists every field.",
            ),
            f"type: {COMPONENT_TYPE}",
            "",
            "attributes:",
            f"  name: {scalar(name)}",
            *entry(2, "description", f"What is {target}?", "better: the question in a sentence"),
            *entry(2, "owners", ["team:unassigned"], "team:<name> or an e-mail address"),
            "",
            "  source:",
            *(line for key, value in source.items() for line in entry(4, key, value)),
            "",
            *_contract_lines(draft),
            "",
            *_feature_lines(draft.features),
            "",
            *_target_lines(draft.target),
            "",
            *_row_lines(draft, findings),
            *_model_lines(draft),
        ]
    )


def _contract_lines(draft: DraftedDocument) -> list[str]:
    n_violating = sum(contract.n_violating for contract in draft.contracts.values())
    ratio = max(0.01, math.ceil(200 * n_violating / draft.n_rows) / 100)
    lines = [
        *comment_lines(
            2, "Ranges reach as far again as what was seen. Rows outside are set aside."
        ),
        "  contract:",
        "    on_violation: quarantine",
        *entry(4, "allowed_violation_ratio", ratio, "more than that, and the check fails"),
        "    columns:",
    ]
    for column, contract in draft.contracts.items():
        lines += entry(6, column, dict(contract.fields), contract.why)
    return lines


def _feature_lines(features: Features) -> list[str]:
    lines = ["  features:"]
    for kind in ("numeric", "categorical", "boolean"):
        columns = getattr(features, kind)
        if columns:
            lines += entry(4, kind, columns)
    if features.datetime:
        lines.append("    datetime:")
        for column, parts in features.datetime.items():
            lines += entry(6, column, list(parts))
    if features.left_out:
        lines += comment_lines(4, "Left out:")
    for column, reason in features.left_out.items():
        lines += comment_lines(4, f"- {column}: {reason}")
    return lines


def _target_lines(target: DraftedTarget) -> list[str]:
    spec = target.spec
    lines = ["  target:", f"    column: {scalar(spec.column)}"]
    lines += entry(4, "task", spec.task, target.why)
    if spec.positive is not None:
        lines.append(f"    positive: {scalar(spec.positive)}")
    return lines


def _row_lines(draft: DraftedDocument, findings: Findings) -> list[str]:
    """Time, identity and split."""
    lines: list[str] = []
    time, identifier = draft.time, draft.identifier
    is_unique = identifier is not None and identifier.n_distinct == draft.n_rows
    if time is not None:
        order = "rows stand in its order" if time.is_sorted else "by its name"
        split = findings.no_time_split or "the newest rows validate"
        lines += entry(2, "time_column", time.name, f"{order}; {split}")
    if identifier is not None:
        seen = (
            "different in every row"
            if is_unique
            else f"{identifier.n_distinct:,} different in {draft.n_rows:,} rows: those of one stay "
            "on one side of the split"
        )
        lines += entry(2, "entity_key", identifier.name, seen)
    by_time = time is not None and not findings.no_time_split
    if not by_time and (is_unique or time is not None) and not (identifier and not is_unique):
        lines += ["  split:", "    method: stratified"]
        if identifier is not None and is_unique:
            lines += entry(4, "id_columns", [identifier.name], "tell a row from all others")
    elif not by_time and identifier is not None and time is not None:
        lines += ["  split:", "    method: grouped"]
    return [*lines, ""] if lines else []


def _model_lines(draft: DraftedDocument) -> list[str]:
    is_class = draft.target.spec.task != "regression"
    lines = []
    if draft.n_rows < (_GATE_TRAINING + _GATE_VALIDATION) * 1.2:
        lines += comment_lines(
            2,
            f"{draft.n_rows:,} rows are few: the gate minimum_rows asks for {_GATE_TRAINING} to "
            f"train and {_GATE_VALIDATION} to judge, and will refuse the model until there are.",
        )
    if draft.n_rows >= MANY_ROWS:
        kind = "Classifier" if is_class else "Regressor"
        return [
            *lines,
            *comment_lines(2, f"{draft.n_rows:,} rows: enough for trees, which find thresholds."),
            "  model:",
            f"    estimator: sklearn.ensemble.HistGradientBoosting{kind}",
            f"    parameters: {flow({'learning_rate': 0.05, 'max_iter': 200})}",
            "    preprocessing:",
            "      numeric_imputation: none # the trees handle missing numbers",
            "      encoding: ordinal",
        ]
    estimator, parameters = (
        ("LogisticRegression", {"C": 0.1, "max_iter": 1000})
        if is_class
        else ("Ridge", {"alpha": 1.0})
    )
    return [
        *lines,
        *comment_lines(2, f"{draft.n_rows:,} rows: too few for trees; a linear model, held small."),
        "  model:",
        f"    estimator: sklearn.linear_model.{estimator}",
        f"    parameters: {flow(parameters)}",
        "    preprocessing:",
        "      scale: true",
    ]
