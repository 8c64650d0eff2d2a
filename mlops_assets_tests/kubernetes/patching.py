"""Merge patches and server-side apply. Pure.

Ownership is a set of paths for each (manager, operation). An element of a path is a field's name,
or for an entry of a list that merges by key the JSON of its keys, as the server writes it:
`k:{"name":"main"}`. Other lists and all scalars are owned whole.
"""

import json
from collections.abc import Mapping
from typing import Any

from mlops_assets_tests.kubernetes.kinds import copied

Path = tuple[str, ...]
Owners = Mapping[tuple[str, str], frozenset[Path]]

# Kubernetes' types say this with listType=map; the names are unambiguous in the kinds used here.
_MERGE_KEYS = {
    "ownerReferences": ("uid",),
    "conditions": ("type",),
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
}
_UNOWNED = {
    ("apiVersion",),
    ("kind",),
    ("metadata",),
    *(
        ("metadata", name)
        for name in (
            "name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation",
            "managedFields",
        )
    ),
}  # fmt: skip


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386.

    >>> merge_patch({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}})
    {'b': {'c': 2, 'd': 3}}
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def owned_paths(content: Mapping[str, Any]) -> frozenset[Path]:
    """The paths that whoever writes this content owns."""
    return frozenset(_paths(content, ())) - _UNOWNED


def _paths(value: Any, at: Path) -> set[Path]:
    if isinstance(value, dict) and value:
        return set().union(*(_paths(item, (*at, name)) for name, item in value.items()))
    keys = _MERGE_KEYS.get(at[-1]) if at and isinstance(value, list) and value else None
    if keys is None:
        return {at}
    found: set[Path] = set()
    for item in value:
        entry = (*at, _entry(item, keys))
        found |= {entry} | _paths(item, entry)
    return found


def _entry(item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    content = {key: item.get(key) for key in keys}
    return "k:" + json.dumps(content, separators=(",", ":"), sort_keys=True)


def value_at(content: Any, path: Path) -> Any:
    """What stands at a path; None when nothing does."""
    for name in path:
        if isinstance(content, list):
            wanted = json.loads(name.removeprefix("k:"))
            content = next(
                (item for item in content if {k: item.get(k) for k in wanted} == wanted), None
            )
        else:
            content = content.get(name) if isinstance(content, dict) else None
        if content is None:
            return None
    return content


def apply(
    live: Mapping[str, Any],
    applied: Mapping[str, Any],
    owners: Owners,
    manager: str,
    *,
    force: bool,
) -> tuple[dict[str, Any], Owners, list[tuple[str, Path]]]:
    """Server-side apply: the merged object, who owns what then, and conflicts (manager, path).

    With conflicts and without force nothing is merged.
    """
    me, wanted = (manager, "Apply"), owned_paths(applied)
    conflicts = [
        (other[0], path)
        for other, paths in owners.items()
        if other != me
        for path in sorted(paths & wanted)
        if not path[-1].startswith("k:") and value_at(live, path) != value_at(applied, path)
    ]
    if conflicts and not force:
        return dict(live), owners, conflicts
    lost = {path for _, path in conflicts}
    kept = {who: paths - lost for who, paths in owners.items() if who != me}
    merged = copied(dict(live))
    still_held = wanted.union(*kept.values())
    for path in sorted(owners.get(me, frozenset()) - wanted, key=len):
        if not any(held[: len(path)] == path for held in still_held):
            _remove(merged, path)
    merged = _merge(merged, applied, ())
    return merged, {who: paths for who, paths in (*kept.items(), (me, wanted)) if paths}, []


def _remove(content: Any, path: Path) -> None:
    parent = value_at(content, path[:-1])
    if isinstance(parent, list):
        wanted = json.loads(path[-1].removeprefix("k:"))
        parent[:] = [item for item in parent if {k: item.get(k) for k in wanted} != wanted]
    elif isinstance(parent, dict):
        parent.pop(path[-1], None)
        if not parent and len(path) > 1:
            _remove(content, path[:-1])


def _merge(live: Any, new: Any, at: Path) -> Any:
    if isinstance(new, dict) and isinstance(live, dict):
        more = {name: _merge(live.get(name), item, (*at, name)) for name, item in new.items()}
        return {**live, **more}
    keys = _MERGE_KEYS.get(at[-1]) if at else None
    if keys is not None and isinstance(new, list) and isinstance(live, list):
        merged = {_entry(item, keys): item for item in live}
        for item in new:
            entry = _entry(item, keys)
            merged[entry] = _merge(merged.get(entry), item, (*at, entry))
        return list(merged.values())
    return copied(new)


def owners_after_update(
    old: Mapping[str, Any], new: Mapping[str, Any], owners: Owners, manager: str
) -> Owners:
    """Who owns what after a write that was no apply: what changed is its writer's."""
    before, after = owned_paths(old), owned_paths(new)
    changed = {p for p in after if p not in before or value_at(old, p) != value_at(new, p)}
    gone = before - after
    me = (manager, "Update")
    kept = {who: paths - changed - gone for who, paths in owners.items()}
    kept[me] = kept.get(me, frozenset()) | changed
    return {who: paths for who, paths in kept.items() if paths}


def to_fields_v1(paths: frozenset[Path]) -> dict[str, Any]:
    """Paths as `metadata.managedFields[].fieldsV1` holds them."""
    fields: dict[str, Any] = {}
    for path in sorted(paths):
        node = fields
        for name in path:
            node = node.setdefault(name if name.startswith("k:") else f"f:{name}", {})
    return fields


def show(path: Path) -> str:
    """A path as the server names it in a conflict."""
    return "".join(f"[{name[2:]}]" if name.startswith("k:") else f".{name}" for name in path)
