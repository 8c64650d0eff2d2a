"""What the predictor logs of a request, and what it does when its log has no room."""

from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from mlops_assets.serving.prediction_log.records import PredictionRecord
from mlops_assets.serving.prediction_log.segments import list_segments, read_records
from mlops_assets_tests.serving.running import find_free_port, running_module, wait_for


def test_a_full_disk_drops_records_says_so_and_stops_nobody(
    tmp_path: Path, positive_model: Path
) -> None:
    port = find_free_port()
    arguments = ["--model-name=toy", f"--model-dir={positive_model}", f"--port={port}"]
    with (
        running_module(
            "mlops_assets.serving.predictor", *arguments, f"--log-dir={tmp_path}"
        ) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)

        def ask(largest_file: int, name: str) -> str | None:
            """The header about the log, of an answer given while files may grow so large."""
            psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (largest_file, -1))
            rows = {"instances": [[1, 2, 3]]}
            answer = client.post("/v1/models/toy:predict", json=rows, headers={"ce-id": name})
            assert answer.status_code == 200
            told: str | None = answer.headers.get("x-prediction-log")
            return told

        assert ask(-1, "a") is None
        (segment,) = list_segments(tmp_path)
        assert ask(segment.stat().st_size + 10, "b") == "dropped: the disk is full"
        assert ask(0, "c") == "dropped: the disk is full"
        assert ask(-1, "d") is None
        totals = [x for x in client.get("/metrics").text.splitlines() if "mlops_unlogged" in x]
        assert totals[-1].endswith(" 2")
    _, first, second = read_records(segment)[0]
    assert (b"a" in first[:3], b"d" in second[:3]) == (True, True)


@pytest.mark.parametrize("is_behind_gateway", [True, False])
def test_only_the_gateway_keeps_a_request_out_of_the_log_or_calls_it_a_copy(
    tmp_path: Path, positive_model: Path, is_behind_gateway: bool
) -> None:
    port, folder, at = find_free_port(), tmp_path / "log", tmp_path / "predictor.sock"
    arguments = ["--model-name=toy", f"--model-dir={positive_model}", f"--log-dir={folder}"]
    arguments.append(f"--socket-path={at}" if is_behind_gateway else f"--port={port}")
    transport = httpx.HTTPTransport(uds=str(at)) if is_behind_gateway else None
    with (
        running_module("mlops_assets.serving.predictor", *arguments) as process,
        httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{port}") as client,
    ):
        wait_for("/v2/health/ready", process, client=client)
        for name in ("probe", "shadow", "unit"):
            headers = {"ce-id": name, f"x-mlops-{name}": "1"}
            rows = {"instances": [[1, 2, 3]]}
            client.post("/v1/models/toy:predict", json=rows, headers=headers).raise_for_status()
    (segment,) = list_segments(folder)
    _, *logged = read_records(segment)[0]
    records = [msgspec.msgpack.decode(record, type=PredictionRecord) for record in logged]
    found = {record.prediction_id: (record.shadow, record.unit) for record in records}
    if is_behind_gateway:
        assert found == {"shadow": (True, ""), "unit": (False, "1")}
    else:
        assert found == dict.fromkeys(("probe", "shadow", "unit"), (False, ""))
