"""Has an InferenceService say the next step towards what is declared, and writes that down.

Here: `ServiceWriter`, which applies as the one manager of our fields. Each call is safe to repeat,
and to be killed at any line: what is written down holds, and the next call goes on from what is.
Not here: what is declared (`cluster.py`), and what the next step is (`standard.py`, `knative.py`).
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.errors import ClusterApiError, FieldConflictError, ServingError
from mlops_assets.kserve.api import FIELD_MANAGER, INFERENCE_SERVICES, ClusterApi
from mlops_assets.kserve.blocks import Declared
from mlops_assets.kserve.edits import SHARE_FIELDS
from mlops_assets.kserve.knative import render_knative
from mlops_assets.kserve.observation import Observed
from mlops_assets.kserve.owned import ChangedMeanwhileError, OwnedText
from mlops_assets.kserve.pod_settings import PodSettings
from mlops_assets.kserve.standard import render_standard


@dataclass(frozen=True, slots=True)
class ServiceWriter:
    """Writes InferenceServices of one namespace.

    Attributes:
        api: The namespace.
        declarations: Where what is declared is kept.
        take_over: Overwrite fields that somebody else set; else they are refused and named.
        pods: What pods are besides; None: as KServe makes them.
    """

    api: ClusterApi
    declarations: OwnedText
    take_over: bool
    pods: PodSettings | None

    def store(self, observed: Observed, declared: Declared) -> None:
        """Have the server check it, write it down, then have the InferenceService say it.

        A new service is made first, since what is written down belongs to it.
        """
        rendered = self._render(observed, declared)
        self._send(rendered, dry_run=True)
        is_new = observed.service is None
        if is_new:
            self._send(rendered)
        if observed.declared is None or observed.declared.to_text() != declared.to_text():
            self.declarations.write(observed.name, declared.to_text(), observed.token)
        if not is_new:
            self._send(rendered)

    def next_step(self, observed: Observed) -> dict[str, Any] | None:
        """The object to apply to come nearer to what is declared; None: nothing is left to do."""
        if observed.declared is None:
            return None
        rendered = self._render(observed, observed.declared)
        return None if is_said(rendered, observed.service or {}) else rendered

    def converge(self, observed: Observed) -> None:
        """Take the next step towards what is declared, if there is one."""
        rendered = self.next_step(observed)
        if rendered is not None:
            with contextlib.suppress(ChangedMeanwhileError):  # the next look sees what changed
                self._send(rendered)

    def _render(self, observed: Observed, declared: Declared) -> dict[str, Any]:
        """The object to apply now, for the version of it that was read."""
        if observed.mode == "Knative":
            rendered = render_knative(declared, observed.knative)
        else:
            rendered = render_standard(declared, observed.still_serving(declared))
        if self.pods is not None:
            rendered = self.pods.on_service(rendered)
        if observed.service is not None:
            runs_in = (observed.service.get("status") or {}).get("deploymentMode", observed.mode)
            if runs_in != observed.mode:
                raise ServingError(
                    f"service {observed.name} runs in mode {runs_in}, which KServe never changes; "
                    f"delete it to have it in mode {observed.mode}"
                )
            version = observed.service["metadata"]["resourceVersion"]
            rendered["metadata"]["resourceVersion"] = version
        return rendered

    def _send(self, rendered: dict[str, Any], *, dry_run: bool = False) -> None:
        """Server-side apply, as the one manager of the fields that we declare."""
        force = self.take_over
        for attempt in (1, 2):
            try:
                self.api.apply(INFERENCE_SERVICES, rendered, force=force, dry_run=dry_run)
            except ClusterApiError as error:
                if error.status != 409:
                    raise
                if not error.causes:
                    raise ChangedMeanwhileError(str(error)) from error
                if attempt == 2 or not _may_take(error):
                    raise _field_conflict(rendered, error) from error
                force = True
            else:
                return


def is_said(wanted: Any, found: Any) -> bool:
    """Whether an object says all that is wanted, and shares no requests beyond that.

    >>> is_said({"spec": {"a": 1}}, {"spec": {"a": 1, "defaulted": 2}})
    True
    """
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        extra = {"canary", "canaryTrafficPercent"} & (set(found) - set(wanted))
        named = all(is_said(item, found.get(name)) for name, item in wanted.items())
        return named and not extra
    if isinstance(wanted, list) and isinstance(found, list):
        same = len(wanted) == len(found)
        return same and all(map(is_said, wanted, found))
    return bool(wanted == found)


def _may_take(error: ClusterApiError) -> bool:
    """Whether all fields in conflict may be overwritten: those of an earlier write of ours that was
    no apply, and shares, which whoever calls has read."""
    return all(
        f'"{FIELD_MANAGER}"' in message or field.startswith(SHARE_FIELDS)
        for field, message in error.causes
    )


def _field_conflict(rendered: Mapping[str, Any], error: ClusterApiError) -> FieldConflictError:
    fields = ", ".join(f"{field} ({message})" for field, message in error.causes)
    return FieldConflictError(
        f"InferenceService {rendered['metadata']['name']}: somebody else set what we declare: "
        f"{fields}. Nothing was changed. Take the edit into the model's document or undo it, or "
        "allow to overwrite it (take_over)"
    )
