"""Whether what was made is still there: files and rows that a record speaks of.

Dagster's record outlives what it speaks of: a folder removed by hand, a database restored from an
older backup. Each question here costs about a millisecond and loads no library.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from mlops_assets.kserve.manifest import MODEL_NAME, revision_name
from mlops_assets.platform.home import Home
from mlops_assets.platform.registry_glance import has_version
from mlops_assets.serving.home import ServingHome, read_json

Record = Mapping[str, Any]


def read_record(home: Home, model: str, asset: str) -> Record | None:
    """What an asset handed on; None when it is not there, or damaged."""
    try:
        found = json.loads((home.root / "records" / model / f"{asset}.json").read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def find_lost(home: Home, model: str, asset: str) -> str | None:
    """Why an asset that was made must be made again, judged by what is there; None: it is there."""
    record = read_record(home, model, asset)
    if record is None:
        return "its record is gone"
    uri = record.get("uri")
    if isinstance(uri, str) and not _is_there(uri):
        return f"{uri} is gone"
    if asset == "model_version":
        return _lost_version(home, record)
    if asset == "inference_service":
        return _lost_service(home, record)
    return None


def declared_services(home: Home) -> dict[str, str]:
    """The services that the gateway is told to serve, by their model's name."""
    services = {}
    for path in sorted(ServingHome.under(home.root).manifests.glob("*.json")):
        manifest = read_json(path)
        if manifest is None:  # it was taken away since the folder was listed
            continue
        metadata = manifest["metadata"]
        services[metadata.get("labels", {}).get(MODEL_NAME, path.stem)] = metadata["name"]
    return services


def _lost_version(home: Home, record: Record) -> str | None:
    if has_version(home, record["name"], record["version"]):
        return None
    return f"version {record['version']} of {record['name']} is not in the registry"


def _lost_service(home: Home, record: Record) -> str | None:
    manifest = read_json(ServingHome.under(home.root).manifest(record["service"]))
    if manifest is None:
        return f"service {record['service']} is not declared to the gateway"
    declared, recorded = manifest["spec"]["predictor"]["name"], revision_name(record["version"])
    if declared != recorded:
        return f"the gateway is to serve {declared}, the record says {recorded}"
    return None


def _is_there(uri: str) -> bool:
    """Whether a local path exists. Of other places nothing is known, so they count as there."""
    parsed = urlparse(uri)
    return parsed.scheme not in ("", "file") or Path(unquote(parsed.path)).exists()
