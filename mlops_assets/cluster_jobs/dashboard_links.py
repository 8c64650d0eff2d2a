"""`python -m mlops_assets.cluster_jobs.dashboard_links`: links on the dashboard of Kubeflow.

The dashboard reads its menu from a ConfigMap, which belongs to Kubeflow and to whoever runs it; two
entries are added to it, and nothing else is touched.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from mlops_assets.errors import ClusterApiError, PlatformError
from mlops_assets.kserve.api import CONFIG_MAPS, ClusterApi, connect

NAMESPACE, CONFIG_MAP = "kubeflow", "centraldashboard-config"
_TRIES = 5


def with_links(menu: Mapping[str, Any], links: Mapping[str, str]) -> dict[str, Any]:
    """A menu with links, by their text; one of the same text is replaced.

    >>> menu = with_links({"menuLinks": []}, {"Dagster": "https://dagster"})
    >>> menu["externalLinks"][0]["url"], with_links(menu, {"Dagster": "https://dagster"}) == menu
    ('https://dagster', True)
    """
    others = [link for link in menu.get("externalLinks", ()) if link.get("text") not in links]
    ours = [
        {"type": "item", "iframe": False, "text": text, "url": url, "icon": "launch"}
        for text, url in links.items()
    ]
    return {**menu, "externalLinks": [*others, *ours]}


def add_links(api: ClusterApi, links: Mapping[str, str]) -> bool:
    """Have the dashboard show links; whether anything had to be changed. Safe to repeat.

    Raises:
        PlatformError: there is no dashboard, or others change its menu all the time.
        ClusterApiError: the API server refused or did not answer.
    """
    for _ in range(_TRIES):
        found = api.get(CONFIG_MAPS, CONFIG_MAP)
        if found is None:
            raise PlatformError(f"there is no ConfigMap {NAMESPACE}/{CONFIG_MAP}: install Kubeflow")
        menu = json.loads(found["data"]["links"])
        changed = with_links(menu, links)
        if changed == menu:
            return False
        found["data"]["links"] = json.dumps(changed, indent=2)
        try:
            api.replace(CONFIG_MAPS, found)
        except ClusterApiError as error:
            if error.status != 409:  # somebody else was first
                raise
            time.sleep(0.1)
        else:
            return True
    raise PlatformError(f"ConfigMap {NAMESPACE}/{CONFIG_MAP}: changed by others {_TRIES} times")


if __name__ == "__main__":
    shown = {
        "Dagster": os.environ["MLOPS_DAGSTER_UI_URL"],
        "MLflow": os.environ["MLOPS_MLFLOW_UI_URL"],
    }
    add_links(connect(NAMESPACE), shown)
    sys.stdout.write("the dashboard links to Dagster and MLflow\n")
