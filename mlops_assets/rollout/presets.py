"""What each strategy is where the document says nothing, and the policy that comes of both.

Here: `PRESETS`, and `build_policy` from a model document.
Not here: what the words mean (`spec/rollout.py`, `policy.py`). docs/rollouts.md draws the presets.
"""

from dataclasses import dataclass
from datetime import timedelta

from mlops_assets.rollout.policy import Bandit, Criterion, Freeze, RolloutPolicy, ShadowStage
from mlops_assets.spec import ModelSpec
from mlops_assets.spec.criterion import Better, CriterionMetric, CriterionSpec, QualityMetric
from mlops_assets.spec.data import Task
from mlops_assets.spec.rollout import RolloutSpec, Strategy


@dataclass(frozen=True, slots=True)
class Preset:
    """What a strategy is where the document says nothing.

    Attributes:
        steps: Percent of the challenger at each step.
        criteria: What is judged.
        interval: Shortest time between two evaluations.
        minimum_samples: Fewest requests of the challenger at each step.
        bake_time: How long the last step is held.
        maximum_duration: Longest active time until promotion.
        watch: How long the promoted version is watched.
        warm_standby: How long the former version runs on.
        shadow_samples: Fewest mirrored requests; 0: nothing is mirrored.
    """

    steps: tuple[int, ...]
    criteria: tuple[CriterionSpec, ...]
    interval: timedelta
    minimum_samples: int
    bake_time: timedelta
    maximum_duration: timedelta
    watch: timedelta
    warm_standby: timedelta
    shadow_samples: int = 0


_ERRORS = CriterionSpec(metric="error_ratio")
_LATENCY = CriterionSpec(metric="latency")
_DISTRIBUTION = CriterionSpec(metric="prediction_distribution")
_QUALITY = CriterionSpec(metric="quality")
_ANALYSIS = (_ERRORS, _LATENCY, _DISTRIBUTION, _QUALITY)

PRESETS: dict[Strategy, Preset] = {
    "rolling": Preset(
        steps=(25, 50, 75),
        criteria=(CriterionSpec(metric="error_ratio", required=False),),
        interval=timedelta(seconds=10),
        minimum_samples=20,
        bake_time=timedelta(0),
        maximum_duration=timedelta(hours=1),
        watch=timedelta(minutes=10),
        warm_standby=timedelta(minutes=10),
    ),
    "canary": Preset(
        steps=(5, 25, 50),
        criteria=_ANALYSIS,
        interval=timedelta(minutes=1),
        minimum_samples=100,
        bake_time=timedelta(minutes=10),
        maximum_duration=timedelta(days=1),
        watch=timedelta(hours=1),
        warm_standby=timedelta(hours=1),
    ),
    "blue_green": Preset(
        steps=(),
        criteria=(_ERRORS, _LATENCY),
        interval=timedelta(seconds=10),
        minimum_samples=20,
        bake_time=timedelta(0),
        maximum_duration=timedelta(hours=1),
        watch=timedelta(minutes=30),
        warm_standby=timedelta(hours=1),
    ),
    "ab_test": Preset(
        steps=(50,),
        criteria=(_ERRORS, _LATENCY, CriterionSpec(metric="quality", required=True)),
        interval=timedelta(minutes=5),
        minimum_samples=1000,
        bake_time=timedelta(0),
        maximum_duration=timedelta(days=14),
        watch=timedelta(hours=1),
        warm_standby=timedelta(days=1),
    ),
    "shadow": Preset(
        steps=(10, 50),
        criteria=(*_ANALYSIS, CriterionSpec(metric="disagreement", maximum=0.2)),
        interval=timedelta(minutes=1),
        minimum_samples=100,
        bake_time=timedelta(minutes=10),
        maximum_duration=timedelta(days=2),
        watch=timedelta(hours=1),
        warm_standby=timedelta(hours=1),
        shadow_samples=500,
    ),
}

_MARGINS: dict[CriterionMetric, float] = {
    "error_ratio": 0.02,
    "latency": 0.5,
    "prediction_distribution": 0.2,
    "score_mean": 0.1,
    "quality": 0.1,
}
_ONLY_ASK: tuple[CriterionMetric, ...] = ("prediction_distribution", "disagreement")
_REQUIRED: tuple[CriterionMetric, ...] = ("error_ratio", "latency", "function")


