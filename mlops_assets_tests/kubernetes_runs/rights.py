"""What the Roles of the platform's accounts give, and what the accounts used."""

from pathlib import Path

import yaml

from mlops_assets_tests.kubernetes_runs.stand import Stand

_ACCESS = Path(__file__).parents[2] / "k8s" / "base" / "dagster" / "access.yaml"
Right = tuple[str, str, str]  # account, verb, resource


def granted_rights() -> set[Right]:
    """What the Roles give."""
    return {
        (document["metadata"]["name"], verb, resource)
        for document in yaml.safe_load_all(_ACCESS.read_text())
        if document["kind"] == "Role"
        for rule in document["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used_rights(stand: Stand) -> set[Right]:
    """What accounts that have a Role asked the API server for."""
    accounts = {account for account, _, _ in granted_rights()}
    calls = ((c.user.partition(":")[2], c.verb, c.resource) for c in stand.cluster.api.calls)
    return {call for call in calls if call[0] in accounts}
