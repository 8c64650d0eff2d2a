"""`python -m mlops_assets.cluster_setup.generated_secrets`: random keys for a cluster on a laptop.

Here: which Secrets there are, what is in each, and the Job that makes those that are missing. A
Secret that is there is never changed: who has used its password goes on to. Killed between two of
them, the next try makes the rest, with what the first ones hold.
Not here: a real cluster's Secrets, which come from its own store (k8s/components/external-secrets).
"""

import base64
import json
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mlops_assets.errors import ClusterApiError
from mlops_assets.kserve.api import ClusterApi, Collection, connect

PLATFORM, MODELS = "mlops", "mlops-models"
_SECRET = Collection("secrets", "Secret")

Values = Mapping[str, str]
Found = Mapping[str, Values]
"""Values by key, by `namespace/name` of their Secret."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One Secret.

    Attributes:
        namespace: Where it lies.
        name: Its name.
        values: What is in it, of those that stand before it.
        annotations: Its annotations.
    """

    namespace: str
    name: str
    values: Callable[[Found], Values]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def _random(*keys: str) -> Callable[[Found], Values]:
    return lambda _found: {key: secrets.token_hex(24) for key in keys}


def _same(namespace: str, name: str) -> Callable[[Found], Values]:
    return lambda found: found[f"{namespace}/{name}"]


def _identities(found: Found) -> Values:
    """Who may do what in the object storage, in its own words."""
    writer, reader = found[f"{PLATFORM}/object-storage"], found[f"{MODELS}/object-storage-read"]
    users = [
        ("platform", writer, ["Admin", "Read", "Write", "List", "Tagging"]),
        ("predictors", reader, ["Read", "List"]),
    ]
    identities = [
        {
            "name": name,
            "credentials": [
                {"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}
            ],
            "actions": actions,
        }
        for name, keys, actions in users
    ]
    return {"s3.json": json.dumps({"identities": identities})}


_S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
SECRETS = (
    Planned(PLATFORM, "postgresql", _random("postgres-password")),
    Planned(PLATFORM, "dagster-postgresql", _random("postgresql-password")),
    Planned(PLATFORM, "mlflow-postgresql", _random("postgresql-password")),
    Planned(PLATFORM, "object-storage", _random(*_S3_KEYS)),
    Planned(
        MODELS,
        "object-storage-read",
        _random(*_S3_KEYS),
        {  # where KServe's storage initializer finds it
            "serving.kserve.io/s3-endpoint": "object-storage.mlops.svc:8333",
            "serving.kserve.io/s3-usehttps": "0",
            "serving.kserve.io/s3-region": "us-east-1",
        },
    ),
    Planned(PLATFORM, "object-storage-identities", _identities),
    Planned(PLATFORM, "sink-token", _random("token")),
    Planned(MODELS, "sink-token", _same(PLATFORM, "sink-token")),
    Planned(MODELS, "prediction-log-key", _random("key")),
)


def make_missing(apis: Mapping[str, ClusterApi], planned: Iterable[Planned]) -> list[str]:
    """Make the Secrets that are not there; answers with those that were made.

    Args:
        apis: The API of each namespace.
        planned: In an order in which each needs only those before it.

    Raises:
        ClusterApiError: the API server refused or did not answer.
    """
    found: dict[str, Values] = {}
    made = []
    for secret in planned:
        api = apis[secret.namespace]
        stored = _read(api, secret.name)
        if stored is None:
            _create(api, secret, secret.values(found))
            made.append(secret.key)
            stored = _read(api, secret.name)  # of whoever was first
        if stored is None:
            raise ClusterApiError(f"Secret {secret.key} was removed meanwhile", 404, "NotFound")
        found[secret.key] = stored
    return made


def _read(api: ClusterApi, name: str) -> Values | None:
    content = api.get(_SECRET, name)
    if content is None:
        return None
    data: Mapping[str, str] = content.get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _create(api: ClusterApi, secret: Planned, values: Values) -> None:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": secret.name,
            "namespace": secret.namespace,
            "annotations": dict(secret.annotations),
            "labels": {"app.kubernetes.io/part-of": "mlops-assets"},
        },
        "data": encoded,
    }
    try:
        api.create(_SECRET, body)
    except ClusterApiError as error:
        if error.status != 409:  # another Job was first
            raise


def main() -> None:
    """Make what is missing in both namespaces of the cluster in which this runs."""
    made = make_missing({name: connect(name) for name in (PLATFORM, MODELS)}, SECRETS)
    sys.stdout.write(f"made: {', '.join(made) or 'nothing, all were there'}\n")


if __name__ == "__main__":
    main()
