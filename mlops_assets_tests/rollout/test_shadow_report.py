from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from mlops_assets.rollout.metrics_source import Subject
from mlops_assets.rollout.pictures import draw_shadow
from mlops_assets.rollout.shadow_report import build_shadow_report

AT = datetime(2026, 8, 3, 12, 0, tzinfo=UTC)
BINARY = Subject(task="binary", classes=("0", "1"))


def answers(stable: list[float], challenger: list[float], plans: list[str]) -> pl.DataFrame:
    def side(arm: str, scores: list[float]) -> list[dict[str, Any]]:
        return [
            {
                "id": f"p{n}",
                "row": 0,
                "at": AT,
                "arm": arm,
                "label": str(int(score > 0.5)),
                "score": score,
                "feature__plan": plans[n],
            }
            for n, score in enumerate(scores)
        ]

    return pl.DataFrame([*side("stable", stable), *side("challenger", challenger)])


def test_agreement_differences_and_slices() -> None:
    frame = answers([0.1, 0.2, 0.9, 0.8], [0.1, 0.7, 0.95, 0.3], ["a", "b", "a", "b"])
    report = build_shadow_report(frame, BINARY, ["plan"])
    assert (report.n_pairs, report.agreement_ratio) == (4, 0.5)
    assert report.mean_apart == pytest.approx((0.0 + 0.5 + 0.05 + 0.5) / 4)
    assert {d.prediction_id for d in report.differences} == {"p1", "p3"}
    assert [(s.value, s.agreement_ratio) for s in report.slices] == [("b", 0.0), ("a", 1.0)]
    assert draw_shadow(report).startswith(b"\x89PNG")


def test_numbers_are_the_same_answer_when_they_are_near() -> None:
    frame = answers([100.0, 100.0, 100.0], [101.0, 101.1, float("nan")], ["a"] * 3)
    report = build_shadow_report(frame, Subject(task="regression"), [])
    assert report.agreement_ratio == pytest.approx(1 / 3)


def test_nothing_mirrored_is_no_agreement() -> None:
    report = build_shadow_report(answers([0.1], [], ["a"]), BINARY, ["plan"])
    assert (report.n_pairs, report.agreement_ratio) == (0, None)
