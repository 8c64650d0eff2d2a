"""The `predictor` blocks of a manifest, one for each revision. Pure.

A canary is the stable predictor with the canary's own fields over it, as in KServe.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.errors import ServingError
from mlops_assets.kserve.manifest import ENTITY_KEY, LOG_RETENTION
from mlops_assets.serving.gateway.routing import STICKY_HEADER, STICKY_SALT
from mlops_assets.serving.split import Split

MODE = "serving.kserve.io/deploymentMode"
REVISION_DIGEST = "mlops-assets/revision-digest"
"""Annotation of a predictor, and so of its pods: which declaration they run."""

Block = dict[str, Any]
# These change how many pods there are, or when, and not what a pod is.
_NOT_OF_PODS = (
    "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling",
    "deploymentStrategy", "canaryTrafficPercent", "name",
)  # fmt: skip
# Read by the gateway and the sink of one machine; on a cluster they would restart the pods for
# nothing.
_NOT_SENT = (ENTITY_KEY, LOG_RETENTION, STICKY_HEADER, STICKY_SALT)


@dataclass(frozen=True, slots=True)
class Declared:
    """A manifest, and how its requests are shared since.

    Attributes:
        manifest: The InferenceService as handed to `apply`.
        split: Shares that were asked for since; None: as the manifest says.
    """

    manifest: Mapping[str, Any]
    split: Split | None = None

    @property
    def blocks(self) -> dict[str, Block]:
        """The blocks by revision, the stable one first, each with its digest on its pods."""
        spec = self.manifest["spec"]
        stable = spec["predictor"]
        blocks = [stable, *(_overlay(stable, entry["predictor"]) for entry in _canaries(spec))]
        names = [block["name"] for block in blocks]
        if len(set(names)) < len(names):
            raise ServingError(f"each revision needs a name of its own, found {names}")
        return {block["name"]: _marked(block) for block in blocks}

    @property
    def stable(self) -> str:
        """Name of the revision that gets what the canaries do not."""
        name: str = self.manifest["spec"]["predictor"]["name"]
        return name

    @property
    def percent(self) -> dict[str, int]:
        """Share by revision, as last asked for."""
        if self.split is not None:
            return {name: self.split.percent.get(name, 0) for name in self.blocks}
        spec = self.manifest["spec"]
        shares = {e["predictor"]["name"]: int(e["trafficPercent"]) for e in _canaries(spec)}
        return {self.stable: 100 - sum(shares.values()), **shares}

    def to_service(self, mode: str, spec: Mapping[str, Any]) -> Block:
        """The InferenceService for a cluster, with this `spec`."""
        metadata = copy.deepcopy(dict(self.manifest["metadata"]))
        given = metadata.get("annotations") or {}
        kept = {name: value for name, value in given.items() if name not in _NOT_SENT}
        metadata["annotations"] = {**kept, MODE: mode}
        return {**self.manifest, "metadata": metadata, "spec": copy.deepcopy(dict(spec))}

    def to_text(self) -> str:
        """The form in which it is stored."""
        split = None if self.split is None else self.split.to_json()
        return json.dumps({"manifest": self.manifest, "split": split}, sort_keys=True)


def read_declared(text: str) -> Declared:
    """What was declared, of its stored form.

    Raises:
        ServingError: it is none.
    """
    try:
        content = json.loads(text)
        split = content["split"]
        kept = None if split is None else Split(dict(split["percent"]), split["shadow"])
        return Declared(content["manifest"], kept)
    except (ValueError, KeyError, TypeError) as error:
        raise ServingError(f"a stored declaration cannot be read: {error!r}") from error


def _canaries(spec: Mapping[str, Any]) -> list[Any]:
    return spec.get("canary") or []


def _overlay(stable: Block, canary: Block) -> Block:
    model = {key: value for key, value in canary["model"].items() if value not in ("", None)}
    return {**stable, **canary, "model": {**stable["model"], **model}}


def _marked(block: Block) -> Block:
    """The block with its digest among the annotations of its pods."""
    marked = copy.deepcopy(dict(block))
    marked.setdefault("annotations", {})[REVISION_DIGEST] = revision_digest(block)
    return marked


def revision_digest(block: Mapping[str, Any]) -> str:
    """Which declaration a pod runs; the same for a revision whether canary or stable."""
    content = {key: value for key, value in block.items() if key not in _NOT_OF_PODS}
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def mark_of(content: Mapping[str, Any]) -> str:
    """The digest among the annotations of a block, or of an object's metadata; "" without one."""
    mark: str = (content.get("annotations") or {}).get(REVISION_DIGEST, "")
    return mark
