"""The sink as a process: what it acknowledged is in the tables, once, whatever kills it."""

import contextlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from mlops_assets.serving.prediction_log.sink import drain_home, open_store
from mlops_assets_tests.serving.running import find_free_port, running_module, wait_for
from mlops_assets_tests.serving.sink.events import BATCH, agent_headers, as_json, batch

MODULE = "mlops_assets.serving.sink"


@contextlib.contextmanager
def running_sink(home: Path, port: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A sink whose port answers."""
    with running_module(MODULE, f"--home={home}", f"--port={port}", *more) as process:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield process


def test_at_sigterm_all_that_was_acknowledged_is_in_the_tables(tmp_path: Path) -> None:
    token, lake = tmp_path / "token", tmp_path / "lake of others"
    token.write_text("secret\n")
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    bearer = {"authorization": "Bearer secret"}
    options = (f"--token-file={token}", f"--lake={lake}", "--drain-seconds=60")
    with running_sink(tmp_path, port, *options) as process:
        assert httpx.post(url, content=batch("a"), headers=BATCH).status_code == 401
        answer = httpx.post(url, content=batch("a"), headers=BATCH | bearer)
        assert (answer.status_code, answer.json()) == (200, {"accepted": 1})
        truth = {"service": "toy", "id": "a", "value": 1}
        assert httpx.post(f"{url}/v1/ground-truth", json=truth, headers=bearer).status_code == 200
        process.terminate()
        assert process.wait(60) == 0
    judged = open_store(tmp_path, str(lake)).scan_judged("toy").collect()
    assert judged["truth"].to_list() == ["1"]
    assert not list(tmp_path.rglob("*.segment"))


def test_an_empty_token_file_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("\n")
    command = [sys.executable, "-m", MODULE, f"--home={tmp_path}", f"--token-file={token}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, f"{token}: expected a token" in ended.stderr) == (2, True)


def test_every_acknowledged_event_is_in_the_tables_once_through_random_kills(
    tmp_path: Path,
) -> None:
    rng = random.Random(0)
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    whole: set[str] = set()  # acknowledged predictions
    halves: set[tuple[str, str]] = set()  # acknowledged halves of the agent's
    truths: set[str] = set()
    done = threading.Event()

    def send(caller: int) -> None:
        n = 0
        with httpx.Client(timeout=5) as client:
            while not done.is_set():
                n += 1
                names = [f"{caller}-{n}-{part}" for part in range(20)]
                with contextlib.suppress(httpx.HTTPError):
                    if client.post(url, content=batch(*names), headers=BATCH).status_code == 200:
                        whole.update(names)
                    truth = {"service": "toy", "id": names[0], "value": 1}
                    if client.post(f"{url}/v1/ground-truth", json=truth).status_code == 200:
                        truths.add(names[0])
                    for kind, key in (("request", "instances"), ("response", "predictions")):
                        body = as_json({key: [n]})
                        headers = agent_headers(kind, names[0])
                        if client.post(url, content=body, headers=headers).status_code == 200:
                            halves.add((kind, names[0]))

    callers = [threading.Thread(target=send, args=(n,), daemon=True) for n in range(2)]
    for caller in callers:
        caller.start()
    for _ in range(3):
        with running_sink(tmp_path, port) as process:
            time.sleep(rng.uniform(1.2, 2.2))  # from 1 s on it moves events to the tables
            process.kill()
            process.wait()
    done.set()
    for caller in callers:
        caller.join()
    drain_home(tmp_path)
    store = open_store(tmp_path)
    logged = store.scan_predictions("toy").collect()["prediction_id"].to_list()
    assert len(whole) > 200
    assert len(set(logged)) == len(logged)
    assert whole <= set(logged)
    kept = store.scan_halves("stock").select("kind", "event_id").collect().rows()
    assert len(set(kept)) == len(kept)
    assert halves <= set(kept)
    pairs = {name for kind, name in halves if (_other(kind), name) in halves}
    stock = store.scan_predictions("stock").collect()["prediction_id"].to_list()
    assert len(set(stock)) == len(stock)
    assert pairs <= set(stock)
    assert truths <= set(store.scan_truth("toy").collect()["prediction_id"])


def _other(kind: str) -> str:
    return "response" if kind == "request" else "request"


def test_the_sink_moves_what_comes_without_being_stopped(tmp_path: Path) -> None:
    port = find_free_port()
    with running_sink(tmp_path, port):
        httpx.post(f"http://127.0.0.1:{port}", content=batch("a"), headers=BATCH)
        store = open_store(tmp_path)
        deadline = time.monotonic() + 60
        while not store.scan_predictions("toy").collect().height:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert "mlops_sink_lag_seconds 0.0" in metrics
