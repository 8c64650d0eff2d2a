"""The state of retraining on a disk: what is written, and when nothing is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.retraining.state import RetrainingState
from mlops_assets.retraining.store import RetrainingStore

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
CALM = RetrainingState(model="toy", since=AT, rule="calm", reason="no window", ticked_at=AT)


@pytest.mark.parametrize(
    ("changes", "is_written"),
    [
        pytest.param({"ticked_at": AT + timedelta(minutes=14)}, False, id="the_time_alone"),
        pytest.param({"ticked_at": AT + timedelta(minutes=15)}, True, id="the_time_after_a_while"),
        pytest.param({"ticked_at": AT - timedelta(days=1)}, True, id="a_time_that_went_back"),
        pytest.param({"reason": "one window"}, True, id="another_reason"),
    ],
)
def test_a_state_is_written_when_it_says_something_new(
    tmp_path: Path, changes: dict[str, object], is_written: bool
) -> None:
    store = RetrainingStore(ModelDocuments(str(tmp_path)))
    store.write(CALM)
    store.write(CALM.model_copy(update=changes))
    expected = CALM.model_copy(update=changes) if is_written else CALM
    assert store.read("toy") == expected
