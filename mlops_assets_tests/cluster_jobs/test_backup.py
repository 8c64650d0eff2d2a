"""A night's backup and what comes back, with PostgreSQL's own programs and two buckets."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from mlops_assets.cluster_jobs.backup import DATABASES, Place, back_up, copy_objects, main, restore
from mlops_assets.errors import PlatformError
from mlops_assets_tests.object_storage import BUCKET, ObjectStorage, running_object_storage
from mlops_assets_tests.postgres import Postgres, running_postgres

DAY = "2026-11-27"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        for name in DATABASES:
            server.create(name)
        yield server


@pytest.fixture(scope="module")
def storage() -> Iterator[ObjectStorage]:
    with running_object_storage() as server:
        server.client.create_bucket(Bucket="copies")
        yield server


@pytest.fixture
def environment(
    postgres: Postgres, storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Variables of the Job, on a platform with something in it."""
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    for name in DATABASES:
        execute(postgres, name, "DROP TABLE IF EXISTS runs")
        execute(postgres, name, f"CREATE TABLE runs AS SELECT '{name}'::text AS id")
    for bucket in (BUCKET, "copies"):
        for item in storage.client.list_objects_v2(Bucket=bucket).get("Contents", ()):
            storage.client.delete_object(Bucket=bucket, Key=item["Key"])
    for key in ("lake/t/1.parquet", "lake/t/_delta_log/0.json", "mlflow/m/model.onnx"):
        storage.client.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    databases = {
        f"{name.upper()}_PG_{field}": value
        for name in DATABASES
        for field, value in (
            ("HOST", postgres.host), ("PORT", str(postgres.port)), ("PASSWORD", "any"),
        )
    }  # fmt: skip
    for name in DATABASES:
        execute(postgres, "postgres", _ROLE.format(name=name))
    return {
        "PATH": f"{_programs()}:{os.environ['PATH']}",
        "MLOPS_BUCKET": BUCKET,
        "BACKUP_BUCKET": "copies",
        "BACKUP_AWS_ACCESS_KEY_ID": "test",
        "BACKUP_AWS_SECRET_ACCESS_KEY": "test",
        **databases,
    }


def execute(postgres: Postgres, database: str, statement: str) -> None:
    connection = psycopg2.connect(
        host=postgres.host, port=postgres.port, user=postgres.user, dbname=database
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


def ids(postgres: Postgres, database: str) -> list[str]:
    connection = psycopg2.connect(
        host=postgres.host, port=postgres.port, user=postgres.user, dbname=database
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM runs")
        found = [row[0] for row in cursor.fetchall()]
    connection.close()
    return found


def test_what_is_lost_comes_back(
    environment: dict[str, str], postgres: Postgres, storage: ObjectStorage
) -> None:
    before = storage.keys()
    back_up(environment, DAY)
    for name in DATABASES:
        execute(postgres, name, "UPDATE runs SET id = 'spoilt'")
    for key in before:
        storage.client.delete_object(Bucket=BUCKET, Key=key)
    for _ in range(2):  # safe to repeat
        restore(environment, DAY)
    assert storage.keys() == before
    assert {name: ids(postgres, name) for name in DATABASES} == {n: [n] for n in DATABASES}


def test_a_second_night_copies_only_what_is_new(
    environment: dict[str, str], storage: ObjectStorage
) -> None:
    source = Place(storage.client, BUCKET)
    target = Place(storage.client, "copies", "objects/")
    assert [copy_objects(source, target) for _ in range(2)] == [(3, []), (0, [])]
    storage.client.put_object(Bucket=BUCKET, Key="records/churn/features.json", Body=b"1")
    assert copy_objects(source, target) == (1, [])
    storage.client.put_object(Bucket=BUCKET, Key="records/churn/features.json", Body=b"2")
    assert copy_objects(source, target) == (1, [])


def test_an_object_whose_etag_is_no_digest_is_copied_once(
    environment: dict[str, str], storage: ObjectStorage
) -> None:
    """One that was uploaded in parts; under SSE-KMS it is so with each."""
    client, key = storage.client, "mlflow/m/large.bin"
    source, target = Place(client, BUCKET), Place(client, "copies", "objects/")
    for content in (b"1", b"2"):
        where = {"Bucket": BUCKET, "Key": key}
        upload = client.create_multipart_upload(**where)["UploadId"]
        part = client.upload_part(**where, UploadId=upload, PartNumber=1, Body=content)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)
        copy_objects(source, target)
        etags = dict(source.objects())[key], dict(target.objects())[key]
        assert etags[0] != etags[1]
        assert client.get_object(Bucket="copies", Key=f"objects/{key}")["Body"].read() == content
        assert copy_objects(source, target) == (0, [])


def test_an_object_that_is_deleted_meanwhile_does_not_end_the_night(
    environment: dict[str, str], storage: ObjectStorage
) -> None:
    """The sink deletes files of the prediction log that no table has a use for."""
    lost, kept = "lake/t/1.parquet", ["lake/t/_delta_log/0.json", "mlflow/m/model.onnx"]
    client = storage.client

    def delete(**_: object) -> None:
        client.delete_object(Bucket=BUCKET, Key=lost)

    client.meta.events.register_first("before-call.s3.GetObject", delete)
    try:
        copied = copy_objects(Place(client, BUCKET), Place(client, "copies", "objects/"))
    finally:
        client.meta.events.unregister("before-call.s3.GetObject", delete)
    assert copied == (2, [lost])
    assert [key for key, _ in Place(client, "copies", "objects/").objects()] == kept


def test_logs_of_tables_are_copied_after_the_files_that_they_name(
    environment: dict[str, str], storage: ObjectStorage
) -> None:
    copied: list[str] = []
    client = storage.client
    client.meta.events.register(
        "before-call.s3.PutObject", lambda params, **_: copied.append(params["url_path"])
    )
    copy_objects(Place(client, BUCKET), Place(client, "copies", "objects/"))
    assert copied[-1].endswith("objects/lake/t/_delta_log/0.json")
    assert len(copied) == 3


def test_a_day_without_dumps_is_named_and_changes_nothing(
    environment: dict[str, str], postgres: Postgres
) -> None:
    with pytest.raises(PlatformError, match="no dump of dagster, mlflow in copies/databases/1999"):
        restore(environment, "1999-01-01")
    assert ids(postgres, "dagster") == ["dagster"]


def test_a_database_that_refuses_ends_the_night_in_its_words(environment: dict[str, str]) -> None:
    with pytest.raises(PlatformError, match=r"pg_dump of dagster: .*onnection"):
        back_up({**environment, "DAGSTER_PG_PORT": "1"}, DAY)


def test_a_word_that_means_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["restore"]) == 2
    assert "restore <day>" in capsys.readouterr().err


_ROLE = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN
    CREATE ROLE {name} LOGIN SUPERUSER;
  END IF;
END $$
"""


def _programs() -> Path:
    """Where `pg_dump` of the server's version is."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parts[-2]))
