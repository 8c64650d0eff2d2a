"""Runs the sink while there is something for it to move."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from pathlib import Path

from mlops_assets.serving.home import ServingHome
from mlops_assets.serving.prediction_log.segments import list_segments, read_first

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 5.0
_RETENTION_SECONDS = 6 * 3600.0  # without traffic too, what is too old must go
_AFTER_OTHERS = ("nice", "-n", "10")  # who waits for a prediction comes first
SETTLE_SECONDS = 3.0  # a machine that starts has better things to do


async def keep_sinking(
    root: Path, lake: str | None = None, *, settle_seconds: float = SETTLE_SECONDS
) -> None:
    """Start the sink whenever segments grew since it ended, and every 6 h; until cancelled.

    Args:
        root: MLOPS_HOME.
        lake: Root of the tables, where it is not the home's.
        settle_seconds: Wait before the first look.
    """
    home = ServingHome.under(root)
    home.logs.mkdir(parents=True, exist_ok=True)
    done: dict[str, int] = {}
    await asyncio.sleep(settle_seconds)
    last = time.monotonic()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        before = _sizes(home)
        has_tables = lake is not None or home.tables.exists()
        due = has_tables and time.monotonic() - last > _RETENTION_SECONDS
        if (before == done or not before) and not due:
            continue
        last = time.monotonic()
        try:
            code = await _run_sink(root, lake)
        except OSError as error:  # no process, no memory or no file to be had now
            _LOG.error("the sink could not be started: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        if code == 0:
            done = {name: size for name, size in before.items() if name in _sizes(home)}
        else:
            _LOG.error("the sink ended with %d; its log is %s", code, home.logs / "sink.log")
            await asyncio.sleep(_RETRY_SECONDS)


def _sizes(home: ServingHome) -> dict[str, int]:
    """Size of each segment that holds more than its preamble."""
    sizes = {}
    for path in list_segments(home.segments):
        with contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            if size > read_first(path)[1]:
                sizes[path.name] = size
    return sizes


async def sink_once(root: Path, lake: str | None = None) -> int:
    """Move what there is; returns the exit code of the process that did."""
    return await _run_sink(root, lake, "--once")


async def _run_sink(root: Path, lake: str | None, *more: str) -> int:
    home = ServingHome.under(root)
    home.logs.mkdir(parents=True, exist_ok=True)
    with (home.logs / "sink.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *_AFTER_OTHERS,
            sys.executable,
            "-m",
            "mlops_assets.serving.prediction_log.sink",
            f"--home={root}",
            f"--parent-pid={os.getpid()}",
            *([] if lake is None else [f"--lake={lake}"]),
            *more,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        return await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)  # it loses nothing: a batch is one commit
        await process.wait()
        raise
