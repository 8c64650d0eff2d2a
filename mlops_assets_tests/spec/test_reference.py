from pathlib import Path

import pytest
from pydantic import BaseModel

from mlops_assets.spec import ModelSpec, reference
from mlops_assets.spec.reading import read_document
from mlops_assets.spec.reference import EXAMPLE, build_reference
from mlops_assets_tests.spec.conftest import Write

PAGE = Path(__file__).parents[2] / "docs" / "yaml-reference.md"


def test_the_page_is_current() -> None:
    """After a change of the schema: `make docs`."""
    assert PAGE.read_text(encoding="utf-8") == build_reference()


def test_the_example_is_valid_and_about_twenty_lines(write: Write) -> None:
    assert read_document(write(EXAMPLE)).name == "churn"
    assert EXAMPLE in PAGE.read_text(encoding="utf-8")
    assert len([line for line in EXAMPLE.splitlines() if line]) <= 20


def schemas() -> list[type[BaseModel]]:
    return [section.schema for section in reference._sections("", ModelSpec, set())]


@pytest.mark.parametrize("schema", schemas(), ids=lambda schema: schema.__name__)
def test_every_part_and_field_is_documented_where_it_is_declared(schema: type[BaseModel]) -> None:
    assert schema.__doc__
    without = [name for name, field in schema.model_fields.items() if not field.description]
    assert without == []


def test_links_lead_to_sections_of_the_page() -> None:
    text = build_reference()
    headings = [line[3:].strip("`") for line in text.splitlines() if line.startswith("## `")]
    anchors = {reference._anchor(heading) for heading in headings}
    targets = {part.partition(")")[0] for part in text.split("](#")[1:]}
    assert targets
    assert targets <= anchors
