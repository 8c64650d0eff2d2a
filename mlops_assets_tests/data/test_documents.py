"""Texts about models on a disk and in object storage: one suite for both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.errors import DocumentError
from mlops_assets_tests.object_storage import BUCKET, ObjectStorage, running_object_storage


@pytest.fixture(scope="module")
def storage() -> Iterator[ObjectStorage]:
    with running_object_storage() as running:
        yield running


@pytest.fixture(params=["disk", "object storage"])
def documents(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModelDocuments:
    if request.param == "disk":
        return ModelDocuments(str(tmp_path))
    storage: ObjectStorage = request.getfixturevalue("storage")
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    return ModelDocuments(f"s3://{BUCKET}/{tmp_path.name}")


def test_a_text_is_read_as_it_was_written_last(documents: ModelDocuments) -> None:
    assert documents.read("churn", "windows/2026-01-01") is None
    for text in ("first", "zweite, ä"):
        documents.write("churn", "windows/2026-01-01", text)
    assert documents.read("churn", "windows/2026-01-01") == "zweite, ä"


def test_models_are_listed(documents: ModelDocuments) -> None:
    assert documents.models() == []
    for model, name in (("churn", "windows/b"), ("churn", "windows/a"), ("flights", "recent")):
        documents.write(model, name, "{}")
    with documents.alone("churn"):
        assert documents.models() == ["churn", "flights"]


def test_a_text_is_forgotten_once(documents: ModelDocuments) -> None:
    documents.write("churn", "recent", "{}")
    assert [documents.delete("churn", "recent") for _ in range(2)] == [True, False]
    assert documents.read("churn", "recent") is None


def test_a_name_leads_nowhere_else(documents: ModelDocuments) -> None:
    with pytest.raises(DocumentError, match="expected letters"):
        documents.write("churn", "../flights/recent", "{}")
