import doctest

import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.modeling.drafting import document_text
from mlops_assets.modeling.drafting.document_text import comment_lines, entry, flow, joined

SCALARS = st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False)


@given(SCALARS)
def test_a_value_reads_back_as_it_was_in_lists_and_as_a_name(value: object) -> None:
    text = f"a: [{flow(value)}, {{{flow(value)}: {flow(value)}}}]"
    assert yaml.safe_load(text) == {"a": [value, {value: value}]}


@given(
    name=st.text(min_size=1, max_size=60),
    value=st.lists(st.text(max_size=40), max_size=8)
    | st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), min_size=1),
    comment=st.text(max_size=200),
)
def test_an_entry_reads_back_whatever_its_comment_says(
    name: str, value: object, comment: str
) -> None:
    assert yaml.safe_load(joined(entry(2, name, value, comment))) == {name: value}


def test_comments_are_folded_and_what_follows_a_dash_stays_to_its_right() -> None:
    lines = comment_lines(4, f"- column: {'why ' * 40}")
    assert lines[0].startswith("    # - column: why")
    assert lines[1].startswith("    #   why")
    assert max(map(len, lines)) <= 100


def test_examples_run() -> None:
    assert doctest.testmod(document_text).failed == 0
