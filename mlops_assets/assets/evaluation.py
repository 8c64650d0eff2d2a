"""The asset `[<model>, evaluation]`: the evidence on a candidate, and the gates as its checks."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.assets.attributes import asset_attributes, readable_failures
from mlops_assets.assets.evaluation_metadata import evaluation_metadata, gate_check
from mlops_assets.assets.training import TrainedModel, mlflow_links
from mlops_assets.data.snapshots import Lake
from mlops_assets.errors import RegistryError, UnsafeModelError
from mlops_assets.modeling.evaluation import Evaluation
from mlops_assets.modeling.features import BuiltFrame, TrainingFrame
from mlops_assets.modeling.gates import GateResult
from mlops_assets.modeling.mlflow_registry import CHAMPION, RegisteredVersion
from mlops_assets.modeling.split import SplitRule
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    from mlops_assets.modeling.contestants import Contestant, Unreadable
    from mlops_assets.modeling.signing import TrustedKeys

SPLIT_TAG = "mlops.split"  # of a registered version: which rows it was trained on


class JudgedModel(BaseModel):
    """A candidate with its evidence and what the gates said of it."""

    model_config = ConfigDict(frozen=True)

    candidate: TrainedModel
    evaluation: Evaluation
    gates: list[GateResult]

    @property
    def refusals(self) -> list[str]:
        """The reasons of the gates that the candidate did not pass."""
        return [f"{gate.name}: {gate.reason}" for gate in self.gates if not gate.passed]


def build_evaluation(spec: ModelSpec) -> dg.AssetsDefinition:
    """The evaluation asset, with one blocking check for each gate that is switched on."""
    key = dg.AssetKey([spec.name, "evaluation"])
    gates = [name for name in type(spec.gates).model_fields if getattr(spec.gates, name)]

    @dg.asset(
        **asset_attributes(spec, "evaluation", {"mlflow"}, JudgedModel),
        description=f"Candidate of {spec.name} beside champion and baseline on the same rows.",
        ins={
            "features": dg.AssetIn(key=[spec.name, "features"]),
            "trained_model": dg.AssetIn(key=[spec.name, "trained_model"]),
        },
        check_specs=[
            dg.AssetCheckSpec(
                gate,
                asset=key,
                blocking=True,
                description=type(spec.gates).model_fields[gate].description,
            )
            for gate in gates
        ],
    )
    def evaluation(
        features: TrainingFrame,
        trained_model: TrainedModel,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
    ) -> dg.MaterializeResult:
        with readable_failures(), tracking.resumed(trained_model.mlflow_run_id) as run_id:
            built = BuiltFrame(lake.read_frame(features.uri, features.version).collect(), features)
            judged, files, card = _judge(spec, built, features, trained_model, tracking)
            tracking.log_metrics(run_id, _metrics(judged), trained_model.mlflow_model_id)
            tracking.log_tags(run_id, {"mlops.refused": "; ".join(judged.refusals) or "no"})
            tracking.log_files(run_id, files)
        return dg.MaterializeResult(
            value=judged,
            metadata={
                **mlflow_links(tracking, run_id),
                **evaluation_metadata(judged.evaluation, card, files),
            },
            check_results=[gate_check(key, gate) for gate in judged.gates],
        )

    return evaluation


def _judge(
    spec: ModelSpec,
    built: BuiltFrame,
    features: TrainingFrame,
    trained: TrainedModel,
    tracking: Tracking,
) -> tuple[JudgedModel, dict[str, bytes], str]:
    """The judged candidate, the artifacts of its run and its card as Markdown."""
    from mlops_assets.modeling.card import CardEvidence, build_card
    from mlops_assets.modeling.evaluation import evaluate
    from mlops_assets.modeling.gates import judge
    from mlops_assets.modeling.importance import estimate_importance
    from mlops_assets.modeling.plots import draw_plots
    from mlops_assets.monitoring.at_evaluation import Judged, build_reference_files

    if trained.trained_on is not None:
        facts = built.facts.model_copy(update={"n_training": trained.trained_on.n_rows})
        built = BuiltFrame(built.frame, facts)
    now = datetime.now(UTC)
    with _contestants(spec, trained, tracking) as both:
        found = evaluate(spec, built, both.candidate, both.champion, now)
        gates = judge(found, spec.gates)
        importances = estimate_importance(spec, built, both.candidate)
        plots = draw_plots(spec, built, both.candidate, importances)
        at_evaluation = Judged(built, both.candidate, now, trained.trained_on, importances)
        references = build_reference_files(spec, at_evaluation)
        card = build_card(
            CardEvidence(
                spec=spec,
                frame=features,
                manifest=both.candidate.manifest,
                evaluation=found,
                gates=gates,
                made_at=now,
                facts=trained.facts,
                origin={"mlflow_run_id": trained.mlflow_run_id, "model_uri": trained.uri},
                training_warnings=trained.warnings,
            )
        )
    files = (
        {f"plots/{name}": png for name, png in plots.items()}
        | dict(references)
        | {
            "evaluation.json": found.model_dump_json(indent=1).encode(),
            "model_card.md": card.markdown.encode(),
            "model_card.html": card.html.encode(),
            "model_card.json": card.json.encode(),
        }
    )
    return JudgedModel(candidate=trained, evaluation=found, gates=gates), files, card.markdown


@dataclass(frozen=True, slots=True)
class _Both:
    candidate: "Contestant"
    champion: "Contestant | Unreadable | None"


@contextlib.contextmanager
def _contestants(spec: ModelSpec, trained: TrainedModel, tracking: Tracking) -> Iterator[_Both]:
    """Candidate and champion, loaded from their packages if a trusted key signed them.

    A package that cannot be fetched ends the run, since that may pass.
    """
    from mlops_assets.modeling.contestants import load_contestant

    trusted = tracking.read_trusted()
    champion = tracking.version_of_alias(spec.registered_model, CHAMPION)
    with contextlib.ExitStack() as packages:
        directory = packages.enter_context(tracking.package(trained.uri))
        candidate = load_contestant(directory, trained.split, spec, trusted=trusted)
        if champion is None:
            yield _Both(candidate, None)
            return
        place = tracking.package(champion.uri)
        yield _Both(candidate, _load_champion(packages, place, champion, spec, trusted))


def _load_champion(
    packages: contextlib.ExitStack,
    place: contextlib.AbstractContextManager[Path],
    champion: RegisteredVersion,
    spec: ModelSpec,
    trusted: "TrustedKeys",
) -> "Contestant | Unreadable":
    """The champion, or why it cannot be loaded: that is the gates' to judge, and lasts."""
    from mlops_assets.modeling.contestants import Unreadable, load_contestant

    version = str(champion.version)
    try:
        directory = packages.enter_context(place)
    except UnsafeModelError as error:
        return Unreadable(version, str(error))
    try:
        split = _split_of(champion)
        return load_contestant(directory, split, spec, trusted=trusted, version=version)
    except (RegistryError, UnsafeModelError) as error:
        # Where it is stored, in place of where it was fetched to: `keys sign` takes that.
        return Unreadable(version, str(error).replace(str(directory), champion.uri))


def _split_of(version: RegisteredVersion) -> SplitRule:
    try:
        return SplitRule.model_validate_json(version.tags[SPLIT_TAG])
    except (KeyError, ValidationError) as error:
        raise RegistryError(
            f"{version.name} v{version.version} is champion, and its tag {SPLIT_TAG} does not say "
            "which rows it was trained on; give the alias to a version that this platform made"
        ) from error


def _metrics(judged: JudgedModel) -> dict[str, float]:
    """What MLflow shows and compares: values and interval bounds, by contestant."""
    values: dict[str, float] = {}
    for contestant, metrics in judged.evaluation.metrics.items():
        prefix = "" if contestant == "candidate" else f"{contestant}_"
        for name, estimate in metrics.items():
            numbers = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
            values |= {f"{prefix}{name}{k}": v for k, v in numbers.items() if v is not None}
    return values
