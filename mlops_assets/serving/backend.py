"""Where models are served: the narrow seam between what should be live and what makes it so.

Here: `ServingBackend`, which the local gateway's client (`embedded.py`) and a cluster's client
implement alike, held to one contract suite; and `ServiceStatus`, their common answer.
Not here: who decides about traffic, and how a manifest is built (`kserve/manifest.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

Phase = Literal["pending", "ready", "failed"]
"""pending: a revision is starting. ready: the declared revisions answer. failed: one of them did
not load or did not answer its probe; what was ready before still serves."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Condition(_Record):
    """One condition of a service, with KServe's names."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""
    message: str = ""
    lastTransitionTime: datetime | None = None  # noqa: N815  KServe's field


class RevisionStatus(_Record):
    """What one revision is, as its backend reports it.

    Attributes:
        name: Name of the revision.
        phase: starting: not ready yet. ready: answers its probe. failed: it did not start, or
            ended so often that it is not expected to recover.
        reason: Why, with its last words.
        n_crashes: How often its process or container ended by itself after it was ready.
    """

    name: str
    phase: Literal["starting", "ready", "failed"]
    reason: str = ""
    n_crashes: int = 0


class Declaration(_Record):
    """What a service is told to be; not what it is.

    Attributes:
        manifest: The InferenceService as declared.
        percent: Share by revision as last asked for, by the manifest or by a split since.
        shadow: Revision that is to get copies of requests.
    """

    manifest: Mapping[str, Any]
    percent: Mapping[str, int]
    shadow: str | None = None

    @property
    def revisions(self) -> tuple[str, ...]:
        """Names of the declared revisions, the stable one first."""
        spec = self.manifest["spec"]
        canaries = [entry["predictor"] for entry in spec.get("canary") or []]
        return tuple(block["name"] for block in (spec["predictor"], *canaries))


class ServiceStatus(_Record):
    """What a service is, as its backend reports it.

    Attributes:
        service: Name of the InferenceService.
        phase: Where it stands.
        reason: Why, in words that name the revision.
        conditions: As KServe writes them.
        ready_revision: The newest revision that passed its probe; None when there is none.
        declared_revision: The revision that the manifest asks for.
        traffic: Percent by revision as routed now; empty when nothing is ready.
        shadow: The revision that gets copies of requests now; None: there is none, or not ready.
        url: Where the service answers.
        manifest_digest: The manifest that this status speaks of; a newer one was not seen yet.
        revisions: Each revision that runs, or should.
    """

    service: str
    phase: Phase
    reason: str
    conditions: tuple[Condition, ...]
    ready_revision: str | None
    declared_revision: str
    traffic: Mapping[str, int]
    url: str
    manifest_digest: str
    shadow: str | None = None
    revisions: tuple[RevisionStatus, ...] = ()


class ServingBackend(Protocol):
    """Runs revisions and shares requests among them. Every method is safe to call twice.

    Each method raises `ServingError` when the backend cannot be reached.
    """

    @property
    def keeps_callers(self) -> bool:
        """Whether a caller with a sticky key stays on one revision, so that callers are what is
        compared. Without it each request goes its own way, and requests are."""

    def require_rollout(self, *, n_challengers: int, mirrors: bool) -> None:
        """Refuse a rollout that this backend cannot carry out, before anything changes.

        Args:
            n_challengers: Revisions that share requests with the stable one at the same time.
            mirrors: Whether one gets copies of requests.

        Raises:
            ServingError: it cannot, and why.
        """

    def apply(self, manifest: Mapping[str, Any]) -> None:
        """Declare a service. Returns once the declaration is stored, before anything is ready."""

    def declaration(self, service: str) -> Declaration | None:
        """What a service is told to be, by whomever; None when it was never declared.

        Shares that a person set by hand are in its `percent`.
        """

    def has_next_step(self, service: str) -> bool:
        """Whether `converge` has something to do. Changes nothing."""

    def converge(self, service: str) -> None:
        """Take the next step towards what is declared, where the backend does not by itself.

        Called again and again while the router has other shares than the declared ones.
        """

    def wait_ready(self, service: str, version: int, timeout_seconds: float) -> ServiceStatus:
        """The status once the revision of this version is ready and has the traffic.

        Raises:
            ServingError: the revision failed (at once, with its reason), is not the declared one,
                or was not ready in time. What served before still does.
        """

    def status(self, service: str) -> ServiceStatus | None:
        """The status of a service; None when it was never declared."""

    def traffic(self, service: str) -> Mapping[str, int]:
        """Percent by revision as the router has it, not as we last asked. Sums to 100, or is empty.

        Raises:
            ServingError: there is no such service.
        """

    def set_traffic(
        self, service: str, percent: Mapping[str, int], *, shadow: str | None = None
    ) -> None:
        """Share requests anew, all at once; returns once that is stored. `traffic` tells when.

        It holds while the manifest declares all that it names, and takes the place of shares that a
        person set by hand: who calls it has read them in `declaration`. A revision that is not
        ready gets nothing; its share stays with the stable one. No process is started or stopped by
        it.

        Args:
            service: Whose requests.
            percent: Share by revision; sums to 100, and what is left out gets none.
            shadow: Revision that gets a copy of each request. Its answers are logged, marked as
                shadow, and returned to nobody. None mirrors nothing.

        Raises:
            ServingError: there is no such service, a revision is not declared, the shares do not
                sum to 100, or the shadow has one. Nothing changed.
        """

    def predict(
        self, service: str, rows: Sequence[Mapping[str, Any]], *, revision: str | None = None
    ) -> dict[str, Any]:
        """The service's answer (V1 protocol) to rows of raw features by name.

        The id of the request begins with `PROBE_PREFIX`: the platform asks, no caller, so
        monitoring leaves it out.

        Args:
            service: Who is asked.
            rows: One prediction each.
            revision: The one revision that may answer; None: whichever the shares say.

        Raises:
            AnsweredError: a version refused the rows, and why, or failed on them.
            ServingError: no such service or revision, nothing ready, or no answer of a version.
        """

    def delete(self, service: str) -> None:
        """Remove a service; its revisions drain and stop. A service that is not there is fine."""
