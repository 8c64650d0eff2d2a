"""The revisions that a manifest declares. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlops_assets.errors import ServingError
from mlops_assets.kserve.manifest import manifest_digest
from mlops_assets.serving.gateway.memory import read_limit_bytes
from mlops_assets.serving.split import Split

_DEFAULT_READY_SECONDS = 60.0
_MALFORMED = (KeyError, TypeError, AttributeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Revision:
    """One running form of a model version.

    Attributes:
        service: Name of the InferenceService.
        name: Name of the revision, such as v7.
        key: Digest of its declaration; another declaration under the same name is another process.
        model_dir: Directory of the packaged model.
        arguments: Further arguments of the predictor.
        ready_timeout_seconds: How long it may take until it answers its probe.
        percent: Share of the requests that it should get.
        block: The declaration itself, kept to bring it back after a restart.
        memory_bytes: What its process may hold; None sets no limit.
    """

    service: str
    name: str
    key: str
    model_dir: Path
    arguments: tuple[str, ...]
    ready_timeout_seconds: float
    percent: int
    block: Mapping[str, Any]
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A declared service: its stable revision first, then the canaries.

    Attributes:
        name: Name of the InferenceService.
        digest: Digest of its manifest.
        revisions: Declared revisions.
        annotations: Annotations of the manifest; routing rules stand there.
        shadow: Name of the revision that gets copies of requests.
    """

    name: str
    digest: str
    revisions: tuple[Revision, ...]
    annotations: Mapping[str, str]
    shadow: str | None = None

    @property
    def stable(self) -> Revision:
        """The revision that serves whatever the canaries do not."""
        return self.revisions[0]


def read_service(manifest: Mapping[str, Any]) -> Service:
    """The service that an InferenceService declares.

    Raises:
        ServingError: it cannot be served on this machine; names the field.
    """
    try:
        name = manifest["metadata"]["name"]
        stable = manifest["spec"]["predictor"]
        canaries = manifest["spec"].get("canary") or []
        percents = [int(entry["trafficPercent"]) for entry in canaries]
        if min(percents, default=0) < 0 or sum(percents) > 100:
            raise ServingError(f"{name}: spec.canary: percents {percents} exceed 0 to 100")
        revisions = [read_revision(name, stable, percent=100 - sum(percents))]
        for entry, percent in zip(canaries, percents, strict=True):
            block = _overlay(stable, entry["predictor"])
            revisions.append(read_revision(name, block, percent=percent))
    except _MALFORMED as error:
        raise ServingError(f"the manifest is no InferenceService: {error!r}") from error
    _require_unique(name, revisions)
    annotations = manifest["metadata"].get("annotations") or {}
    return Service(name, manifest_digest(dict(manifest)), tuple(revisions), annotations)


def share_anew(service: Service, split: Split | None) -> Service:
    """The service with a split's shares; as its manifest says when the split speaks of another."""
    if split is None or not split.fits([revision.name for revision in service.revisions]):
        return service
    revisions = tuple(replace(r, percent=split.percent.get(r.name, 0)) for r in service.revisions)
    return replace(service, revisions=revisions, shadow=split.shadow)


def read_revision(service: str, block: Mapping[str, Any], *, percent: int) -> Revision:
    """The revision that one `predictor` block declares.

    Raises:
        ServingError: it is no such block, or the model is not on this machine.
    """
    try:
        model = block["model"]
        probe = model.get("startupProbe") or {}
        seconds = probe.get("periodSeconds", 0) * probe.get("failureThreshold", 0)
        text = json.dumps(block, sort_keys=True)
        return Revision(
            service=service,
            name=block["name"],
            key=hashlib.sha256(text.encode()).hexdigest()[:12],
            model_dir=_local_path(service, model["storageUri"]),
            arguments=tuple(model.get("args") or ()),
            ready_timeout_seconds=float(seconds or _DEFAULT_READY_SECONDS),
            percent=percent,
            block=block,
            memory_bytes=read_limit_bytes(block),
        )
    except _MALFORMED as error:
        raise ServingError(f"{service}: a predictor cannot be read: {error!r}") from error


def _overlay(stable: Mapping[str, Any], canary: Mapping[str, Any]) -> dict[str, Any]:
    """A canary is the stable predictor with the canary's own fields over it, as in KServe."""
    model = {
        key: value for key, value in canary.get("model", {}).items() if value not in ("", None)
    }
    return {**stable, **canary, "model": {**stable["model"], **model}}


def _local_path(service: str, uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file") or not unquote(parts.path).startswith("/"):
        raise ServingError(
            f"{service}: storageUri {uri}: expected file:// and an absolute path on this machine"
        )
    return Path(unquote(parts.path))


def _require_unique(service: str, revisions: Sequence[Revision]) -> None:
    names = [revision.name for revision in revisions]
    if len(set(names)) < len(names):
        raise ServingError(f"{service}: each revision needs a name of its own, found {names}")
