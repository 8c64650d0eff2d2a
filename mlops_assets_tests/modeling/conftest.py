"""Fitted models of the toy dataset, each made once for all tests of this folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops_assets.modeling import latency
from mlops_assets.modeling.contestants import Contestant, load_contestant
from mlops_assets.modeling.features import BuiltFrame, build_frame
from mlops_assets.modeling.manifest import ModelManifest
from mlops_assets.modeling.package import write_package
from mlops_assets.modeling.training import FittedModel, train
from mlops_assets.spec import ModelSpec
from mlops_assets_tests.modeling.toy import document, rows, tree_document

# Threads of one process on a few hundred rows only wait for each other: 60 % of the time here.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@dataclass(frozen=True)
class PackagedModel:
    """Everything about one model, from its document to its package."""

    spec: ModelSpec
    built: BuiltFrame
    fitted: FittedModel
    directory: Path
    manifest: ModelManifest

    def as_contestant(self, version: str | None = None) -> Contestant:
        """The model as it enters an evaluation."""
        split = self.built.facts.split
        return load_contestant(self.directory, split, self.spec, trusted=None, version=version)


def package(spec: ModelSpec, directory: Path, n_rows: int = 600) -> PackagedModel:
    """Train and package a model of the toy dataset."""
    built = build_frame(rows(n_rows).lazy(), spec)
    fitted = train(spec, built)
    return PackagedModel(
        spec, built, fitted, directory, write_package(directory, fitted, built, spec)
    )


@pytest.fixture(autouse=True, scope="session")
def short_latency() -> Iterator[None]:
    """Spend 0.02 s on timing a model instead of half a second; its numbers are no test's."""
    before, latency._MOST_SECONDS = latency._MOST_SECONDS, 0.02
    yield
    latency._MOST_SECONDS = before


@pytest.fixture(scope="session")
def boosted(tmp_path_factory: pytest.TempPathFactory) -> PackagedModel:
    """Histogram boosting on the binary target."""
    return package(tree_document(), tmp_path_factory.mktemp("boosted") / "model")


@pytest.fixture(scope="session")
def multiclass(tmp_path_factory: pytest.TempPathFactory) -> PackagedModel:
    """A logistic regression on three classes."""
    spec = document(target={"column": "effect", "task": "multiclass"})
    return package(spec, tmp_path_factory.mktemp("multiclass") / "model")


@pytest.fixture(scope="session")
def regression(tmp_path_factory: pytest.TempPathFactory) -> PackagedModel:
    """A ridge regression, split by time."""
    spec = document(
        target={"column": "score", "task": "regression"},
        model={"estimator": "sklearn.linear_model.Ridge", "preprocessing": {"scale": True}},
        time_column="at",
        split={},
    )
    return package(spec, tmp_path_factory.mktemp("regression") / "model")
