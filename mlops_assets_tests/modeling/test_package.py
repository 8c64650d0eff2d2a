import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlops_assets.errors import TrainingError, UnsafeModelError
from mlops_assets.modeling.features import build_frame
from mlops_assets.modeling.manifest import MANIFEST_FILE, file_digest, read_manifest
from mlops_assets.modeling.package import ONNX_FILE, SKOPS_FILE, load_package, write_package
from mlops_assets.modeling.pipeline import select_features
from mlops_assets.modeling.training import train
from mlops_assets_tests.modeling.conftest import PackagedModel, package
from mlops_assets_tests.modeling.toy import document, input_frame, rows

OWN = "mlops_assets_tests.modeling.own_estimator.OwnClassifier"


@pytest.fixture
def copied(boosted: PackagedModel, tmp_path: Path) -> Path:
    """A package that a test may spoil."""
    return shutil.copytree(boosted.directory, tmp_path / "model")


def rewrite_manifest(directory: Path, **changes: Any) -> None:
    path = directory / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_package_answers_as_the_fitted_model_does(boosted: PackagedModel) -> None:
    inputs = select_features(boosted.built.frame, boosted.fitted.features)
    np.testing.assert_array_equal(
        load_package(boosted.directory).predict_proba(inputs),
        boosted.fitted.pipeline.predict_proba(inputs),
    )


def test_the_manifest_says_what_the_package_is(boosted: PackagedModel) -> None:
    manifest = read_manifest(boosted.directory)
    assert manifest == boosted.manifest
    present = {p.name for p in boosted.directory.iterdir()} - {MANIFEST_FILE}
    assert set(manifest.files) == present >= {"MLmodel", SKOPS_FILE, ONNX_FILE}
    assert (manifest.classes, manifest.positive) == ([0, 1], "Improve")
    assert manifest.onnx.usable
    assert [(i.name, i.element, i.features) for i in manifest.inputs] == [
        ("numbers", "float32", ["hours", "age", "alone"]),
        ("categories", "string", ["genre"]),
    ]


def test_examples_can_be_answered(multiclass: PackagedModel) -> None:
    inputs = input_frame(multiclass.manifest.example, multiclass.manifest.features)
    assert load_package(multiclass.directory).predict(inputs).shape == (4,)
    assert multiclass.manifest.example[-1] == dict.fromkeys(inputs.columns)


def test_mlflow_reads_the_package_with_raw_pandas_rows(multiclass: PackagedModel) -> None:
    import mlflow.pyfunc

    loaded = mlflow.pyfunc.load_model(str(multiclass.directory))
    rows = select_features(multiclass.built.frame, multiclass.fitted.features).head(50)
    expected = multiclass.fitted.pipeline.predict(rows)
    assert loaded.predict(rows.to_pandas()).tolist() == expected.tolist()
    requirements = (multiclass.directory / "requirements.txt").read_text().splitlines()
    assert [line.split("==")[0] for line in requirements] == [
        "scikit-learn", "skops", "numpy", "mlflow",
    ]  # fmt: skip


def test_a_package_written_again_has_the_same_digest(
    boosted: PackagedModel, tmp_path: Path
) -> None:
    again = write_package(tmp_path / "model", boosted.fitted, boosted.built, boosted.spec)
    assert again.model_digest == boosted.manifest.model_digest


@pytest.mark.parametrize("name", [SKOPS_FILE, ONNX_FILE, "MLmodel"])
def test_a_changed_file_is_not_opened(copied: Path, name: str) -> None:
    with (copied / name).open("ab") as opened:
        opened.write(b" ")
    with pytest.raises(UnsafeModelError, match=f"{name}: found .*, the manifest says"):
        load_package(copied)


def test_a_model_that_the_manifest_does_not_list_is_not_opened(copied: Path) -> None:
    rewrite_manifest(copied, files={"MLmodel": file_digest(copied / "MLmodel")})
    with pytest.raises(UnsafeModelError, match=r"model\.skops is not listed"):
        load_package(copied)


@pytest.mark.parametrize("name", ["model.pkl", "data/extra.JOBLIB"])
def test_no_pickle_may_lie_beside_a_model(copied: Path, name: str) -> None:
    (copied / name).parent.mkdir(exist_ok=True)
    (copied / name).touch()
    with pytest.raises(UnsafeModelError, match="a pickle runs code"):
        load_package(copied)


def test_types_that_the_manifest_does_not_trust_are_not_constructed(copied: Path) -> None:
    rewrite_manifest(copied, trusted_types=["numpy.asarray", "numpy.dtype"])
    with pytest.raises(UnsafeModelError, match=r"would construct sklearn.*TreePredictor"):
        load_package(copied)


def test_types_that_only_the_manifest_trusts_are_not_constructed(copied: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(shutil.rmtree), copied / SKOPS_FILE)
    files = {SKOPS_FILE: file_digest(copied / SKOPS_FILE)}
    rewrite_manifest(copied, trusted_types=["shutil.rmtree"], files=files)
    with pytest.raises(UnsafeModelError, match=r"would construct shutil\.rmtree"):
        load_package(copied)


def test_a_broken_archive_is_refused(copied: Path) -> None:
    (copied / SKOPS_FILE).write_bytes(b"not a zip file")
    rewrite_manifest(copied, files={SKOPS_FILE: file_digest(copied / SKOPS_FILE)})
    with pytest.raises(UnsafeModelError, match="cannot be read as a skops model: BadZipFile"):
        load_package(copied)


def test_a_type_of_ones_own_must_be_declared(tmp_path: Path) -> None:
    spec = document(model={"estimator": OWN})
    built = build_frame(rows().lazy(), spec)
    with pytest.raises(TrainingError, match=rf"needs {OWN}; a predictor constructs no type"):
        write_package(tmp_path / "model", train(spec, built), built, spec)
    assert list(tmp_path.iterdir()) == []


def test_a_declared_type_of_ones_own_is_packaged_and_served_by_scikit_learn(tmp_path: Path) -> None:
    spec = document(model={"estimator": OWN, "trusted_types": [OWN]})
    found = package(spec, tmp_path / "model")
    assert not found.manifest.onnx.usable
    assert "does not convert OwnClassifier" in found.manifest.onnx.reason
    assert found.manifest.inputs == []
    assert not (found.directory / ONNX_FILE).exists()
    with pytest.raises(UnsafeModelError, match=r"model\.trusted_types"):
        load_package(found.directory)
    loaded = load_package(found.directory, allowed=[OWN])
    assert loaded.predict(input_frame([{}], found.fitted.features)).shape == (1,)


def test_onnx_can_be_switched_off(boosted: PackagedModel, tmp_path: Path) -> None:
    model = boosted.spec.model.model_copy(update={"onnx": False})
    spec = boosted.spec.model_copy(update={"model": model})
    manifest = write_package(tmp_path / "model", boosted.fitted, boosted.built, spec)
    assert manifest.onnx.reason == "switched off by model.onnx"
    assert ONNX_FILE not in manifest.files


def test_missing_values_in_the_example_are_kept(boosted: PackagedModel) -> None:
    example = pl.DataFrame(boosted.manifest.example)
    assert example.height == 4
    assert json.loads(json.dumps(boosted.manifest.example)) == boosted.manifest.example
