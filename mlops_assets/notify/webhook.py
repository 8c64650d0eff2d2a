"""Notifications by HTTP POST: to any receiver of JSON, or to Slack's incoming webhook."""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from mlops_assets.errors import DocumentError
from mlops_assets.notify.ledger import Ledger
from mlops_assets.notify.notification import BodyFormat, Delivery, Notification, encode_body

_LOG = logging.getLogger(__name__)
_MOST_CALLS = 5  # a receiver that is gone for good is not asked for ever


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Whom to tell, and how long to try.

    Attributes:
        url: The receiver. Slack's hold a secret, so only the host is ever printed.
        body_format: What the receiver reads.
        token: Sent as a bearer token; None: none.
        timeout_seconds: Longest wait for one answer.
        pauses_seconds: Waits before the second and later attempts: a rollout must not wait long.
    """

    url: str
    body_format: BodyFormat = "json"
    token: str | None = None
    timeout_seconds: float = 3.0
    pauses_seconds: tuple[float, ...] = (0.2, 0.8)

    def __repr__(self) -> str:
        return f"WebhookSettings({urlsplit(self.url).hostname}, {self.body_format})"


class WebhookNotifier:
    """`Notifier` that posts to one URL, and remembers what it told."""

    def __init__(self, settings: WebhookSettings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._sent: set[str] = set()  # of this process, which need not read it again

    def notify(self, notification: Notification) -> Delivery:
        """Post it, unless it was told before. Returns within some seconds, whatever happens."""
        if notification.id in self._sent:
            return Delivery("told")
        delivery = None
        try:
            with self._ledger.alone(notification.model):
                delivery = self._found(notification)
                if delivery is None:
                    delivery = self._post(notification)
                    self._ledger.record(notification, delivery, datetime.now(UTC))
        except DocumentError as error:  # better told twice than not at all
            _LOG.error("%s: what was told cannot be looked up or kept: %s", notification.id, error)
            delivery = delivery or self._post(notification)
        if delivery.state != "failed":
            self._sent.add(notification.id)
        return delivery

    def _found(self, notification: Notification) -> Delivery | None:
        """What is left to say of a notification that was tried before; None: send it."""
        told = self._ledger.find(notification)
        if told is None:
            return None
        if told.state == "sent":
            return Delivery("told")
        return Delivery("failed", "given up") if told.n_failures >= _MOST_CALLS else None

    def _post(self, notification: Notification) -> Delivery:
        settings = self._settings
        headers = {
            "content-type": "application/json",
            "x-notification-id": notification.id.encode("ascii", "replace").decode(),
        }
        if settings.token is not None:
            headers["authorization"] = f"Bearer {settings.token}"
        body = encode_body(notification, settings.body_format)
        reason = ""
        for pause in (0.0, *settings.pauses_seconds):
            time.sleep(pause)
            try:
                answer = httpx.post(
                    settings.url, content=body, headers=headers, timeout=settings.timeout_seconds
                )
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = f"{self._host} did not answer: {type(error).__name__}"
                continue
            if answer.is_success:
                return Delivery("sent")
            reason = f"{self._host} answered {answer.status_code}: {answer.text[:200]}"
            if not _may_succeed_later(answer.status_code):
                break
        _LOG.error("%s was not told: %s", notification.id, reason)
        return Delivery("failed", reason)

    @property
    def _host(self) -> str:
        return urlsplit(self._settings.url).hostname or "the receiver"


def _may_succeed_later(status: int) -> bool:
    """Whether the same request may be taken a second time: 408 timeout, 429 too many, 5xx."""
    return status in (408, 429) or status >= 500
