"""The objects of the emulated API server: what its verbs do, without HTTP.

Every write takes the lock, gets the next resourceVersion and wakes whoever waits on `changed`.
"""

import threading
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlops_assets_tests.kubernetes.kinds import (
    BUILT_IN,
    Kind,
    Object,
    copied,
    kinds_of_definition,
)
from mlops_assets_tests.kubernetes.patching import (
    Owners,
    apply,
    merge_patch,
    owned_paths,
    owners_after_update,
    show,
    to_fields_v1,
)
from mlops_assets_tests.kubernetes.refusal import Refusal
from mlops_assets_tests.kubernetes.selectors import matches_fields, matches_labels

Admission = Callable[[Kind, Object, Object | None], None]
"""Called with a kind, the new object and the old one (None: created) before a write; may change the
new one, and refuses by `Refusal`."""

_FIRST_VERSION = 1000
_FIRST_STATUS: dict[str, Object] = {"jobs": {}, "pods": {"phase": "Pending"}}
_KEPT_BY_SERVER = (
    "uid", "creationTimestamp", "generation", "namespace", "name", "resourceVersion",
    "managedFields", "deletionTimestamp",
)  # fmt: skip
APPLY, MERGE, STRATEGIC = (
    f"application/{name}"
    for name in ("apply-patch+yaml", "merge-patch+json", "strategic-merge-patch+json")
)


@dataclass(frozen=True, slots=True)
class Event:
    """A change, for watchers; `old` is None for what was created."""

    version: int
    kind: Kind
    type: str
    new: Object
    old: Object | None


@dataclass(frozen=True, slots=True)
class Write:
    """How a write is meant: by whom, for real or to see what would come of it."""

    manager: str = "unknown"
    dry_run: bool = False
    force: bool = False
    subresource: str = ""


