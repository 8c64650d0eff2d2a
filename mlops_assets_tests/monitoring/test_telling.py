"""People hear of changed verdicts, once each."""

from datetime import timedelta

import polars as pl
import pytest

from mlops_assets.monitoring.logged_window import LoggedWindow
from mlops_assets.monitoring.quality_counts import LogCounts
from mlops_assets.monitoring.telling import notification_of
from mlops_assets.monitoring.verdict import Verdict, WindowVerdict
from mlops_assets.monitoring.watching import Watched, last_said
from mlops_assets.monitoring.window_record import RecentWindow, RecentWindows, WindowRecord
from mlops_assets.monitoring.windows import Window
from mlops_assets_tests.monitoring.windows import START, held, window_of, worse

WINDOW = Window(key="2026-03-02", start=START, end=START + timedelta(days=1))
BROKEN = window_of(0, quality="broken")
UNKNOWN = window_of(0, drift="unknown")


def watched(
    verdict: WindowVerdict,
    said_before: Verdict | None,
    *,
    is_newest: bool = True,
    is_ended: bool = True,
) -> Watched:
    record = WindowRecord(
        window=WINDOW, verdict=verdict, metric="roc_auc", judged_at=WINDOW.end, is_ended=is_ended
    )
    rows = LoggedWindow(WINDOW, pl.DataFrame(), LogCounts())
    return Watched(record, rows, said_before, is_newest)


@pytest.mark.parametrize(
    ("found", "is_told"),
    [
        pytest.param(watched(worse(0), "healthy"), True, id="worse"),
        pytest.param(watched(worse(0), "concept_drift"), False, id="still_worse"),
        pytest.param(watched(held(0), "concept_drift"), True, id="well_again"),
        pytest.param(watched(held(0), None), False, id="the_first_word_is_good"),
        pytest.param(watched(worse(0), None), True, id="the_first_word_is_bad"),
        pytest.param(watched(BROKEN, "healthy"), True, id="broken"),
        pytest.param(watched(UNKNOWN, "healthy"), False, id="nobody_can_tell"),
        pytest.param(watched(worse(0), "healthy", is_newest=False), False, id="an_old_window"),
        pytest.param(watched(worse(0), "healthy", is_ended=False), False, id="it_lasts_still"),
    ],
)
def test_only_a_changed_verdict_is_told(found: Watched, is_told: bool) -> None:
    told = notification_of(found, "http://pages/churn")
    assert (told is not None) == is_told
    if told is not None:
        again = notification_of(found, None)
        assert again is not None
        assert (told.id, told.kind, told.url) == (again.id, "verdict_changed", "http://pages/churn")
        assert found.record.verdict.reason == told.text


def test_what_was_said_last_passes_over_windows_that_tell_nothing() -> None:
    verdicts = [worse(0), window_of(1, drift="unknown"), window_of(2, drift="unknown")]
    windows = tuple(
        RecentWindow(
            window=Window(key=f"d{i}", start=v.window.start, end=v.window.end),
            verdict=v,
            judged_at=v.window.end,
        )
        for i, v in enumerate(verdicts)
    )
    recent = RecentWindows(windows=windows)
    assert last_said(recent, windows[2].window) == "concept_drift"
    assert last_said(RecentWindows(windows=windows[1:]), windows[2].window) is None
