"""Packages as the platform writes them and as plain MLflow does, and the 10,000-row agreement."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import psutil
import pytest

from mlops_assets.errors import UnsafeModelError
from mlops_assets.modeling.features import build_frame
from mlops_assets.modeling.manifest import MANIFEST_FILE, ModelManifest, OnnxAgreement
from mlops_assets.modeling.package import load_package, write_package
from mlops_assets.modeling.signing import sign_package
from mlops_assets.modeling.training import train
from mlops_assets.serving.predictor.model import load_model
from mlops_assets.serving.predictor.sklearn_scorer import SklearnScorer
from mlops_assets.serving.protocol.batch import Batch, build_column
from mlops_assets.spec import ModelSpec
from mlops_assets_tests.serving.keys import signing_key, trusted_keys
from mlops_assets_tests.serving.running import find_free_port, running_module, wait_for

KINDS = {"hours": "number", "age": "number", "genre": "category", "plays": "boolean"}


def rows(n: int, seed: int, genres: list[str | None]) -> dict[str, list[Any]]:
    """Values with missing ones, and ages that tie."""
    rng = np.random.default_rng(seed)
    hours = np.where(rng.random(n) < 0.1, np.nan, rng.gamma(2.0, 2.0, n))
    return {
        "hours": [None if np.isnan(v) else v for v in hours.tolist()],
        "age": [float(v) for v in rng.integers(18, 30, n)],
        "genre": [genres[i] for i in rng.integers(0, len(genres), n)],
        "plays": [[True, False, None][i] for i in rng.integers(0, 3, n)],
    }


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = ModelSpec.model_validate(
        {
            "name": "forest",
            "description": "Does it help?",
            "owners": ["team:tests"],
            "source": {"path": "rows.csv"},
            "features": {
                "numeric": ["hours", "age"], "categorical": ["genre"], "boolean": ["plays"],
            },
            "target": {"column": "y", "task": "binary"},
            "model": {
                "estimator": "sklearn.ensemble.RandomForestClassifier",
                "parameters": {"n_estimators": 20, "max_depth": 6},
            },
        }
    )  # fmt: skip
    data = rows(1_500, 0, ["rock", "jazz", "folk", None])
    y = [
        int((h or 1) > 3) ^ int(g == "jazz")
        for h, g in zip(data["hours"], data["genre"], strict=True)
    ]
    built = build_frame(pl.DataFrame({**data, "y": y}, strict=False).lazy(), spec)
    directory = tmp_path_factory.mktemp("models") / "forest"
    write_package(directory, train(spec, built), built, spec)
    sign_package(directory, signing_key())
    return directory


def test_both_engines_answer_alike_on_10_000_rows(package: Path) -> None:
    model = load_model(package, require_signed=trusted_keys())
    assert model.engine == "onnxruntime", model.manifest.onnx.reason
    data = rows(10_000, 1, ["rock", "jazz", "folk", None, "never seen", ""])
    columns = tuple(build_column(f, data[f.name], f.name) for f in model.manifest.features)
    batch = Batch(10_000, columns)
    onnx = model.scorer.score(batch)
    sklearn = SklearnScorer(load_package(package), model.manifest).score(batch)
    assert onnx.probabilities is not None
    assert sklearn.probabilities is not None
    difference = np.abs(onnx.probabilities - sklearn.probabilities).max(axis=1)
    best = np.sort(sklearn.probabilities, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-5
    assert (np.array(onnx.labels)[clear] == np.array(sklearn.labels)[clear]).all()
    assert (difference > 1e-5).mean() <= 0.005
    assert difference.max() <= 0.02


def test_a_changed_byte_is_refused(package: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    changed.mkdir()
    for path in package.rglob("*"):
        if path.is_file():
            target = changed / path.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    graph = changed / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"X")
    with pytest.raises(UnsafeModelError, match=r"model\.onnx: found .*, the manifest says"):
        load_model(changed)


def test_the_digest_that_was_asked_for_decides(package: Path) -> None:
    with pytest.raises(UnsafeModelError, match="expected 000"):
        load_model(package, model_digest="000")


def save_plain(directory: Path, **how: Any) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    x = np.random.default_rng(0).normal(size=(50, 2))
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1]}).to_pandas()
    model = LogisticRegression().fit(frame, x[:, 0] > 0)
    mlflow.sklearn.save_model(
        model, directory, signature=infer_signature(frame), pip_requirements=[], **how
    )


def test_a_plain_mlflow_model_is_served_unless_a_manifest_is_required(tmp_path: Path) -> None:
    save_plain(tmp_path / "plain")
    model = load_model(tmp_path / "plain")
    batch = Batch(2, (np.array([3.0, -3.0]), np.array([0.0, 0.0])))
    assert model.scorer.score(batch).labels == [True, False]
    assert model.build_example().n_rows == 1
    with pytest.raises(UnsafeModelError, match="has no mlops_manifest"):
        load_model(tmp_path / "plain", require_signed=trusted_keys())
    with pytest.raises(UnsafeModelError, match="to hold abc"):
        load_model(tmp_path / "plain", model_digest="abc")


def test_a_plain_model_is_tried_with_its_input_example(tmp_path: Path) -> None:
    """A row of blanks holds categories that an encoder refuses."""
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pl.DataFrame({"genre": ["rock", "jazz"] * 10}).to_pandas()
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression())
    pipeline.fit(frame, [1, 0] * 10)
    mlflow.sklearn.save_model(
        pipeline, tmp_path / "plain", signature=infer_signature(frame), pip_requirements=[],
        serialization_format="skops", input_example=frame.head(2),
    )  # fmt: skip
    model = load_model(tmp_path / "plain")
    assert model.scorer.score(model.build_example()).labels == [1, 0]


@pytest.mark.parametrize(
    "content",
    ["a: [1\n b: {", "flavors: {sklearn: }\nsignature: {inputs: '[]'}", "[]", "flavors: 3"],
    ids=["no_yaml", "no_flavor", "a_list", "a_number"],
)
def test_a_description_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "MLmodel").write_text(content)
    with pytest.raises(UnsafeModelError, match="is no MLflow scikit-learn model"):
        load_model(tmp_path)


def test_a_plain_model_of_several_targets_is_refused(tmp_path: Path) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression
    from sklearn.multioutput import MultiOutputClassifier

    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}).to_pandas()
    model = MultiOutputClassifier(LogisticRegression())
    model.fit(frame, [[0, 1], [1, 0], [0, 1], [1, 1]])
    mlflow.sklearn.save_model(
        model, tmp_path / "plain", signature=infer_signature(frame), pip_requirements=[],
        serialization_format="skops",
    )  # fmt: skip
    with pytest.raises(UnsafeModelError, match="expected a model of one target, found 2"):
        load_model(tmp_path / "plain")


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    save_plain(tmp_path / "pickled", serialization_format="cloudpickle")
    with pytest.raises(UnsafeModelError, match="a pickle runs code"):
        load_model(tmp_path / "pickled")


def test_the_predictor_imports_nothing_heavy(positive_model: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "import mlops_assets.serving.predictor.server\n"
        "from mlops_assets.serving.predictor.model import load_model\n"
        f"load_model(Path({str(positive_model)!r}))\n"
        "heavy = {'dagster', 'mlflow', 'evidently', 'pandas', 'sklearn', 'polars', 'kserve'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_predictor_through_scikit_learn_does_without_pandas_and_within_300_mb(
    package: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(package, directory)
    path = directory / MANIFEST_FILE
    manifest = ModelManifest.model_validate_json(path.read_bytes())
    onnx = OnnxAgreement(usable=False, reason="made so for a test")
    path.write_text(manifest.model_copy(update={"onnx": onnx}).model_dump_json())
    port = find_free_port()
    arguments = ("--model-name=toy", f"--model-dir={directory}", f"--port={port}")
    url = f"http://127.0.0.1:{port}"
    with running_module("mlops_assets.serving.predictor", *arguments) as process:
        wait_for(f"{url}/v2/health/ready", process, 240)
        metadata = httpx.get(f"{url}/v2/models/toy", trust_env=False, timeout=60).json()
        rows = {"instances": [[1.5, 20, "never seen", True], [None, None, None, None]]}
        answer = httpx.post(f"{url}/v1/models/toy:predict", json=rows, trust_env=False, timeout=60)
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        n_bytes = psutil.Process(process.pid).memory_info().rss
    assert (metadata["platform"], answer.status_code) == ("scikit-learn", 200)
    assert ("sklearn" in mapped, "pandas" in mapped) == (True, False)
    assert n_bytes <= 300e6
