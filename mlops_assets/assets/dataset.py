"""The asset `[<model>, dataset]`: an immutable snapshot of the source, checked by its contract."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes, freshness_of, readable_failures
from mlops_assets.automation.schedules import dataset_partitions
from mlops_assets.data.contract import ContractReport
from mlops_assets.data.history import rows_as_known
from mlops_assets.data.snapshots import DatasetSnapshot, Lake
from mlops_assets.data.sources import SourceRows, open_source, source_fingerprint
from mlops_assets.resources.monitoring import MonitoringBackend
from mlops_assets.spec import ModelSpec

SOURCE_FINGERPRINT = "mlops/source_fingerprint"  # metadata key; tells `up` whether to read again


def build_dataset(spec: ModelSpec, folder: Path) -> dg.AssetsDefinition:
    """The dataset asset and its blocking check `contract`.

    Args:
        spec: The model.
        folder: Folder of the document, where relative paths of its source start.
    """
    key = dg.AssetKey([spec.name, "dataset"])
    partitions = dataset_partitions(spec)

    @dg.asset(
        **asset_attributes(spec, "dataset", {"polars", "deltalake"}, DatasetSnapshot),
        description=f"Snapshot of the source of {spec.name}, checked by its contract.",
        check_specs=[
            dg.AssetCheckSpec(
                "contract",
                asset=key,
                blocking=True,
                description="The rows satisfy the contract of the document.",
            )
        ],
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions else None,
        freshness_policy=freshness_of(spec.freshness.dataset),
    )
    def dataset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        monitoring: dg.ResourceParam[MonitoringBackend],
    ) -> dg.MaterializeResult:
        window = context.partition_time_window if context.has_partition_key_range else None
        with readable_failures():
            fingerprint = source_fingerprint(spec.source, base=folder)  # before the rows are read
            real = datetime.now(UTC)
            now = monitoring.store.now(spec.name, real)
            rows = _open(spec, folder, now, is_played=now is not real)
            snapshot = lake.write_snapshot(
                spec,
                rows,
                now=now,
                partition=(window.start, window.end) if window else None,
            )
        return dg.MaterializeResult(
            value=snapshot,
            data_version=dg.DataVersion(snapshot.digest[:16]),
            metadata=_metadata(snapshot, fingerprint),
            check_results=[_contract_result(key, snapshot.contract)],
        )

    return dataset


def _open(spec: ModelSpec, folder: Path, now: datetime, *, is_played: bool) -> SourceRows:
    """The rows of the source; of a model whose past is played, those known by its clock."""
    if not is_played:
        return open_source(spec.source, base=folder)
    rows = open_source(spec.history.source or spec.source, base=folder)
    known = rows_as_known(rows.frame, spec, now)
    facts = {**rows.facts, "played": f"as known at {now.isoformat(timespec='seconds')}"}
    return replace(rows, frame=known, facts=facts, sliceable=False)


def _metadata(snapshot: DatasetSnapshot, fingerprint: str | None) -> dict[str, Any]:
    columns = [
        dg.TableColumn(name, kind, description=f"{snapshot.null_counts.get(name, 0):,} missing")
        for name, kind in snapshot.columns.items()
    ]
    return {
        "dagster/row_count": snapshot.n_rows,
        "dagster/column_schema": dg.TableSchema(columns),
        "dagster/uri": snapshot.uri,
        "snapshot_version": snapshot.version,
        "snapshot_digest": snapshot.digest,
        "null_counts": dg.MetadataValue.json(snapshot.null_counts),
        "quarantined_rows": snapshot.n_quarantined,
        "quarantine_uri": snapshot.quarantine_uri or "nothing is quarantined",
        SOURCE_FINGERPRINT: fingerprint or "must be read to know",
        **{f"source/{name}": value for name, value in snapshot.facts.items()},
    }


def _contract_result(key: dg.AssetKey, report: ContractReport) -> dg.AssetCheckResult:
    records = [
        dg.TableRecord(
            {
                "column": found.column,
                "rule": found.rule,
                "allowed": found.allowed,
                "rows": found.count,
                "examples": ", ".join(f"row {e.row}: {e.value!r}" for e in found.examples),
            }
        )
        for found in report.columns
    ]
    metadata: dict[str, Any] = {
        "reason": report.reason,
        "rows_checked": report.n_rows,
        "violating_rows": report.n_violating_rows,
        "violation_ratio": report.violation_ratio,
        "allowed_ratio": report.allowed_ratio,
        "on_violation": report.on_violation,
    }
    if records:
        metadata["violations"] = dg.MetadataValue.table(records)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name="contract",
        passed=report.passed,
        description=report.reason,
        metadata=metadata,
    )
