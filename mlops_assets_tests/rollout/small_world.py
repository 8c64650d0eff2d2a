"""A world in memory for rollouts, on which a process can be killed between any two of its effects.

For the order of reading, writing and doing, which takes thousands of ticks; that the real gateway,
registry and log behave alike is tested with them (`test_faults.py`, the contract suites).
"""
# ruff: noqa: ARG002 - the seams name their arguments

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlops_assets.errors import ServingError, StateConflictError
from mlops_assets.kserve.manifest import build_inference_service, manifest_digest
from mlops_assets.modeling.manifest import ModelManifest, OnnxAgreement
from mlops_assets.modeling.mlflow_registry import RegisteredVersion
from mlops_assets.notify.notification import Delivery, Notification
from mlops_assets.rollout.evidence import ArmEvidence
from mlops_assets.rollout.measures import Moments
from mlops_assets.rollout.metrics_source import Measured, Question
from mlops_assets.serving.backend import Declaration, RevisionStatus, ServiceStatus
from mlops_assets.serving.split import Split, require_split
from mlops_assets.spec import ModelSpec


class Killed(BaseException):
    """The process dies here; nothing of it runs on."""


@dataclass
class SmallWorld:
    """Store, serving, registry, metrics and notifier in one, with the time as it is told.

    Attributes:
        kill_at: Number of the effect before which the process dies; None: it does not.
        error_ratio: By revision, the share of requests that fail.
        refusal: What a prediction asked of it raises; None: it answers.
    """

    spec: ModelSpec
    kill_at: int | None = None
    refusal: ServingError | None = None
    error_ratio: dict[str, float] = field(default_factory=dict)
    n_effects: int = 0
    documents: dict[str, tuple[str, str]] = field(default_factory=dict)
    manifest: dict[str, Any] | None = None
    split: Split | None = None
    aliases_now: dict[str, int] = field(default_factory=dict)
    told: dict[str, Notification] = field(default_factory=dict)
    splits_seen: list[dict[str, int]] = field(default_factory=list)

    def _effect(self) -> None:
        if self.kill_at is not None and self.n_effects == self.kill_at:
            raise Killed
        self.n_effects += 1

    # RolloutStore

    def read(self, service: str) -> tuple[str | None, str]:
        return self.documents.get(service, (None, ""))

    def write(self, service: str, content: str, expected: str) -> str:
        if self.read(service)[1] != expected:
            raise StateConflictError(service)
        self._effect()
        token = uuid.uuid4().hex
        self.documents[service] = (content, token)
        self._effect()
        return token

    # ServingBackend and RolloutStore

    def delete(self, service: str) -> None:
        self.documents.pop(service, None)

    def services(self) -> Sequence[str]:
        return sorted(self.documents)

    @property
    def keeps_callers(self) -> bool:
        return True

    def has_next_step(self, service: str) -> bool:
        return False

    def converge(self, service: str) -> None:
        pass

    def require_rollout(self, *, n_challengers: int, mirrors: bool) -> None:
        pass

    def apply(self, manifest: Mapping[str, Any]) -> None:
        self._effect()
        self.manifest = dict(manifest)
        self._effect()

    def declaration(self, service: str) -> Declaration | None:
        if self.manifest is None:
            return None
        stable = self.manifest["spec"]["predictor"]["name"]
        found = Declaration(manifest=self.manifest, percent={stable: 100})
        if self.split is not None and self.split.fits(found.revisions):
            return found.model_copy(
                update={"percent": self.split.percent, "shadow": self.split.shadow}
            )
        return found

    def wait_ready(self, service: str, version: int, timeout_seconds: float) -> ServiceStatus:
        raise AssertionError("a rollout never waits")

    def status(self, service: str) -> ServiceStatus | None:
        told = self.declaration(service)
        if told is None:
            return None
        return ServiceStatus(
            service=service,
            phase="ready",
            reason="",
            conditions=(),
            ready_revision=told.revisions[0],
            declared_revision=told.revisions[0],
            traffic=told.percent,
            url="http://127.0.0.1:8080",
            manifest_digest=manifest_digest(dict(told.manifest)),
            shadow=told.shadow,
            revisions=tuple(RevisionStatus(name=n, phase="ready") for n in told.revisions),
        )

    def traffic(self, service: str) -> Mapping[str, int]:
        told = self.declaration(service)
        if told is None:
            raise ServingError("there is no such service")
        return told.percent

    def set_traffic(
        self, service: str, percent: Mapping[str, int], *, shadow: str | None = None
    ) -> None:
        told = self.declaration(service)
        assert told is not None
        wanted = Split(dict(percent), shadow)
        require_split(wanted, told.revisions)
        self._effect()
        self.split = wanted
        self.splits_seen.append(dict(percent))
        self._effect()

    def predict(
        self, service: str, rows: Sequence[Mapping[str, Any]], *, revision: str | None = None
    ) -> dict[str, Any]:
        if self.refusal is not None:
            raise self.refusal
        return {"predictions": [1] * len(rows)}

    # VersionRegistry

    def aliases(self, name: str) -> Mapping[str, int]:
        return dict(self.aliases_now)

    def set_aliases(self, name: str, wanted: Mapping[str, int]) -> None:
        for alias, version in wanted.items():
            if self.aliases_now.get(alias) != version:
                self._effect()
                self.aliases_now[alias] = version
                self._effect()

    def version(self, name: str, number: int) -> RegisteredVersion:
        return RegisteredVersion(
            name=name,
            version=number,
            model_digest=str(number) * 64,
            uri=f"file:///models/{number}",
            mlflow_run_id="run",
            tags={},
        )

    def package_manifest(self, uri: str) -> ModelManifest:
        return ModelManifest(
            model=self.spec.name,
            task="binary",
            features=[],
            classes=[0, 1],
            model_digest="a" * 64,
            files={},
            trusted_types=[],
            onnx=OnnxAgreement(usable=True, reason=""),
            example=[{}],
        )

    # MetricsSource

    def measure(self, question: Question) -> Measured:
        n = 40 * int((question.until - question.since).total_seconds())
        arms = {}
        for arm, revision in question.revisions.items():
            errors = round(n * self.error_ratio.get(revision, 0.0))
            moments = Moments.of_flags(n, errors)
            arms[arm] = ArmEvidence(
                n_requests=n, n_units=n, measures={"error_ratio": moments} if n else {}
            )
        return Measured(arms=arms)

    # Notifier

    def notify(self, notification: Notification) -> Delivery:
        self._effect()
        is_new = notification.id not in self.told
        self.told.setdefault(notification.id, notification)
        self._effect()
        return Delivery("sent" if is_new else "told")

    def serve(self, version: int) -> None:
        """A first version that serves alone."""
        found = self.version(self.spec.registered_model, version)
        self.manifest = build_inference_service(
            self.spec,
            version=version,
            storage_uri=found.uri,
            model_digest=found.model_digest,
            mlflow_run_id=found.mlflow_run_id,
        )
        self.aliases_now = {"champion": version}