def now_text() -> str:
    """The time as objects hold it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Objects:
    """All objects, by kind, namespace and name."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.version = _FIRST_VERSION
        self.events: deque[Event] = deque(maxlen=10_000)
        self.admission: list[Admission] = []
        self.ends_slowly: Callable[[Kind, Object], bool] = lambda *_: False
        self.kinds: dict[tuple[str, str, str], Kind] = {}
        self._found: dict[str, dict[tuple[str, str], Object]] = defaultdict(dict)
        self._owners: dict[str, Owners] = {}
        for kind in BUILT_IN:
            self.kinds[kind.group, kind.version, kind.plural] = kind

    def kind(self, plural: str) -> Kind:
        """The kind of a plural name, in its newest version."""
        found = [kind for kind in self.kinds.values() if kind.plural == plural]
        if not found:
            raise Refusal(404, "the server could not find the requested resource")
        return found[-1]

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """One object; refuses with 404."""
        with self.changed:
            found = self._found[kind.resource].get((namespace, name))
            if found is None:
                raise Refusal(404, f'{kind.resource} "{name}" not found', name=name)
            return copied(found)

    def find(self, plural: str, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        with self.changed:
            known = [kind for kind in self.kinds.values() if kind.plural == plural]
            if not known:
                return None
            return copied(self._found[known[-1].resource].get((namespace, name)))

    def list(
        self, kind: Kind, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Objects of a kind, by name; of all namespaces when none is given."""
        with self.changed:
            return [
                copied(found)
                for (where, _), found in sorted(self._found[kind.resource].items())
                if namespace in ("", where) and selects(found, labels, fields)
            ]

    def look(self, kind: Kind) -> Sequence[Object]:
        """All objects of a kind as they stand: for who holds `changed`, and changes none of them.

        A controller looks twenty times a second; copies would take a tenth of a processor.
        """
        return [*self._found[kind.resource].values()]

    def create(self, kind: Kind, namespace: str, body: Object, write: Write = Write()) -> Object:
        """A new object; refuses with 409 when there is one of its name."""
        owners = {(write.manager, "Update"): owned_paths(body)}
        return self._create(kind, namespace, body, write, owners)

    def _create(
        self, kind: Kind, namespace: str, body: Object, write: Write, owners: Owners
    ) -> Object:
        with self.changed:
            new = copied(body)
            metadata = new.setdefault("metadata", {})
            if "generateName" in metadata and "name" not in metadata:
                metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
            if not metadata.get("name"):
                raise Refusal(422, f"{kind.kind} is invalid: metadata.name: Required value")
            if metadata.get("resourceVersion"):
                raise Refusal(409, "resourceVersion should not be set on objects to be created")
            place = (namespace if kind.namespaced else "", metadata["name"])
            if place in self._found[kind.resource]:
                message = f'{kind.resource} "{metadata["name"]}" already exists'
                raise Refusal(409, message, "AlreadyExists", name=metadata["name"])
            if "status" in kind.subresources:
                new.pop("status", None)
            if kind.plural in _FIRST_STATUS:
                new["status"] = dict(_FIRST_STATUS[kind.plural])
            new.update(apiVersion=kind.api_version, kind=kind.kind)
            metadata.update(uid=str(uuid.uuid4()), creationTimestamp=now_text(), generation=1)
            if kind.namespaced:
                metadata["namespace"] = namespace
            self._admit(kind, new, None)
            return self._store(kind, "ADDED", new, None, write, owners)

    def update(self, kind: Kind, namespace: str, body: Object, write: Write = Write()) -> Object:
        """Replace an object; refuses with 409 when it has another resourceVersion by now."""
        with self.changed:
            old = self.get(kind, namespace, body["metadata"]["name"])
            owners = self._owners[old["metadata"]["uid"]]
            owners = owners_after_update(old, body, owners, write.manager)
            return self._update(kind, old, body, write, owners)

    def _update(
        self, kind: Kind, old: Object, body: Object, write: Write, owners: Owners
    ) -> Object:
        new = copied(body)
        name, kept = old["metadata"]["name"], old["metadata"]
        version = new["metadata"].get("resourceVersion")
        if version is not None and version != kept["resourceVersion"]:
            raise Refusal(
                409,
                f'Operation cannot be fulfilled on {kind.resource} "{name}": the object has been '
                "modified; please apply your changes to the latest version and try again",
                name=name,
            )
        if write.subresource == "status":
            new = {**copied(old), "status": new.get("status", {})}
        elif "status" in kind.subresources:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        for field in _KEPT_BY_SERVER:
            new["metadata"].pop(field, None)
            if field in kept:
                new["metadata"][field] = copied(kept[field])
        new.update(apiVersion=kind.api_version, kind=kind.kind)
        if write.subresource != "status":
            self._admit(kind, new, old)
        if new == old and owners == self._owners[kept["uid"]]:
            return copied(old)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = kept["generation"] + 1
        return self._store(kind, "MODIFIED", new, old, write, owners)

    def _admit(self, kind: Kind, new: Object, old: Object | None) -> None:
        for admit in self.admission:
            admit(kind, new, old)

    def patch(
        self, kind: Kind, namespace: str, name: str, body: Object, content_type: str, write: Write
    ) -> tuple[Object, bool]:
        """The patched object, and whether it was created by that (server-side apply)."""
        with self.changed:
            if content_type == APPLY:
                return self._apply(kind, namespace, name, body, write)
            if content_type not in (MERGE, STRATEGIC) or (
                content_type == STRATEGIC and kind.is_custom
            ):
                raise Refusal(415, f"the body was in an unknown format: {content_type}")
            old = self.get(kind, namespace, name)
            new = merge_patch(old, body)
            if "resourceVersion" not in body.get("metadata", {}):
                new["metadata"].pop("resourceVersion", None)
            return self.update(kind, namespace, new, write), False

    def _apply(
        self, kind: Kind, namespace: str, name: str, body: Object, write: Write
    ) -> tuple[Object, bool]:
        applied = copied(body)
        applied.setdefault("metadata", {})["name"] = name
        _require_known_fields(kind, applied)
        live = self._found[kind.resource].get((namespace, name))
        if live is None:
            owners: Owners = {(write.manager, "Apply"): owned_paths(applied)}
            return self._create(kind, namespace, applied, write, owners), True
        held = self._owners[live["metadata"]["uid"]]
        merged, owners, conflicts = apply(live, applied, held, write.manager, force=write.force)
        if conflicts:
            causes = [
                {
                    "reason": "FieldManagerConflict",
                    "message": f'conflict with "{manager}" using {kind.api_version}',
                    "field": show(path),
                }
                for manager, path in conflicts
            ]
            found = ", ".join(f'conflict with "{who}": {show(path)}' for who, path in conflicts)
            message = f"Apply failed with {len(causes)} conflict(s): {found}"
            raise Refusal(409, message, causes=causes)
        version = applied["metadata"].get("resourceVersion")
        merged["metadata"]["resourceVersion"] = version or live["metadata"]["resourceVersion"]
        return self._update(kind, copied(live), merged, write, owners), False

    def delete(self, kind: Kind, namespace: str, name: str, *, orphan: bool = False) -> Object:
        """Remove an object, and what it alone owns unless that is to be orphaned.

        What ends slowly, as a pod with a process, is marked and stays until `remove`.
        """
        with self.changed:
            old = self.get(kind, namespace, name)
            if not self.ends_slowly(kind, old):
                return self.remove(kind, namespace, name, orphan=orphan)
            new = copied(old)
            new["metadata"].setdefault("deletionTimestamp", now_text())
            if new == old:
                return old
            owners = self._owners[old["metadata"]["uid"]]
            return self._store(kind, "MODIFIED", new, old, Write(), owners)

    def remove(self, kind: Kind, namespace: str, name: str, *, orphan: bool = False) -> Object:
        """Remove an object at once."""
        with self.changed:
            old = self.get(kind, namespace, name)
            del self._found[kind.resource][namespace if kind.namespaced else "", name]
            self._owners.pop(old["metadata"]["uid"])
            self.version += 1
            gone = copied(old)
            gone["metadata"]["resourceVersion"] = str(self.version)
            self._tell(Event(self.version, kind, "DELETED", gone, old))
            self._collect(old["metadata"]["uid"], orphan=orphan)
            return gone

    def _collect(self, uid: str, *, orphan: bool) -> None:
        """What the garbage collector does, at once."""
        for kind in {kind.resource: kind for kind in self.kinds.values()}.values():
            for (namespace, name), found in list(self._found[kind.resource].items()):
                owners = found["metadata"].get("ownerReferences", [])
                if [owner["uid"] for owner in owners] != [uid]:
                    continue
                if orphan:
                    found["metadata"].pop("ownerReferences")
                else:
                    self.delete(kind, namespace, name)

    def _store(
        self,
        kind: Kind,
        event: str,
        new: Object,
        old: Object | None,
        write: Write,
        owners: Owners,
    ) -> Object:
        if write.dry_run:
            return copied(new)
        self.version += 1
        metadata = new["metadata"]
        metadata["resourceVersion"] = str(self.version)
        metadata["managedFields"] = [
            {
                "manager": manager,
                "operation": operation,
                "apiVersion": kind.api_version,
                "time": now_text(),
                "fieldsType": "FieldsV1",
                "fieldsV1": to_fields_v1(paths),
            }
            for (manager, operation), paths in owners.items()
        ]
        self._owners[metadata["uid"]] = owners
        place = (metadata.get("namespace", ""), metadata["name"])
        self._found[kind.resource][place] = new
        if kind.plural == "customresourcedefinitions":
            for brought in kinds_of_definition(new):
                self.kinds[brought.group, brought.version, brought.plural] = brought
        self._tell(Event(self.version, kind, event, new, old))
        return copied(new)

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        self.changed.notify_all()

    def put(self, plural: str, namespace: str, body: Object) -> Object:
        """Have an object be so, as a controller does; a second time changes nothing."""
        kind, name = self.kind(plural), body["metadata"]["name"]
        with self.changed:
            old = self.find(plural, namespace, name)
            if old is None:
                return self.create(kind, namespace, body, Write("controller"))
            new = copied(body)
            for field in _KEPT_BY_SERVER:
                if field in old["metadata"]:
                    new["metadata"][field] = old["metadata"][field]
            return self.update(kind, namespace, {**old, **new}, Write("controller"))

    def set_status(self, kind: Kind, namespace: str, name: str, status: Object) -> None:
        """Write a status as a controller does; nothing when the object is gone or says so."""
        with self.changed:
            found = self._found[kind.resource].get((namespace, name))
            if found is not None and not _says_the_same(found.get("status"), status):
                write = Write("controller", subresource="status")
                self.update(kind, namespace, {**found, "status": status}, write)


def _says_the_same(one: Any, other: Any) -> bool:
    """Whether two statuses differ in their times alone."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = {*one, *other} - {"lastTransitionTime", "startedAt", "finishedAt"}
        return all(_says_the_same(one.get(name), other.get(name)) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_says_the_same, one, other))
    return bool(one == other)


def selects(found: Object, labels: str, fields: str) -> bool:
    """Whether an object fits both selectors."""
    held = found["metadata"].get("labels") or {}
    return matches_labels(held, labels) and matches_fields(found, fields)


def _require_known_fields(kind: Kind, applied: Object) -> None:
    if kind.spec_schema is None:
        return
    for name in applied.get("spec", {}):
        if name not in kind.spec_schema:
            message = f"failed to create typed patch object: .spec.{name}: field not declared"
            raise Refusal(500, f"{message} in schema")
