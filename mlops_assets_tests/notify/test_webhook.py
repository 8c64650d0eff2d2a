import dataclasses
import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.notify.ledger import Ledger
from mlops_assets.notify.notification import (
    Delivery,
    Notification,
    SilentNotifier,
    build_body,
)
from mlops_assets.notify.webhook import WebhookNotifier, WebhookSettings
from mlops_assets_tests.notify.receiver import running_receiver

ROLLBACK = Notification(
    id="rollout/churn/v7/1/rolled_back",
    kind="rollout_rolled_back",
    model="churn",
    title="churn: v7 is rolled back",
    text="error ratio 4.1 % against 0.2 % <of v6> & more",
    severity="critical",
    at=datetime(2026, 8, 3, 12, 0, tzinfo=UTC),
    facts={"strategy": "canary", "traffic": "0 %"},
    url="http://127.0.0.1:3000/assets/churn",
)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def ledger(folder: Path) -> Ledger:
    return Ledger(ModelDocuments(str(folder)))


def notifier(url: str, folder: Path, *, quick: bool = True) -> WebhookNotifier:
    pauses = (0.0, 0.0) if quick else (0.2, 0.8)
    return WebhookNotifier(WebhookSettings(url, token="t", pauses_seconds=pauses), ledger(folder))


def test_a_notification_arrives_whole_with_its_id_and_token(tmp_path: Path) -> None:
    with running_receiver() as receiver:
        assert notifier(receiver.url, tmp_path).notify(ROLLBACK).state == "sent"
    assert receiver.bodies == [
        {
            "id": ROLLBACK.id,
            "kind": "rollout_rolled_back",
            "model": "churn",
            "title": ROLLBACK.title,
            "text": ROLLBACK.text,
            "severity": "critical",
            "at": "2026-08-03T12:00:00+00:00",
            "facts": {"strategy": "canary", "traffic": "0 %"},
            "url": ROLLBACK.url,
        }
    ]
    assert receiver.headers[0]["x-notification-id"] == ROLLBACK.id
    assert receiver.headers[0]["authorization"] == "Bearer t"


def test_the_same_id_is_told_once_by_whichever_process(tmp_path: Path) -> None:
    with running_receiver() as receiver:
        threads = [
            threading.Thread(target=notifier(receiver.url, tmp_path).notify, args=(ROLLBACK,))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert notifier(receiver.url, tmp_path).notify(ROLLBACK).state == "told"
    assert len(receiver.bodies) == 1


def test_a_receiver_that_stumbles_is_asked_again(tmp_path: Path) -> None:
    with running_receiver(503, 429) as receiver:
        assert notifier(receiver.url, tmp_path).notify(ROLLBACK).state == "sent"
    assert len(receiver.bodies) == 3


def test_a_refusal_is_not_repeated_and_is_recorded(tmp_path: Path) -> None:
    with running_receiver(400) as receiver:
        delivery = notifier(receiver.url, tmp_path).notify(ROLLBACK)
        assert delivery.state == "failed"
        assert "answered 400" in delivery.reason
        assert len(receiver.bodies) == 1
        record = ledger(tmp_path).find(ROLLBACK)
        assert record is not None
        assert (record.state, record.n_failures) == ("failed", 1)
        assert notifier(receiver.url, tmp_path).notify(ROLLBACK).state == "sent"


def test_nobody_there_fails_without_an_exception_and_without_the_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_receiver() as receiver:
        url = receiver.url
    with caplog.at_level(logging.ERROR):
        delivery = notifier(url, tmp_path).notify(ROLLBACK)
    assert delivery.state == "failed"
    assert "was not told" in caplog.text
    assert "secret" not in caplog.text + delivery.reason + repr(WebhookSettings(url))


def test_a_receiver_that_is_gone_for_good_is_given_up(tmp_path: Path) -> None:
    with running_receiver(*[400] * 9) as receiver:
        for _ in range(7):
            notifier(receiver.url, tmp_path).notify(ROLLBACK)
    assert len(receiver.bodies) == 5


def test_a_ledger_that_cannot_be_read_as_one_counts_as_nothing_told(tmp_path: Path) -> None:
    with running_receiver() as receiver:
        notifier(receiver.url, tmp_path).notify(ROLLBACK)
        (told,) = tmp_path.glob("churn/*.json")
        told.write_bytes(told.read_bytes()[:20])
        assert notifier(receiver.url, tmp_path).notify(ROLLBACK).state == "sent"


def test_a_ledger_that_cannot_be_kept_costs_no_news_and_tells_them_once(tmp_path: Path) -> None:
    (tmp_path / "churn").write_text("no folder")
    with running_receiver() as receiver:
        teller = notifier(receiver.url, tmp_path)
        assert [teller.notify(ROLLBACK).state for _ in range(3)] == ["sent", "told", "told"]
    assert len(receiver.bodies) == 1


def test_what_was_told_is_kept_for_90_days(tmp_path: Path) -> None:
    told = ledger(tmp_path)
    for days in (0, 89, 90):
        news = dataclasses.replace(ROLLBACK, id=f"rollback of day {days}")
        told.record(news, Delivery("sent"), ROLLBACK.at + timedelta(days=days))
    assert [r.id for r in told.records("churn")] == ["rollback of day 89", "rollback of day 90"]


def test_slack_gets_blocks_with_its_letters_escaped() -> None:
    body = build_body(ROLLBACK, "slack")
    assert body["text"] == "churn: v7 is rolled back"
    head, facts, link = body["blocks"]
    assert "&lt;of v6&gt; &amp; more" in head["text"]["text"]
    assert head["text"]["text"].startswith(":rotating_light: *churn")
    assert [field["text"] for field in facts["fields"]] == ["*strategy*\ncanary", "*traffic*\n0 %"]
    assert link["text"]["text"] == f"<{ROLLBACK.url}|Look at it>"


def test_nobody_to_tell_is_a_state_of_its_own() -> None:
    assert SilentNotifier().notify(ROLLBACK).state == "off"
