import copy
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from mlops_assets.modeling.digest import skops_digest
from mlops_assets.modeling.features import build_frame
from mlops_assets.modeling.training import FittedModel, train
from mlops_assets_tests.modeling.toy import document, rows

ESTIMATORS: dict[str, dict[str, Any]] = {
    "forest": {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "parameters": {"n_estimators": 5},
    },
    "boosting": {
        "estimator": "sklearn.ensemble.HistGradientBoostingClassifier",
        "parameters": {"max_iter": 5},
    },
    "logistic": {"estimator": "sklearn.linear_model.LogisticRegression"},
}


def fit(name: str, seed: int = 0) -> FittedModel:
    spec = document(model={**ESTIMATORS[name], "seed": seed})
    return train(spec, build_frame(rows(200).lazy(), spec))


def model_digest(pipeline: Any) -> str:
    import skops.io

    return skops_digest(skops.io.dumps(pipeline))


@pytest.fixture(scope="module")
def fitted() -> dict[str, FittedModel]:
    return {name: fit(name) for name in ESTIMATORS}


def test_two_processes_give_the_same_digest(fitted: dict[str, FittedModel]) -> None:
    here = [model_digest(model.pipeline) for model in fitted.values()]
    code = (
        "from mlops_assets_tests.modeling.test_digest import ESTIMATORS, fit, model_digest\n"
        "for name in ESTIMATORS: print(model_digest(fit(name).pipeline))"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    there = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert there == here
    assert len(set(here)) == 3


def test_a_changed_coefficient_changes_the_digest(fitted: dict[str, FittedModel]) -> None:
    changed = copy.deepcopy(fitted["logistic"].pipeline)
    coefficients = changed["estimator"].coef_
    coefficients[0, 0] = np.nextafter(coefficients[0, 0], 1)
    assert model_digest(changed) != model_digest(fitted["logistic"].pipeline)


def test_a_changed_setting_changes_the_digest(fitted: dict[str, FittedModel]) -> None:
    changed = copy.deepcopy(fitted["logistic"].pipeline)
    changed["estimator"].max_iter += 1
    assert model_digest(changed) != model_digest(fitted["logistic"].pipeline)


def test_another_seed_changes_the_digest_of_a_forest(fitted: dict[str, FittedModel]) -> None:
    assert model_digest(fit("forest", 1).pipeline) != model_digest(fitted["forest"].pipeline)


@pytest.mark.parametrize("name", ["protocol", "file"])
def test_an_attribute_counts_whatever_its_name_means_to_skops(
    fitted: dict[str, FittedModel], name: str
) -> None:
    digests = set()
    for value in (4, 5):
        changed = copy.deepcopy(fitted["logistic"].pipeline)
        setattr(changed["estimator"], name, value)
        digests.add(model_digest(changed))
    assert len(digests) == 2


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_model_that_was_stored_and_read_has_the_same_digest(
    fitted: dict[str, FittedModel], name: str
) -> None:
    import skops.io

    archive = skops.io.dumps(fitted[name].pipeline)
    read = skops.io.loads(archive, trusted=skops.io.get_untrusted_types(data=archive))
    assert model_digest(read) == model_digest(fitted[name].pipeline)
