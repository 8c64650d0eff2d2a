"""What the Dagster page of a service shows of its rollout: words, a plot, a check a criterion."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from mlops_assets.assets.markdown import cell, picture
from mlops_assets.rollout.history import Evaluation, Reading, Verdict
from mlops_assets.rollout.pictures import draw_rollout, draw_shadow
from mlops_assets.rollout.policy import Criterion
from mlops_assets.rollout.shadow_report import ShadowReport
from mlops_assets.rollout.state import RolloutState

_WORST_FIRST: tuple[Verdict, ...] = ("harmful", "unknown", "undecided", "healthy")


def rollout_metadata(state: RolloutState) -> dict[str, Any]:
    """Metadata of one step: where it stands, why, the last numbers, and how it came there."""
    judged = next((look for look in reversed(state.history) if look.readings), None)
    metadata: dict[str, Any] = {
        "rollout/phase": state.phase,
        "rollout/reason": state.reason,
        "rollout/challenger": state.challenger.version,
        "rollout/stable": state.stable.version,
        "rollout/attempt": state.attempt,
        "rollout/step": state.step,
        "rollout/traffic_percent": state.traffic.challenger,
        "rollout/traffic": str(state.traffic),
    }
    if state.history:
        metadata["rollout/plot"] = dg.MetadataValue.md(picture("rollout", draw_rollout(state)))
    if judged is not None:
        metadata["rollout/verdict"] = judged.verdict
        metadata["rollout/requests"] = judged.n_challenger
        metadata["rollout/judged"] = _when(judged)
        metadata["rollout/criteria"] = dg.MetadataValue.md(_table(judged))
    if state.commands:
        metadata["rollout/commands"] = dg.MetadataValue.md(
            "\n".join(
                f"- {c.at:%Y-%m-%d %H:%M:%S} UTC, {c.who}: {c.kind}. {c.why} {c.outcome}"
                for c in state.commands
            )
        )
    return metadata


def shadow_metadata(report: ShadowReport) -> dict[str, Any]:
    """Metadata of what the shadow answered."""
    metadata: dict[str, Any] = {"shadow/rows": report.n_pairs}
    if report.agreement_ratio is None:
        return metadata
    metadata["shadow/agreement"] = report.agreement_ratio
    metadata["shadow/picture"] = dg.MetadataValue.md(picture("shadow", draw_shadow(report)))
    lines = ["| id | served | new version | apart |", "|---|---|---|---|"]
    lines += [
        f"| `{cell(d.prediction_id)}` | {cell(d.stable)} | {cell(d.challenger)} | "
        f"{_number(d.apart)} |"
        for d in report.differences
    ]
    if report.differences:
        metadata["shadow/differences"] = dg.MetadataValue.md("\n".join(lines))
    return metadata


def criterion_check_specs(
    key: dg.AssetKey, criteria: tuple[Criterion, ...]
) -> list[dg.AssetCheckSpec]:
    """One check for each criterion; none of them blocks, since the rollout itself protects."""
    return [
        dg.AssetCheckSpec(c.title, asset=key, description=_describe(c), blocking=False)
        for c in criteria
    ]


def criterion_checks(
    key: dg.AssetKey, criteria: tuple[Criterion, ...], state: RolloutState | None
) -> list[dg.AssetCheckResult]:
    """What the last look that judged it said of each criterion.

    A check passes when its criterion is healthy, or when it was never judged. What is not proven,
    or not known, is a warning; harm is an error.
    """
    looks = state.history if state is not None else ()
    return [_check(key, criterion, looks) for criterion in criteria]


def _check(
    key: dg.AssetKey, criterion: Criterion, looks: Sequence[Evaluation]
) -> dg.AssetCheckResult:
    judged = next((look for look in reversed(looks) if _readings_of(criterion, look)), None)
    if judged is None:
        return dg.AssetCheckResult(
            asset_key=key,
            check_name=criterion.title,
            passed=True,
            description="no rollout was judged by it yet",
        )
    readings = _readings_of(criterion, judged)
    worst = min(readings, key=lambda reading: _WORST_FIRST.index(reading.verdict))
    is_harm = worst.verdict == "harmful"
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=criterion.title,
        passed=worst.verdict == "healthy",
        severity=dg.AssetCheckSeverity.ERROR if is_harm else dg.AssetCheckSeverity.WARN,
        description=f"{worst.verdict}: {worst.reason} ({_when(judged)})",
        metadata={
            "verdict": worst.verdict,
            "reason": worst.reason,
            "judged": _when(judged),
            **{
                name: value
                for name in ("stable", "challenger", "difference", "low", "high", "limit")
                if (value := getattr(worst, name)) is not None
            },
            "n_stable": worst.n_stable,
            "n_challenger": worst.n_challenger,
        },
    )


def _readings_of(criterion: Criterion, look: Evaluation) -> list[Reading]:
    return [r for r in look.readings if r.criterion.partition("[")[0] == criterion.title]


def _when(look: Evaluation) -> str:
    return f"{look.at:%Y-%m-%d %H:%M:%S} UTC, {look.phase}"


def _describe(criterion: Criterion) -> str:
    allowed = []
    if criterion.margin is not None:
        unit = " of the serving version's value" if criterion.relative else ""
        allowed.append(f"at most {criterion.margin:g}{unit} worse")
    if criterion.maximum is not None:
        allowed.append(f"at most {criterion.maximum:g}")
    if criterion.minimum is not None:
        allowed.append(f"at least {criterion.minimum:g}")
    return f"{criterion.metric}: {', '.join(allowed)}"


def _table(evaluation: Evaluation) -> str:
    head = "| criterion | test | says | stable | new | worse by | interval | allowed |"
    lines = [head, "|" + "---|" * 8]
    lines += [_row(reading) for reading in evaluation.readings]
    return "\n".join(lines)


def _row(reading: Reading) -> str:
    interval = f"{_number(reading.low)} … {_number(reading.high)}"
    numbers = [reading.stable, reading.challenger, reading.difference]
    cells = [cell(reading.criterion), reading.test, reading.verdict, *map(_number, numbers)]
    return f"| {' | '.join([*cells, interval, _number(reading.limit)])} |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
