"""A model's past on the platform that runs: what must be there, and waiting for its daemon.

Here: `open_stage`, `FollowingDagster`, and how a model is given back to real time. Not here: what
is sent and when (`mlops_assets/replay/`), and who judges windows, decides and trains: the sensors
and runs of the platform, at the model's own clock.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.backtest.history import read_history
from mlops_assets.errors import HistoryError, PlatformError
from mlops_assets.monitoring.store import MonitoringStore
from mlops_assets.monitoring.windows import Window
from mlops_assets.platform.evidence import read_record
from mlops_assets.platform.home import Home
from mlops_assets.platform.lock import current_holder
from mlops_assets.platform.models import find_document
from mlops_assets.platform.rollouts import read_rollout
from mlops_assets.platform.watching import open_documents
from mlops_assets.replay.calling import Callers
from mlops_assets.replay.playing import Stage, forget
from mlops_assets.retraining.state import Attempt
from mlops_assets.retraining.store import RetrainingStore
from mlops_assets.rollout.phases import PROMOTED
from mlops_assets.serving.home import ServingHome
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.scheduler.instigation import InstigatorState

SENSOR = "retraining"
_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 1_800.0  # a training of a large model; far more than any window takes
Say = Callable[[str], None]


def position_file(home: Home, model: str) -> Path:
    """Where it stands how far a model's past was played."""
    return home.root / "replays" / f"{model}.json"


@contextmanager
def open_stage(home: Home, project: Path, model: str, say: Say) -> Iterator[Stage]:
    """All that a replay touches, of a platform that runs.

    Raises:
        PlatformError: the platform does not run, or the model does not serve.
        HistoryError: its past cannot be played.
    """
    import dagster as dg

    document = find_document(project, model)
    spec = document.spec
    url = _require_running(home, spec)
    _require_playable(spec)
    say(f"{model}: reading its history")
    history = read_history(spec, document.file.parent)
    if history.begin.date() < spec.serving.prediction_log.start:
        raise HistoryError(
            f"{model}: the past begins on {history.begin:%Y-%m-%d}, and windows have partitions "
            f"from serving.prediction_log.start, {spec.serving.prediction_log.start}, on; move "
            "that to the begin"
        )
    windows = MonitoringStore(open_documents(home))
    callers = Callers(url, spec.service)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        follower = FollowingDagster(home, spec, instance, windows, say)
        try:
            yield Stage(
                history=history,
                callers=callers,
                follower=follower,
                windows=windows,
                home=ServingHome.under(home.root),
                position=position_file(home, model),
            )
        finally:
            callers.close()


def reset(home: Home, project: Path, model: str) -> None:
    """Gives a model back to real time, and forgets how far it was played. Safe to repeat.

    Raises:
        PlatformError: no document declares it.
        SpecError: its document is broken.
    """
    spec = find_document(project, model).spec
    windows = MonitoringStore(open_documents(home))
    forget(ServingHome.under(home.root), windows, model, spec.service)
    position_file(home, model).unlink(missing_ok=True)


def _require_running(home: Home, spec: ModelSpec) -> str:
    """Address of the gateway."""
    holder = current_holder(home.lock)
    if holder is None or "gateway" not in holder.urls:
        raise PlatformError(f"the platform does not run in {home.root}; start it with `make run`")
    if read_record(home, spec.name, "inference_service") is None:
        raise PlatformError(
            f"{spec.name} has no champion yet; wait until `make run` says it answers"
        )
    return holder.urls["gateway"]


def _require_playable(spec: ModelSpec) -> None:
    if spec.serving.prediction_log.retention is not None:
        raise HistoryError(
            f"{spec.name}: serving.prediction_log.retention would remove what is played at once, "
            "since it goes by real time; take it out to play"
        )


@dataclass(frozen=True, slots=True)
class FollowingDagster:
    """Waits for the sensor and the runs of the platform.

    Attributes:
        home: Of the platform.
        spec: What is played.
        instance: Its Dagster.
        windows: Where judged windows are kept.
        say: Told what was found.
    """

    home: Home
    spec: ModelSpec
    instance: "dg.DagsterInstance"
    windows: MonitoringStore
    say: Say

    def settle(self, window: Window, n_rows: int) -> None:
        """Until the window is judged, the sensor has decided after that, and no training runs."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        if n_rows and self.spec.monitoring.window.every != "rows":
            self._wait(lambda: self._is_judged(window), f"window {window.key}", deadline)
        self._wait_for_tick(deadline)
        while (attempt := self._training()) is not None:
            self.say(f"{window.end:%Y-%m-%d}: trains since {attempt.reason}")
            self._wait(lambda: self._training() is None, f"attempt {attempt.number}", deadline)
            self._wait_for_tick(deadline)

    def _is_judged(self, window: Window) -> bool:
        found = self.windows.recent(self.spec.name).find(window.key)
        if found is None or not found.is_ended:
            return False
        if found.verdict.verdict not in ("healthy", "not_enough_data"):
            self.say(f"{window.key}: {found.verdict.verdict}: {found.verdict.reason}")
        return True

    def _training(self) -> Attempt | None:
        """The attempt whose outcome needs no traffic to be known; None: there is none."""
        state = RetrainingStore(self.windows.documents).read(self.spec.name)
        attempt = None if state is None else state.in_flight
        if attempt is None:
            return None
        rollout = read_rollout(self.home, self.spec.service)
        is_going = rollout is not None and not (rollout.is_ended or rollout.phase in PROMOTED)
        return None if is_going else attempt

    def _wait_for_tick(self, deadline: float) -> None:
        """Until the sensor looked once more, from begin to end."""
        since = datetime.now(UTC).timestamp()
        self._wait(lambda: self._has_ticked(since), "the retraining sensor", deadline)

    def _has_ticked(self, since: float) -> bool:
        from dagster._core.scheduler.instigation import TickStatus

        done = (TickStatus.SKIPPED, TickStatus.SUCCESS)
        return any(
            tick.timestamp >= since and tick.status in done
            for sensor in self._sensors()
            for tick in self.instance.get_ticks(
                sensor.instigator_origin_id, sensor.selector_id, limit=5
            )
        )

    def _sensors(self) -> "list[InstigatorState]":
        from dagster._core.definitions.run_request import InstigatorType

        found = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        return [state for state in found if state.instigator_name == SENSOR]

    def _wait(self, is_done: Callable[[], bool], what: str, deadline: float) -> None:
        while not is_done():
            if current_holder(self.home.lock) is None:
                raise PlatformError("the platform has stopped; start it, and play on")
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"{what} of {self.spec.name} is waited for since {_PATIENCE_SECONDS / 60:.0f} "
                    "minutes; look at the sensor's ticks and its runs in Dagster, and play on"
                )
            time.sleep(_LOOK_SECONDS)
