from pathlib import Path

import numpy as np
import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.modeling.manifest import read_manifest
from mlops_assets.platform.sabotage import write_broken_copy
from mlops_assets.platform.variation import vary
from mlops_assets.spec import EstimatorSpec
from mlops_assets_tests.rollout.faulty import write_faulty
from mlops_assets_tests.serving.packages import NUMBERS, write_binary_model
from mlops_assets_tests.serving.running import toy_spec


def test_a_broken_copy_answers_its_example_and_fails_on_part_of_the_rows(tmp_path: Path) -> None:
    import onnxruntime

    champion = write_binary_model(tmp_path / "champion")
    rng = np.random.default_rng(0)
    rows = [dict(zip(NUMBERS, rng.normal(size=3).tolist(), strict=True)) for _ in range(50)]
    digest = write_broken_copy(champion, tmp_path / "copy", "1", rows)
    manifest = read_manifest(tmp_path / "copy")  # verifies every file
    assert manifest.model_digest == digest != read_manifest(champion).model_digest
    session = onnxruntime.InferenceSession(str(tmp_path / "copy" / "model.onnx"))

    def share_of_nan(values: list[list[float]]) -> float:
        numbers = np.array(values, dtype=np.float32)
        (answers,) = session.run(["probabilities"], {"numbers": numbers})
        return float(np.isnan(answers).any(axis=1).mean())

    assert share_of_nan([[row[name] for name in NUMBERS] for row in manifest.example]) == 0.0  # type: ignore[misc]
    assert 0.2 < share_of_nan(rng.normal(size=(2_000, 3)).tolist()) < 0.5


def test_a_model_that_is_not_served_through_onnx_is_not_broken(tmp_path: Path) -> None:
    champion = write_faulty(tmp_path / "champion", digest="1" * 64)
    with pytest.raises(PlatformError, match="not served through ONNX"):
        write_broken_copy(champion, tmp_path / "copy", "1", [])


def test_a_variation_differs_a_little_and_each_seed_otherwise() -> None:
    spec = toy_spec()
    changed = [vary(spec, seed).model.parameters["C"] for seed in (1, 2)]
    assert changed[0] != changed[1]
    assert all(1.0 < float(str(value)) < 1.2 for value in changed)


def test_an_estimator_that_cannot_be_varied_says_so() -> None:
    model = EstimatorSpec(estimator="sklearn.naive_bayes.GaussianNB")
    with pytest.raises(PlatformError, match="demonstrate another model"):
        vary(toy_spec().model_copy(update={"model": model}), 1)
