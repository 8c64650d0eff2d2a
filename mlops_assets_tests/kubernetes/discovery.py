"""What the server says of itself: version, groups, resources, and the schemas of custom kinds."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mlops_assets_tests.kubernetes.objects import Objects

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def describe(objects: Objects, parts: Sequence[str]) -> dict[str, Any] | None:
    """The page of a path without objects; None when it is none."""
    groups: dict[str, list[str]] = defaultdict(list)
    for kind in objects.kinds.values():
        if kind.group and kind.version not in groups[kind.group]:
            groups[kind.group].append(kind.version)
    match list(parts):
        case ["version"]:
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.0-emulated"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            found = [_group(name, versions) for name, versions in groups.items()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}
        case ["apis", name] if name in groups:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, groups[name])}
        case ["apis", name, version] if version in groups.get(name, []):
            return _resources(objects, name, version)
        case ["api", "v1"]:
            return _resources(objects, "", "v1")
        case ["openapi", "v3", "apis", name, version] if version in groups.get(name, []):
            return _openapi(objects, name, version)
    return None


def _group(name: str, versions: Sequence[str]) -> dict[str, Any]:
    found = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def _resources(objects: Objects, group: str, version: str) -> dict[str, Any]:
    rows = []
    for kind in objects.kinds.values():
        if (kind.group, kind.version) == (group, version):
            names = [kind.plural, *(f"{kind.plural}/{sub}" for sub in sorted(kind.subresources))]
            rows += [
                {"name": name, "kind": kind.kind, "namespaced": kind.namespaced, "verbs": _VERBS}
                for name in names
            ]
    where = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "groupVersion": where, "resources": rows}


def _openapi(objects: Objects, group: str, version: str) -> dict[str, Any]:
    schemas = {}
    for definition in objects.list(objects.kind("customresourcedefinitions")):
        spec = definition["spec"]
        for served in spec["versions"]:
            if (spec["group"], served["name"]) == (group, version):
                kind = spec["names"]["kind"]
                reverse = ".".join(reversed(group.split(".")))
                schemas[f"{reverse}.{version}.{kind}"] = {
                    **served.get("schema", {}).get("openAPIV3Schema", {}),
                    "x-kubernetes-group-version-kind": [
                        {"group": group, "version": version, "kind": kind}
                    ],
                }
    return {"openapi": "3.0.0", "components": {"schemas": schemas}}
