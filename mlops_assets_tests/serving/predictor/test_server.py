"""A predictor's own processes, and those that it never started."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mlops_assets.serving.predictor.__main__ import read_arguments
from mlops_assets_tests.serving.running import find_free_port, running_module, wait_for
from mlops_assets_tests.serving.wire import connected, request_bytes

MODULE = "mlops_assets.serving.predictor"
PREDICT, BODY = "/v1/models/toy:predict", b'{"instances": [[3, -1, 0.5]]}'


def test_the_end_of_a_process_that_it_inherited_ends_no_predictor(positive_model: Path) -> None:
    """Process 1 of a container inherits the orphans of whoever looks into it."""
    port = find_free_port()
    arguments = ["--model-name=toy", f"--model-dir={positive_model}", f"--port={port}"]
    more = ["--workers=2", f"--parent-pid={os.getpid()}"]
    command = [sys.executable, "-m", MODULE, *arguments, *more]
    with subprocess.Popen(
        ["sh", "-c", 'sleep 0 & exec "$@"', "sh", *command], text=True
    ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_when_a_new_worker_refuses_the_model_the_others_answer_what_they_have(
    positive_model: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(positive_model, tmp_path / "model")
    port = find_free_port()
    more = ("--workers=2", "--max-body-seconds=300")
    arguments = ("--model-name=toy", f"--model-dir={model}", f"--port={port}", *more)
    with running_module(MODULE, *arguments) as process:
        wait_for(f"http://127.0.0.1:{port}/v2/health/ready", process)
        with connected(port) as wire:
            wire.send(request_bytes("POST", PREDICT, BODY[:9], length=len(BODY)))
            idle = worker_without_caller(process.pid, port)
            (model / "model.onnx").unlink()
            idle.send_signal(signal.SIGKILL)
            deadline = time.monotonic() + 60
            while "no such file" not in process.log():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            wire.send(BODY[9:])
            answer = wire.answer()
        assert answer is not None
        assert answer.status == 200
        assert process.wait(30) == 2


def test_a_predictor_that_is_stopped_while_it_starts_workers_stops(positive_model: Path) -> None:
    """Those that were started after the signal were never told of it."""
    arguments = ("--model-name=toy", f"--model-dir={positive_model}", f"--port={find_free_port()}")
    with running_module(MODULE, *arguments, "--workers=24") as process:
        started = psutil.Process(process.pid)
        while not started.children():
            assert process.poll() is None
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize("more", [(), ("--workers=2",)], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param("--port=65536", "port 65536: expected 0 to 65535", id="no_port"),
        pytest.param("--log-dir=/dev/null/log", "predictions cannot be logged: ", id="no_folder"),
    ],
)
def test_what_cannot_start_ends_with_the_reason(
    positive_model: Path, wrong: str, words: str, more: tuple[str, ...]
) -> None:
    arguments = ("--model-name=toy", f"--model-dir={positive_model}", f"--port={find_free_port()}")
    with running_module(MODULE, *arguments, *more, wrong) as process:
        assert process.wait(60) == 2
        log = process.log()
    assert (words in log, "Traceback" in log) == (True, False)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param("--max-rows=0", "--max-rows: expected at least 1, found 0", id="no_rows"),
        pytest.param("--max-waiting=-1", "--max-waiting: expected at least 0", id="below_none"),
        pytest.param("--max-body-seconds=nan", "--max-body-seconds: expected at", id="no_number"),
        pytest.param("--drain-seconds=inf", "--drain-seconds: expected at least 0", id="for_ever"),
        pytest.param("--socket-path=/nowhere/x", "expected a folder that is there", id="no_folder"),
        pytest.param("--workers=0", "--workers: expected at least 1", id="no_workers"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    wrong: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_arguments(["--model-name=toy", "--model-dir=m", wrong])
    assert words in capsys.readouterr().err


def worker_without_caller(pid: int, port: int) -> psutil.Process:
    """The one of two workers that has not taken the only connection, once the other has."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        workers = psutil.Process(pid).children()
        busy = _pids_with_callers(port)
        idle = [worker for worker in workers if worker.pid not in busy]
        if len(workers) == 2 and len(idle) == 1:
            return idle[0]
        time.sleep(0.02)
    raise AssertionError("no worker took the connection")


def _pids_with_callers(port: int) -> set[int | None]:
    return {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED
        and connection.laddr[:2] == ("127.0.0.1", port)
    }
