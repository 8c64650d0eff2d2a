"""Counts of each revision from its pods' own `/metrics`, through the API server.

Needs no Prometheus, and no way to the pods but the API server's (`get` on `pods/proxy`). A pod
counts since it began, so that what is read now says nothing of when: the cursor holds what each pod
had counted at the last look, and each look adds what came since. So a pod that began anew or is
gone has lost at most what it counted after the last look.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlops_assets.errors import ServingError
from mlops_assets.kserve.api import PODS, ClusterApi
from mlops_assets.kserve.counters import Counters, Reading, Window, read_exposition, read_numbers
from mlops_assets.kserve.manifest import PORT
from mlops_assets.kserve.pods import is_ready

_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
_REVISION_LABEL = "endpoint"


@dataclass(slots=True)
class Ledger:
    """What was counted so far.

    Attributes:
        sums: Counts since the window began, by revision.
        seen: What each pod had counted at the last look, by its uid.
    """

    sums: dict[str, Counters] = field(default_factory=dict)
    seen: dict[str, Counters] = field(default_factory=dict)

    def add(self, revision: str, uid: str, found: Counters, *, counts_from_zero: bool) -> None:
        """Take in what a pod has counted by now."""
        before = self.seen.get(uid)
        if before is None:
            before = Counters() if counts_from_zero else found
        self.sums[revision] = self.sums.get(revision, Counters()) + found.since(before)
        self.seen[uid] = found

    def to_text(self) -> str:
        """The form in which it is stored."""
        parts = {"sums": self.sums, "seen": self.seen}
        content = {
            part: {name: counters.to_numbers() for name, counters in held.items()}
            for part, held in parts.items()
        }
        return json.dumps(content, separators=(",", ":"))


def read_ledger(text: str) -> Ledger:
    """A ledger of its stored form."""
    content: Mapping[str, Mapping[str, list[int]]] = json.loads(text)
    sums, seen = (
        {name: read_numbers(numbers) for name, numbers in content[part].items()}
        for part in ("sums", "seen")
    )
    return Ledger(sums, seen)


class PodMetrics:
    """`CounterReader` that asks the pods.

    Args:
        api: Their namespace.
    """

    def __init__(self, api: ClusterApi) -> None:
        self._api = api

    def read(self, service: str, revisions: Sequence[str], window: Window, cursor: str) -> Reading:
        """Counts since the window began: of a pod that ran before it, since it was first asked."""
        ledger = read_ledger(cursor) if cursor else Ledger()
        asked, problem = 0, None
        for pod in self._api.list(PODS, f"{_SERVICE_LABEL}={service}"):
            revision: str = (pod["metadata"].get("labels") or {}).get(_REVISION_LABEL, "")
            if revision not in revisions or not is_ready(pod):
                continue
            try:
                found = self._scrape(pod)
            except ServingError as error:
                problem = error  # the next look has what it counts meanwhile
                continue
            asked += 1
            began = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
            within = began >= window.since
            ledger.add(revision, pod["metadata"]["uid"], found, counts_from_zero=within)
        if problem is not None and not asked:
            raise ServingError(f"no pod of {service} told its counters: {problem}") from problem
        return Reading(ledger.sums, ledger.to_text())

    def _scrape(self, pod: Mapping[str, Any]) -> Counters:
        path = PODS.path(self._api.namespace, pod["metadata"]["name"])
        return read_exposition(self._api.read_text(f"{path}:{PORT}/proxy/metrics"))
