"""The model card: what a model is, on which evidence, as Markdown, HTML and JSON.

Here: the record that all three forms show. The words stand in `card.md.jinja` and `card.html.jinja`
beside this file. Every value is escaped: names, reasons and facts come from documents and data.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.modeling.evaluation import Estimate, Evaluation
from mlops_assets.modeling.features import TrainingFrame
from mlops_assets.modeling.gates import GateResult, describe
from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.spec import ModelSpec

_CARD_FORMAT = 1
_MARKDOWN_MEANING = re.compile(r"[\\`*\[\]|#~]|(?<!\w)_|_(?!\w)")


@dataclass(frozen=True, slots=True)
class CardEvidence:
    """What a model card is made from.

    Attributes:
        spec: The document.
        frame: The training frame.
        manifest: The packaged candidate.
        evaluation: How good it is.
        gates: What the gates said.
        made_at: When the card is made.
        facts: Facts about the data, such as `simulated`.
        origin: Where it comes from, by name: `mlflow_run_id`, `dagster_run_id`, `code_version`.
        training_warnings: Warnings while fitting.
    """

    spec: ModelSpec
    frame: TrainingFrame
    manifest: ModelManifest
    evaluation: Evaluation
    gates: list[GateResult]
    made_at: datetime
    facts: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)
    training_warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One card in three forms."""

    markdown: str
    html: str
    json: str


def build_card(evidence: CardEvidence) -> ModelCard:
    """The card of a candidate, passed or refused."""
    record = card_record(evidence)
    return ModelCard(
        markdown=_render("card.md.jinja", record),
        html=_render("card.html.jinja", record),
        json=json.dumps(record, indent=2, ensure_ascii=False) + "\n",
    )


def card_record(evidence: CardEvidence) -> dict[str, Any]:
    """The card as plain JSON values."""
    spec, manifest = evidence.spec, evidence.manifest
    return {
        "format": _CARD_FORMAT,
        "model": spec.name,
        "question": spec.description,
        "owners": list(spec.owners),
        "made_at": evidence.made_at.isoformat(timespec="seconds"),
        "verdict": _verdict(evidence.gates),
        "origin": dict(evidence.origin),
        "data": {
            "facts": dict(evidence.facts),
            "target": spec.target.model_dump(mode="json"),
            "frame": evidence.frame.model_dump(mode="json"),
        },
        "training": {
            "estimator": spec.model.estimator,
            "parameters": dict(spec.model.parameters),
            "preprocessing": spec.model.preprocessing.model_dump(mode="json"),
            "seed": spec.model.seed,
            "warnings": list(evidence.training_warnings),
        },
        "package": manifest.model_dump(
            mode="json", include={"model_digest", "features", "classes", "positive", "onnx"}
        ),
        "evaluation": evidence.evaluation.model_dump(mode="json"),
        "gates": [gate.model_dump(mode="json") for gate in evidence.gates],
    }


def _verdict(gates: list[GateResult]) -> dict[str, Any]:
    refused = [gate for gate in gates if not gate.passed]
    if refused:
        told = "refused by " + "; ".join(f"{gate.name}: {gate.reason}" for gate in refused)
    else:
        told = f"passes all {len(gates)} gates" if gates else "no gate is switched on"
    return {"passed": not refused, "reason": told}


def _render(template: str, record: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    is_html = template.endswith(".html.jinja")
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=is_html,
        finalize=None if is_html else _escape_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = _format_number
    environment.filters["interval"] = _format_interval
    return environment.get_template(template).render(card=record)


def _escape_markdown(value: object) -> str:
    """A value as one line of Markdown that means nothing but its characters."""
    text = " ".join(str(value).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_MEANING.sub(r"\\\g<0>", text)


def _format_number(value: float | None) -> str:
    """Three digits after the point; counts as they are.

    >>> _format_number(0.61234), _format_number(5719), _format_number(50.0), _format_number(None)
    ('0.612', '5,719', '50', 'unknown')
    """
    if value is None:
        return "unknown"
    if isinstance(value, int) or (value.is_integer() and abs(value) >= 1):
        return f"{int(value):,}"
    return f"{value:,.3f}"


def _format_interval(estimate: Mapping[str, Any] | None) -> str:
    return "–" if estimate is None else describe(Estimate.model_validate(estimate))
