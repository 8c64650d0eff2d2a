"""`python -m mlops_assets.cluster_jobs.bucket`: makes the bucket of the platform, once.

For object storage in the cluster; elsewhere somebody made it with its policies. Which bucket says
`MLOPS_BUCKET`, where and with which keys the variables `AWS_…`.
"""

import os
import sys
from collections.abc import Mapping


def make_bucket(environment: Mapping[str, str]) -> str:
    """Make the bucket and answer with its name; safe to repeat.

    Raises:
        botocore.exceptions.BotoCoreError, ClientError: the store does not answer, or refuses.
    """
    import boto3

    name = environment["MLOPS_BUCKET"]
    client = boto3.client("s3")
    made = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    if name not in made:
        client.create_bucket(Bucket=name)
    return name


if __name__ == "__main__":
    sys.stdout.write(f"bucket {make_bucket(os.environ)} is there\n")
