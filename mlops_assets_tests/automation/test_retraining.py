"""What a tick keeps of a model that it cannot look at."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from mlops_assets.automation import retraining
from mlops_assets.errors import MonitoringError
from mlops_assets_tests.documents import churn_spec


def test_a_tick_that_fails_forgets_no_try_of_a_window() -> None:
    """A window whose runs fail was tried again at once after the registry was away for a tick."""

    def now(_: str, __: datetime) -> datetime:
        raise MonitoringError("the store is away")

    world = SimpleNamespace(monitoring=SimpleNamespace(store=SimpleNamespace(now=now)))
    before = {"window": {"this": "v1-00001 new", "tries": 5, "at": "2026-03-02T00:00:00+00:00"}}
    told = retraining._Told()
    retraining._evaluate(cast("Any", world), churn_spec(), before, told)
    assert told.lines == ["churn: the store is away"]
    assert told.cursor["churn"]["window"] == before["window"]
