"""The environment of a container, from its spec and the ConfigMaps and Secrets that it names."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from mlops_assets_tests.kubernetes.kinds import Object
from mlops_assets_tests.kubernetes.objects import Objects


class ContainerBlocked(Exception):  # noqa: N818 - what the kubelet says of a container
    """A container that cannot be started as things are: the kubelet's reason and its message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message


def container_environment(objects: Objects, pod: Object, container: Object) -> dict[str, str]:
    """Variables by name; later ones may refer to former ones as `$(NAME)`.

    Raises:
        ContainerBlocked: a ConfigMap or Secret, or its key, is missing.
    """
    namespace = pod["metadata"]["namespace"]
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        values = _values(objects, namespace, source, {"configMapRef", "secretRef"})
        prefix = source.get("prefix", "")
        found.update({prefix + name: value for name, value in values.items()})
    for variable in container.get("env") or []:
        source = variable.get("valueFrom")
        if source is None:
            found[variable["name"]] = _expand(variable.get("value") or "", found)
        elif "fieldRef" in source:
            found[variable["name"]] = _field(pod, source["fieldRef"]["fieldPath"])
        else:
            values = _values(objects, namespace, source, {"configMapKeyRef", "secretKeyRef"})
            key = next(iter(source.values()))["key"]
            if key not in values:
                raise ContainerBlocked("CreateContainerConfigError", f"couldn't find key {key}")
            found[variable["name"]] = values[key]
    return found


def _values(
    objects: Objects, namespace: str, source: Mapping[str, Any], kinds: set[str]
) -> dict[str, str]:
    reference = next(name for name in kinds if name in source)
    name = source[reference]["name"]
    plural, word = ("secrets", "secret") if "secret" in reference else ("configmaps", "configmap")
    held = objects.find(plural, namespace, name)
    if held is None:
        if source[reference].get("optional"):
            return {}
        raise ContainerBlocked("CreateContainerConfigError", f'{word} "{name}" not found')
    values = dict(held.get("data") or {})
    if plural == "secrets":
        values = {key: base64.b64decode(value).decode() for key, value in values.items()}
        values.update(held.get("stringData") or {})
    return values


def _field(pod: Object, path: str) -> str:
    node: Any = pod
    for name in path.split("."):
        node = node.get(name, "") if isinstance(node, Mapping) else ""
    return str(node)


def _expand(text: str, found: Mapping[str, str]) -> str:
    return re.sub(r"\$\(([\w.-]+)\)", lambda name: found.get(name[1], name[0]), text)
