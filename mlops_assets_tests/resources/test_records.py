from pathlib import Path
from urllib.request import Request, urlopen

import dagster as dg
import pytest
from moto.server import ThreadedMotoServer
from pydantic import BaseModel

from mlops_assets.errors import MlopsError
from mlops_assets.resources.records import RecordIOManager


class Shoe(BaseModel):
    size: int


def write(manager: RecordIOManager, record: BaseModel) -> None:
    @dg.asset(key=["churn", "features"], io_manager_key="records", dagster_type=dg.Any)
    def features() -> object:
        return record

    assert dg.materialize([features], resources={"records": manager}).success


def read(manager: RecordIOManager, record_type: type = Shoe) -> object:
    context = dg.build_input_context(
        asset_key=dg.AssetKey(["churn", "features"]),
        dagster_type=dg.PythonObjectDagsterType(record_type),
    )
    return manager.load_input(context)


def test_a_record_comes_back_as_its_class(tmp_path: Path) -> None:
    manager = RecordIOManager(root=str(tmp_path))
    for size in (41, 42):
        write(manager, Shoe(size=size))
    assert read(manager) == Shoe(size=42)
    assert [file.name for file in (tmp_path / "churn").iterdir()] == ["features.json"]


def test_an_asset_that_was_never_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match="churn/features was never materialized"):
        read(RecordIOManager(root=str(tmp_path)))


def test_a_record_of_another_version_says_what_to_do(tmp_path: Path) -> None:
    manager = RecordIOManager(root=str(tmp_path))
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "features.json").write_text('{"length": 3}')
    with pytest.raises(MlopsError, match="materialize churn/features again"):
        read(manager)


def test_any_object_store_keeps_records() -> None:
    manager = RecordIOManager(root="memory://records")
    write(manager, Shoe(size=43))
    assert read(manager) == Shoe(size=43)


def test_a_bucket_keeps_records(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        urlopen(Request(f"http://{host}:{port}/bucket", method="PUT")).close()
        manager = RecordIOManager(root="s3://bucket/records")
        with pytest.raises(MlopsError, match="churn/features was never materialized"):
            read(manager)
        for size in (43, 44):
            write(manager, Shoe(size=size))
        assert read(manager) == Shoe(size=44)
    finally:
        server.stop()
