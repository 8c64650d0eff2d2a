import doctest
from pathlib import Path

import pytest
from dagster_shared.yaml_utils import parse_yamls_with_source_position

from mlops_assets.spec import yaml_text
from mlops_assets.spec.yaml_text import read_yaml

TRICKY = """\
quoted: ["2", "1e3", "yes", "null", "2013-01-01"]
words: [yes, no, on, off, Yes, NO, y, n]
numbers: [2, 1e3, 1.0e+3, 1_000, 0x1F, 010, 12:30, .inf, 1.]
dates: [2013-01-01, 2013-01-01T10:00:00Z]
nothing: [null, ~, ]
base: &base {a: 1, b: 2}
merged: {<<: *base, b: 3}
"""


@pytest.fixture
def tricky(tmp_path: Path) -> Path:
    path = tmp_path / "defs.yaml"
    path.write_text(TRICKY)
    return path


def test_values_are_read_as_dagster_reads_them(tricky: Path) -> None:
    documents, problems = read_yaml(tricky)
    [theirs] = parse_yamls_with_source_position(TRICKY)
    assert problems == []
    assert documents[0].value == theirs.value


def test_quoted_values_and_1e3_and_dates_are_text_and_yes_is_not(tricky: Path) -> None:
    value = read_yaml(tricky)[0][0].value
    assert value["quoted"] == ["2", "1e3", "yes", "null", "2013-01-01"]
    assert value["words"] == [True, False, True, False, True, False, "y", "n"]
    assert value["numbers"][:3] == [2, "1e3", 1000.0]
    assert value["dates"] == ["2013-01-01", "2013-01-01T10:00:00Z"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param((), 1, id="whole_document"),
        pytest.param(("words", 3), 2, id="item_of_a_flow_list"),
        pytest.param(("merged", "b"), 7, id="field_beside_a_merge"),
        pytest.param(("merged", "a"), 6, id="merged_field_has_the_line_of_its_anchor"),
        pytest.param(("words", 99), 2, id="missing_item_has_its_parents_line"),
        pytest.param(("nowhere", "at", "all"), 1, id="unknown_field_has_the_documents_line"),
    ],
)
def test_line_of_a_field(tricky: Path, path: tuple[str | int, ...], line: int) -> None:
    assert read_yaml(tricky)[0][0].line(path) == line


def test_an_alias_to_its_own_parent_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text("a: &a [*a]\nb: 1\nb: 2\n")
    _, problems = read_yaml(path)
    assert [problem.line for problem in problems] == [3]


def test_examples_run() -> None:
    assert doctest.testmod(yaml_text).failed == 0
