"""Three words for what `up` found out, and the exit code that they make."""

import json

import pytest

from mlops_assets.platform.events import ModelMade
from mlops_assets.platform.results import Outcome, Probe, build_summary, classify, exit_code

REFUSED = {"beats_baseline": "the lower bound 0.49 is not above 0.5"}
ANSWER = Probe(version=3, problem=None)
SILENCE = Probe(version=None, problem="churn: 503: nothing is ready")


def made(
    *, version: int | None = 3, refused: dict[str, str] | None = None, failure: str | None = None
) -> ModelMade:
    """What the materializing process tells of a model."""
    return ModelMade(
        model="churn",
        service="churn" if version is not None else None,
        version=version,
        refused=refused or {},
        failure=failure,
        example=[{"age": 31}],
        ready_timeout_seconds=60,
        made=["dataset"],
        seconds=1.5,
    )


@pytest.mark.parametrize(
    ("report", "probe", "outcome", "line"),
    [
        pytest.param(made(), ANSWER, "answers", "champion v3 answers", id="answers"),
        pytest.param(
            made(refused=REFUSED),
            ANSWER,
            "answers",
            "champion v3 answers; its newest challenger is refused: beats_baseline: the lower "
            "bound 0.49 is not above 0.5",
            id="an_older_champion_answers",
        ),
        pytest.param(
            made(version=None, refused=REFUSED),
            None,
            "refused",
            "refused: beats_baseline: the lower bound 0.49 is not above 0.5",
            id="refused",
        ),
        pytest.param(
            made(version=None, failure="dataset: contract: 12 rows"),
            None,
            "failed",
            "failed: dataset: contract: 12 rows",
            id="failed_step",
        ),
        pytest.param(
            made(version=None, refused=REFUSED, failure="features: no rows"),
            None,
            "failed",
            "failed: features: no rows",
            id="a_failure_outranks_an_older_refusal",
        ),
        pytest.param(
            made(failure="features: no rows"),
            ANSWER,
            "failed",
            "failed: features: no rows (champion v3 still answers)",
            id="failed_beside_a_champion",
        ),
        pytest.param(
            made(),
            SILENCE,
            "failed",
            "failed: champion v3 does not answer: churn: 503: nothing is ready",
            id="silent",
        ),
        pytest.param(
            made(),
            Probe(version=2, problem=None),
            "failed",
            "failed: champion v2 answers, but v3 should",
            id="another_version_answers",
        ),
        pytest.param(
            made(),
            None,
            "failed",
            "failed: champion v3 does not answer: it was not asked",
            id="unasked",
        ),
        pytest.param(
            made(version=None), None, "failed", "failed: it is made, but not served", id="unserved"
        ),
    ],
)
def test_result_table(report: ModelMade, probe: Probe | None, outcome: Outcome, line: str) -> None:
    result = classify(report, probe)
    assert result.outcome == outcome
    assert result.line == f"churn: {line}"
    assert result.version == (probe.version if probe is not None else None)


@pytest.mark.parametrize(
    ("report", "probe", "require_champion", "code"),
    [
        pytest.param(made(), ANSWER, True, 0, id="champion"),
        pytest.param(made(version=None, refused=REFUSED), None, False, 0, id="refusal_is_a_result"),
        pytest.param(made(version=None, refused=REFUSED), None, True, 1, id="unless_one_is_asked"),
        pytest.param(made(failure="x"), ANSWER, False, 1, id="failure"),
    ],
)
def test_exit_code_table(
    report: ModelMade, probe: Probe | None, require_champion: bool, code: int
) -> None:
    results = [classify(report, probe)]
    assert exit_code(results, error=None, require_champion=require_champion) == code
    assert exit_code(results, error="a server died", require_champion=require_champion) == 1


def test_the_summary_is_plain_json() -> None:
    results = [classify(made(), ANSWER)]
    urls, seconds = {"gateway": "http://127.0.0.1:8080"}, {"all": 12.3456}
    summary = build_summary(results, code=0, error=None, urls=urls, seconds=seconds)
    assert summary["ok"] is True
    assert summary["seconds"] == {"all": 12.35}
    assert json.loads(json.dumps(summary))["models"][0]["version"] == 3
