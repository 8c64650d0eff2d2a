"""`python -m mlops_assets.cluster_jobs.generated_secrets`: random keys for a cluster on a laptop.

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
from typing import Any

from mlops_assets.errors import ClusterApiError
from mlops_assets.kserve.api import CONFIG_MAPS, ClusterApi, Collection, connect
from mlops_assets.modeling.signing import SIGNING_KEY, key_id

PLATFORM, MODELS = "mlops", "mlops-models"
BUCKET, ARTIFACTS = "mlops", "mlflow"
"""The bucket of the overlays for kind, and what MLflow keeps models under."""
_SECRET = Collection("secrets", "Secret")

Values = Mapping[str, str]
Found = Mapping[str, Values]
"""Values by key, by `namespace/name` of their Secret."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One Secret, or a ConfigMap with what is made of one and is no secret.

    Attributes:
        namespace: Where it lies.
        name: Its name.
        values: What is in it, of those that stand before it.
        annotations: Its annotations.
        kind: What it is.
    """

    namespace: str
    name: str
    values: Callable[[Found], Values]
    annotations: Mapping[str, str] = field(default_factory=dict)
    kind: Collection = _SECRET

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def _random(*keys: str) -> Callable[[Found], Values]:
    return lambda _found: {key: secrets.token_hex(24) for key in keys}


def _same(namespace: str, name: str) -> Callable[[Found], Values]:
    return lambda found: found[f"{namespace}/{name}"]


# SeaweedFS: a pattern fits a whole path, and one without * or ? is a bucket with all that is in it.
# So the first is the bucket alone, which KServe asks for before it fetches a model.
READ_MODELS = (
    f"Read:{BUCKET[:-1]}?",
    f"Read:{BUCKET}/{ARTIFACTS}/*",
    f"List:{BUCKET}/{ARTIFACTS}/*",
)


def _identities(found: Found) -> Values:
    """Who may do what in the object storage, in its own words."""
    writer, reader = found[f"{PLATFORM}/object-storage"], found[f"{MODELS}/object-storage-read"]
    users = [
        ("platform", writer, ["Admin", "Read", "Write", "List", "Tagging"]),
        ("predictors", reader, list(READ_MODELS)),
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


def _signing_key(_found: Found) -> Values:
    """A private key that signs models."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    made = Ed25519PrivateKey.generate()
    content = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {SIGNING_KEY: content.decode()}


def _trusted_key(found: Found) -> Values:
    """Its public half, which predictors trust."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )

    pem = found[f"{PLATFORM}/mlops-signing-key"][SIGNING_KEY].encode()
    public: Any = load_pem_private_key(pem, None).public_key()
    content = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {f"{key_id(public.public_bytes_raw())}.pem": content.decode()}


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
    Planned(PLATFORM, "mlops-signing-key", _signing_key),
    Planned(MODELS, "mlops-trusted-keys", _trusted_key, kind=CONFIG_MAPS),
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
        stored = _read(api, secret)
        if stored is None:
            _create(api, secret, secret.values(found))
            made.append(secret.key)
            stored = _read(api, secret)  # of whoever was first
        if stored is None:
            raise ClusterApiError(f"{secret.key} was removed meanwhile", 404, "NotFound")
        found[secret.key] = stored
    return made


def _read(api: ClusterApi, planned: Planned) -> Values | None:
    content = api.get(planned.kind, planned.name)
    if content is None:
        return None
    data: Mapping[str, str] = content.get("data") or {}
    if planned.kind is CONFIG_MAPS:
        return data
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _create(api: ClusterApi, planned: Planned, values: Values) -> None:
    data = dict(values)
    if planned.kind is _SECRET:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    body = {
        "apiVersion": "v1",
        "kind": planned.kind.kind,
        "metadata": {
            "name": planned.name,
            "namespace": planned.namespace,
            "annotations": dict(planned.annotations),
            "labels": {"app.kubernetes.io/part-of": "mlops-assets"},
        },
        "data": data,
    }
    try:
        api.create(planned.kind, body)
    except ClusterApiError as error:
        if error.status != 409:  # another Job was first
            raise


def main() -> None:
    """Make what is missing in both namespaces of the cluster in which this runs."""
    made = make_missing({name: connect(name) for name in (PLATFORM, MODELS)}, SECRETS)
    sys.stdout.write(f"made: {', '.join(made) or 'nothing, all were there'}\n")


if __name__ == "__main__":
    main()
