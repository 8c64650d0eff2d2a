import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.modeling.contestants import Contestant, answer, why_not_comparable
from mlops_assets.modeling.evaluation import Evaluation, evaluate
from mlops_assets.modeling.features import VALIDATES, BuiltFrame, build_frame
from mlops_assets.modeling.gates import judge
from mlops_assets.modeling.metrics import Floats
from mlops_assets.modeling.plots import draw_plots
from mlops_assets.modeling.split import TIME, SplitRule
from mlops_assets_tests.modeling.conftest import PackagedModel, package
from mlops_assets_tests.modeling.toy import LATER, START, document, rows, tree_document


def run(model: PackagedModel, champion: Contestant | None = None) -> Evaluation:
    return evaluate(model.spec, model.built, model.as_contestant(), champion, LATER)


def changed(contestant: Contestant, split: SplitRule | None = None, **manifest: Any) -> Contestant:
    return dataclasses.replace(
        contestant,
        manifest=contestant.manifest.model_copy(update=manifest),
        split=split or contestant.split,
    )


def test_all_contestants_answer_the_same_rows(boosted: PackagedModel) -> None:
    found = run(boosted, boosted.as_contestant("3"))
    assert list(found.metrics) == ["candidate", "champion", "baseline"]
    assert found.n_rows == boosted.built.facts.n_validation
    assert found.metrics["candidate"] == found.metrics["champion"]
    assert (found.champion, found.champion_version) == ("judged", "3")
    assert set(found.gains) == {"champion", "baseline"}
    assert {(gain.value, gain.low, gain.high) for gain in found.gains["champion"].values()} == {
        (0.0, 0.0, 0.0)
    }


def test_a_model_that_learned_something_beats_the_baseline(boosted: PackagedModel) -> None:
    found = run(boosted)
    baseline = found.metrics["baseline"]["roc_auc"]
    assert (baseline.value, baseline.low, baseline.high) == (0.5, 0.5, 0.5)
    gain = found.gains["baseline"]
    for metric in ("roc_auc", "log_loss"):
        low = gain[metric].low
        assert low is not None
        assert low > 0.05


def test_the_baseline_knows_only_the_training_rows(boosted: PackagedModel) -> None:
    frame = boosted.built.frame
    share = frame.filter(~frame[VALIDATES])["__target"].mean()
    validation = frame.filter(frame[VALIDATES])["__target"]
    expected = ((validation - share) ** 2).mean()
    assert run(boosted).metrics["baseline"]["brier_score"].value == pytest.approx(expected)


def test_an_evaluation_survives_as_json(multiclass: PackagedModel) -> None:
    found = run(multiclass)
    assert Evaluation.model_validate_json(found.model_dump_json()) == found
    assert found.metrics["candidate"]["roc_auc"].value is not None


def test_the_same_evidence_comes_twice_but_for_the_clock(boosted: PackagedModel) -> None:
    first, second = (run(boosted).model_dump(exclude={"latency"}) for _ in range(2))
    assert first == second


def test_slices_have_rows_and_intervals_of_their_own(boosted: PackagedModel) -> None:
    found = run(boosted, boosted.as_contestant("1")).slices
    assert {part.value for part in found} >= {"rock", "jazz", "(missing)"}
    assert sum(part.n_rows for part in found) == boosted.built.facts.n_validation
    rock = next(part for part in found if part.value == "rock")
    assert rock.candidate.low is not None
    assert rock.candidate == rock.champion


def test_one_row_is_timed_by_runtime(boosted: PackagedModel) -> None:
    latency = run(boosted).latency
    assert set(latency) == {"sklearn", "onnx"}
    assert latency["onnx"].median_milliseconds < latency["sklearn"].median_milliseconds
    assert latency["onnx"].median_milliseconds <= latency["onnx"].p99_milliseconds


def test_only_rows_dated_before_the_decision_judge(regression: PackagedModel) -> None:
    times = regression.built.frame.filter(regression.built.frame[VALIDATES])[TIME]
    decided_at = times[60]
    found = evaluate(
        regression.spec, regression.built, regression.as_contestant(), None, decided_at
    )
    assert found.n_rows == 60
    assert (found.oldest_at, found.newest_at) == (times[0], times[59])
    assert "60 of them are not dated before" in found.rows


def test_no_row_that_the_champion_was_trained_on_judges(regression: PackagedModel) -> None:
    split = regression.built.facts.split
    assert split.cut_at is not None
    later = split.model_copy(update={"cut_at": split.cut_at + timedelta(hours=20)})
    found = run(regression, changed(regression.as_contestant("1"), split=later))
    assert found.n_rows == regression.built.facts.n_validation - 20
    assert "the champion was trained on 20 of them" in found.rows


