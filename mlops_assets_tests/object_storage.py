"""Object storage for tests: moto's S3, a server from PyPI that answers as Amazon's does.

It is honest about what it is: objects live in the memory of one process. It keeps the calls and
conditions that clients rely on (conditional puts, ranges, multipart uploads, listings); it proves
nothing about durability, rights, speed or eventual anything.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlops_assets_tests.serving.running import find_free_port
from mlops_assets_tests.with_parent import with_parent

_START_SECONDS = 120.0
BUCKET = "mlops"


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    """A running server with one empty bucket.

    Attributes:
        url: Its endpoint.
    """

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which every tool finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    @property
    def client(self) -> Any:
        """boto3's client of it."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def keys(self, prefix: str = "") -> list[str]:
        """Names of the objects below a prefix."""
        pages = self.client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in found for item in page.get("Contents", ())]


@contextmanager
def running_object_storage() -> Iterator[ObjectStorage]:
    """A server on a free port, with the bucket `mlops`."""
    port = find_free_port()
    arguments = ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        [*with_parent(), sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        storage = ObjectStorage(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + _START_SECONDS
        while not _has_bucket(storage):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield storage
    finally:
        process.terminate()
        process.wait(30)


def _has_bucket(storage: ObjectStorage) -> bool:
    from botocore.exceptions import BotoCoreError

    try:
        storage.client.create_bucket(Bucket=BUCKET)
    except BotoCoreError:  # nobody listens yet
        return False
    return True
