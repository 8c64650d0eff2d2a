"""`python -m mlops_assets_tests.k8s.page`: writes the tables of docs/kubernetes.md that are read
off the manifests; a test holds the page against them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlops_assets_tests.k8s.edges import Edge, edges_of
from mlops_assets_tests.k8s.rendering import FOLDER, OVERLAYS, Object, render

PAGE = FOLDER.parent / "docs" / "kubernetes.md"
OVERLAY = "production"


def tables() -> dict[str, str]:
    """The generated tables by the name of their place on the page."""
    return {
        "rights": "\n".join(_rights(render(OVERLAY))),
        "network": "\n".join(_network(render(OVERLAY))),
        "overlays": "\n".join(_overlays()),
        "staging": "\n".join(_differences()),
    }


def filled(text: str) -> str:
    """The page with its tables as they are now."""
    for name, table in tables().items():
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        text = f"{before}<!-- {name} -->\n{table}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    return text


def _rights(objects: Sequence[Object]) -> Iterator[str]:
    """What each account may ask of the API server; one line for each account and namespace."""
    yield "| account | in | may |"
    yield "|---|---|---|"
    roles = {
        (c["metadata"]["namespace"], c["metadata"]["name"]): c["rules"]
        for c in objects
        if c["kind"] == "Role"
    }
    lines = []
    for binding in (c for c in objects if c["kind"] == "RoleBinding"):
        namespace, role = binding["metadata"]["namespace"], binding["roleRef"]["name"]
        told = "; ".join(
            f"{', '.join(rule['verbs'])} {', '.join(rule['resources'])}"
            for rule in roles[namespace, role]
        )
        names = (subject["name"] for subject in binding["subjects"])
        lines += [f"| `{name}` | {namespace} | {told} |" for name in names]
    yield from sorted(lines)
    accounts = {c["metadata"]["name"] for c in objects if c["kind"] == "ServiceAccount"}
    bound = {line.split("`")[1] for line in lines}
    others = ", ".join(f"`{name}`" for name in sorted(accounts - bound))
    yield f"| {others} | – | nothing; no token |"


def _network(objects: Sequence[Object]) -> Iterator[str]:
    """Every edge, once: as its caller has it, or, where callers are not ours, as the called has."""
    yield "| from | to | ports | for |"
    yield "|---|---|---|---|"
    lines = set()
    for edge in edges_of(objects):
        ports = ", ".join(f"{port}/{kind}" for port, kind in sorted(edge.ports))
        if edge.direction == "egress":
            lines.add(f"| {_pods(edge)} | {_peer(edge)} | {ports} | {edge.reason} |")
        elif edge.peer_namespace not in ("mlops", "mlops-models"):
            lines.add(f"| {_peer(edge)} | {_pods(edge)} | {ports} | {edge.reason} |")
    yield from sorted(lines)


def _pods(edge: Edge) -> str:
    return f"{edge.namespace}: {_named(edge.pods)}"


def _peer(edge: Edge) -> str:
    if "ipBlock" in edge.peer:
        block = edge.peer["ipBlock"]
        return f"`{block['cidr']}`" + (" but private ranges" if block.get("except") else "")
    return f"{edge.peer_namespace}: {_named(edge.peer.get('podSelector', {}))}"


def _named(selector: Mapping[str, Any]) -> str:
    """A label selector in words."""
    words = []
    for key, value in selector.get("matchLabels", {}).items():
        if key.startswith("mlops-assets/uses-"):
            words.append(f"whatever uses {key.removeprefix('mlops-assets/uses-')}")
        else:
            words.append(value)
    for rule in selector.get("matchExpressions", ()):
        words += rule["values"]
    return ", ".join(words) or "all"


def _overlays() -> Iterator[str]:
    """Which objects only some overlays have, by the overlays that have them."""
    yield "| only in | objects |"
    yield "|---|---|"
    found = {name: {_plain(content) for content in render(name)} for name in OVERLAYS}
    groups: dict[str, list[str]] = {}
    every = {label for labels in found.values() for label in labels}
    for label in sorted(every):
        if all(label in labels for labels in found.values()):
            continue
        having = ", ".join(name for name in OVERLAYS if label in found[name])
        groups.setdefault(having, []).append(label)
    for having, labels in sorted(groups.items()):
        yield f"| {having} | {', '.join(labels)} |"


def _differences() -> Iterator[str]:
    """Where objects that staging and production both have differ."""
    yield "| object | field | staging | production |"
    yield "|---|---|---|---|"
    staging, production = (
        {_plain(content): dict(_fields(content)) for content in render(name)}
        for name in ("staging", "production")
    )
    for label in sorted(staging.keys() & production.keys()):
        one, other = staging[label], production[label]
        for field in sorted(one.keys() | other.keys()):
            if one.get(field) != other.get(field):
                yield f"| {label} | `{field}` | {one.get(field, '–')} | {other.get(field, '–')} |"


def _fields(content: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value with its path; hashes behind names of ConfigMaps are left out."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _fields(value, f"{path}.{key}".lstrip("."))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _fields(value, f"{path}[{index}]")
    else:
        yield path, re.sub(r"(mlops-platform|mlops-backup)-[a-z0-9]{10}$", r"\1", str(content))


def _plain(content: Object) -> str:
    """Kind and name, without the hash behind a ConfigMap's."""
    name = content["metadata"]["name"]
    if content["kind"] == "ConfigMap":
        name = re.sub(r"-[a-z0-9]{10}$", "", name)
    return f"{content['kind']} {name}"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