def test_without_common_rows_the_champion_is_unknown_and_the_gate_fails(
    boosted: PackagedModel,
) -> None:
    unknown = boosted.built.facts.split.model_copy(update={"id_columns": ["visit"]})
    found = run(boosted, changed(boosted.as_contestant("1"), split=unknown))
    assert found.champion == "not_judged"
    assert "no row can judge both" in found.champion_reason
    assert "reads visit" in found.champion_reason
    assert found.n_rows == boosted.built.facts.n_validation
    gate = next(g for g in judge(found, boosted.spec.gates) if g.name == "not_worse_than_champion")
    assert (gate.passed, gate.value) == (False, None)
    assert gate.reason.startswith("unknown: no row can judge both")


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        pytest.param({"task": "regression"}, "answers the task regression", id="other_task"),
        pytest.param({"positive": "Worsen"}, "class 1 is 'Worsen'", id="other_meaning"),
    ],
)
def test_a_champion_that_answers_another_question_is_not_compared(
    boosted: PackagedModel, manifest: dict[str, Any], told: str
) -> None:
    candidate = boosted.as_contestant()
    assert told in why_not_comparable(changed(candidate, **manifest), candidate)
    found = run(boosted, changed(boosted.as_contestant("1"), **manifest))
    assert found.champion == "not_judged"
    assert told in found.champion_reason


def test_a_champion_needs_its_features(boosted: PackagedModel) -> None:
    candidate = boosted.as_contestant()
    fewer = changed(candidate, features=boosted.manifest.features[1:])
    assert "it needs hours (number)" in why_not_comparable(candidate, fewer)
    assert why_not_comparable(fewer, candidate) == ""


def test_no_rows_leave_everything_unknown_and_every_gate_shut(boosted: PackagedModel) -> None:
    built = BuiltFrame(
        boosted.built.frame.with_columns(pl.lit(START).alias(TIME)), boosted.built.facts
    )
    found = evaluate(boosted.spec, built, boosted.as_contestant(), None, START)
    assert found.n_rows == 0
    assert found.metrics["candidate"]["roc_auc"].value is None
    passed = {gate.name: gate.passed for gate in judge(found, boosted.spec.gates)}
    assert passed == {
        "beats_baseline": False,
        "not_worse_than_champion": True,
        "slices": False,
        "calibration": False,
        "minimum_rows": False,
    }


class NotANumber:
    """A fitted pipeline that answers NaN for each seventh row."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict_proba(self, rows: pl.DataFrame) -> Floats:
        answers: Floats = self.pipeline.predict_proba(rows)
        answers[::7] = np.nan
        return answers


def test_a_candidate_that_answers_no_number_is_drawn_and_refused(boosted: PackagedModel) -> None:
    contestant = boosted.as_contestant()
    broken = dataclasses.replace(contestant, pipeline=NotANumber(contestant.pipeline))
    found = evaluate(boosted.spec, boosted.built, broken, None, LATER)
    assert {estimate.value for estimate in found.metrics["candidate"].values()} == {None}
    refused = {gate.name for gate in judge(found, boosted.spec.gates) if not gate.passed}
    assert refused == {"beats_baseline", "calibration"}
    assert "roc.png" in draw_plots(boosted.spec, boosted.built, broken)


def test_a_class_that_appears_after_training_has_probability_0(tmp_path: Path) -> None:
    dataset = rows().with_columns(
        effect=pl.when((pl.col("effect") == "Worsen") & (pl.int_range(pl.len()) < 500))
        .then(pl.lit("Improve"))
        .otherwise("effect")
    )
    spec = document(target={"column": "effect", "task": "multiclass"}, time_column="at", split={})
    built = build_frame(dataset.lazy(), spec)
    assert built.facts.warnings[0].startswith("class 'Worsen' has 0 rows in training and")
    older = build_frame(dataset.head(480).lazy(), spec)
    model = package(spec, tmp_path / "model")
    contestant = changed(model.as_contestant(), split=built.facts.split)
    assert answer(contestant, built.frame, built.facts.classes).shape == (600, 3)
    assert older.facts.classes == ["Improve", "No effect"]
    found = evaluate(spec, built, contestant, None, LATER)
    assert found.metrics["candidate"]["log_loss"].value is not None


def test_answers_of_models_with_other_classes_are_put_in_order(multiclass: PackagedModel) -> None:
    frame = multiclass.built.frame.head(5)
    contestant = multiclass.as_contestant()
    expected = answer(contestant, frame, ["Improve", "No effect", "Worsen"])
    found = answer(contestant, frame, ["Worsen", "None of it", "Improve", "No effect"])
    np.testing.assert_array_equal(found, np.insert(expected[:, [2, 0, 1]], 1, 0.0, axis=1))


def test_regression_is_measured_in_numbers(regression: PackagedModel) -> None:
    found = run(regression)
    assert set(found.metrics["candidate"]) == {
        "r2", "mean_absolute_error", "root_mean_squared_error",
    }  # fmt: skip
    assert found.metric == "r2"
    low = found.gains["baseline"]["root_mean_squared_error"].low
    assert low is not None
    assert low > 0


def test_a_trained_pipeline_can_be_beaten_by_a_better_one(
    boosted: PackagedModel, tmp_path: Path
) -> None:
    model = tree_document().model.model_dump() | {"parameters": {"max_iter": 1}}
    weak = package(tree_document(model=model), tmp_path / "weak")
    found = evaluate(
        boosted.spec, boosted.built, boosted.as_contestant(), weak.as_contestant("1"), LATER
    )
    gain = found.gains["champion"]["log_loss"]
    assert gain.low is not None
    assert gain.low > 0
