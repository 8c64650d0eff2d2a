"""The rights that the page on clusters names are those that are used: none missing, none spare."""

import re
from pathlib import Path

from mlops_assets.kserve.pod_metrics import PodMetrics
from mlops_assets.kserve.state_store import ConfigMapStore
from mlops_assets_tests.kserve.site import Site, running_site
from mlops_assets_tests.kserve.test_counters import EVER
from mlops_assets_tests.serving.backend_contract import POSITIVE
from mlops_assets_tests.serving.running import toy_manifest, with_canary

PAGE = Path(__file__).parents[2] / "docs" / "kserve.md"


def documented() -> set[tuple[str, str]]:
    table = PAGE.read_text().split("## Rights")[1].split("##")[0]
    rows = re.findall(r"^\| `([\w/]+)`.*\| ([\w, ]+) \|$", table, re.MULTILINE)
    return {(verb, resource) for resource, verbs in rows for verb in verbs.split(", ")}


def use_all(site: Site, positive: Path, negative: Path) -> set[tuple[str, str]]:
    """A rollout with a failure, its state and its numbers; the rights it took."""
    first = toy_manifest(positive)
    del first["spec"]["predictor"]["model"]["terminationMessagePolicy"]
    site.client().apply(first)
    site.client().wait_ready("toy", 1, 60.0)
    backend, store = site.client(), ConfigMapStore(site.api)
    store.write("toy", "two", store.write("toy", "one", ""))
    store.services()
    store.delete("toy")
    second = toy_manifest(negative, 2, digest="b" * 64)
    del second["spec"]["predictor"]["model"]["terminationMessagePolicy"]
    site.cluster.order("v2", "crash_loop")
    backend.apply(second)
    site.cluster.settle()
    backend.status("toy")
    site.cluster.order("v2", "run")
    backend.apply(with_canary(first, second))
    backend.set_traffic("toy", {"v1": 50, "v2": 50})
    backend.wait_ready("toy", 1, 60.0)
    backend.predict("toy", [POSITIVE], revision="v2")
    backend.traffic("toy")
    PodMetrics(site.api).read("toy", ["v1"], EVER, "")
    backend.delete("toy")
    return {(call.verb, call.resource) for call in site.cluster.api.calls}


def test_the_rights_of_the_page_are_those_that_are_used(
    positive_model: Path, negative_model: Path
) -> None:
    with running_site("Standard") as site:
        used = use_all(site, positive_model, negative_model)
    with running_site("Knative") as site:
        used |= use_all(site, positive_model, negative_model)
    assert used == documented()
