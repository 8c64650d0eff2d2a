"""What is known of a rollout at one moment: the numbers that a decision rests on.

Here: `Evidence`, made by whoever reads metrics, logs and the router, and judged by `assessment.py`.
Not here: the sums that it is made of (`measures.py`), what follows from it (`assessment.py`,
`decision.py`), and where it is read.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from mlops_assets.rollout.measures import Measure, Moments
from mlops_assets.rollout.record import Record

Arm = Literal["stable", "challenger", "baseline"]
"""Whose requests: of the version that serves, of the new one, or of the fresh copy of the first."""


class ArmEvidence(Record):
    """What one arm did in the window.

    Attributes:
        n_requests: Requests that it answered, warm-up left out; all of them, measured or not.
        n_units: Units among them; without a sticky key the requests.
        n_units_warming: Further units, of which only warm-up requests were seen.
        measures: By name of the criterion: `Moments` for error_ratio, score_mean, quality, function
            and disagreement, `Histogram` for latency (seconds), `Counts` for the distribution.
        slices: By name of the criterion and value of its slice.
    """

    n_requests: int = Field(ge=0)
    n_units: int = Field(ge=0)
    n_units_warming: int = Field(0, ge=0)
    measures: Mapping[str, Measure] = Field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Moments]] = Field(default_factory=dict)

    @property
    def n_sent(self) -> int:
        """Units that the router sent here, warm-up or not: what a split is checked by."""
        return self.n_units + self.n_units_warming


class Traffic(Record):
    """Who gets which share, by role.

    Attributes:
        stable: Percent of the version that served before the rollout.
        challenger: Percent of the new version.
        baseline: Percent of the fresh copy of the stable version.
        other: Percent of revisions that are no part of the rollout; we never ask for any.
        shadow: Whether the challenger gets a copy of each request.
    """

    stable: int = Field(ge=0, le=100)
    challenger: int = Field(0, ge=0, le=100)
    baseline: int = Field(0, ge=0, le=100)
    other: int = Field(0, ge=0, le=100)
    shadow: bool = False

    def __str__(self) -> str:
        """Words for a reason: `90 % stable, 10 % challenger`."""
        roles = ("stable", "challenger", "baseline", "other")
        shares = [f"{getattr(self, role)} % {role}" for role in roles if getattr(self, role)]
        return ", ".join([*shares, *(["challenger mirrored"] if self.shadow else [])])


class RevisionHealth(Record):
    """Whether a revision can answer.

    Attributes:
        phase: absent: not declared. starting: not ready yet, or nobody could say. ready: answers
            its probe. failed: did not start, or broke; it is not expected to recover by itself.
        message: Why, with the process's or pod's last words.
    """

    phase: Literal["absent", "starting", "ready", "failed"]
    message: str = ""


class Evidence(Record):
    """All that is known at one moment.

    Whatever could not be asked is None or in `missing`; unknown is never taken for good.

    Attributes:
        since: Begin of the window in which requests were counted. It must be the state's
            `evidence_from`, or the numbers are those of another step and judge nothing.
        until: End of the window.
        arms: What each arm did in the window.
        late: While the promoted version is watched: what truth has since said of the requests that
            both arms answered in the last step (`RolloutState.compared_from` to `promoted_at`);
            measures of quality and function only.
        source_error: Why the source of metrics did not answer; None when it did.
        missing: Criteria that could not be measured, with the reason.
        stable: Health of the stable revision.
        challenger: Health of the challenger's.
        baseline: Health of the baseline's; None when there is none.
        declared: The split as it is written down for the router; None when it could not be read.
        routed: The split as the router has it; None when it could not be asked.
        probe: Whether the challenger answered the example requests as it did in its evaluation;
            None when it was not probed, or did not get to answer.
        probe_message: What the probe found, or why there was none.
        aliases: Version by alias in the registry; None when it could not be asked.
        newest_version: The newest version that asks for a rollout of this model; None: unknown.
    """

    since: AwareDatetime
    until: AwareDatetime
    arms: Mapping[Arm, ArmEvidence] = Field(default_factory=dict)
    late: Mapping[Arm, ArmEvidence] = Field(default_factory=dict)
    source_error: str | None = None
    missing: Mapping[str, str] = Field(default_factory=dict)
    stable: RevisionHealth
    challenger: RevisionHealth
    baseline: RevisionHealth | None = None
    declared: Traffic | None = None
    routed: Traffic | None = None
    probe: bool | None = None
    probe_message: str = ""
    aliases: Mapping[str, int] | None = None
    newest_version: int | None = None

    def n(self, arm: Arm) -> int:
        """Requests of an arm; 0 when nothing is known of it."""
        return self.arms[arm].n_requests if arm in self.arms else 0

    def is_of(self, since: datetime) -> bool:
        """Whether the numbers were counted from this moment on."""
        return self.since == since
