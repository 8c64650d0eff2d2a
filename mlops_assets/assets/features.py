"""The asset `[<model>, features]`: the training frame, with the side of every row."""

from typing import Any

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes, data_version, readable_failures
from mlops_assets.assets.markdown import bullets
from mlops_assets.data.snapshots import DatasetSnapshot, Lake
from mlops_assets.errors import ContractError
from mlops_assets.modeling.features import TrainingFrame, build_frame
from mlops_assets.modeling.leakage import assess_leakage
from mlops_assets.spec import ModelSpec


def build_features(spec: ModelSpec) -> dg.AssetsDefinition:
    """The features asset and its blocking check `no_giveaway`."""
    key = dg.AssetKey([spec.name, "features"])
    attributes = asset_attributes(spec, "features", {"polars", "deltalake"}, TrainingFrame)

    @dg.asset(
        **attributes,
        description=f"Training frame of {spec.name}: features, target and side of the split.",
        ins={"dataset": dg.AssetIn(key=[spec.name, "dataset"])},
        check_specs=[
            dg.AssetCheckSpec(
                "no_giveaway",
                asset=key,
                blocking=True,
                description="No single feature predicts the target too well to be known before.",
            )
        ],
    )
    def features(dataset: DatasetSnapshot, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
        with readable_failures():
            if not dataset.contract.passed:
                raise ContractError(f"{spec.name}/dataset: {dataset.contract.reason}")
            built = build_frame(lake.read_snapshot(dataset), spec)
            digest = built.facts.digest
            uri, version = lake.write_frame(spec.name, "features", built.frame, digest)
        record = built.record(
            uri=uri,
            version=version,
            dataset_digest=dataset.digest,
            dataset_version=dataset.version,
        ).model_copy(update={"source_facts": dataset.facts})
        return dg.MaterializeResult(
            value=record,
            data_version=data_version(digest, dataset.digest, attributes["code_version"]),
            metadata=_metadata(record),
            check_results=[_giveaway_result(key, spec, record)],
        )

    return features


def _metadata(record: TrainingFrame) -> dict[str, Any]:
    return {
        "dagster/row_count": record.n_training + record.n_validation,
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(field.name, field.kind) for field in record.features]
        ),
        "dagster/uri": record.uri,
        "frame_version": record.version,
        "training_rows": record.n_training,
        "validation_rows": record.n_validation,
        "rows_without_target": record.n_without_target,
        "class_counts": dg.MetadataValue.json(record.class_counts),
        "split": dg.MetadataValue.json(record.split.model_dump(mode="json")),
        "warnings": dg.MetadataValue.md(bullets(record.warnings)),
    }


def _giveaway_result(
    key: dg.AssetKey, spec: ModelSpec, record: TrainingFrame
) -> dg.AssetCheckResult:
    limit = spec.features.maximum_single_column_score
    verdict = assess_leakage(record.single_column_scores, limit)
    table = [
        dg.TableRecord({"feature": name, "score": round(score, 4)})
        for name, score in record.single_column_scores.items()
        if score is not None
    ]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name="no_giveaway",
        passed=verdict.passed,
        description=verdict.reason,
        metadata={
            "reason": verdict.reason,
            "threshold": limit,
            **({"scores": dg.MetadataValue.table(table)} if table else {}),
        },
    )
