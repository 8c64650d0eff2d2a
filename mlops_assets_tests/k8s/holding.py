"""What Secrets and ConfigMaps hold, whoever makes them, and what a container is told by them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from mlops_assets.cluster_jobs.generated_secrets import SECRETS
from mlops_assets_tests.k8s.rendering import Object, Pod

Name = tuple[str, str, str]  # kind, namespace, name
Container = Mapping[str, Any]

OF_A_SECRET = "of-a-secret"
"""Stands for each value of a Secret."""

_REFERENCE = re.compile(r"(?<!\$)\$\((\w+)\)")


@cache
def generated() -> Mapping[Name, Mapping[str, str]]:
    """What the Job generated-secrets makes."""
    made: dict[str, Mapping[str, str]] = {}
    for planned in SECRETS:
        made[planned.key] = planned.values(made)
    return {(s.kind.kind, s.namespace, s.name): made[s.key] for s in SECRETS}


def held_by(objects: Sequence[Object]) -> dict[Name, Mapping[str, str]]:
    """The values of every ConfigMap and Secret once an overlay was applied."""
    held: dict[Name, Mapping[str, str]] = {}
    for content in objects:
        kind, metadata = content["kind"], content["metadata"]
        if kind == "ConfigMap":
            held[kind, metadata["namespace"], metadata["name"]] = content["data"]
        if kind == "ExternalSecret":
            spec = content["spec"]
            keys = [item["secretKey"] for item in spec["data"]]
            made = "Secret", metadata["namespace"], spec["target"]["name"]
            held[made] = dict.fromkeys(keys, OF_A_SECRET)
        if (kind, metadata["name"]) == ("Job", "generated-secrets"):
            for name, values in generated().items():
                held[name] = dict.fromkeys(values, OF_A_SECRET)
    return held


def variables_of(
    pod: Pod, container: Container, held: Mapping[Name, Mapping[str, str]]
) -> dict[str, str]:
    """The environment of a container, as its manifest gives it."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in source:
                found |= held.get((kind, pod.namespace, source[field]["name"]), {})
    for variable in container.get("env", ()):
        found[variable["name"]] = expanded(variable.get("value", OF_A_SECRET), found)
    return found


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """A text with `$(NAME)` replaced, as the kubelet does: what is not known stays as it is."""
    return _REFERENCE.sub(lambda found: variables.get(found[1], found[0]), text)


def unknown_in(text: str) -> list[str]:
    """Variables that stayed in an expanded text."""
    return _REFERENCE.findall(text)


def words_of(container: Container, variables: Mapping[str, str]) -> Iterator[str]:
    """What a container is told itself: its command, arguments and own variables, expanded."""
    for word in (*container.get("command", ()), *container.get("args", ())):
        yield expanded(word, variables)
    for variable in container.get("env", ()):
        if "value" in variable:
            yield variables[variable["name"]]
