"""The assets `[<model>, drift_report]`, `[<model>, performance_report]` and `latest_verdict`.

A window is judged once for both reports: drift and performance make one verdict together. They have
a partition for each window and are no part of the pipeline's job: nothing is trained by them. The
retraining sensor (`automation/retraining.py`) launches a run for each window that has ended.

`latest_verdict` has no partitions: it shows the newest window that was over, and what retraining
decided. The checks speak of the same window, also when an older one is judged again since truth
came, as a check has no partitions.
"""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from mlops_assets.assets.attributes import asset_attributes, freshness_of, readable_failures
from mlops_assets.assets.monitoring_metadata import (
    check_results,
    check_specs,
    drift_metadata,
    latest_metadata,
    performance_metadata,
)
from mlops_assets.assets.prediction_log import settle
from mlops_assets.modeling.tracking import Tracking
from mlops_assets.monitoring.telling import notification_of
from mlops_assets.monitoring.versions import TrackedVersions
from mlops_assets.monitoring.watching import Watch, Watched, next_rows_window, watch_window
from mlops_assets.notify.notification import Notifier
from mlops_assets.resources.monitoring import MonitoringBackend
from mlops_assets.serving.prediction_log.logged import LoggedPredictions
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import polars as pl

    from mlops_assets.monitoring.store import MonitoringStore
    from mlops_assets.monitoring.window_record import WindowRecord

DRIFT, PERFORMANCE, LATEST = "drift_report", "performance_report", "latest_verdict"
MONITORED = (DRIFT, PERFORMANCE, LATEST)
"""The assets of a run that judges a window."""

_PAGES = "monitoring"  # folder of the pages among the artifacts of a version's run
_MOST_PAGES = 20
_MOST_WINDOWS = 50  # that one run judges
_PAGE_NICENESS = 15


class WindowConfig(dg.Config):
    """What may be asked of one run."""

    page: bool = Field(False, description="Make the page to look at, also without a new verdict.")


def windows_partitions(
    spec: ModelSpec,
) -> dg.DynamicPartitionsDefinition | dg.TimeWindowPartitionsDefinition:
    """A partition for each window, the one that lasts still among them."""
    every = spec.monitoring.window.every
    if every == "rows":
        return dg.DynamicPartitionsDefinition(name=_partitions_name(spec))
    return _time_partitions(spec.serving.prediction_log.start, hourly=every == "hour")


def _partitions_name(spec: ModelSpec) -> str:
    return f"{spec.name}_windows"


def build_reports(spec: ModelSpec) -> dg.AssetsDefinition:
    """Both reports of a window, made by one step."""
    drift, performance = (dg.AssetKey([spec.name, name]) for name in (DRIFT, PERFORMANCE))
    log = _log_of(spec)

    @dg.multi_asset(
        name=f"{spec.name}__window_reports",
        specs=[
            _asset_spec(spec, DRIFT, {"polars", "evidently"}, [log]),
            _asset_spec(spec, PERFORMANCE, {"polars"}, [log]),
        ],
        partitions_def=windows_partitions(spec),
        check_specs=check_specs(drift, performance),
        op_tags=asset_attributes(spec, DRIFT, set(), None)["op_tags"],
    )
    def window_reports(
        context: dg.AssetExecutionContext,
        config: WindowConfig,
        tracking: dg.ResourceParam[Tracking],
        predictions: dg.ResourceParam[LoggedPredictions],
        monitoring: dg.ResourceParam[MonitoringBackend],
        notifier: dg.ResourceParam[Notifier],
    ) -> Iterator[dg.MaterializeResult]:
        versions = TrackedVersions(tracking, spec.registered_model)
        watch = Watch(predictions.store, versions, monitoring.store)
        now = monitoring.store.now(spec.name, datetime.now(UTC))
        found = _Found(spec, tracking, monitoring.store)
        with readable_failures():
            n_lost = settle(context, predictions)
            first = watch_window(watch, spec, context.partition_key, now, n_lost=n_lost)
            told = [first, *_catch_up(context, watch, spec, now)]
            for watched in told:
                verdict = watched.record.verdict
                context.log.info(f"{verdict.window.start}: {verdict.verdict}: {verdict.reason}")
                said = notification_of(watched, monitoring.page_of(spec.name, LATEST))
                if said is not None:
                    notifier.notify(said)
                wanted = watched.is_changed or (config.page and watched is first)
                page = _draw_page(context, tracking, versions, watched) if wanted else None
                found.add(watched, page)
            results = check_results(drift, performance, monitoring.store.recent(spec.name))
        for watched in told[1:]:
            _tell_later_window(context, spec, found, watched)
        for key, asset in ((drift, DRIFT), (performance, PERFORMANCE)):
            yield dg.MaterializeResult(
                asset_key=key,
                metadata=found.metadata(asset, first),
                check_results=[r for r in results if r.asset_key == key],
            )

    return window_reports


class _Found:
    """The windows that a run judged, as their pages show them."""

    def __init__(self, spec: ModelSpec, tracking: Tracking, store: "MonitoringStore") -> None:
        self._spec, self._tracking, self._store = spec, tracking, store
        self._links: dict[str, dict[str, Any]] = {}

    def add(self, watched: Watched, page: str | None) -> None:
        run_id = watched.record.mlflow_run_id
        links = {} if run_id is None else _links(self._tracking, run_id, page)
        self._links[watched.record.window.key] = links

    def metadata(self, asset: str, watched: Watched) -> dict[str, Any]:
        record, recent = watched.record, self._store.recent(self._spec.name)
        describe = drift_metadata if asset == DRIFT else performance_metadata
        return describe(record, recent) | self._links[record.window.key]


