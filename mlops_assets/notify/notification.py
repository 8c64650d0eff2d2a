"""What is told to people, and what becomes of it: plain values, and the seam that carries them.

Here: `Notification`, the bodies that a webhook gets, and `Notifier`, which rollouts and monitoring
use alike. Not here: HTTP (`webhook.py`) and what was told already (`ledger.py`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Severity = Literal["info", "warning", "critical"]
"""info: nobody must do anything. warning: somebody is asked. critical: users were protected."""

BodyFormat = Literal["json", "slack"]
_MARKS: dict[Severity, str] = {
    "info": ":white_check_mark:",
    "warning": ":warning:",
    "critical": ":rotating_light:",
}
_MOST_FACTS = 10  # Slack takes 10 fields in a section
_MOST_LETTERS = 2_900  # Slack takes 3,000 in a text


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing that people should hear of.

    Attributes:
        id: The same for the same event, whichever process tells it: it is told once.
        kind: What happened, in one word of a closed set: `rollout_started`, `drift_found`.
        model: Which model it is about.
        title: One line.
        text: The reason, with its numbers.
        severity: How urgent it is.
        at: When it happened, UTC.
        facts: What else a reader wants, by name.
        url: Where to look; None when nobody serves pages.
    """

    id: str
    kind: str
    model: str
    title: str
    text: str
    severity: Severity
    at: datetime
    facts: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a notification.

    Attributes:
        state: sent: now. told: it was sent before, so not again. failed: nobody heard of it.
            off: nobody is to be notified.
        reason: Why it failed; empty else.
    """

    state: Literal["sent", "told", "failed", "off"]
    reason: str = ""


class Notifier(Protocol):
    """Tells people. Never raises: what failed is logged, recorded and returned."""

    def notify(self, notification: Notification) -> Delivery:
        """Tell it once. A second call with the same id sends nothing, unless the first failed."""


class SilentNotifier:
    """The notifier of a platform that has nobody to tell."""

    def notify(self, notification: Notification) -> Delivery:  # noqa: ARG002
        """Does nothing."""
        return Delivery("off")


def build_body(notification: Notification, body_format: BodyFormat) -> dict[str, Any]:
    """The JSON body of a webhook."""
    if body_format == "slack":
        return _slack_body(notification)
    return {
        "id": notification.id,
        "kind": notification.kind,
        "model": notification.model,
        "title": notification.title,
        "text": notification.text,
        "severity": notification.severity,
        "at": notification.at.isoformat(),
        "facts": dict(notification.facts),
        "url": notification.url,
    }


def _slack_body(notification: Notification) -> dict[str, Any]:
    """Slack's incoming webhook: `text` for the pop-up, blocks for the channel."""
    head = f"{_MARKS[notification.severity]} *{_escape(notification.title)}*"
    text = f"{head}\n{_escape(notification.text)}"[:_MOST_LETTERS]
    blocks: list[dict[str, Any]] = [_section(text)]
    facts = list(notification.facts.items())[:_MOST_FACTS]
    if facts:
        fields = [_markdown(f"*{_escape(name)}*\n{_escape(value)}") for name, value in facts]
        blocks.append({"type": "section", "fields": fields})
    if notification.url is not None:
        blocks.append(_section(f"<{notification.url}|Look at it>"))
    return {"text": notification.title, "blocks": blocks}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(text)}


def _markdown(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def _escape(text: str) -> str:
    """The three letters that mean something in Slack's texts."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def encode_body(notification: Notification, body_format: BodyFormat) -> bytes:
    """The bytes of the body."""
    return json.dumps(build_body(notification, body_format), ensure_ascii=False).encode()
