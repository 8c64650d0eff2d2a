import base64
import fnmatch
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.cluster_jobs.generated_secrets import (
    ARTIFACTS,
    BUCKET,
    MODELS,
    PLATFORM,
    READ_MODELS,
    SECRETS,
    make_missing,
)
from mlops_assets.errors import UnsafeModelError
from mlops_assets.kserve.api import ClusterApi, Collection, build_api
from mlops_assets.modeling.signing import read_trusted_keys, sign
from mlops_assets_tests.kubernetes.server import running_api_server

Apis = dict[str, ClusterApi]


@pytest.fixture
def apis() -> Iterator[Apis]:
    """The API of both namespaces of an empty cluster."""
    from kubernetes import client

    with running_api_server() as server:
        namespaces = server.objects.kind("namespaces")
        for name in (PLATFORM, MODELS):
            server.objects.create(namespaces, "", {"metadata": {"name": name}})
        settings = client.Configuration(host=server.url)
        yield {name: build_api(settings, name, 30.0) for name in (PLATFORM, MODELS)}


def values(apis: Apis, key: str) -> dict[str, str]:
    namespace, name = key.split("/")
    if name == "mlops-trusted-keys":
        public = apis[namespace].get(Collection("configmaps", "ConfigMap"), name)
        assert public is not None
        return dict(public["data"])
    found = apis[namespace].get(Collection("secrets", "Secret"), name)
    assert found is not None
    return {field: base64.b64decode(value).decode() for field, value in found["data"].items()}


def test_a_second_time_makes_nothing_and_changes_nothing(apis: Apis) -> None:
    assert make_missing(apis, SECRETS) == [secret.key for secret in SECRETS]
    before = {secret.key: values(apis, secret.key) for secret in SECRETS}
    assert make_missing(apis, SECRETS) == []
    assert {secret.key: values(apis, secret.key) for secret in SECRETS} == before


@pytest.mark.parametrize("n_before", range(len(SECRETS)))
def test_a_kill_between_two_leaves_what_the_next_try_goes_on_with(
    apis: Apis, n_before: int
) -> None:
    make_missing(apis, SECRETS[:n_before])
    assert make_missing(apis, SECRETS) == [secret.key for secret in SECRETS[n_before:]]
    assert values(apis, "mlops/sink-token") == values(apis, "mlops-models/sink-token")


def test_the_store_knows_the_keys_of_both_users_and_lets_predictors_read_only(apis: Apis) -> None:
    make_missing(apis, SECRETS)
    told = json.loads(values(apis, "mlops/object-storage-identities")["s3.json"])
    users = {user["name"]: user for user in told["identities"]}
    for name, key in (("platform", "mlops/object-storage"), ("predictors", _READER)):
        keys = values(apis, key)
        assert users[name]["credentials"] == [
            {"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}
        ]
    assert users["predictors"]["actions"] == list(READ_MODELS)


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("Read:mlops", True),  # is the bucket there?
        ("List:mlops/mlflow/1/models/m-1/artifacts", True),
        ("Read:mlops/mlflow/1/models/m-1/artifacts/model.onnx", True),
        ("Read:mlops/prediction_log/part-0.parquet", False),
        ("Read:mlops/dagster-logs/run.out", False),
        ("List:mlops/dagster-logs/", False),
        ("List:mlops", False),
        ("Read:other", False),
        ("Write:mlops/mlflow/1/models/m-1/artifacts/model.onnx", False),
    ],
)
def test_keys_of_predictors_read_models_and_no_logs(asked: str, allowed: bool) -> None:
    """As SeaweedFS judges: patterns fit whole paths, * and ? any sign, / included."""
    assert all(set(action) & set("*?") for action in READ_MODELS)  # else: everything in a bucket
    assert any(fnmatch.fnmatchcase(asked, action) for action in READ_MODELS) == allowed


def test_the_models_are_where_the_platform_keeps_them() -> None:
    base = Path(__file__).parents[2] / "k8s" / "base"
    assert f"MLOPS_BUCKET={BUCKET}\n" in (base / "platform.env").read_text()
    assert f"=s3://$(MLOPS_BUCKET)/{ARTIFACTS}\n" in (base / "mlflow" / "mlflow.yaml").read_text()


def test_no_two_secrets_share_a_value_but_the_token_that_both_sides_need(apis: Apis) -> None:
    make_missing(apis, SECRETS)
    made_of_others = ("identities", "models/sink-token", "signing-key", "trusted-keys")
    random = [s.key for s in SECRETS if not s.key.endswith(made_of_others)]
    found = [value for key in random for value in values(apis, key).values()]
    assert len(found) == len(set(found))
    assert all(len(value) == 48 for value in found)


def test_predictors_trust_what_the_signing_key_signs(apis: Apis, tmp_path: Path) -> None:
    make_missing(apis, SECRETS)
    for key, folder in (("mlops/mlops-signing-key", "private"), (_TRUSTED, "public")):
        (tmp_path / folder).mkdir()
        for name, content in values(apis, key).items():
            (tmp_path / folder / name).write_text(content)
    signed = sign(b"a manifest", tmp_path / "private" / "signing.pem")
    trusted = read_trusted_keys(tmp_path / "public")
    (tmp_path / "mlops_manifest.sig").write_text(signed.model_dump_json())
    trusted.require(tmp_path, b"a manifest")
    with pytest.raises(UnsafeModelError):
        trusted.require(tmp_path, b"another")


_TRUSTED = "mlops-models/mlops-trusted-keys"
_READER = "mlops-models/object-storage-read"
