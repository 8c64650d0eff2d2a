"""The model card: what a model is, on which evidence, as Markdown, HTML and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mlops_assets.modeling.evaluation import Evaluation
from mlops_assets.modeling.features import TrainingFrame
from mlops_assets.modeling.gates import GateResult
from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.spec import ModelSpec


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
    raise NotImplementedError
