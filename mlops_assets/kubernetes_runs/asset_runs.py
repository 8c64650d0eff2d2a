"""What the pod of a run of single assets asks for: the largest that any of its steps does. Pure.

A model's job carries the settings of its run's pod as tags. A run that somebody launches for some
assets belongs to no model's job; all its steps run in its pod, so their own settings are gathered.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mlops_assets.assets.attributes import MAXIMUM_MEMORY_TAG
from mlops_assets.spec.quantity import cpu_cores, memory_bytes

CONFIG_TAG = "dagster-k8s/config"


def gather_tags(steps: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags for the run, from those of its steps; empty when they ask for nothing.

    >>> config = '{"container_config": {"resources": {"limits": {"memory": "%s"}}}}'
    >>> gather_tags([{CONFIG_TAG: config % "900Mi"}, {CONFIG_TAG: config % "4Gi"}, {}])
    {'dagster-k8s/config': '{"container_config": {"resources": {"limits": {"memory": "4Gi"}}}}'}
    """
    gathered: dict[str, Any] = {}
    most: list[str] = []
    for tags in steps:
        if CONFIG_TAG in tags:
            gathered = _larger(gathered, json.loads(tags[CONFIG_TAG]), "")
        if MAXIMUM_MEMORY_TAG in tags:
            most.append(tags[MAXIMUM_MEMORY_TAG])
    found = {CONFIG_TAG: json.dumps(gathered)} if gathered else {}
    return found | ({MAXIMUM_MEMORY_TAG: max(most, key=memory_bytes)} if most else {})


def _larger(one: Any, other: Any, name: str) -> Any:
    """Both together: the larger of two amounts, the union of two lists or mappings."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: _larger(one[key], other[key], key)
            if key in one and key in other
            else one.get(key, other.get(key))
            for key in {**one, **other}
        }
    if isinstance(one, list) and isinstance(other, list):
        return one + [item for item in other if item not in one]
    try:
        return max(one, other, key=lambda amount: _size(name, str(amount)))
    except ValueError:  # no amount: the later step's
        return other


def _size(name: str, amount: str) -> float:
    return cpu_cores(amount) if name == "cpu" else float(memory_bytes(amount))
