"""What the Dagster pages of the reports show: verdict, scores, tables, trends, and the checks."""

from typing import Any

import dagster as dg

from mlops_assets.assets.markdown import cell, estimate_words, picture
from mlops_assets.monitoring.pictures import draw_drift, draw_performance
from mlops_assets.monitoring.report import ColumnDrift
from mlops_assets.monitoring.verdict import MEANINGS
from mlops_assets.monitoring.window_record import RecentWindow, RecentWindows, WindowRecord
from mlops_assets.retraining.state import RetrainingState
from mlops_assets.spec import ModelSpec

_MOST_ROWS = 40
_MOST_WINDOWS = 15
_MOST_ATTEMPTS = 10


def drift_metadata(record: WindowRecord, recent: RecentWindows) -> dict[str, Any]:
    """Metadata of a drift report."""
    model, drift = record.verdict.window.model, record.drift
    metadata = _verdict_metadata(record)
    if drift is not None:
        metadata |= {
            "drift": drift.state,
            "drift_reason": drift.reason,
            "null": drift.null,
            "columns": dg.MetadataValue.table(
                [_column_record(c) for c in drift.columns[:_MOST_ROWS]] or [_NOTHING],
                schema=_COLUMNS,
            ),
        }
        if drift.share_ratio is not None:
            metadata["drifted_share"] = drift.share_ratio
        if drift.weighted_share_ratio is not None:
            metadata["drifted_share_weighted"] = drift.weighted_share_ratio
        if drift.prediction is not None:
            metadata["prediction"] = f"{drift.prediction.state}: {drift.prediction.reason}"
        if drift.domain is not None:
            metadata["domain_auc"] = drift.domain.auc
            metadata["domain_auc_by_chance"] = drift.domain.auc_by_chance
        if drift.slices:
            lines = [
                f"| {cell(f'{s.column} = {s.value}')} | {s.state} | {cell(s.reason)} |"
                for s in drift.slices
            ]
            metadata["slices"] = dg.MetadataValue.md(
                "\n".join(["| slice | says | why |", "|---|---|---|", *lines[:_MOST_ROWS]])
            )
    if record.quality is not None:
        metadata["quality"] = f"{record.quality.state}: {record.quality.reason}"
    metadata["trend"] = dg.MetadataValue.md(picture("drift", draw_drift(model, recent.windows)))
    return metadata


def performance_metadata(record: WindowRecord, recent: RecentWindows) -> dict[str, Any]:
    """Metadata of a performance report."""
    model, metric = record.verdict.window.model, record.metric
    metadata = _verdict_metadata(record) | {
        "metric": metric,
        "signals": dg.MetadataValue.table(
            [dg.TableRecord(dict(row)) for row in record.verdict.table()]
        ),
    }
    realised, estimated = record.realised, record.estimated
    if realised is not None:
        found = realised.metrics[metric]
        if found.value is not None:
            metadata[f"realised/{metric}"] = found.value
        metadata["realised"] = estimate_words(found)
        metadata["realised_metrics"] = dg.MetadataValue.md(_metrics_table(record))
        coverage = realised.coverage
        metadata["truth"] = f"{coverage.n_with_truth:,} of {coverage.n_rows:,} rows" + (
            f", {coverage.n_contradicted:,} contradicted" if coverage.n_contradicted else ""
        )
        metadata["window_age_hours"] = round(coverage.age.total_seconds() / 3600, 2)
        if coverage.median_lag is not None:
            metadata["truth_lag_hours"] = round(coverage.median_lag.total_seconds() / 3600, 3)
    if estimated is not None:
        expected = estimated.metrics.get(metric)
        if expected is not None and expected.value is not None:
            metadata[f"estimated/{metric}"] = expected.value
        metadata["estimated"] = estimate_words(expected) if expected else estimated.reason or "none"
    if record.trust is not None:
        metadata["trust"] = f"{record.trust.state}: {record.trust.reason}"
    trend = draw_performance(model, metric, recent.windows)
    metadata["trend"] = dg.MetadataValue.md(picture("performance", trend))
    return metadata


def latest_metadata(
    spec: ModelSpec, recent: RecentWindows, state: RetrainingState | None
) -> dict[str, Any]:
    """Metadata of the newest window, the last ones and what retraining decided."""
    latest, metadata = recent.latest, dict[str, Any]()
    if latest is None:
        metadata["verdict"] = "no window has been judged yet"
    else:
        metadata |= {
            "verdict": latest.verdict.verdict,
            "reason": latest.verdict.reason,
            "window": latest.window.key,
            "windows": dg.MetadataValue.md(_windows_table(recent)),
            "drift": dg.MetadataValue.md(picture("drift", draw_drift(spec.name, recent.windows))),
            "performance": dg.MetadataValue.md(
                picture(
                    "performance",
                    draw_performance(spec.name, spec.monitored_metric, recent.windows),
                )
            ),
        }
    if spec.retraining is None:
        metadata["retraining"] = "the document has no `retraining:`"
    elif state is None:
        metadata["retraining"] = "nothing was decided yet"
    else:
        metadata |= decision_metadata(state)
    return metadata


