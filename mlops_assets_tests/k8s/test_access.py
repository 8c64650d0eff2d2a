"""The Roles give what the code uses: nothing missing, nothing spare.

The calls of a rollout are recorded at the emulated API server here; those of runs are recorded by
account in `kubernetes_runs/test_faults.py`. `doctor` asks a cluster for the same table.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from mlops_assets.doctor.rights import Account, rights_of
from mlops_assets.kserve.state_store import ConfigMapStore
from mlops_assets.observability.model_facts import read_rollouts
from mlops_assets_tests.k8s.rendering import render
from mlops_assets_tests.kserve.site import running_site
from mlops_assets_tests.kserve.test_rights import use_all

Granted = tuple[str, str, str, str]  # namespace, group, resource, verb

NAMESPACES = {"platform": "mlops", "models": "mlops-models"}


def granted(account: str) -> set[Granted]:
    """What the Roles bound to a service account of the platform give."""
    return set(_granted(account))


def _granted(account: str) -> Iterator[Granted]:
    objects = render("kind")
    roles = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each
        for each in objects
        if each["kind"] == "Role"
    }
    for binding in (each for each in objects if each["kind"] == "RoleBinding"):
        if {"kind": "ServiceAccount", "name": account, "namespace": "mlops"} in binding["subjects"]:
            namespace = binding["metadata"]["namespace"]
            for rule in roles[namespace, binding["roleRef"]["name"]]["rules"]:
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        for verb in rule["verbs"]:
                            yield namespace, group, resource, verb


@pytest.mark.parametrize("account", get_args(Account))
def test_doctor_asks_for_what_the_roles_give(account: Account) -> None:
    asked = {
        (NAMESPACES[right.where], right.group, right.resource, right.verb)
        for right in rights_of(account)
    }
    assert asked == granted(f"dagster-{account}")


def resources_in_models(account: str) -> set[tuple[str, str]]:
    """The rights of an account where models are served, as calls are recorded."""
    return {
        (verb, f"{resource}.{group}" if group else resource)
        for namespace, group, resource, verb in granted(account)
        if namespace == "mlops-models"
    }


def _as_recorded(calls: set[tuple[str, str]]) -> set[tuple[str, str]]:
    full = {
        "inferenceservices": "inferenceservices.serving.kserve.io",
        "deployments": "deployments.apps",
        "httproutes": "httproutes.gateway.networking.k8s.io",
    }
    return {(verb, full.get(resource, resource)) for verb, resource in calls}


def test_runs_may_do_in_standard_mode_what_a_rollout_does_and_no_more(
    positive_model: Path, negative_model: Path
) -> None:
    with running_site("Standard") as site:
        used = use_all(site, positive_model, negative_model)
    assert _as_recorded(used) == resources_in_models("dagster-run")


def test_the_code_location_may_look_and_write_down_but_change_no_service() -> None:
    observes = resources_in_models("dagster-code-location")
    assert observes < resources_in_models("dagster-run")
    changing = {"create", "update", "patch", "delete"}
    assert {resource for verb, resource in observes if verb in changing} == {"configmaps"}


def test_the_exporter_may_read_where_rollouts_stand_and_no_more() -> None:
    with running_site("Standard") as site:
        store = ConfigMapStore(site.api)
        list(read_rollouts(store, datetime.now(UTC)))
        store.read("toy")
        used = {(call.verb, call.resource) for call in site.cluster.api.calls}
    assert (
        used == resources_in_models("exporter") == {("get", "configmaps"), ("list", "configmaps")}
    )
    assert {each for each in granted("exporter") if each[0] == "mlops"} == set()


@pytest.mark.parametrize("account", ["predictor", "sink", "mlflow"])
def test_who_asks_the_api_server_for_nothing_may_nothing(account: str) -> None:
    assert granted(account) == set()
