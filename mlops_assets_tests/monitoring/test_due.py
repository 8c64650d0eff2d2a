from datetime import UTC, date, datetime, timedelta

import pytest

from mlops_assets.monitoring.due import due_window
from mlops_assets.monitoring.window_record import RecentWindow, RecentWindows
from mlops_assets.monitoring.windows import Window, rows_key, window_at
from mlops_assets.serving.prediction_log.glance import LogGlance
from mlops_assets.spec.monitoring import WindowSpec
from mlops_assets_tests.monitoring.windows import window_of

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAYS = WindowSpec()
ROWS = WindowSpec(every="rows", rows=100)
HOUR = timedelta(hours=1)


def logged(*days: int, truth_at: datetime | None = None) -> LogGlance:
    """A log with rows of some days of March."""
    return LogGlance(frozenset(date(2026, 3, day) for day in days), truth_at)


def judged(
    window: Window, at: datetime = NOON, *, n_truth: int = 100, is_ended: bool = True
) -> RecentWindow:
    verdict = window_of(0, n_rows=100, n_with_truth=n_truth)
    return RecentWindow(
        window=window, verdict=verdict, judged_at=at, is_ended=is_ended, log_version=7
    )


def day(number: int) -> Window:
    return window_at(datetime(2026, 3, number, tzinfo=UTC), "day")


def none_since(version: int, enough: int) -> int:
    return 0


def due(settings: WindowSpec, log: LogGlance, *recent: RecentWindow, now: datetime = NOON) -> str:
    known = RecentWindows(windows=recent)
    found = due_window(settings, known, log, none_since, "1", now)
    return "" if found is None else found.key


def test_the_oldest_day_that_ended_and_was_not_judged_comes_first() -> None:
    assert due(DAYS, logged(7, 8, 9, 10)) == "2026-03-07"
    assert due(DAYS, logged(7, 8, 9, 10), judged(day(7)), judged(day(8))) == "2026-03-09"
    assert due(DAYS, logged(9, 10), judged(day(9))) == ""


def test_a_day_ends_at_midnight_and_not_before() -> None:
    midnight = datetime(2026, 3, 11, tzinfo=UTC)
    before = midnight - timedelta(microseconds=1)
    assert due(DAYS, logged(10), now=before) == ""
    assert due(DAYS, logged(10), now=midnight) == "2026-03-10"


def test_days_without_a_row_are_passed_over() -> None:
    assert due(DAYS, logged(6, 9), judged(day(6))) == "2026-03-09"
    assert due(DAYS, logged()) == ""


def test_a_window_that_was_looked_at_while_it_lasted_is_judged_when_it_ends() -> None:
    assert due(DAYS, logged(9), judged(day(9), is_ended=False)) == "2026-03-09"


@pytest.mark.parametrize(
    ("truth_after", "hours", "n_truth", "expected"),
    [
        pytest.param(1, 6, 40, "2026-03-09", id="truth_came_and_a_quarter_of_the_window_passed"),
        pytest.param(1, 5, 40, "", id="too_soon"),
        pytest.param(-1, 6, 40, "", id="no_truth_since"),
        pytest.param(1, 6, 100, "", id="all_truth_is_known"),
    ],
)
def test_truth_that_came_later_has_a_window_judged_again(
    truth_after: int, hours: int, n_truth: int, expected: str
) -> None:
    at = NOON
    log = logged(9, truth_at=at + timedelta(minutes=truth_after))
    now = at + hours * HOUR
    assert due(DAYS, log, judged(day(9), at, n_truth=n_truth), now=now) == expected


def test_of_a_log_elsewhere_the_last_window_is_looked_into() -> None:
    assert due(DAYS, LogGlance(is_known=False)) == "2026-03-09"


def rows_window(number: int) -> Window:
    start = NOON - timedelta(hours=10 - number)
    return Window(key=rows_key("1", number), start=start, end=start + HOUR)


@pytest.mark.parametrize(
    ("n_rows", "expected"),
    [pytest.param(99, "", id="one_too_few"), pytest.param(100, "v1-00002", id="full")],
)
def test_a_window_of_rows_is_due_when_the_log_may_hold_enough(n_rows: int, expected: str) -> None:
    asked = []

    def since(version: int, enough: int) -> int:
        asked.append((version, enough))
        return n_rows

    recent = RecentWindows(windows=(judged(rows_window(1)),))
    found = due_window(ROWS, recent, logged(), since, "1", NOON)
    assert ("" if found is None else found.key) == expected
    assert asked == [(7, 100)]


def test_a_window_of_rows_that_was_not_full_goes_on() -> None:
    half = judged(rows_window(2), is_ended=False)
    part = half.model_copy(update={"verdict": window_of(0, n_rows=60)})
    found = due_window(
        ROWS, RecentWindows(windows=(part,)), logged(), lambda _, enough: enough, "1", NOON
    )
    assert found is not None
    assert found.key == "v1-00002"


def test_a_new_champion_begins_windows_of_its_own() -> None:
    recent = RecentWindows(windows=(judged(rows_window(1)),))
    found = due_window(ROWS, recent, logged(), lambda _, enough: enough, "2", NOON)
    assert found is not None
    assert found.key == "v2-00001"
