"""Dagster's pages and daemon in one process, over one code server.

`dagster-webserver` and `dagster-daemon` as commands each import Dagster and run a code server of
their own (10.6 s, 450 MB; the daemon's is started anew every minute). Over one shared
`dagster api grpc` they take 8.2 s and 350 MB, but the UI's reload button then reloads nothing. Here
both use one workspace: 8.3 s, 250 MB, a third less CPU while models train, and a reload reaches the
daemon as well (measured on two cores, Dagster 1.13). The pieces are Dagster's own; they are
internal to it, so its version is pinned and tests use the pages, a queued run and a reload.
"""

import logging
import os
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from mlops_assets.platform.environment import PAGES_NICENESS
from mlops_assets.platform.home import Home
from mlops_assets.platform.instance import ensure_instance

_CHECK_SECONDS = 5.0
_SENSOR_LOOP_SECONDS = 1  # Dagster's 5 would make each step of a rollout wait; to look is cheap


def main() -> None:
    """`python -m mlops_assets.platform.dagster_server HOME PROJECT HOST PORT`."""
    root, project, host, port = sys.argv[1:]
    os.nice(PAGES_NICENESS)
    ensure_instance(Path(project), Home(Path(root)))
    serve(str(Path(project, "workspace.yaml")), host, int(port))


def serve(workspace: str, host: str, port: int) -> None:
    """Answers until a signal ends it; the instance is the one that DAGSTER_HOME names."""
    import dagster as dg
    import uvicorn
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._daemon import sensor as sensor_daemon
    from dagster._daemon.controller import DagsterDaemonController, create_daemons_from_instance
    from dagster_webserver.app import create_app_from_workspace_process_context

    sensor_daemon.MIN_INTERVAL_LOOP_TIME = _SENSOR_LOOP_SECONDS
    begin_log()
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.get())
        context = stack.enter_context(
            WorkspaceProcessContext(
                instance,
                WorkspaceFileTarget([workspace]),
                version=dg.__version__,
                code_server_log_level="warning",
            )
        )
        daemons = [stack.enter_context(d) for d in create_daemons_from_instance(instance)]
        controller = DagsterDaemonController(context, daemons)  # not left: that may take minutes
        threading.Thread(target=_end_with_daemon, args=(controller,), daemon=True).start()
        app = create_app_from_workspace_process_context(context, live_data_poll_rate=2_000)
        uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=1)


def begin_log() -> None:
    """Logs with times to standard error, without the lines of ticks in which nothing happened:
    the pages keep those, and what went wrong would be lost among 100,000 a day."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        force=True,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(_tells_more_than_a_quiet_tick)


def _tells_more_than_a_quiet_tick(record: logging.LogRecord) -> bool:
    if record.levelno > logging.INFO or record.name != "dagster.daemon.SensorDaemon":
        return True
    words = record.getMessage()
    return not (words.startswith("Checking for new runs") or " skipped" in words)


def _end_with_daemon(controller: object) -> None:
    """Ends the process when a thread of the daemon has died, so that it is started again."""
    while True:
        time.sleep(_CHECK_SECONDS)
        try:
            controller.check_daemon_threads()  # type: ignore[attr-defined]
        except Exception:
            logging.exception("the daemon has died")
            os._exit(1)


if __name__ == "__main__":
    main()
