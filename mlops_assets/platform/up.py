"""Brings the whole platform up on this machine, in an order that makes the first prediction early.

1. The home, its lock, the ports; what a killed platform left is cleaned up.
2. The gateway: what was live before answers within seconds.
3. Beside each other: the process that makes what is stale, and the pages (Dagster, MLflow), which
   yield the processor to it.
4. Each model is asked for its example as soon as it is made; that is its result.
"""

import os
import uuid
from collections.abc import Callable
from dataclasses import replace

from mlops_assets.errors import MlopsError
from mlops_assets.platform.environment import kill_marked, process_environment
from mlops_assets.platform.home import Home, prepare_home
from mlops_assets.platform.instance import instance_settings
from mlops_assets.platform.keys import prepare_keys
from mlops_assets.platform.lock import PlatformLock, hold
from mlops_assets.platform.ports import free_addresses
from mlops_assets.platform.progress import Progress
from mlops_assets.platform.start import Options, Report, Start
from mlops_assets.platform.stop import Stop
from mlops_assets.platform.supervision import Supervisor


def bring_up(options: Options, progress: Progress, on_results: Callable[[Report], None]) -> Report:
    """Brings the platform up and, unless `once`, keeps it up until a signal.

    Args:
        options: What is asked.
        progress: Shows it to people.
        on_results: Takes the report once every model has a result, or when that cannot be.

    Raises:
        MlopsError: it could not begin: the home, its lock, a port, a key, the project's files.
    """
    prepare_home(options.home)
    instance = uuid.uuid4().hex[:12]
    with Stop().listening() as stop, hold(options.home.lock, instance) as lock:
        _clean_up(options.home, lock, progress)
        addresses = free_addresses(options.addresses)
        for line in prepare_keys(options.home):
            progress.say(line)
        instance_settings(options.project)  # refused now rather than in a log
        environment = process_environment(os.environ, options.home, addresses, instance)
        supervisor = Supervisor(options.home, environment, options.project, instance, progress.say)
        stop.supervisor = supervisor
        start = Start(replace(options, addresses=addresses), supervisor, progress, stop)
        has_results = False
        try:
            start.begin()
            lock.publish(addresses.urls)
            start.follow_until_results()
            on_results(start.report)
            has_results = True
            if not options.once:
                start.keep()
        except MlopsError as error:
            start.report.error = str(error)
            if has_results:
                progress.say(str(error))
        finally:
            progress.settle()
            if stop.is_asked:
                progress.say("stopping")
            supervisor.stop()
    if not has_results:
        on_results(start.report)
    return start.report


def _clean_up(home: Home, lock: PlatformLock, progress: Progress) -> None:
    """Ends what a killed platform left running."""
    if lock.former is not None:
        progress.say(f"the platform of process {lock.former.pid} was killed; cleaning up after it")
    for left in kill_marked(home):
        progress.say(f"killed what it had left: process {left}")
