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
_SETTLE_SECONDS = 3.0  # a machine that starts has better things to do


async def keep_sinking(root: Path) -> None:
    """Start the sink whenever segments grew since it ended, and every 6 h; until cancelled."""
    home = ServingHome.under(root)
    home.logs.mkdir(parents=True, exist_ok=True)
    done: dict[str, int] = {}
    await asyncio.sleep(_SETTLE_SECONDS)
    last = time.monotonic()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        before = _sizes(home)
        due = home.tables.exists() and time.monotonic() - last > _RETENTION_SECONDS
        if (before == done or not before) and not due:
            continue
        last = time.monotonic()
        code = await _run_sink(root, home)
        if code == 0:
            done = {name: size for name, size in before.items() if name in _sizes(home)}
        else:
            _LOG.error("the sink ended with %d; its log is %s", code, home.logs / "sink.log")
            await asyncio.sleep(_RETRY_SECONDS)


def _sizes(home: ServingHome) -> dict[str, int]:
    """Size of each segment that holds more than its preamble."""
    sizes = {}
    for folder in (home.predictions, home.failures, home.truths):
        for path in list_segments(folder):
            with contextlib.suppress(FileNotFoundError):
                size = path.stat().st_size
                if size > read_first(path)[1]:
                    sizes[path.name] = size
    return sizes


async def _run_sink(root: Path, home: ServingHome) -> int:
    with (home.logs / "sink.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mlops_assets.serving.prediction_log.sink",
            f"--home={root}",
            f"--parent-pid={os.getpid()}",
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
