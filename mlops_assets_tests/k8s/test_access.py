"""The Roles give what the code uses: nothing missing, nothing spare.

The calls of a rollout are recorded at the emulated API server here; those of runs are recorded by
account in `kubernetes_runs/test_faults.py`. `doctor` asks a cluster for the same table.
"""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from mlops_assets.doctor.rights import Account, rights_of
from mlops_assets.kserve.capabilities import Mode
from mlops_assets.kserve.state_store import ConfigMapStore
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.observability.model_facts import read_rollouts
from mlops_assets.rollout.state import RolloutState
from mlops_assets.rollout.ticking import tick
from mlops_assets_tests.k8s.rendering import render
from mlops_assets_tests.kserve.play import SECOND, Play, is_over, rollout_spec
from mlops_assets_tests.kserve.site import running_site
from mlops_assets_tests.kserve.test_rights import use_all
from mlops_assets_tests.rollout.faulty import write_linear

Granted = tuple[str, str, str, str]  # namespace, group, resource, verb

SENSOR = "mlops:dagster-code-location"
NAMESPACES = {"platform": "mlops", "models": "mlops-models"}


def granted(account: str, overlay: str = "kind") -> set[Granted]:
    """What the Roles bound to a service account of the platform give."""
    return set(_granted(account, overlay))


def _granted(account: str, overlay: str) -> Iterator[Granted]:
    objects = render(overlay)
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


def resources_in_models(account: str, overlay: str = "kind") -> set[tuple[str, str]]:
    """The rights of an account where models are served, as calls are recorded."""
    return {
        (verb, f"{resource}.{group}" if group else resource)
        for namespace, group, resource, verb in granted(account, overlay)
        if namespace == "mlops-models"
    }


def _as_recorded(calls: set[tuple[str, str]]) -> set[tuple[str, str]]:
    full = {
        "inferenceservices": "inferenceservices.serving.kserve.io",
        "deployments": "deployments.apps",
        "httproutes": "httproutes.gateway.networking.k8s.io",
        "revisions": "revisions.serving.knative.dev",
    }
    return {(verb, full.get(resource, resource)) for verb, resource in calls}


def test_runs_may_do_in_standard_mode_what_a_rollout_does_and_no_more(
    positive_model: Path, negative_model: Path
) -> None:
    with running_site("Standard") as site:
        used = use_all(site, positive_model, negative_model)
    assert _as_recorded(used) == resources_in_models("dagster-run")


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_rollouts_go_on_though_the_code_location_may_change_no_service(
    mode: Mode, tmp_path: Path
) -> None:
    """Sensor and runs with their own rights: two versions are promoted, one cannot run."""
    overlay = {"Standard": "kind", "Knative": "kind-knative"}[mode]
    observes = resources_in_models("dagster-code-location", overlay)
    assert observes < resources_in_models("dagster-run", overlay)
    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db", f"file://{tmp_path}/mlartifacts")
    with running_site(mode) as site:
        api = site.cluster.api
        api.faults.allowed[SENSOR] = {
            (verb, resource.partition(".")[0]) for verb, resource in observes
        }
        play = Play(site, rollout_spec("toy"), tracking)
        play.serve(write_linear(tmp_path / "good", digest="1" * 64))
        new = play.begin(write_linear(tmp_path / "same", digest="2" * 64))
        assert until_it_ends(play).phase == "succeeded", play.state.reason
        assert play.shares == {new: 100}
        play.spec = rollout_spec("toy", strategy="blue_green", steps=None)  # tries its examples
        new = play.begin(write_linear(tmp_path / "again", digest="4" * 64))
        assert until_it_ends(play).phase == "succeeded", play.state.reason
        assert play.shares == {new: 100}
        broken = play.begin(write_linear(tmp_path / "other", digest="3" * 64))
        site.cluster.order(broken, "crash_loop")
        assert until_it_ends(play).phase == "failed", play.state.reason
        assert play.shares == {new: 100}
        calls = {(call.verb, call.resource) for call in api.calls if call.user == SENSOR}
    of_silent_pods = {("get", "pods/log")}  # kserve/test_rights.py; ours tell why they ended
    in_standard = {("get", "httproutes.gateway.networking.k8s.io")}  # which Knative's Role keeps
    used = _as_recorded(calls) | of_silent_pods
    assert (used if mode == "Standard" else used | in_standard) == observes


def until_it_ends(play: Play) -> RolloutState:
    """Ticks of the sensor, which looks, each followed by a run, which acts, if it asks for one."""
    looking = play.world_of(dataclasses.replace(play.site, user=SENSOR))
    for _ in range(80):
        play.call()
        play.now += SECOND
        ticked = tick(looking, play.spec, play.now, may_act=False)
        assert ticked is not None
        if not ticked.was_carried_out:
            play.tick()
        play.site.cluster.settle()
        if is_over(play.state):
            return play.state
    raise AssertionError(f"{play.state.phase}: {play.state.reason}")


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
