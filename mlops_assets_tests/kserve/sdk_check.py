"""Run as a process by `test_manifest.py`: the manifest's fields and types against the SDK's."""

import re
import sys
from types import ModuleType
from typing import Any

from mlops_assets.kserve.sdk import import_kserve
from mlops_assets_tests.kserve.test_manifest import build

_PLAIN: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "object": object,
}
_ALIASES = {"K8sIoApiAppsV1DeploymentStrategy": "V1DeploymentStrategy"}


def check_fields(value: Any, kind: str, path: str, sources: list[ModuleType]) -> None:
    """Every field exists in the SDK's class and has its type, all the way down."""
    if kind.startswith(("dict(", "dict[")):
        assert isinstance(value, dict), path
    elif match := re.fullmatch(r"list\[(.+)\]", kind):
        for index, item in enumerate(value):
            check_fields(item, match[1], f"{path}[{index}]", sources)
    elif kind in _PLAIN:
        assert isinstance(value, _PLAIN[kind]), f"{path}: {value!r} is no {kind}"
    else:
        name = _ALIASES.get(kind, kind)
        cls: Any = next(getattr(source, name) for source in sources if hasattr(source, name))
        attributes = {field: attribute for attribute, field in cls.attribute_map.items()}
        for field, item in value.items():
            assert field in attributes, f"{path}.{field}: not a field of {name}"
            check_fields(item, cls.openapi_types[attributes[field]], f"{path}.{field}", sources)


def main() -> None:
    sys.argv = ["dagster", "job", "execute", "--config", "run.yaml"]
    kserve = import_kserve()
    assert sys.argv[-1] == "run.yaml"
    from kubernetes.client import models

    check_fields(build(), "V1beta1InferenceService", "", [kserve, models])


if __name__ == "__main__":
    main()
