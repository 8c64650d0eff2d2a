"""What a container takes of Secrets and ConfigMaps is in them: keys, files and variables."""

from collections.abc import Iterator, Mapping

import pytest

from mlops_assets_tests.k8s.holding import (
    Container,
    Name,
    held_by,
    unknown_in,
    variables_of,
    words_of,
)
from mlops_assets_tests.k8s.made_pods import all_pods
from mlops_assets_tests.k8s.rendering import OVERLAYS, Pod, render

Held = Mapping[Name, Mapping[str, str]]

MODEL = "/mnt/models"
"""Where KServe puts the model, in a mount of its own."""


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def held(overlay: str) -> Held:
    return held_by(render(overlay))


def containers(overlay: str) -> Iterator[tuple[Pod, Container]]:
    for pod in all_pods(overlay):
        for container in pod.containers:
            yield pod, container


def source_of(pod: Pod, volume_name: str) -> Name | None:
    """The Secret or ConfigMap that a volume shows."""
    for volume in pod.spec.get("volumes", ()):
        if volume["name"] == volume_name:
            if "secret" in volume:
                return "Secret", pod.namespace, volume["secret"]["secretName"]
            if "configMap" in volume:
                return "ConfigMap", pod.namespace, volume["configMap"]["name"]
    return None


def files_in(pod: Pod, volume_name: str, held: Held) -> set[str] | None:
    """The files of a volume that shows a Secret or ConfigMap; None of one that pods write to."""
    source = source_of(pod, volume_name)
    if source is None:
        return None
    (volume,) = (each for each in pod.spec["volumes"] if each["name"] == volume_name)
    shown = volume.get("configMap") or volume["secret"]
    keys = held.get(source, {})
    if "items" in shown:
        return {item["path"] for item in shown["items"] if item["key"] in keys}
    return set(keys)


def test_every_key_that_a_variable_names_is_held(overlay: str, held: Held) -> None:
    missing, n_named = [], 0
    for pod, container in containers(overlay):
        for variable in container.get("env", ()):
            for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                named = variable.get("valueFrom", {}).get(field)
                if named is not None:
                    n_named += 1
                    if named["key"] not in held.get((kind, pod.namespace, named["name"]), {}):
                        missing.append(f"{pod.owner}: {named['name']}: {named['key']}")
    assert n_named > 5
    assert missing == []


def test_every_variable_in_an_argument_is_set(overlay: str, held: Held) -> None:
    unknown = [
        f"{pod.owner}: {name}"
        for pod, container in containers(overlay)
        for word in words_of(container, variables_of(pod, container, held))
        for name in unknown_in(word)
    ]
    assert unknown == []


def test_every_file_that_is_mounted_by_itself_is_held(overlay: str, held: Held) -> None:
    for pod, container in containers(overlay):
        for mount in container.get("volumeMounts", ()):
            source = source_of(pod, mount["name"])
            if source is not None and "subPath" in mount:
                assert mount["subPath"] in held[source], f"{pod.owner}: {mount}"


def test_every_path_in_an_argument_is_of_a_mount_that_has_it(overlay: str, held: Held) -> None:
    lost = [
        f"{pod.owner}: {path}"
        for pod, container in containers(overlay)
        for word in words_of(container, variables_of(pod, container, held))
        if (path := word.rpartition("=")[2]).startswith("/")
        if not is_there(path, pod, container, held)
    ]
    assert lost == []


def test_every_path_that_all_are_told_is_there_for_somebody(overlay: str, held: Held) -> None:
    shared = {
        value
        for (kind, _, _), values in held.items()
        for name, value in values.items()
        if kind == "ConfigMap" and name.isupper() and value.startswith("/")
    }
    assert "/etc/mlops/signing-key/signing.pem" in shared
    for path in shared:
        assert any(
            path in variables_of(pod, container, held).values()
            and is_there(path, pod, container, held)
            for pod, container in containers(overlay)
        ), path


def is_there(path: str, pod: Pod, container: Container, held: Held) -> bool:
    """Whether a container finds a file or folder: held, or in a place that it may write to."""
    if path == MODEL:
        return True
    for mount in container.get("volumeMounts", ()):
        files, place = files_in(pod, mount["name"], held), mount["mountPath"]
        inside = path.removeprefix(f"{place}/") if path.startswith(f"{place}/") else ""
        if path == place or (inside and (files is None or inside in files)):
            return True
        if place.startswith(f"{path}/"):  # a folder with something mounted in it
            return True
    return False


def test_what_the_store_of_secrets_gives_is_what_kind_makes() -> None:
    """So that a key which one of them lacks is found in each."""
    store, kind = held_by(render("production")), held_by(render("kind"))
    both = {name for name in store.keys() & kind.keys() if name[0] == "Secret"}
    assert len(both) > 5
    assert {name: set(store[name]) for name in both} == {name: set(kind[name]) for name in both}
