"""`python -m mlops_assets.cluster_jobs.backup`: what the platform knows, copied to another bucket.

Both databases are dumped first, the object storage is copied after: whatever a dump speaks of is
among the copied objects. Of the objects, the logs of tables are listed first and copied last, so
that a copied log never speaks of a file that is not there. Objects that are there with the same
content are not copied again: a copy has its original's ETag, or names it in its metadata.

    backup             databases/<day>/{dagster,mlflow}.dump, objects/<key>
    restore <day>      the objects back into the bucket, the dumps back into the databases

`restore` replaces what the databases hold; stop the platform before (docs/kubernetes.md).

| variable | meaning |
|---|---|
| `MLOPS_BUCKET`, `AWS_…` | the platform's bucket, and the keys of it |
| `BACKUP_BUCKET`, `BACKUP_AWS_ACCESS_KEY_ID`, `BACKUP_AWS_SECRET_ACCESS_KEY` | where copies lie |
| `BACKUP_AWS_ENDPOINT_URL`, `BACKUP_AWS_REGION` | the same as the platform's, unless they are set |
| `DAGSTER_PG_HOST`, `DAGSTER_PG_PASSWORD`, `MLFLOW_PG_HOST`, … | the databases |
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_assets.errors import PlatformError

DATABASES = ("dagster", "mlflow")
_LOGS = "/_delta_log/"
_OBJECTS = "objects/"
_SOURCE_ETAG = "source-etag"


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, or a part of it.

    Attributes:
        client: boto3's client of the store.
        bucket: Its name.
        prefix: What every key begins with.
    """

    client: Any
    bucket: str
    prefix: str = ""

    def objects(self) -> Iterator[tuple[str, tuple[int, str]]]:
        """Keys without the prefix, each with size and ETag."""
        pages = self.client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix):
            for found in page.get("Contents", ()):
                yield found["Key"].removeprefix(self.prefix), (found["Size"], found["ETag"])


def copy_objects(source: Place, target: Place) -> tuple[int, list[str]]:
    """Copy what the target does not have. Nothing is deleted there.

    Returns:
        How many were copied, and the keys that were listed and gone before their turn came, as
        files of the prediction log are once its table has no use for them.
    """
    logs = dict(item for item in source.objects() if _LOGS in item[0])
    rest = dict(item for item in source.objects() if _LOGS not in item[0])
    there = dict(target.objects())
    missing = [
        key
        for part in (rest, logs)
        for key, listed in part.items()
        if not _is_there(target, key, listed, there.get(key))
    ]
    gone = []
    for key in missing:
        try:
            found = source.client.get_object(Bucket=source.bucket, Key=source.prefix + key)
        except source.client.exceptions.NoSuchKey:
            gone.append(key)
            continue
        named = {"Metadata": {_SOURCE_ETAG: found["ETag"].strip('"')}}
        target.client.upload_fileobj(found["Body"], target.bucket, target.prefix + key, named)
    return len(missing) - len(gone), gone


def _is_there(
    target: Place, key: str, listed: tuple[int, str], copy: tuple[int, str] | None
) -> bool:
    """Whether the target has an object's content, as listed: by size, and by ETag or metadata.

    An ETag tells contents apart only where it is their digest. It is none of an object that was
    uploaded in parts, and none under SSE-KMS, where a copy never has its original's.
    """
    if copy is None or listed[0] != copy[0]:
        return False
    if listed[1] == copy[1]:
        return True
    found = target.client.head_object(Bucket=target.bucket, Key=target.prefix + key)
    return bool(found["Metadata"].get(_SOURCE_ETAG) == listed[1].strip('"'))


def dump_database(name: str, environment: Mapping[str, str], file: Path) -> None:
    """Write a dump of a database, as of one moment.

    Raises:
        PlatformError: `pg_dump` refuses; in its words.
    """
    options = ["--format=custom", "--no-owner", f"--file={file}", f"--dbname={name}"]
    _call("pg_dump", name, environment, options)


def restore_database(name: str, environment: Mapping[str, str], file: Path) -> None:
    """Replace what a database holds by a dump, whole or not at all.

    Raises:
        PlatformError: `pg_restore` refuses; in its words.
    """
    options = ["--clean", "--if-exists", "--no-owner", "--single-transaction"]
    _call("pg_restore", name, environment, [*options, f"--dbname={name}", str(file)])