def _catch_up(
    context: dg.AssetExecutionContext, watch: Watch, spec: ModelSpec, now: datetime
) -> list[Watched]:
    """The windows of rows after the asked one that are full already, some at most."""
    told: list[Watched] = []
    key = next_rows_window(watch, spec, context.partition_key, now)
    while key is not None and len(told) < _MOST_WINDOWS:
        told.append(watch_window(watch, spec, key, now))
        key = next_rows_window(watch, spec, key, now)
    return told


def _tell_later_window(
    context: dg.AssetExecutionContext, spec: ModelSpec, found: _Found, watched: Watched
) -> None:
    """Shows a window that the run judged beside the one that it was launched for."""
    key = watched.record.window.key
    context.instance.add_dynamic_partitions(_partitions_name(spec), [key])
    for asset in (DRIFT, PERFORMANCE):
        context.log_event(
            dg.AssetMaterialization(
                asset_key=[spec.name, asset],
                partition=key,
                metadata=found.metadata(asset, watched),
            )
        )


def build_latest_verdict(spec: ModelSpec) -> dg.AssetsDefinition:
    """The asset without partitions: the newest window, and what retraining decided."""

    @dg.asset(
        **asset_attributes(spec, LATEST, {"python"}, None),
        description=f"The newest judged window of {spec.name}, and the last decision on training.",
        deps=[dg.AssetKey([spec.name, name]) for name in (DRIFT, PERFORMANCE)],
        freshness_policy=freshness_of(spec.freshness.monitoring),
    )
    def latest_verdict(monitoring: dg.ResourceParam[MonitoringBackend]) -> dg.MaterializeResult:
        with readable_failures():
            recent = monitoring.store.recent(spec.name)
            state = monitoring.retraining.read(spec.name)
        return dg.MaterializeResult(metadata=latest_metadata(spec, recent, state))

    return latest_verdict


def _log_of(spec: ModelSpec) -> dg.AssetDep:
    """The days of the log that a window reads: its own, or any of them where rows make windows."""
    by_rows = spec.monitoring.window.every == "rows"
    mapping = dg.AllPartitionMapping() if by_rows else dg.TimeWindowPartitionMapping()
    return dg.AssetDep(dg.AssetKey([spec.name, "prediction_log"]), partition_mapping=mapping)


def _asset_spec(
    spec: ModelSpec, name: str, kinds: set[str], deps: list[dg.AssetDep]
) -> dg.AssetSpec:
    shared = asset_attributes(spec, name, kinds, None)
    descriptions = {
        DRIFT: f"One window of {spec.service} beside the rows that its version was trained on.",
        PERFORMANCE: f"How {spec.service} did in one window: by truth, and by an estimate.",
    }
    return dg.AssetSpec(
        key=shared["key"],
        deps=deps,
        description=descriptions[name],
        group_name=shared["group_name"],
        owners=shared["owners"],
        tags=shared["tags"],
        kinds=shared["kinds"],
        code_version=shared["code_version"],
    )


@functools.cache
def _time_partitions(start: date, *, hourly: bool) -> dg.TimeWindowPartitionsDefinition:
    """One definition for all models with the same begin."""
    if hourly:
        return dg.HourlyPartitionsDefinition(start_date=f"{start:%Y-%m-%d}-00:00", end_offset=1)
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1)


def _draw_page(
    context: dg.AssetExecutionContext,
    tracking: Tracking,
    versions: TrackedVersions,
    watched: Watched,
) -> str | None:
    """Make the page and keep it with the version's run; its path there. A page is no reason to
    lose what is told of this window or the next: what stands against it is told in the log."""
    record, run_id = watched.record, watched.record.mlflow_run_id
    version = record.verdict.window.model_version
    if run_id is None or version is None:
        return None
    path = f"{_PAGES}/{record.window.key.replace(':', '_')}.html"
    try:
        fields = versions.references(version).fields
        current = watched.logged.of_version(version).features(fields)
        page = _build_in_the_background(record, versions.sample(run_id), current)
        tracking.log_files(run_id, {path: page})
        tracking.keep_newest(run_id, _PAGES, _MOST_PAGES)
    except Exception as error:  # of Evidently, of Polars, of MLflow and its storage
        context.log.warning(f"the page of {record.window.key} is not made: {error!r}")
        return None
    return path


def _build_in_the_background(
    record: "WindowRecord", reference: "pl.DataFrame", current: "pl.DataFrame"
) -> bytes:
    """The page, built with what others leave of the processor: a training goes first.

    In a thread of its own, since no thread may take its priority back.
    """
    from mlops_assets.monitoring.evidently_page import build_page

    def build() -> bytes:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _PAGE_NICENESS)
        return build_page(record, reference, current)

    with ThreadPoolExecutor(1, "page") as pool:
        return pool.submit(build).result()


def _links(tracking: Tracking, run_id: str, page: str | None) -> dict[str, Any]:
    """The run that is judged, and the page among its artifacts."""
    from mlops_assets.assets.training import mlflow_links

    links = mlflow_links(tracking, run_id)
    if page is not None:
        url = tracking.run_url(run_id)
        links["page"] = dg.MetadataValue.url(f"{url}/artifacts/{page}") if url else page
    return links
