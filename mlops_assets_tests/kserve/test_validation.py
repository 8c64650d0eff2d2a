"""What is wrong with a manifest is found before a cluster is asked, with the field and a hint."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from mlops_assets.errors import ServingError
from mlops_assets.kserve.validation import check_manifest, require_valid
from mlops_assets_tests.kserve.test_manifest import build

Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    manifest = deepcopy(build())
    canary = deepcopy(manifest["spec"]["predictor"])
    canary.update(name="v8", minReplicas=1)
    manifest["spec"]["canary"] = [{"trafficPercent": 10, "predictor": canary}]
    change(manifest)
    return manifest


def predictor(**fields: Any) -> Change:
    return lambda manifest: manifest["spec"]["predictor"].update(fields)


def model(**fields: Any) -> Change:
    return lambda manifest: manifest["spec"]["predictor"]["model"].update(fields)


def canary(**fields: Any) -> Change:
    return lambda manifest: manifest["spec"]["canary"][0].update(fields)


def metadata(**fields: Any) -> Change:
    return lambda manifest: manifest["metadata"].update(fields)


def nothing(manifest: dict[str, Any]) -> None:
    pass


def test_what_we_build_is_valid() -> None:
    assert check_manifest(build()) == []
    assert check_manifest(changed(nothing)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (predictor(minReplica=2), "spec.predictor.minReplica: no such field; did you mean minRep"),
        (
            model(storageURI="s3://m"),
            "spec.predictor.model.storageURI: no such field; did you mean",
        ),
        (predictor(qqq=1), "spec.predictor.qqq: no such field; it has activeDeadlineSeconds,"),
        (predictor(minReplicas="two"), "spec.predictor.minReplicas: expected int, found 'two'"),
        (predictor(minReplicas=True), "spec.predictor.minReplicas: expected int, found True"),
        (canary(trafficPercent=101), "spec.canary[0].trafficPercent: expected 0 to 100"),
        (canary(trafficPercnt=1), "spec.canary[0].trafficPercnt: no such field; did you mean traf"),
        (canary(predictor=[]), "spec.canary[0].predictor: expected fields, found []"),
        (model(env={"a": 1}), "spec.predictor.model.env: expected a list"),
        (model(env=[{"nme": "A"}]), "spec.predictor.model.env[0].nme: no such field; did you mean"),
        (model(env=[{"name": "PYTHONPATH"}]), "KServe refuses PYTHONPATH"),
        (model(storageUri="models:/m/1"), "storageUri: KServe fetches from s3, gs"),
        (model(storageUri="ftp://m/1"), "found 'ftp://m/1'; name a storageContainerName"),
        (predictor(minReplicas=4), "minReplicas: expected 0 to maxReplicas (3), found 4"),
        (predictor(minReplicas=-1), "minReplicas: expected 0 to maxReplicas (3), found -1"),
        (predictor(name="v8"), "each predictor needs a name of its own"),
        (predictor(name="V7"), "spec.predictor.name: expected small letters"),
        (metadata(name="7up"), "metadata.name: expected small letters"),
        (metadata(name="a" * 60), "has more than 63 letters"),
        (
            metadata(annotations={"serving.kserve.io/autoscalerClass": "kpa"}),
            "serving.kserve.io/autoscalerClass: expected ('hpa', 'keda', 'external', 'none')",
        ),
        (
            lambda m: m["spec"].update(transformer={"minReplicas": 1}),
            "spec.canary: its requests pass by a transformer",
        ),
        (lambda m: m["spec"].pop("predictor"), "spec.predictor: missing"),
        (lambda m: m["spec"]["predictor"].pop("model"), "spec.predictor.model: missing"),
    ],
)
def test_each_mistake_is_named(change: Change, problem: str) -> None:
    with pytest.raises(ServingError) as caught:
        require_valid(changed(change))
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        predictor(maxReplicas=1),
        predictor(minReplicas=3),
        predictor(minReplicas=0),
        canary(trafficPercent=0),
        canary(trafficPercent=100),
        predictor(storageContainerName="ours", model={"storageUri": "models:/m/1"}),
        metadata(name="a" * 50),  # with -v7-predictor 63 letters
    ],
)
def test_what_lies_on_the_bound_is_valid(change: Change) -> None:
    assert check_manifest(changed(change)) == []


def test_all_mistakes_are_named_at_once() -> None:
    manifest = changed(predictor(minReplica=2, maxReplica=3))
    assert len(check_manifest(manifest)) == 2


def test_percents_of_several_canaries_are_summed() -> None:
    manifest = changed(canary(trafficPercent=60))
    more = deepcopy(manifest["spec"]["canary"][0])
    more["predictor"]["name"] = "v9"
    manifest["spec"]["canary"].append(more)
    assert check_manifest(manifest) == ["spec.canary: the percents sum to more than 100"]
