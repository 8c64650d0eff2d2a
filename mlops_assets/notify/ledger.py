"""What was told already, one text for each model, so that nothing is told twice.

The texts lie where all processes and pods see them. On one machine a model's text is held while its
notification is sent, so two processes that tell the same take turns and the second finds it told.
Pods have no such lock: two that tell the same in the same second tell it twice. A kill between the
sending and the writing tells it once more. Whoever hears a thing twice knows it by its id.
"""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from mlops_assets.data.documents import ModelDocuments
from mlops_assets.notify.notification import Delivery, Notification

_NAME = "told"
_KEEP = timedelta(days=90)
_MOST_RECORDS = 500


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one notification.

    Attributes:
        id: The notification's, as its kind and title are.
        kind: What happened.
        title: One line.
        state: sent, or failed: nobody heard of it so far.
        reason: Why it failed; empty else.
        n_failures: How often it failed.
        at: When it was last tried, aware, ISO 8601.
    """

    id: str
    kind: str
    title: str
    state: str
    reason: str
    n_failures: int
    at: str


class Ledger:
    """What was told of all models.

    Args:
        documents: Where it is kept.
    """

    def __init__(self, documents: ModelDocuments) -> None:
        self._documents = documents

    def models(self) -> Sequence[str]:
        """Names of the models of which something was told, sorted."""
        return self._documents.models()

    def alone(self, model: str) -> contextlib.AbstractContextManager[None]:
        """No other process of this machine is in here for the same model."""
        return self._documents.alone(model)

    def records(self, model: str) -> list[Told]:
        """What became of a model's notifications, the last that was tried last.

        A text that is no ledger counts as if nothing was told.

        Raises:
            DocumentError: it cannot be read.
        """
        text = self._documents.read(model, _NAME)
        try:
            return [Told(**record) for record in json.loads(text or "[]")]
        except (ValueError, TypeError):
            return []

    def find(self, notification: Notification) -> Told | None:
        """What became of a notification; None when it was never tried."""
        of_it = (r for r in self.records(notification.model) if r.id == notification.id)
        return next(of_it, None)

    def record(self, notification: Notification, delivery: Delivery, now: datetime) -> None:
        """Write what became of a notification just now, and forget what is older than 90 days.

        Raises:
            DocumentError: it cannot be read or written.
        """
        before = self.records(notification.model)
        n_failed = sum(r.n_failures for r in before if r.id == notification.id)
        told = Told(
            id=notification.id,
            kind=notification.kind,
            title=notification.title,
            state=delivery.state,
            reason=delivery.reason,
            n_failures=n_failed + (delivery.state == "failed"),
            at=now.isoformat(timespec="seconds"),
        )
        kept = [r for r in before if r.id != told.id and now - _moment(r) < _KEEP]
        text = json.dumps(
            [asdict(r) for r in [*kept, told][-_MOST_RECORDS:]], ensure_ascii=False, indent=0
        )
        self._documents.write(notification.model, _NAME, text)


def _moment(told: Told) -> datetime:
    return datetime.fromisoformat(told.at)
