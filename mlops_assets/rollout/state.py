"""What is remembered of a rollout: where it stands, who said what, and what was seen on the way.

Here: `RolloutState`, a value that never changes; what happens to it gives a new one. `to_storage`
and `from_storage` are the only doors to its stored form, a text of at most 200 kB.
Not here: its phases (`phases.py`), looks at the evidence (`history.py`), what the next state is
(`decision.py`), and where the text is kept (`store.py`).
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from mlops_assets.errors import RolloutError
from mlops_assets.rollout.evidence import Traffic
from mlops_assets.rollout.history import Evaluation, thinned
from mlops_assets.rollout.phases import ENDED, Ending, Phase
from mlops_assets.rollout.record import Record

CommandKind = Literal["pause", "resume", "approve", "promote", "rollback", "abort"]


FORMAT = 1
MOST_BYTES = 200_000
_MOST_EVALUATIONS = 120
_MOST_COMMANDS = 50
_MOST_CHARACTERS = 600


class VersionRef(Record):
    """One of the two versions: number in the registry, and the revision that serves it."""

    version: int = Field(ge=1)
    revision: str


class Command(Record):
    """What a person told a rollout to do.

    Attributes:
        kind: What.
        who: Who said so.
        at: When.
        why: Why, in their words.
        outcome: What came of it; empty until a decision has read it.
    """

    kind: CommandKind
    who: str = Field(min_length=1, max_length=200)
    at: AwareDatetime
    why: str = Field("", max_length=_MOST_CHARACTERS)
    outcome: str = ""


class Hold(Record):
    """Why nothing advances until a person says more.

    Attributes:
        kind: paused: somebody said so. question: the rollout asks whether to go on. edited: a
            person changed the traffic by hand.
        since: From when on.
        reason: In words.
        about: Criteria that a question is about; an approval accepts their differences.
    """

    kind: Literal["paused", "question", "edited"]
    since: AwareDatetime
    reason: str
    about: tuple[str, ...] = ()


class RolloutState(Record):
    """A rollout, as it is stored.

    Attributes:
        model: Name of the model.
        service: Name of its InferenceService.
        stable: The version that serves when the rollout begins.
        challenger: The version that is rolled out.
        previous: Version that the alias `previous` named before; None: none did.
        attempt: How many rollouts of this challenger there were with this one.
        phase: Where it stands.
        step: Position in the policy's steps, from 0.
        traffic: The split that is wanted.
        confirmed: The split that was last seen to be in force. While it is another one than
            `traffic`, a change is under way.
        started_at: When it began.
        phase_started_at: When this phase, or this step of it, began.
        evidence_from: From when on requests count in this stage.
        counts_anew: Whether evidence begins anew once the split is in force.
        next_step: Awaiting approval: the step that follows; None: promotion.
        ticked_at: The last decision.
        evaluated_at: The last look at the evidence.
        active_seconds: Time that counts against the maximum duration.
        n_evaluations: Looks so far.
        n_harmful: Harmful ones in a row.
        n_source_errors: Looks in a row at which the source of metrics did not answer.
        hold: Why nothing advances until a person speaks; None: nothing holds.
        approved: Whether the way out of this phase was approved.
        accepted: Criteria whose difference a person has accepted.
        ending: What a rollback ends in.
        compared_from: Begin of the last stage in which both versions answered.
        bounds: By criterion, the level that the stable version was proven to keep, with the margin:
            what the promoted version is watched against.
        promoted_at: When all traffic went to the challenger.
        ended_at: When it ended.
        standby_released: Whether the version that lost has been let go.
        commands: What people said, the newest last.
        reason: Why it stands where it stands.
        history: Looks at the evidence, the oldest ones thinned out.
        cursor: What the source of metrics must remember from tick to tick; opaque here.
    """

    model: str
    service: str
    stable: VersionRef
    challenger: VersionRef
    previous: int | None = None
    attempt: int = Field(1, ge=1)
    phase: Phase = "pending"
    step: int = Field(0, ge=0)
    traffic: Traffic
    confirmed: Traffic
    started_at: AwareDatetime
    phase_started_at: AwareDatetime
    evidence_from: AwareDatetime
    counts_anew: bool = False
    next_step: int | None = None
    ticked_at: AwareDatetime
    evaluated_at: AwareDatetime | None = None
    active_seconds: float = 0.0
    n_evaluations: int = 0
    n_harmful: int = 0
    n_source_errors: int = 0
    hold: Hold | None = None
    approved: bool = False
    accepted: tuple[str, ...] = ()
    ending: Ending | None = None
    compared_from: AwareDatetime | None = None
    bounds: Mapping[str, float] = Field(default_factory=dict)
    promoted_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None
    standby_released: bool = False
    commands: tuple[Command, ...] = ()
    reason: str
    history: tuple[Evaluation, ...] = ()
    cursor: str = Field("", max_length=50_000)

    @staticmethod
    def begin(
        model: str,
        service: str,
        *,
        stable: VersionRef,
        challenger: VersionRef,
        now: datetime,
        attempt: int = 1,
        previous: int | None = None,
        evidence_from: datetime | None = None,
    ) -> "RolloutState":
        """A rollout that has not done anything yet.

        Args:
            model: Name of the model.
            service: Name of its InferenceService.
            stable: The version that serves.
            challenger: The version that is rolled out.
            now: When it begins.
            attempt: How many rollouts of this challenger there were with this one.
            previous: Version that the alias `previous` names; None: none does.
            evidence_from: From when on the stable version's requests tell what it keeps; by default
                from now on.

        Raises:
            ValueError: both versions are the same.
        """
        if stable.version == challenger.version:
            raise ValueError(f"version {stable.version} of {model} cannot replace itself")
        everybody = Traffic(stable=100)
        return RolloutState(
            model=model,
            service=service,
            stable=stable,
            challenger=challenger,
            previous=previous,
            attempt=attempt,
            traffic=everybody,
            confirmed=everybody,
            started_at=now,
            phase_started_at=now,
            evidence_from=evidence_from or now,
            ticked_at=now,
            reason=f"version {challenger.version} waits until its revision is ready",
        )

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will be decided but to let the losing version go."""
        return self.phase in ENDED

    @property
    def unread_commands(self) -> tuple[Command, ...]:
        """Commands that no decision has read."""
        return tuple(command for command in self.commands if not command.outcome)

    @property
    def is_looked_at(self) -> bool:
        """Whether the evidence of this stage was looked at."""
        return self.evaluated_at is not None and self.evaluated_at >= self.evidence_from

    def due_at(self, interval: timedelta) -> datetime:
        """The next look: an interval after the last one, or after the stage began."""
        began = max(self.phase_started_at, self.evidence_from)
        return max(self.evaluated_at or began, began) + interval

    def with_command(self, command: Command) -> "RolloutState":
        """The state after somebody spoke; the next decision acts on it."""
        kept = (*self.commands, command)[-_MOST_COMMANDS:]
        return self.model_copy(update={"commands": kept})

    def with_evaluation(self, evaluation: Evaluation) -> "RolloutState":
        """The state after a look. Of many looks, every second of the older half is forgotten."""
        history = (*self.history, evaluation)
        if len(history) > _MOST_EVALUATIONS:
            history = thinned(history)
        return self.model_copy(update={"history": history})

    def to_storage(self) -> str:
        """The stored form: JSON of at most 200 kB, the history thinned out as far as that asks."""
        state = self
        while True:
            content = {"format": FORMAT, **state.model_dump(mode="json", exclude_defaults=True)}
            text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
            if len(text.encode()) <= MOST_BYTES or not state.history:
                return text
            state = state.model_copy(update={"history": thinned(state.history)})

    @staticmethod
    def from_storage(text: str) -> "RolloutState":
        """The state of its stored form.

        Raises:
            RolloutError: it is none, or was written by a later version of this platform.
        """
        try:
            content: Any = json.loads(text)
            found = content.pop("format")
            if found != FORMAT:
                raise RolloutError(
                    f"the state of a rollout has format {found}, this platform reads {FORMAT}: "
                    "use the version of the platform that wrote it"
                )
            return RolloutState.model_validate(content)
        except (ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
            raise RolloutError(f"the state of a rollout cannot be read: {error}") from error
