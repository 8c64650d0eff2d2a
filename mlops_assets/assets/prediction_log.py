"""The asset `[<model>, prediction_log]`: what a model's service predicted on one day.

The rows are written while the service answers; materializing a day moves what is still on its way,
and counts. It is no part of the pipeline's job: nothing is trained or served by it.
"""

import functools
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes, readable_failures
from mlops_assets.serving.prediction_log.logged import LoggedPredictions
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    from mlops_assets.serving.prediction_log.summary import (
        AgeCoverage,
        VersionCount,
        WindowSummary,
    )


def build_prediction_log(spec: ModelSpec) -> dg.AssetsDefinition:
    """The prediction_log asset, one partition for each day (UTC)."""

    @dg.asset(
        **asset_attributes(spec, "prediction_log", {"deltalake"}, None),
        description=f"Predictions of {spec.service}, day by day, and how much truth is known.",
        deps=[dg.AssetKey([spec.name, "inference_service"])],
        partitions_def=_days(spec.serving.prediction_log.start),
    )
    def prediction_log(
        context: dg.AssetExecutionContext,
        predictions: dg.ResourceParam[LoggedPredictions],
    ) -> dg.MaterializeResult:
        from mlops_assets.serving.prediction_log.summary import summarize_window

        start, end = context.partition_time_window
        with readable_failures():
            n_unreadable = settle(context, predictions)
            found = summarize_window(predictions.store, spec.service, start, end, datetime.now(UTC))
        return dg.MaterializeResult(
            metadata={
                **_metadata(found),
                "dagster/uri": predictions.store.uri(spec.service, "prediction_log"),
                "unreadable_records": n_unreadable,
            }
        )

    return prediction_log


def settle(context: dg.AssetExecutionContext, predictions: LoggedPredictions) -> int:
    """Have the tables hold what was logged until now; how many records could not be read."""
    drained = predictions.settle()
    if drained.n_unreadable or drained.n_failed_segments:
        context.log.warning(
            f"{drained.n_unreadable} records could not be read, {drained.n_failed_segments} "
            "segments could not be moved; the sink's log says why"
        )
    return drained.n_unreadable


@functools.cache
def _days(start: date) -> dg.DailyPartitionsDefinition:
    """One definition for all models: with today, since a person wants to see it."""
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1)


def _metadata(found: "WindowSummary") -> dict[str, Any]:
    halves = found.halves
    metadata: dict[str, Any] = {
        "dagster/row_count": found.n_rows,
        "requests": found.n_requests,
        "failed_requests": found.n_failed,
        "by_version": dg.MetadataValue.table(
            [_version_record(v) for v in found.versions], schema=_VERSIONS
        ),
        "rows_with_truth": found.n_with_truth,
        "truth_ratio": found.n_with_truth / found.n_rows if found.n_rows else "no predictions",
        "truth_by_age": dg.MetadataValue.table(_age_records(found.coverage), schema=_COVERAGE),
        "truth_lag_hours": _hours(found.truth_lag),
        "truth_lag_p90_hours": _hours(found.truth_lag_p90),
        "contradicted_truths": found.n_contradicted,
        "truths_of_unknown_ids": found.n_unknown_truths,
        "latency_ms": found.latency_ms if found.latency_ms is not None else "no predictions",
        "latency_p99_ms": (
            found.latency_p99_ms if found.latency_p99_ms is not None else "no predictions"
        ),
    }
    if found.newest_at is not None:
        metadata["newest_prediction"] = dg.MetadataValue.timestamp(found.newest_at)
    if halves.n_requests or halves.n_responses:
        metadata |= {
            "agent/requests": halves.n_requests,
            "agent/responses": halves.n_responses,
            "agent/requests_without_response": halves.n_lone_requests,
            "agent/responses_without_request": halves.n_lone_responses,
            "agent/unreadable": halves.n_unreadable,
        }
    return metadata


_VERSIONS = dg.TableSchema(
    [
        dg.TableColumn("revision"),
        dg.TableColumn("version"),
        dg.TableColumn("role", description="shadow: its answers went to nobody"),
        dg.TableColumn("requests", "int"),
        dg.TableColumn("rows", "int"),
        dg.TableColumn("with_truth", "int", description="Truth that is known and uncontradicted"),
    ]
)
_COVERAGE = dg.TableSchema(
    [
        dg.TableColumn("age", description="Time since the prediction"),
        dg.TableColumn("rows", "int", description="Predicted that long ago, or longer"),
        dg.TableColumn("with_truth", "int", description="Of these, truth came by that age"),
        dg.TableColumn("percent", description="Unknown while no prediction is that old"),
    ]
)


def _version_record(found: "VersionCount") -> dg.TableRecord:
    return dg.TableRecord(
        {
            "revision": found.revision,
            "version": found.model_version or "unknown",
            "role": "shadow" if found.shadow else "answers",
            "requests": found.n_requests,
            "rows": found.n_rows,
            "with_truth": found.n_with_truth,
        }
    )


def _age_records(coverage: "Sequence[AgeCoverage]") -> list[dg.TableRecord]:
    return [
        dg.TableRecord(
            {
                "age": _age_text(found.age),
                "rows": found.n_rows,
                "with_truth": found.n_with_truth,
                "percent": "unknown" if found.ratio is None else f"{100 * found.ratio:.1f}",
            }
        )
        for found in coverage
    ]


def _age_text(age: timedelta) -> str:
    """An age in words.

    >>> _age_text(timedelta(hours=6)), _age_text(timedelta(days=7))
    ('6 h', '7 d')
    """
    hours = int(age.total_seconds() // 3600)
    return f"{hours} h" if hours < 24 else f"{hours // 24} d"


def _hours(lag: timedelta | None) -> float | str:
    return "no truth" if lag is None else round(lag.total_seconds() / 3600, 4)