def decision_metadata(state: RetrainingState) -> dict[str, Any]:
    """Metadata of what retraining decided last, and of its attempts."""
    metadata: dict[str, Any] = {
        "retraining": f"{state.rule}: {state.reason}" if state.rule else "nothing was decided yet",
        "retraining/rule": state.rule or "none",
    }
    if state.ticked_at is not None:
        metadata["retraining/decided_at"] = dg.MetadataValue.timestamp(state.ticked_at)
    if state.attempts:
        lines = [
            f"| {a.number} | {a.started_at:%Y-%m-%d %H:%M} | {a.trigger} | "
            f"{a.outcome or 'in flight'} | {cell(a.told or a.reason)} |"
            for a in reversed(state.attempts[-_MOST_ATTEMPTS:])
        ]
        head = ["| attempt | began (UTC) | trigger | outcome | told |", "|---|---|---|---|---|"]
        metadata["retraining/attempts"] = dg.MetadataValue.md("\n".join([*head, *lines]))
    return metadata


def check_specs(drift: dg.AssetKey, performance: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks of the reports; none of them blocks, since nothing is made from a report."""
    return [
        dg.AssetCheckSpec(
            "no_drift",
            asset=drift,
            description="The newest window's inputs and predictions are as in training.",
        ),
        dg.AssetCheckSpec(
            "data_quality", asset=drift, description="The newest window's data can be believed."
        ),
        dg.AssetCheckSpec(
            "performance",
            asset=performance,
            description="The model does as well as at its evaluation, as truth says, or a trusted "
            "estimate until truth has come.",
        ),
    ]


def check_results(
    drift: dg.AssetKey,
    performance: dg.AssetKey,
    recent: RecentWindows,
) -> list[dg.AssetCheckResult]:
    """What the newest window that was over says to each check.

    What is not known is a warning, never a pass.
    """
    latest = recent.latest
    if latest is None:
        latest = recent.windows[-1] if recent.windows else None
    if latest is None:
        raise ValueError("no window was judged")
    signals = latest.verdict.signals
    told = signals.realised if signals.realised.state != "unknown" else signals.estimated
    return [
        _check(drift, "no_drift", signals.drift.state, ("none", "found"), signals.drift.reason,
               latest, dg.AssetCheckSeverity.WARN),
        _check(drift, "data_quality", signals.quality.state, ("sound", "broken"),
               signals.quality.reason, latest, dg.AssetCheckSeverity.ERROR),
        _check(performance, "performance", told.state, ("held", "worse"), told.reason, latest,
               dg.AssetCheckSeverity.ERROR),
    ]  # fmt: skip


def _check(
    key: dg.AssetKey,
    name: str,
    state: str,
    words: tuple[str, str],
    reason: str,
    window: RecentWindow,
    severity: dg.AssetCheckSeverity,
) -> dg.AssetCheckResult:
    good, bad = words
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=state == good,
        severity=severity if state == bad else dg.AssetCheckSeverity.WARN,
        description=f"{window.window.key}: {state}: {reason}",
        metadata={
            "state": state,
            "reason": reason,
            "window": window.window.key,
            "verdict": window.verdict.verdict,
        },
    )


_COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("column"),
        dg.TableColumn("says"),
        dg.TableColumn("moved", description="Share of rows that moved"),
        dg.TableColumn("p", description="Corrected for the number of columns"),
        dg.TableColumn("importance", description="Share of the model's feature importance"),
        dg.TableColumn("why"),
    ]
)
_NOTHING = dg.TableRecord(
    {"column": "–", "says": "–", "moved": "–", "p": "–", "importance": "–", "why": "no columns"}
)


def _column_record(column: ColumnDrift) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "column": column.column,
            "says": column.state,
            "moved": "–" if column.shift_ratio is None else f"{column.shift_ratio:.1%}",
            "p": "–" if column.p_adjusted is None else f"{column.p_adjusted:.3g}",
            "importance": f"{column.weight:.0%}",
            "why": column.reason,
        }
    )


def _verdict_metadata(record: WindowRecord) -> dict[str, Any]:
    verdict, facts = record.verdict, record.verdict.window
    return {
        "verdict": verdict.verdict,
        "meaning": MEANINGS[verdict.verdict],
        "reason": verdict.reason,
        "window": f"{facts.start:%Y-%m-%d %H:%M:%S} to {facts.end:%Y-%m-%d %H:%M:%S} UTC"
        + ("" if record.is_ended else ", which lasts still"),
        "dagster/row_count": facts.n_rows,
        "version": facts.model_version or "unknown",
        "judged_at": dg.MetadataValue.timestamp(record.judged_at),
    }


def _metrics_table(record: WindowRecord) -> str:
    realised, estimated = record.realised, record.estimated
    if realised is None:
        return "none"
    lines = ["| metric | realised | estimated |", "|---|---|---|"]
    for name, found in realised.metrics.items():
        other = None if estimated is None else estimated.metrics.get(name)
        lines.append(f"| {name} | {estimate_words(found)} | {estimate_words(other)} |")
    return "\n".join(lines)


def _windows_table(recent: RecentWindows) -> str:
    lines = ["| window | verdict | rows | with truth | why |", "|---|---|---|---|---|"]
    for w in reversed(recent.windows[-_MOST_WINDOWS:]):
        facts = w.verdict.window
        lines.append(
            f"| {w.window.key} | {w.verdict.verdict} | {facts.n_rows:,} | "
            f"{facts.n_with_truth:,} | {cell(w.verdict.reason)} |"
        )
    return "\n".join(lines)
