"""Requests, verdicts and decisions as the platform's commands see them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.errors import PlatformError
from mlops_assets.platform.home import Home
from mlops_assets.platform.watching import (
    ask_retraining,
    forget_retraining,
    last_decision,
    last_verdict,
    open_documents,
)
from mlops_assets.retraining.state import Request, RetrainingState
from mlops_assets.retraining.store import RetrainingStore

ROOT = Path(__file__).parents[2]
WISH = Request(who="ada", at=datetime(2026, 3, 2, tzinfo=UTC), why="new tariff")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    records = tmp_path / "records" / "flight_delay"
    records.mkdir(parents=True)
    (records / "inference_service.json").write_text(json.dumps({"service": "flight-delay"}))
    return Home(tmp_path)


def test_a_wish_is_written_down_with_who_when_and_why(home: Home) -> None:
    ask_retraining(home, ROOT, "flight_delay", WISH)
    assert RetrainingStore(open_documents(home)).request("flight_delay") == WISH


def test_a_model_without_a_champion_is_refused_with_the_way(home: Home) -> None:
    with pytest.raises(PlatformError, match="up --model music_therapy"):
        ask_retraining(home, ROOT, "music_therapy", WISH)
    with pytest.raises(PlatformError, match="flight_delay"):
        ask_retraining(home, ROOT, "no_such_model", WISH)


def test_the_last_decision_is_shown_until_the_model_is_retired(home: Home) -> None:
    assert (last_verdict(home, "flight_delay"), last_decision(home, "flight_delay")) == (None, None)
    store = RetrainingStore(open_documents(home))
    state = RetrainingState(model="flight_delay", since=WISH.at, rule="quiet", reason="all is well")
    store.write(state)
    store.ask("flight_delay", WISH)
    assert last_decision(home, "flight_delay") == "quiet: all is well"
    assert forget_retraining(home, "flight_delay")
    assert (store.read("flight_delay"), store.request("flight_delay")) == (None, None)
    assert not forget_retraining(home, "flight_delay")