def build_policy(spec: ModelSpec) -> RolloutPolicy:
    """The policy of a model whose document has a `rollout:` part.

    Raises:
        ValueError: it has none.
    """
    if spec.rollout is None:
        raise ValueError(f"the document of {spec.name} has no rollout: part")
    return resolve_policy(spec.rollout, spec.target.task, spec.entity_key)


def resolve_policy(
    rollout: RolloutSpec, task: Task = "binary", entity_key: str | None = None
) -> RolloutPolicy:
    """What the document says, completed by the preset of its strategy."""
    preset = PRESETS[rollout.strategy]
    most = 49 if rollout.baseline else 99
    given = preset.steps if rollout.steps is None else rollout.steps
    steps = tuple(dict.fromkeys(min(percent, most) for percent in given))
    criteria = preset.criteria if rollout.criteria is None else rollout.criteria
    shadow = _shadow(rollout, preset)
    watch = _given(rollout.watch.duration, preset.watch)
    standby = max(preset.warm_standby, watch)
    return RolloutPolicy(
        strategy=rollout.strategy,
        steps=steps,
        shadow=shadow,
        interval=_given(rollout.interval, preset.interval),
        minimum_samples=rollout.minimum_samples or preset.minimum_samples,
        bake_time=_given(rollout.bake_time, preset.bake_time),
        maximum_duration=_given(rollout.maximum_duration, preset.maximum_duration),
        alpha=rollout.alpha,
        criteria=tuple(_criterion(criterion, task) for criterion in criteria),
        failure_limit=rollout.failure_limit,
        inconclusive=rollout.inconclusive,
        approval=rollout.approval.when,
        answer_within=rollout.approval.answer_within,
        freeze=tuple(
            Freeze(**freeze.model_dump() | {"days": tuple(freeze.days)})
            for freeze in rollout.freeze
        ),
        sticky_key=rollout.sticky_key or entity_key,
        watch=watch,
        revert=rollout.watch.revert,
        warm_standby=_given(rollout.warm_standby, standby),
        warm_up_requests=rollout.warm_up_requests,
        baseline=rollout.baseline,
        bandit=Bandit(**rollout.bandit.model_dump()) if rollout.bandit else None,
        verify=rollout.strategy == "blue_green" or (not steps and shadow is None),
    )


def _given(value: timedelta | None, preset: timedelta) -> timedelta:
    return preset if value is None else value


def _shadow(rollout: RolloutSpec, preset: Preset) -> ShadowStage | None:
    if rollout.shadow is None and not preset.shadow_samples:
        return None
    samples = rollout.minimum_samples or preset.shadow_samples or preset.minimum_samples
    if rollout.shadow is None:
        return ShadowStage(minimum_samples=samples)
    return ShadowStage(
        minimum_samples=rollout.shadow.minimum_samples or samples,
        minimum_duration=rollout.shadow.minimum_duration,
    )


def _criterion(spec: CriterionSpec, task: Task) -> Criterion:
    quality = spec.quality
    if spec.metric == "quality" and quality is None:
        quality = "mean_absolute_error" if task == "regression" else "brier_score"
    margin = spec.margin
    if margin is None and spec.maximum is None and spec.minimum is None:
        margin = _MARGINS.get(spec.metric)
    by_share = spec.metric in ("latency", "quality") or (
        spec.metric == "score_mean" and task == "regression"
    )
    is_asking = spec.metric in _ONLY_ASK
    return Criterion(
        title=spec.title,
        metric=spec.metric,
        quantile=spec.quantile,
        quality=quality,
        function=spec.function,
        better=spec.better or _better(spec.metric, quality),
        margin=margin,
        margin_seconds=spec.margin_seconds if spec.metric == "latency" else 0.0,
        relative=by_share if spec.relative is None else spec.relative,
        maximum=spec.maximum,
        minimum=spec.minimum,
        slice_by=spec.slice_by,
        on_harm=spec.on_harm or ("ask" if is_asking else "roll_back"),
        required=spec.metric in _REQUIRED if spec.required is None else spec.required,
    )


def _better(metric: CriterionMetric, quality: QualityMetric | None) -> Better:
    if metric in ("score_mean", "prediction_distribution"):
        return "same"
    return "higher" if quality == "accuracy" else "lower"
