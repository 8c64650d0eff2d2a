import pytest
from moto.server import ThreadedMotoServer

from mlops_assets.cluster_jobs.bucket import make_bucket


def test_the_bucket_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "us-east-1")
        for _ in range(2):
            assert make_bucket({"MLOPS_BUCKET": "mlops"}) == "mlops"
        assert [b["Name"] for b in _buckets()] == ["mlops"]
    finally:
        server.stop()


def _buckets() -> list[dict[str, str]]:
    import boto3

    found: list[dict[str, str]] = boto3.client("s3").list_buckets()["Buckets"]
    return found
