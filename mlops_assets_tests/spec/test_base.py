import doctest
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mlops_assets.spec import base
from mlops_assets.spec.base import Duration, Identifier, ImportPath, Owner, write_duration

DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)


@given(st.integers(0, 10**9))
def test_a_duration_survives_being_written_and_read(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert DURATION.validate_python(write_duration(duration)) == duration


@pytest.mark.parametrize("text", ["7", "7 days", "-1d", "1.5h", "", "d", "7dd"])
def test_what_is_no_whole_number_and_unit_is_no_duration(text: str) -> None:
    with pytest.raises(ValidationError, match="such as 7d"):
        DURATION.validate_python(text)


@pytest.mark.parametrize(
    ("text", "fits"), [("36500d", True), ("36501d", False), ("9" * 30 + "d", False)]
)
def test_a_duration_leads_to_a_date(text: str, fits: bool) -> None:
    """Longer ones ended in an OverflowError, here or where they were taken from a date."""
    if fits:
        assert datetime(2026, 1, 1, tzinfo=UTC) - DURATION.validate_python(text) < datetime.now(UTC)
        return
    with pytest.raises(ValidationError, match="at most 36500d"):
        DURATION.validate_python(text)


@pytest.mark.parametrize(
    ("kind", "text", "fits"),
    [
        (Identifier, "a", True),
        (Identifier, "a" * 40, True),
        (Identifier, "a" * 41, False),
        (Identifier, "1a", False),
        (Identifier, "a_b", True),
        (Identifier, "a_", False),  # with dashes no name of Kubernetes'
        (Identifier, "flight-delay", False),
        (ImportPath, "package.module:name", True),
        (ImportPath, "package.module.name", True),
        (ImportPath, "name", False),
        (ImportPath, "package.module:", False),
        (ImportPath, "os; import sys", False),
        (Owner, "team:data-science", True),
        (Owner, "a.b@example.com", True),
        (Owner, "data-science", False),
        (Owner, "team:", False),
    ],
)
def test_pattern(kind: Any, text: str, fits: bool) -> None:
    try:
        TypeAdapter(kind).validate_python(text)
    except ValidationError:
        assert not fits
    else:
        assert fits


def test_examples_run() -> None:
    assert doctest.testmod(base).failed == 0
