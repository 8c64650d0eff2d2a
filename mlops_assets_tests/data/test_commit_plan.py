from datetime import UTC, datetime

import pytest

from mlops_assets.data.commit_plan import (
    Part,
    TableState,
    digest_of_partitions,
    plan_parts,
    plan_whole,
)
from mlops_assets.data.partitions import Window
from mlops_assets.errors import SourceError

SECOND_DAY = Window(datetime(2013, 1, 2, tzinfo=UTC), datetime(2013, 1, 3, tzinfo=UTC))


def state(digest: str = "", columns: dict[str, str] | None = None, **parts: str) -> TableState:
    """A state with a part for each keyword, `d1` being the first day of 2013."""
    named = {
        name.replace("d", "2013-01-0"): Part(digest=content, n_rows=1, null_counts={})
        for name, content in parts.items()
    }
    return TableState(
        digest=digest or digest_of_partitions(named),
        columns=columns or {"a": "Int64"},
        stage="stage-1",
        parts=named,
    )


def test_new_content_replaces_all() -> None:
    change = plan_whole(state("new"))({1: state("b"), 0: state("a")})
    assert (change.reuses, change.replaces, change.state.digest) == (None, None, "new")


def test_content_that_was_there_before_goes_back_to_its_version() -> None:
    assert plan_whole(state("a"))({1: state("b"), 0: state("a")}).reuses == 0


def test_the_first_window_makes_the_table() -> None:
    change = plan_parts(state(d2="x"), SECOND_DAY)({})
    assert (change.reuses, change.replaces) == (None, None)


def test_a_window_replaces_its_partitions_and_keeps_the_others() -> None:
    change = plan_parts(state(d2="new"), SECOND_DAY)({4: state(d1="a", d2="b", d3="c")})
    assert change.replaces == ["2013-01-02"]
    assert change.state == state(d1="a", d2="new", d3="c")


def test_a_window_without_rows_empties_its_partitions() -> None:
    change = plan_parts(state(), SECOND_DAY)({4: state(d1="a", d2="b")})
    assert change.state == state(d1="a")
    assert change.replaces == ["2013-01-02"]


def test_the_same_partition_again_changes_nothing() -> None:
    latest = state(d1="a", d2="b")
    assert plan_parts(state(d2="b"), SECOND_DAY)({4: latest, 3: state(d1="a")}).reuses == 4


def test_an_older_version_in_partitions_is_not_gone_back_to() -> None:
    """The next window would be put into the newest version, which has other rows."""
    older, latest = state(d1="a", d2="b"), state(d1="a", d2="x")
    assert plan_parts(state(d2="b"), SECOND_DAY)({4: latest, 3: older}).reuses is None


def test_other_columns_are_refused_while_other_partitions_stay() -> None:
    new = state(columns={"a": "String"}, d2="b")
    with pytest.raises(SourceError, match=r"a from Int64 to String; backfill all partitions"):
        plan_parts(new, SECOND_DAY)({4: state(d1="a")})
    assert plan_parts(new, SECOND_DAY)({4: state(d2="a")}).state == new
    assert plan_parts(new, None)({4: state(d1="a")}).state == new