def _call(command: str, name: str, environment: Mapping[str, str], options: Sequence[str]) -> None:
    prefix = name.upper()
    variables = {
        "PATH": environment.get("PATH", os.defpath),
        "PGHOST": environment[f"{prefix}_PG_HOST"],
        "PGPORT": environment.get(f"{prefix}_PG_PORT", "5432"),
        "PGUSER": name,
        "PGPASSWORD": environment[f"{prefix}_PG_PASSWORD"],  # not an argument: those are seen
        "PGSSLMODE": environment.get("PGSSLMODE", "prefer"),
    }
    done = subprocess.run(
        [command, "--no-password", *options], env=variables, capture_output=True, text=True
    )
    if done.returncode:
        raise PlatformError(f"{command} of {name}: {done.stderr.strip()}")


def platform_place(environment: Mapping[str, str]) -> Place:
    """The bucket of the platform."""
    import boto3

    return Place(boto3.client("s3"), environment["MLOPS_BUCKET"])


def backup_place(environment: Mapping[str, str], prefix: str) -> Place:
    """A part of the bucket with the copies."""
    import boto3

    client = boto3.client(
        "s3",
        aws_access_key_id=environment["BACKUP_AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["BACKUP_AWS_SECRET_ACCESS_KEY"],
        endpoint_url=environment.get("BACKUP_AWS_ENDPOINT_URL") or None,
        region_name=environment.get("BACKUP_AWS_REGION") or None,
    )
    return Place(client, environment["BACKUP_BUCKET"], prefix)


def back_up(environment: Mapping[str, str], day: str) -> None:
    """Everything, as of now. Safe to repeat: the day's dumps are replaced.

    Args:
        environment: Variables of the process.
        day: Under which the dumps are kept, as 2026-11-27.
    """
    dumps = backup_place(environment, f"databases/{day}/")
    with tempfile.TemporaryDirectory() as scratch:
        for name in DATABASES:
            file = Path(scratch, f"{name}.dump")
            dump_database(name, environment, file)
            dumps.client.upload_file(str(file), dumps.bucket, f"{dumps.prefix}{file.name}")
            _tell(f"{name}: {file.stat().st_size:,} bytes to {dumps.prefix}{file.name}")
            file.unlink()
    copied, gone = copy_objects(platform_place(environment), backup_place(environment, _OBJECTS))
    _tell(f"objects: {copied:,} copied to {_OBJECTS}, {len(gone):,} deleted meanwhile")


def restore(environment: Mapping[str, str], day: str) -> None:
    """The databases as of a day, and each object as it was copied last. Safe to repeat.

    Raises:
        PlatformError: there are no dumps of that day, copies are deleted meanwhile, or a database
            refuses.
    """
    dumps = backup_place(environment, f"databases/{day}/")
    kept = dict(dumps.objects())
    missing = [name for name in DATABASES if f"{name}.dump" not in kept]
    if missing:
        raise PlatformError(f"no dump of {', '.join(missing)} in {dumps.bucket}/{dumps.prefix}")
    copied, gone = copy_objects(backup_place(environment, _OBJECTS), platform_place(environment))
    if gone:
        raise PlatformError(f"{len(gone):,} copies were deleted meanwhile, such as {gone[0]}")
    _tell(f"objects: {copied:,} copied back")
    with tempfile.TemporaryDirectory() as scratch:
        for name in DATABASES:
            file = Path(scratch, f"{name}.dump")
            dumps.client.download_file(dumps.bucket, f"{dumps.prefix}{file.name}", str(file))
            restore_database(name, environment, file)
            _tell(f"{name}: restored")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main(arguments: Sequence[str]) -> int:
    """`backup` (also without a word) or `restore <day>`; the exit code."""
    try:
        match list(arguments):
            case [] | ["backup"]:
                back_up(os.environ, datetime.now(UTC).date().isoformat())
            case ["restore", day]:
                restore(os.environ, day)
            case _:
                sys.stderr.write("expected: backup, or restore <day>, such as 2026-11-27\n")
                return 2
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
