import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_assets.modeling.card import CardEvidence, ModelCard, build_card
from mlops_assets.modeling.evaluation import evaluate
from mlops_assets.modeling.gates import judge
from mlops_assets.spec import GatesSpec
from mlops_assets_tests.modeling.conftest import PackagedModel
from mlops_assets_tests.modeling.toy import LATER


def card(model: PackagedModel, gates: dict[str, Any] | None = None, **changes: Any) -> ModelCard:
    found = evaluate(model.spec, model.built, model.as_contestant(), None, LATER)
    frame = model.built.record(uri="u", version=4, dataset_digest="d" * 64, dataset_version=2)
    judged = judge(found, GatesSpec.model_validate(gates or {}))
    evidence: dict[str, Any] = {"facts": {"rows": "made"}, "origin": {"mlflow_run_id": "r1"}}
    return build_card(
        CardEvidence(
            spec=model.spec,
            frame=frame,
            manifest=model.manifest,
            evaluation=found,
            gates=judged,
            made_at=datetime(2024, 5, 1, 12, tzinfo=UTC),
            **(evidence | changes),
        )
    )


@pytest.mark.parametrize("name", ["boosted", "multiclass", "regression"])
def test_every_form_names_data_model_evidence_and_gates(
    name: str, request: pytest.FixtureRequest
) -> None:
    model: PackagedModel = request.getfixturevalue(name)
    made = card(model)
    for text in (made.markdown, made.html):
        for expected in (
            "Does music improve a listener",
            model.manifest.model_digest,
            model.built.facts.digest,
            "d" * 64,
            model.spec.model.estimator,
            "not_worse_than_champion",
            "there is no champion yet",
            "gain over baseline",
            "answers as scikit-learn does on",
            "hours (number), age (number)",
            "team:music",
            "2024-05-01T12:00:00+00:00",
        ):
            assert expected in text
    record = json.loads(made.json)
    assert record["evaluation"]["model"] == "toy"
    assert len(record["gates"]) == 5


def test_a_refusal_stands_at_the_top_with_its_reason(boosted: PackagedModel) -> None:
    made = card(boosted, {"minimum_rows": {"training": 5_000}})
    assert "**Refused:** refused by minimum_rows:" in made.markdown[:300]
    assert json.loads(made.json)["verdict"]["passed"] is False


def test_simulated_data_is_said_before_any_number(boosted: PackagedModel) -> None:
    made = card(boosted, facts={"simulated": "yes, seed 0"})
    for text in (made.markdown, made.html):
        assert text.index("yes, seed 0") < text.index("roc_auc (gated)")
    assert json.loads(made.json)["data"]["facts"]["simulated"] == "yes, seed 0"


def test_what_data_and_documents_say_is_escaped(boosted: PackagedModel) -> None:
    made = card(boosted, facts={"<script>": "a | b\n**c**"}, training_warnings=["[x](y)"])
    assert "<script>" not in made.html
    assert "<script>" not in made.markdown
    assert r"| &lt;script&gt; | a \| b \*\*c\*\* |" in made.markdown
    assert r"\[x\](y)" in made.markdown


def test_tables_of_markdown_have_as_many_cells_in_each_row(boosted: PackagedModel) -> None:
    made = card(boosted).markdown.replace(r"\|", "")
    for block in made.split("\n\n"):
        if block.startswith("|"):
            cells = {line.strip().count("|") for line in block.strip().splitlines()}
            assert len(cells) == 1, block
