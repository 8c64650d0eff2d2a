"""A running predictor does what its OpenAPI document says, and nothing gets a 5xx."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis.checks import positive_data_acceptance
from schemathesis.config import SchemathesisConfig

from mlops_assets.modeling.manifest import read_manifest
from mlops_assets.serving.predictor.openapi import build_openapi
from mlops_assets_tests.serving.effort import fuzzing
from mlops_assets_tests.serving.packages import MIXED_MANIFEST, MIXED_ROW
from mlops_assets_tests.serving.running import running_predictor
from mlops_assets_tests.serving.witness import witnessed

MAX_ROWS = 6
# What is wrong in two ways may be refused for its size first.
CONFIG = {
    "checks": {"negative_data_rejection": {"expected-statuses": ["400", "405", "413", "415"]}}
}
DOCUMENT = build_openapi("toy", "3", MIXED_MANIFEST, MAX_ROWS)
API = schemathesis.openapi.from_dict(DOCUMENT, config=SchemathesisConfig.from_dict(CONFIG))


@pytest.fixture(scope="module")
def url(mixed_model: Path) -> Iterator[str]:
    arguments = ("--model-version=3", f"--max-rows={MAX_ROWS}", "--max-body-bytes=20000")
    with (
        running_predictor(mixed_model, *arguments) as running,
        witnessed(running, MIXED_ROW),
    ):
        yield running


def test_it_is_the_document_that_is_served(url: str, mixed_model: Path) -> None:
    assert httpx.get(f"{url}/openapi.json", trust_env=False).json() == DOCUMENT
    assert read_manifest(mixed_model).features == MIXED_MANIFEST.features


@API.exclude(path_regex="infer").parametrize()
@fuzzing(150, 8_000)
def test_what_fits_is_answered_and_what_does_not_is_refused(url: str, case: Any) -> None:
    case.call_and_validate(base_url=url)


# That a tensor's shape, type and values belong together cannot be said in a schema, so what fits
# the schema may be refused here.
@API.include(path_regex="toy/infer").parametrize()
@fuzzing(100, 8_000)
def test_tensors_get_an_answer_that_is_documented(url: str, case: Any) -> None:
    case.call_and_validate(base_url=url, excluded_checks=[positive_data_acceptance])
