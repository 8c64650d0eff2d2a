"""Where the local gateway and its clients keep things, under `<MLOPS_HOME>/serving`.

manifests/<service>.json   what should be live, written by `embedded.py`
status/<service>.json      what is, written by the gateway, in the form of KServe's status
traffic/<service>.json     how requests are shared, where not as the manifest says
ready/<service>.json       the last stable predictor that was ready; it serves while a new one fails
gateway.json               address and process of the gateway that ran last
gateway.lock               held by the gateway that runs
log.key                    hashes columns of the prediction log; another key, other hashes
rollouts/<service>.state   where a rollout of it stands, written by `rollout/file_store.py`
timelines/<service>.json   which moment of its past a real one stands for, while that is played
retention/<service>.json   how long the log is kept, which holds for a service that was deleted
segments/                  predictions, failed requests and ground truth on their way to the tables
run/, logs/                sockets and logs of the revisions' processes
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.errors import ServingError
from mlops_assets.modeling.signing import TRUSTED
from mlops_assets.whole_files import replace_file


@dataclass(frozen=True, slots=True)
class ServingHome:
    """Paths under one `<MLOPS_HOME>/serving`."""

    root: Path

    @classmethod
    def under(cls, home: Path) -> "ServingHome":
        """The serving part of an MLOPS_HOME."""
        return cls(home.resolve() / "serving")

    @property
    def manifests(self) -> Path:
        """Folder of the declared services."""
        return self.root / "manifests"

    def manifest(self, service: str) -> Path:
        """The declaration of a service."""
        return self.manifests / f"{service}.json"

    def traffic(self, service: str) -> Path:
        """How a service's requests are shared, if not as its manifest says."""
        return self.root / "traffic" / f"{service}.json"

    def status(self, service: str) -> Path:
        """The status of a service."""
        return self.root / "status" / f"{service}.json"

    def ready(self, service: str) -> Path:
        """The last stable predictor of a service that was ready."""
        return self.root / "ready" / f"{service}.json"

    @property
    def gateway(self) -> Path:
        """Address and process of the gateway."""
        return self.root / "gateway.json"

    @property
    def lock(self) -> Path:
        """Held by the running gateway."""
        return self.root / "gateway.lock"

    @property
    def log_key(self) -> Path:
        """Secret with which columns of the prediction log are hashed."""
        return self.root / "log.key"

    @property
    def keys(self) -> Path:
        """The key pair of this home (`modeling/signing.py`); outside of the model store."""
        return self.root.parent / "keys"

    @property
    def trusted_keys(self) -> Path:
        """Public keys, one of which must have signed a model before it is loaded."""
        return self.keys / TRUSTED

    def retention(self, service: str) -> Path:
        """How long the log of a service is kept, as it declared last."""
        return self.root / "retention" / f"{service}.json"

    @property
    def segments(self) -> Path:
        """Folder of all segments."""
        return self.root / "segments"

    @property
    def drained(self) -> Path:
        """Modified when the last pass began that moved all there was to the tables."""
        return self.segments / "drained"

    @property
    def predictions(self) -> Path:
        """Folder of the prediction log's segments, by service."""
        return self.root / "segments" / "predictions"

    @property
    def events(self) -> Path:
        """Folder of the segments of requests and responses that KServe's agent sent apart."""
        return self.root / "segments" / "events"

    @property
    def failures(self) -> Path:
        """Folder of the failed requests' segments, by service."""
        return self.root / "segments" / "failures"

    @property
    def rollouts(self) -> Path:
        """Folder of the states of rollouts."""
        return self.root / "rollouts"

    @property
    def truths(self) -> Path:
        """Folder of the ground truth's segments, by service."""
        return self.root / "segments" / "truths"

    @property
    def tables(self) -> Path:
        """Folder of the tables of predictions and of ground truth."""
        return self.root.parent / "lake" / "serving"

    @property
    def logs(self) -> Path:
        """Folder of the revisions' logs."""
        return self.root / "logs"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file aside, then switch it in; a reader sees the old or the new one, whole."""
    replace_file(path, json.dumps(content, indent=1))


def read_json(path: Path) -> Any:
    """The content of a JSON file; None when there is none.

    Raises:
        ServingError: the file is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ServingError(f"{path} is not JSON: {error}") from error
