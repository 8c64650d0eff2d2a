"""What the Dagster page of an evaluation shows: tables, the model card, pictures, gates."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from mlops_assets.assets.markdown import estimate_words, picture
from mlops_assets.modeling.evaluation import Evaluation
from mlops_assets.modeling.gates import GateResult

_SHOWN_PLOTS = 3  # the first ones; all of them are artifacts of the MLflow run
_LARGEST_PLOT_BYTES = 80_000  # of a picture inside metadata, which Dagster keeps in its database


def evaluation_metadata(
    evaluation: Evaluation, card: str, files: Mapping[str, bytes]
) -> dict[str, Any]:
    """Metadata of the evaluation asset."""
    candidate = evaluation.metrics["candidate"]
    metadata: dict[str, Any] = {
        "metrics": dg.MetadataValue.table(_metric_records(evaluation)),
        "rows": evaluation.rows,
        "champion": evaluation.champion_version or evaluation.champion_reason,
        "model_card": dg.MetadataValue.md(card),
        "plots": dg.MetadataValue.md(_pictures(files)),
        **{
            f"metric/{name}": estimate.value
            for name, estimate in candidate.items()
            if estimate.value is not None
        },
    }
    if slices := _slice_records(evaluation):
        metadata["slices"] = dg.MetadataValue.table(slices)
    for runtime, latency in evaluation.latency.items():
        metadata[f"latency_milliseconds/{runtime}"] = latency.median_milliseconds
    return metadata


def gate_check(key: dg.AssetKey, gate: GateResult) -> dg.AssetCheckResult:
    """A gate's answer as Dagster's check result."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=gate.name,
        passed=gate.passed,
        description=gate.reason,
        metadata={
            "reason": gate.reason,
            **({"value": gate.value} if gate.value is not None else {}),
            **({"threshold": gate.threshold} if gate.threshold is not None else {}),
        },
    )


def _metric_records(evaluation: Evaluation) -> list[dg.TableRecord]:
    contestants = list(evaluation.metrics)
    names = list(evaluation.metrics["candidate"])
    return [
        dg.TableRecord(
            {"metric": name}
            | {who: estimate_words(evaluation.metrics[who].get(name)) for who in contestants}
        )
        for name in names
    ]


def _slice_records(evaluation: Evaluation) -> list[dg.TableRecord]:
    return [
        dg.TableRecord(
            {
                "slice": f"{found.column} = {found.value}",
                "rows": found.n_rows,
                "candidate": estimate_words(found.candidate),
                "champion": estimate_words(found.champion),
            }
        )
        for found in evaluation.slices
    ]


def _pictures(files: Mapping[str, bytes]) -> str:
    small = [
        (name, content)
        for name, content in files.items()
        if name.endswith(".png") and len(content) <= _LARGEST_PLOT_BYTES
    ]
    lines = [picture(name, content) for name, content in small[:_SHOWN_PLOTS]]
    return "\n\n".join([*lines, "All plots are artifacts of the MLflow run."])
