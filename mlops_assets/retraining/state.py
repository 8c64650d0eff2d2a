"""What is remembered of a model's retraining: attempts, what came of them, and who asked.

Here: `RetrainingState`, a value that never changes; what happens to it gives a new one.
`to_storage` and `from_storage` are the only doors to its stored form.
Not here: what is done next (`decision.py`), and where the text is kept.

An attempt is in flight from the decision until its outcome is known: while its run trains, and
while a rollout of its candidate goes on.
"""

import json
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from mlops_assets.errors import RetrainingError
from mlops_assets.monitoring.record import Record

Trigger = Literal["realised", "estimated", "drift", "rows", "schedule", "person"]
Outcome = Literal["promoted", "refused", "rolled_back", "failed"]
"""promoted: a new champion. refused: a gate refused the candidate, or it was the champion over
again. rolled_back: its rollout did. failed: the run ended without a candidate; says nothing."""

WINDOW_TRIGGERS: tuple[Trigger, ...] = ("realised", "estimated", "drift")
"""Triggers that windows meet."""

FORMAT = 1
_MOST_ATTEMPTS = 200
_MOST_CHARACTERS = 600


class Request(Record):
    """A person's wish to train now."""

    who: str = Field(min_length=1, max_length=200)
    at: AwareDatetime
    why: str = Field("", max_length=_MOST_CHARACTERS)


class Attempt(Record):
    """One retraining.

    Attributes:
        number: From 1, growing.
        trigger: Why it began.
        reason: The same in words.
        run_key: Names its run, so that asking twice for it makes one.
        started_at: When it was decided.
        n_rows: Rows of the dataset then; None: unknown.
        dagster_run_id: Its run; None until that was seen.
        outcome: What came of it; None while it is in flight.
        ended_at: When that was known.
        told: What came of it, in words.
        cpu_minutes: What it cost.
    """

    number: int = Field(ge=1)
    trigger: Trigger
    reason: str
    run_key: str
    started_at: AwareDatetime
    n_rows: int | None = None
    dagster_run_id: str | None = None
    outcome: Outcome | None = None
    ended_at: AwareDatetime | None = None
    told: str = ""
    cpu_minutes: float = Field(0.0, ge=0)


class Champion(Record):
    """The version that serves: its number, since when, and the dataset's rows when it was trained.

    Windows of other versions do not count.
    """

    version: str
    since: AwareDatetime
    n_rows: int | None = None


class RetrainingState(Record):
    """A model's retraining, as it is stored.

    Attributes:
        model: Name of the model.
        since: From when on it is watched; a calendar's times before do not count.
        champion: What serves; None: unknown.
        n_rows: Rows of the dataset now; None: unknown.
        attempts: The newest last.
        n_refused: Candidates in a row that were refused or rolled back.
        n_without_calm: New champions in a row that windows called for since they were last calm.
        request: A person's wish that no attempt has met yet.
        heard_at: When the newest wish that was heard was written down; it is heard once.
        rule: The rule that decided last; empty: none did.
        reason: Why, in words.
        ticked_at: When.
    """

    model: str
    since: AwareDatetime
    champion: Champion | None = None
    n_rows: int | None = None
    attempts: tuple[Attempt, ...] = ()
    n_refused: int = Field(0, ge=0)
    n_without_calm: int = Field(0, ge=0)
    request: Request | None = None
    heard_at: AwareDatetime | None = None
    rule: str = ""
    reason: str = ""
    ticked_at: AwareDatetime | None = None

    @property
    def latest(self) -> Attempt | None:
        """The newest attempt; None before the first."""
        return self.attempts[-1] if self.attempts else None

    @property
    def in_flight(self) -> Attempt | None:
        """The attempt whose outcome is not known yet."""
        latest = self.latest
        return latest if latest is not None and latest.outcome is None else None

    @property
    def settled(self) -> Attempt | None:
        """The newest attempt that told something of a candidate: it ended, and did not fail."""
        told = (a for a in reversed(self.attempts) if a.outcome not in (None, "failed"))
        return next(told, None)

    @property
    def n_failed(self) -> int:
        """Runs in a row that failed, up to now."""
        count = 0
        for attempt in reversed(self.attempts):
            if attempt.outcome != "failed":
                break
            count += 1
        return count

    def started_within(self, period: timedelta, now: datetime) -> tuple[Attempt, ...]:
        """Attempts that began in the period that ends now."""
        return tuple(a for a in self.attempts if a.started_at > now - period)

    def cpu_minutes_within(self, period: timedelta, now: datetime) -> float:
        """CPU minutes of the attempts that ended in the period that ends now."""
        ended = ((a.ended_at, a.cpu_minutes) for a in self.attempts)
        return sum(minutes for at, minutes in ended if at is not None and at > now - period)

    def with_request(self, request: Request) -> "RetrainingState":
        """The state after a person asked; the next decision acts on it."""
        return self.model_copy(update={"request": request, "heard_at": request.at})

    def with_champion(self, champion: Champion) -> "RetrainingState":
        """The state once this version serves."""
        return self.model_copy(update={"champion": champion})

    def with_rows(self, n_rows: int) -> "RetrainingState":
        """The state once the dataset has so many rows."""
        return self.model_copy(update={"n_rows": n_rows})

    def with_attempt(self, attempt: Attempt) -> "RetrainingState":
        """The state with one attempt more.

        Raises:
            ValueError: one is in flight.
        """
        if self.in_flight is not None:
            raise ValueError(f"attempt {self.in_flight.number} of {self.model} is in flight")
        kept = (*self.attempts, attempt)[-_MOST_ATTEMPTS:]
        return self.model_copy(update={"attempts": kept, "request": None})

    def with_run(self, dagster_run_id: str) -> "RetrainingState":
        """The state once the run of the attempt in flight was seen. Without one, the same."""
        return self._with_latest(dagster_run_id=dagster_run_id)

    def with_outcome(
        self, outcome: Outcome, now: datetime, *, told: str = "", cpu_minutes: float = 0.0
    ) -> "RetrainingState":
        """The state once the outcome of the attempt in flight is known.

        Without an attempt in flight the state stays as it is, so telling twice does no harm.
        """
        state = self._with_latest(
            outcome=outcome,
            ended_at=now,
            told=told[:_MOST_CHARACTERS],
            cpu_minutes=cpu_minutes,
        )
        if state is self or outcome == "failed":
            return state
        promoted, called = outcome == "promoted", state.attempts[-1].trigger in WINDOW_TRIGGERS
        counts = {
            "n_refused": 0 if promoted else state.n_refused + 1,
            "n_without_calm": state.n_without_calm + (promoted and called),
        }
        return state.model_copy(update=counts)

    def _with_latest(self, **changes: object) -> "RetrainingState":
        attempt = self.in_flight
        if attempt is None:
            return self
        changed = attempt.model_copy(update=changes)
        return self.model_copy(update={"attempts": (*self.attempts[:-1], changed)})

    def to_storage(self) -> str:
        """The stored form: JSON."""
        content = {"format": FORMAT, **self.model_dump(mode="json", exclude_defaults=True)}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def from_storage(text: str) -> "RetrainingState":
        """The state of its stored form.

        Raises:
            RetrainingError: it is none, or was written by a later version of this platform.
        """
        try:
            content: Any = json.loads(text)
            found = content.pop("format")
            if found != FORMAT:
                raise RetrainingError(
                    f"the state of a retraining has format {found}, this platform reads {FORMAT}: "
                    "use the version of the platform that wrote it"
                )
            return RetrainingState.model_validate(content)
        except (ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
            raise RetrainingError(f"the state of a retraining cannot be read: {error}") from error
