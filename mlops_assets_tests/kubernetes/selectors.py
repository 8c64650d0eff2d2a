"""Label and field selectors. Pure."""

import re
from collections.abc import Mapping
from typing import Any


def matches_labels(labels: Mapping[str, str], selector: str) -> bool:
    """Whether labels fit a selector.

    >>> matches_labels({"app": "a"}, "app in (a, b),!gone")
    True
    >>> matches_labels({"app": "a"}, "app!=a")
    False
    """
    requirements = (part.strip() for part in re.split(r",(?![^(]*\))", selector))
    return all(_meets(labels, requirement) for requirement in requirements if requirement)


def _meets(labels: Mapping[str, str], requirement: str) -> bool:
    if found := re.fullmatch(r"(\S+)\s+(notin|in)\s+\((.*)\)", requirement):
        allowed = [value.strip() for value in found[3].split(",")]
        return (labels.get(found[1]) in allowed) == (found[2] == "in")
    if requirement.startswith("!"):
        return requirement[1:].strip() not in labels
    if "!=" in requirement:
        name, value = requirement.split("!=", 1)
        return labels.get(name.strip()) != value.strip()
    if "=" in requirement:
        name, value = re.split("==?", requirement, maxsplit=1)
        return labels.get(name.strip()) == value.strip()
    return requirement in labels


def matches_fields(found: Mapping[str, Any], selector: str) -> bool:
    """Whether an object fits a field selector.

    >>> matches_fields({"metadata": {"name": "a"}}, "metadata.name=a")
    True
    """
    for requirement in filter(None, selector.split(",")):
        path, value = re.split("!=|==?", requirement, maxsplit=1)
        if (str(_dig(found, path)) == value) == ("!=" in requirement):
            return False
    return True


def _dig(found: Any, path: str) -> Any:
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return "" if found is None else found
